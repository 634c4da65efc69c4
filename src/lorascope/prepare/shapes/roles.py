"""The many names of those who speak -> the roles of a message."""

import functools

from lorascope.prepare.read import excerpt_of
from lorascope.prepare.shapes.cells import Malformed

CALL = "call"
"""A turn that is nothing but the assistant's call of a tool, as ShareGPT data writes it."""

_NAMES = {
    "system": "system developer",
    "user": "user human prompter",
    "assistant": "assistant gpt bot chatbot chatgpt model ai bing bard",
    "tool": "tool function observation tool_response function_response tool_result ipython",
    CALL: "function_call tool_call",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}


@functools.lru_cache(maxsize=1024)
def role_of(name: str) -> str:
    """The role that a name stands for.

    Args:
        name: As in "human", "gpt" or "function_call"; case, hyphens and blanks around it do not matter.

    Returns:
        "system", "user", "assistant", "tool" or CALL.

    Raises:
        Malformed: unknown_role_ and the beginning of the name.
    """
    role = _ROLES.get(name.strip().casefold().replace("-", "_").replace(" ", "_"))
    if role is None:
        raise Malformed(f"unknown_role_{excerpt_of(name)[:20]}")
    return role


def is_role(name: str) -> bool:
    """Whether a name is one of somebody who speaks."""
    return name.strip().casefold().replace("-", "_") in _ROLES
