"""Sparse YAML, JSON or a dict -> one validated Recipe; every error of it reported at once."""

import copy
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lorascope.errors import ConfigError, explain, nearest, together
from lorascope.run.sections import Recipe
from lorascope.run.wrong_settings import explain_wrong, settings_path

_LARGEST_RECIPE_BYTES = 1_000_000


class _RecipeLoader(yaml.SafeLoader):
    """YAML without two of its traps: a key written twice is refused, and 12:30 stays text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, refusing a key that stands in it twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:  # pyyaml itself refuses the others
                mark = key_node.start_mark
                raise yaml.constructor.ConstructorError(None, None, f'key "{key}" stands twice', mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


# PyYAML reads 12:30 as 750 and 1:30.5 as 90.5 (base 60), and 2026-01-31 as a date. All three stay text here.
_REPLACED = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
_RecipeLoader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+)$"),
    list("-+0123456789"),
)


def read_recipe_file(path: Path) -> dict[str, Any]:
    """Read a recipe's sparse values from a YAML or JSON file.

    Args:
        path: The file; `config.json` of a run is one too.

    Returns:
        The values as written; `make_recipe` validates them. A relative path of data, of validation or of
        unrelated text that exists beside the recipe is made absolute, so that a recipe runs from any folder.

    Raises:
        ConfigError: The file is missing, is no YAML or JSON, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        siblings = (
            [entry.name for entry in path.parent.glob("*") if entry.is_file()] if path.parent.is_dir() else []
        )
        raise ConfigError(
            explain(
                f'recipe "{path}" cannot be read',
                where=str(path),
                why=error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text",
                fix=nearest(path.name, siblings),
            )
        ) from error
    values = _parse_json(text, where=str(path)) if path.suffix == ".json" else _parse(text, where=str(path))
    if not isinstance(values, dict):
        raise ConfigError(
            explain(
                f"the recipe holds a {type(values).__name__}, not settings",
                where=str(path),
                why='a recipe is a mapping such as "base: gpt2"',
                fix="write at least base: and data:",
            )
        )
    return _beside(values, path.parent)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_RecipeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            explain(
                f"the recipe cannot be read: {getattr(error, 'problem', None) or error}",
                where=f"{where}{line}",
                why="it is not valid YAML or JSON, or a key stands twice and one of the two would be lost",
                fix="mend that line; each key stands once in its section",
            )
        ) from error


def _parse_json(text: str, where: str) -> Any:
    """JSON by its own rules: YAML would stumble over tabs and over characters written as two escapes."""
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice)
    except ValueError as error:
        raise ConfigError(
            explain(
                f"the recipe cannot be read: {error}",
                where=where,
                why="it is not valid JSON, or a key stands twice and one of the two would be lost",
                fix="mend that line; each key stands once in its section",
            )
        ) from error


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands twice")
    return values


def _beside(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make data paths that exist beside the recipe absolute."""

    def resolved(value: Any) -> Any:
        if isinstance(value, str) and value and not Path(value).is_absolute() and (folder / value).exists():
            return str((folder / value).resolve())
        return value

    out = dict(values)
    if isinstance(out.get("data"), list):
        out["data"] = [_beside_source(one, resolved) for one in out["data"]]
    elif "data" in out:
        out["data"] = _beside_source(out["data"], resolved)
    for section, name in (("prepare", "validation"), ("compare", "unrelated")):
        inner = out.get(section)
        if isinstance(inner, dict) and inner.get(name, "auto") != "auto":
            out[section] = {**inner, name: resolved(inner[name])}
    base = out.get("base")
    if isinstance(base, str) and base.startswith("."):
        out["base"] = resolved(base)
    elif isinstance(base, dict) and str(base.get("id")).startswith("."):
        out["base"] = {**base, "id": resolved(base["id"])}
    return out


def _beside_source(one: Any, resolved: Callable[[Any], Any]) -> Any:
    if isinstance(one, dict) and "path" in one:
        return {**one, "path": resolved(one["path"])}
    return resolved(one)


def with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Lay `--set section.key=value` settings over a recipe's values.

    Args:
        values: Sparse or full recipe values.
        overrides: Each "key=value" or "section.key=value"; the value is read as YAML.

    Returns:
        A new mapping.

    Raises:
        ConfigError: An override has no "=".
    """
    out: dict[str, Any] = copy.deepcopy(dict(values))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(
                explain(
                    f'--set "{override}" is not key=value',
                    where="command line, --set",
                    why="a setting needs its name, an equals sign and a value",
                    fix="for example --set lora.rank=32",
                )
            )
        *sections, name = key.strip().split(".")
        inner = out
        for section in sections:
            below = inner.get(section)
            if isinstance(below, str) and section == "base":
                below = {"id": below}
            inner[section] = below = below if isinstance(below, dict) else {}
            inner = below
        inner[name] = _parse(text, where=f"--set {override}") if text.strip() else None
    return out


def make_recipe(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Validate recipe values.

    Args:
        values: Sparse values; missing ones take their defaults.
        where: What to call their source in an error message.

    Returns:
        The whole recipe.

    Raises:
        ConfigError: One or more values are wrong; the message lists all of them.
    """
    try:
        return Recipe.model_validate(dict(values))
    except ValidationError as error:
        by_path: dict[str, list[Mapping[str, Any]]] = {}
        for entry in error.errors():
            by_path.setdefault(settings_path(entry["loc"])[0], []).append(entry)
        raise ConfigError(together(explain_wrong(entries, where) for entries in by_path.values())) from error


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """Turn a recipe into plain JSON values: what config.json holds."""
    return recipe.model_dump(mode="json")


def is_recipe_file(path: Path) -> bool:
    """Whether a file is a recipe: YAML, or a JSON object that names a base model; anything else is data."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return True
    if path.suffix.lower() != ".json" or not path.is_file() or path.stat().st_size > _LARGEST_RECIPE_BYTES:
        return False
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and "base" in value
