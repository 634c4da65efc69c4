"""Tools and their calls as data write them -> OpenAI's form as JSON text, and tool calls."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.prepare.shapes.cells import Malformed, encodable_text, json_text, parsed_json
from lorascope.run.message import ToolCall

_ARGUMENTS = ("arguments", "parameters", "input", "args")
_PARAMETERS = ("parameters", "input_schema", "inputSchema")


def tools_in(value: Any) -> str:
    """Bring the tools of a row into one form.

    Args:
        value: A list of tools, one tool, or JSON text of either. A tool is {type: function, function: {...}}
            or its inside, {name, description, parameters}; `input_schema` is taken for parameters.

    Returns:
        JSON text of the list in OpenAI's form; "" where there are none. Schemas stay as they are, but for
        nulls that only a table put there: see `_is_filled`.

    Raises:
        Malformed: tools_not_json, wrong_type_tools, tool_without_name or unwritable_tools.
    """
    found = _parsed(value, "tools_not_json") if isinstance(value, str) else value
    if found is None or found == [] or found == {}:
        return ""
    if not isinstance(found, (list, tuple, Mapping)):
        raise Malformed("wrong_type_tools")
    is_parsed = not isinstance(value, str)  # text is what its author wrote, nulls included
    tools = [_tool(one, is_parsed) for one in ([found] if isinstance(found, Mapping) else found)]
    return json_text(tools, "unwritable_tools")


def _tool(value: Any, is_parsed: bool) -> dict[str, Any]:
    found = _parsed(value, "tools_not_json") if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise Malformed("wrong_type_tools")
    if is_parsed and not isinstance(value, str) and _is_filled(found):
        found = _without_filler(found)
    function = found.get("function")
    inside = function if isinstance(function, Mapping) else found
    if not isinstance(inside.get("name"), str) or not inside["name"].strip():
        raise Malformed("tool_without_name")
    if inside is not found:
        return {"type": "function", **found}
    kept = {key: one for key, one in inside.items() if key not in ("type", *_PARAMETERS)}
    schema = next((inside[key] for key in _PARAMETERS if inside.get(key) is not None), None)
    return {"type": "function", "function": kept if schema is None else {**kept, "parameters": schema}}


def _is_filled(value: Any) -> bool:
    """Whether a schema has a null where none can be: tables such as Parquet's give every row every key."""
    if isinstance(value, Mapping):
        return any(
            (one is None and key not in ("default", "const", "example")) or _is_filled(one)
            for key, one in value.items()
        )
    return isinstance(value, (list, tuple)) and any(_is_filled(one) for one in value if one is not None)


def _without_filler(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_filler(one) for key, one in value.items() if one is not None}
    return [_without_filler(one) for one in value] if isinstance(value, (list, tuple)) else value


def calls_in(value: Any) -> tuple[ToolCall, ...]:
    """Read calls of tools.

    Args:
        value: A call, a list of calls, or JSON text of either; None is no call. A call is {name, arguments}
            or OpenAI's {id, type, function: {name, arguments}}; arguments are JSON text or an object.

    Raises:
        Malformed: tool_call_not_json, wrong_type_tool_call, tool_call_without_name, tool_arguments_not_json,
            tool_arguments_not_object or lone_surrogate_tool_call.
    """
    found = _parsed(value, "tool_call_not_json") if isinstance(value, str) else value
    if found is None:
        return ()
    if isinstance(found, Sequence) and not isinstance(found, str):
        return tuple(_call(one) for one in found)
    return (_call(found),)


def _call(value: Any) -> ToolCall:
    found = _parsed(value, "tool_call_not_json") if isinstance(value, str) else value
    if not isinstance(found, Mapping):
        raise Malformed("wrong_type_tool_call")
    function = found.get("function")
    inside = function if isinstance(function, Mapping) else found
    name = inside.get("name")
    if not isinstance(name, str) or not name.strip():
        raise Malformed("tool_call_without_name")
    arguments: Any = next((inside[key] for key in _ARGUMENTS if inside.get(key) is not None), {})
    return ToolCall(
        name=encodable_text(name, "tool_call"),
        arguments=_arguments(arguments),
        call_id=identifier(found.get("id"), "tool_call"),
    )


def _arguments(value: Any) -> str:
    """JSON text of an object; text that is JSON stays letter by letter what it is."""
    if isinstance(value, str):
        text = encodable_text(value, "tool_call") if value.strip() else "{}"
        if not isinstance(_parsed(text, "tool_arguments_not_json"), Mapping):
            raise Malformed("tool_arguments_not_object")
        return text
    if not isinstance(value, Mapping):
        raise Malformed("tool_arguments_not_object")
    return json_text(value, "tool_arguments_not_json")


def identifier(value: Any, code: str) -> str:
    """The id of a call as text: "" where there is none; some data number their calls."""
    if value is None:
        return ""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else encodable_text(value, code)


def _parsed(text: str, reason: str) -> Any:
    if not text.strip():
        return None
    try:
        return parsed_json(text)
    except ValueError as error:
        raise Malformed(reason) from error
