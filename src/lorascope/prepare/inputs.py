"""What prepare reads: the sources of the recipe, opened, and what decides the result."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lorascope.errors import DataError, explain, nearest
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.prepare.origin import Origin, open_origin
from lorascope.run.commit import sha256_of
from lorascope.run.data_sections import TEMPLATES, DataSection
from lorascope.run.progress import Observer
from lorascope.run.provenance import StageInputs
from lorascope.run.recipe import recipe_values
from lorascope.run.sections import Recipe


def open_all(recipe: Recipe, observer: Observer) -> list[Origin]:
    """Open the sources of a recipe, and after them a validation file of the user's own where one is named.

    Raises:
        DataError: One cannot be read.
        ConfigError: A format or column that was named does not fit it.
    """
    held_out = _held_out(recipe)
    origins = [open_origin(_with_defaults(one, recipe), observer) for one in recipe.data]
    if held_out is not None:
        section = _with_defaults(DataSection(path=str(held_out)), recipe)
        origins.append(open_origin(section, observer, split="validation"))
    return _told_apart(origins)


def _with_defaults(section: DataSection, recipe: Recipe) -> DataSection:
    given = {"format": recipe.prepare.format, "columns": recipe.prepare.columns}
    missing = {name: value for name, value in given.items() if getattr(section, name) is None}
    return section.model_copy(update=missing)


def _told_apart(origins: Sequence[Origin]) -> list[Origin]:
    """Two files of one name must not give two examples one id."""
    taken: set[str] = set()
    out = []
    for origin in origins:
        files = {part.file for part in origin.source.parts}
        is_held_out = len(origin.sides) == 1 and set(origin.sides.values()) == {1}
        label = ("validation/" if is_held_out else f"{origin.name}/") if files & taken else ""
        out.append(replace(origin, label=label))
        taken |= files
    return out


def _held_out(recipe: Recipe) -> Path | None:
    asked = recipe.prepare.validation
    own = Path(asked) if isinstance(asked, str) and asked != "auto" else None
    if own and not own.exists():
        names = [entry.name for entry in own.parent.iterdir()] if own.parent.is_dir() else []
        raise DataError(
            explain(
                f'prepare.validation: "{own}" is neither a number nor a file',
                where=str(own),
                why="held-out examples are a number, a share below 1, or a file of your own",
                fix=nearest(own.name, names),
            )
        )
    return own


def lasting(recipe: Recipe) -> Recipe:
    """The recipe with paths that hold from any working directory; names on the Hub stay as they are."""
    prepare = recipe.prepare
    if prepare.template not in TEMPLATES:
        prepare = prepare.model_copy(update={"template": _absolute(prepare.template)})
    if isinstance(prepare.validation, str) and prepare.validation != "auto":
        prepare = prepare.model_copy(update={"validation": _absolute(prepare.validation)})
    return recipe.model_copy(
        update={
            "base": recipe.base.model_copy(update={"id": _absolute_folder(recipe.base.id)}),
            "data": tuple(one.model_copy(update={"path": _absolute(one.path)}) for one in recipe.data),
            "prepare": prepare,
        }
    )


def _absolute(path: str) -> str:
    return str(Path(path).resolve()) if Path(path).exists() else path


def _absolute_folder(path: str) -> str:
    return str(Path(path).resolve()) if Path(path).is_dir() else path


def prepare_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that decide what prepare makes, data files aside: those are told by their hashes."""
    values = recipe_values(recipe)
    sources = [one.model_dump(mode="json", exclude_none=True, exclude={"path"}) for one in recipe.data]
    told = {"sources": sources} if any(sources) else {}
    return {"base": recipe.base.id, "seed": recipe.seed, "prepare": values["prepare"], **told}


def prepare_inputs(recipe: Recipe, origins: Sequence[Origin], tokenizer: Any) -> StageInputs:
    """What decides the result: settings, and hashes of data and tokenizer."""
    hashes = {"tokenizer": tokenizer_fingerprint(tokenizer)}
    if recipe.prepare.template not in TEMPLATES and Path(recipe.prepare.template).is_file():
        hashes["template"] = sha256_of(Path(recipe.prepare.template))
    for place, origin in enumerate(origins):
        several = len(recipe.data) > 1
        name = f"data {origin.name}" if several else "data"
        hashes["validation" if place == len(recipe.data) else name] = origin.source.sha256()
    return StageInputs(stage="prepare", settings=prepare_settings(recipe), hashes=hashes)
