"""The recipe of an existing run, with the command line's changes on top."""

from collections.abc import Sequence

from lorascope.run.commit import write_json
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe, read_recipe_file, recipe_values, with_overrides
from lorascope.run.sections import Recipe


def recipe_of(run: RunFolder, overrides: Sequence[str] = ()) -> Recipe:
    """Read config.json and lay `--set` over it.

    Args:
        run: An existing run.
        overrides: Each "section.key=value".

    Returns:
        The recipe; it is stored by the stage that uses it, once that is done.
    """
    values = with_overrides(read_recipe_file(run.config), overrides)
    return make_recipe(values, where=str(run.config) if not overrides else f"{run.config} and --set")


def store_sections(run: RunFolder, recipe: Recipe, *sections: str) -> None:
    """Write what a stage used into config.json, leaving other stages' sections as they are.

    Args:
        run: The run.
        recipe: With resolved values.
        sections: Names of the sections to take from it.
    """
    stored = read_recipe_file(run.config)
    values = recipe_values(recipe)
    write_json(run.config, {**stored, **{section: values[section] for section in sections}})
