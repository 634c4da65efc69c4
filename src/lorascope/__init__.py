"""lorascope: LoRA fine-tuning whose numbers you can trust.

    prepare -> check -> train -> diagnose -> eval -> compare -> export -> report

Each word is a command, a package, a section of the recipe, a folder inside a run and a page of the docs.

From Python:

    import lorascope as ls
    run = ls.run(data="my_rows.jsonl", base="gpt2", out="runs/first")
    run.eval.adapter.perplexity
"""

import sys
import types
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lorascope.api import Run, check, compare, diagnose, export, prepare, report, run, train
    from lorascope.api import evaluate as eval

__all__ = ["Run", "check", "compare", "diagnose", "eval", "export", "prepare", "report", "run", "train"]


def __getattr__(name: str) -> Any:
    """Load the Python API when one of its ten names is first used; `import lorascope` stays instant."""
    if name not in __all__:
        raise AttributeError(f"module 'lorascope' has no attribute {name!r}")
    from lorascope import api

    return getattr(api, "evaluate" if name == "eval" else name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


class _PublicModule(types.ModuleType):
    """Keeps `ls.train` the function: importing the package lorascope.train would bind its name over it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _PublicModule
