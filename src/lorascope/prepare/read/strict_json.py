"""JSON as its standard has it: no key twice in an object, no NaN, no Infinity."""

import json
from typing import Any


class Refused(ValueError):
    """A value that is JSON in form only. Its text is the reason's code."""


def _refuse_constant(name: str) -> Any:
    raise Refused("nan_or_infinity")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise Refused("duplicate_key")
    return mapping


STRICT = json.JSONDecoder(object_pairs_hook=_refuse_twins, parse_constant=_refuse_constant)
"""Raises Refused beside what LENIENT raises."""
LENIENT = json.JSONDecoder()
"""Raises ValueError, or RecursionError where brackets are nested too deep."""


def parses(text: str) -> bool:
    """Whether a text is one JSON value and nothing else."""
    try:
        LENIENT.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
