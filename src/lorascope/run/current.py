"""The recipe of an existing run, with the command line's changes on top."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.errors import ConfigError, RunError, explain, parts
from lorascope.run.commit import write_json
from lorascope.run.folder import RunFolder, how_to_mend
from lorascope.run.provenance import stage_record
from lorascope.run.recipe import make_recipe, read_recipe_file, recipe_values, with_overrides
from lorascope.run.sections import Recipe


def recipe_of(run: RunFolder, overrides: Sequence[str] = (), *, reads: Sequence[str] | None = None) -> Recipe:
    """Read config.json and lay `--set` over it.

    Args:
        run: An existing run.
        overrides: Each "section.key=value".
        reads: Sections that the command reads; a change of another one is refused, since nothing would read
            it. None allows all.

    Returns:
        The recipe; it is stored by the stage that uses it, once that is done.

    Raises:
        ConfigError: A setting is wrong, or belongs to another stage.
        RunError: config.json is damaged.
    """
    stored = _stored(run)
    recipe = make_recipe(
        with_overrides(stored, overrides),
        where=str(run.config) if not overrides else f"--set, over {run.config}",
    )
    for override in overrides if reads is not None else ():
        section = override.partition("=")[0].partition(".")[0].strip()
        if section not in (reads or ()) and getattr(recipe, section) != getattr(make_recipe(stored), section):
            raise ConfigError(
                explain(
                    f'--set "{override}" changes a setting that this command does not read',
                    where="command line, --set",
                    why=f'"{section}" was settled when the run was prepared, or belongs to another stage',
                    fix=f"settings that count here: {', '.join(reads or ())}",
                )
            )
    return recipe


def unsettled(run: RunFolder, recipe: Recipe, stage: str) -> Recipe:
    """The recipe with "auto" again where a finished stage settled it, so that it is settled anew.

    Args:
        run: An existing run.
        recipe: From `recipe_of`.
        stage: Whose provenance tells what was asked for and what it came to.

    Returns:
        The recipe; a setting that was changed since stays as it is.
    """
    record = stage_record(run, stage)
    values = recipe_values(recipe)
    _ask_again(values, record.get("settings", {}), record.get("resolved", {}))
    return make_recipe(values)


def _ask_again(values: dict[str, Any], asked: Mapping[str, Any], resolved: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(asked.get(name), Mapping):
            _ask_again(value, asked[name], resolved.get(name, {}))
        elif asked.get(name) == "auto" and value == resolved.get(name):
            values[name] = "auto"


def store_sections(run: RunFolder, recipe: Recipe, *sections: str) -> None:
    """Write what a stage used into config.json, leaving other stages' sections as they are.

    Args:
        run: The run.
        recipe: With resolved values.
        sections: Names of the sections to take from it.
    """
    stored = _stored(run)
    values = recipe_values(recipe)
    write_json(run.config, {**stored, **{section: values[section] for section in sections}})


def store_resolved(run: RunFolder, stage: str) -> None:
    """Write what a stage came to into config.json, once that is on record.

    In the other order a kill between the two would leave settings in config.json that nobody asked for, and
    the stage could not be gone on with: it was started with others.

    Args:
        run: The run.
        stage: Finished and recorded.
    """
    stored = _stored(run)
    values = {**stored, **stage_record(run, stage)["resolved"]}
    if values != stored:
        write_json(run.config, values)


def later_sections(run: RunFolder) -> dict[str, Any]:
    """Settings of the stages after prepare, so that preparing a run again leaves them as they are.

    Returns:
        Section to values; empty where the run is not there yet, or its config.json is what is to be mended.
    """
    if not run.config.is_file():
        return {}
    try:
        stored = _stored(run)
    except RunError:
        return {}
    return {
        section: stored[section]
        for section in ("check", "lora", "train", "eval", "compare")
        if section in stored
    }


def _stored(run: RunFolder) -> dict[str, Any]:
    """What config.json holds: written by lorascope, so nothing in it is for people to mend."""
    try:
        return read_recipe_file(run.config)
    except ConfigError as error:
        raise RunError(
            explain(
                "the config.json of this run is damaged",
                where=str(run.config),
                why=parts(error.message)["problem"],
                fix=how_to_mend(run.config),
            )
        ) from error
