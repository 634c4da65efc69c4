"""What pydantic says about a recipe -> our messages: no word of pydantic's own reaches a reader."""

import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from lorascope.errors import explain, nearest
from lorascope.run.foreign_names import FOREIGN_NAMES
from lorascope.run.sections import Recipe

_WANTED = {
    "model": "a mapping of names to values, as in {prompt: question}",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "bool": "a switch, true or false",
    "string": "text",
    "tuple": "a list, as in [a, b]",
}
"""The first word of pydantic's name for an error -> what it wanted."""

_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("greater than or equal to", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("less than or equal to", "le"),
}


def settings_path(location: Sequence[str | int]) -> tuple[str, list[str]]:
    """Keep the parts of an error's location that are settings; pydantic adds one for a union's branch.

    Args:
        location: As pydantic has it.

    Returns:
        The setting's dotted name, and the names that stand beside its last part.
    """
    model: type[BaseModel] | None = Recipe
    kept: list[str] = []
    fields = list(Recipe.model_fields)
    in_list = False
    for part in map(str, location):
        if model is None:
            break
        if in_list and part.isdigit():
            kept[-1] += f"[{part}]"
            continue
        kept.append(part)
        fields = list(model.model_fields)
        above, model = model, _below(model, part)
        in_list = model is not _section(above, part)
    return ".".join(kept), fields


def explain_wrong(entries: Sequence[Mapping[str, Any]], where: str) -> str:
    """Explain what is wrong with one setting.

    Args:
        entries: Pydantic's errors about it: one for each branch of a union.
        where: What the recipe is called.
    """
    entry = entries[0]
    path, fields = settings_path(entry["loc"])
    name = path.rsplit(".", 1)[-1]
    if entry["type"] == "extra_forbidden":
        foreign = FOREIGN_NAMES.get(name)
        section = path.rpartition(".")[0]
        return explain(
            f'unknown setting "{path}"',
            where=f"{where}, section {section}" if section else where,
            why="no setting has this name, and a setting nobody reads would mislead",
            fix=f"here it is called {foreign}" if foreign else nearest(name, fields),
        )
    if entry["type"] == "missing":
        example = {"base": "--base gpt2, or base: gpt2", "data": "data: my_rows.jsonl"}.get(path, "set it")
        return explain(f'"{path}" is missing', where=where, why="a run cannot do without it", fix=example)
    model = _section_at(path)
    has_reason = path.startswith("data") and any(one["type"] == "value_error" for one in entries)
    return explain(
        f"{path}: {_short(entry.get('input'))} is not accepted",
        where=f'{where}, setting "{path}"',
        why=_why(entries, None if model is None or has_reason else path),
        fix=_fix(entries, path) if model is None else _fix_section(path, model, has_reason),
    )


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The section that a setting of a model is; None where it is no section, or no setting."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    branches = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((one for one in branches if _is_section(one)), None)


def _section_at(path: str) -> type[BaseModel] | None:
    """The section that a dotted path names, as in "lora" or "data[0]"; not a list of sections."""
    model: type[BaseModel] | None = Recipe
    for part in path.split("."):
        if model is None:
            return None
        model = _below(model, part) if "[" in part else _section(model, part)
    return model


def _below(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The same, or the section that each entry of a list is."""
    name = name.partition("[")[0]
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    if get_origin(annotation) is tuple and _is_section(get_args(annotation)[0]):
        return get_args(annotation)[0]  # type: ignore[no-any-return]
    return _section(model, name)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fix_section(path: str, model: type[BaseModel], has_reason: bool) -> str:
    if path == "base":
        return f"for example base=gpt2; its settings: {', '.join(model.model_fields)}"
    if has_reason or next(iter(model.model_fields.values())).is_required():
        return f"its settings: {', '.join(model.model_fields)}"
    name, field = next(iter(model.model_fields.items()))
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"set one of its settings, as in {path}.{name}={default}; {nearest('', model.model_fields)}"


def _why(entries: Sequence[Mapping[str, Any]], section: str | None) -> str:
    own = [str(one["msg"]).removeprefix("Value error, ") for one in entries if one["type"] == "value_error"]
    wrong_entry = any(_is_entry(one) for one in entries)
    wanted = [
        _wanted(one)
        for one in entries
        if one["type"] != "value_error" and not (wrong_entry and one["type"] == "too_short")
    ]
    if section == "base":
        must = ["the base model is named by text: a model on the Hub, or a folder"]
    elif section is not None:
        must = [f"{section} is a section: it holds settings and takes no value itself"]
    else:
        must = [f"it must be {', or '.join(dict.fromkeys(wanted))}"] if wanted else []
    return "; ".join([*dict.fromkeys(own), *must])


def _wanted(entry: Mapping[str, Any]) -> str:
    """What one branch of a setting accepts, so that "it must be " can stand before it."""
    kind, context = str(entry["type"]), entry.get("ctx", {})
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        bound = context[key]
        wanted = f"a number {words} " + (f"{bound:,}" if isinstance(bound, int) else f"{bound:g}")
    elif kind == "literal_error":
        wanted = str(context["expected"])
    elif kind in ("string_too_short", "too_short"):
        wanted = "text that is not empty" if kind == "string_too_short" else "a list that is not empty"
    elif kind == "invalid_key":
        wanted = "under a name that is text"
    else:
        plain = str(entry["msg"]).removeprefix("Input should be ")
        wanted = _WANTED.get(kind.partition("_")[0], plain)
    return f"a list of which every entry is {wanted}" if _is_entry(entry) else wanted


def _is_entry(entry: Mapping[str, Any]) -> bool:
    """Whether an error is about one entry of a list."""
    return isinstance(entry["loc"][-1], int) and entry["type"] != "invalid_key"


def _fix(entries: Sequence[Mapping[str, Any]], path: str) -> str:
    """The nearest valid name where nothing but a name is accepted; else what the setting means."""
    given = entries[0].get("input")
    if isinstance(given, str) and all(one["type"] == "literal_error" for one in entries):
        names = [name for one in entries for name in re.findall("'([^']*)'", one["ctx"]["expected"])]
        return nearest(given, names)
    return _field_help(path)


def _field_help(path: str) -> str:
    model: type[BaseModel] = Recipe
    *sections, name = path.split(".")
    for section in sections:
        model = _below(model, section) or model
    field = model.model_fields.get(name)
    if field is None:
        return nearest(name, model.model_fields)
    default = "" if field.is_required() else f" Default: {_short(field.default)}."
    return " ".join((field.description or "see the settings page").split()) + default


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
