"""lorascope inside somebody else's training."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorascope.integrations.callback import LorascopeCallback

__all__ = ["LorascopeCallback"]


def __getattr__(name: str) -> Any:
    """Load the callback, and transformers with it, when it is asked for."""
    if name == "LorascopeCallback":
        from lorascope.integrations.callback import LorascopeCallback

        return LorascopeCallback
    raise AttributeError(name)
