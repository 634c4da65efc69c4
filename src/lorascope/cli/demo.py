"""`lorascope demo`."""

from pathlib import Path
from typing import Annotated

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption


def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    settings: SetOption = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the whole pipeline on the bundled starter: a toy world, but a real model and a real fine-tune.

    About two minutes on two CPU cores, no download. Ends with a table and the path of the report.
    """
    from lorascope.cli.run import go
    from lorascope.run.recipe import read_recipe_file, with_overrides
    from lorascope.starter import recipe_file

    values = with_overrides(read_recipe_file(recipe_file()), settings)
    given = ["demo", "--out", out, *(word for one in settings for word in ("--set", one))]
    go(values, out, None, [], resume, overwrite, as_json, source=None, again=given)
