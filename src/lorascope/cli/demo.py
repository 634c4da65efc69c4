"""`lorascope demo`."""

from pathlib import Path
from typing import Annotated

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption


def demo(
    out: Annotated[Path, typer.Option(help="The run folder.")] = Path("runs/demo"),
    files: Annotated[
        Path | None,
        typer.Option(
            help="Run nothing; write 300 rows, the base model and unrelated text into this folder, to try "
            "other commands on."
        ),
    ] = None,
    settings: SetOption = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the whole pipeline on the bundled starter: a toy world, but a real model and a real fine-tune.

    About two minutes on two CPU cores, no download. Ends with a table and the path of the report.
    """
    if files is not None:
        _write(files, as_json)
        return
    from lorascope.cli.run import go
    from lorascope.run.recipe import read_recipe_file, with_overrides
    from lorascope.starter import recipe_file

    values = with_overrides(read_recipe_file(recipe_file()), settings)
    given = ["demo", "--out", out, *(word for one in settings for word in ("--set", one))]
    go(values, out, None, [], resume, overwrite, as_json, source=None, again=given)


def _write(folder: Path, as_json: bool) -> None:
    from lorascope.cli.display import next_step, print_json
    from lorascope.errors import command
    from lorascope.starter.files import UNRELATED, copy_files

    rows, base = copy_files(folder.expanduser())
    if as_json:
        print_json({"data": str(rows), "base": str(base)})
        return
    typer.echo(f"wrote {rows} and {base}, and {UNRELATED} beside them")
    next_step(command("prepare", rows, "--base", base, "--out", "runs/first"))
