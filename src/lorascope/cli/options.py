"""Arguments and options that several commands take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lorascope.errors import ConfigError, explain
from lorascope.run.folder import is_run

RunArgument = Annotated[Path, typer.Argument(help="A run folder, as in runs/first.", metavar="RUN")]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set", help="Change a setting, as in --set lora.rank=32; may be repeated.", metavar="KEY=VALUE"
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object, and nothing else.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Make a finished stage again.")]
AdapterOption = Annotated[
    str,
    typer.Option(
        "--adapter", help="last, best, or a folder or Hub id with an adapter.", metavar="last|best|PATH"
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="Name a column of a log instead of guessing it, as in --column loss=train/nll; may be repeated.",
        metavar="QUANTITY=NAME",
    ),
]


def columns_of(words: list[str], paths: Sequence[Path]) -> dict[str, str]:
    """The columns that were named on the command line.

    Args:
        words: As they were given.
        paths: What they are to be found in.

    Raises:
        ConfigError: A word names none, or there is nothing but runs of ours, whose columns are known.
    """
    columns: dict[str, str] = {}
    for word in words:
        quantity, equals, name = word.partition("=")
        if not equals or not quantity or not name:
            raise ConfigError(
                explain(
                    f'--column: "{word}" names no column',
                    where="the command line",
                    why="it has the form QUANTITY=NAME",
                    fix="write, for example, --column loss=train/nll",
                )
            )
        columns[quantity] = name
    if columns and all(is_run(path) for path in paths):
        raise ConfigError(
            explain(
                f"--column {words[0]} is of no use for a run of lorascope",
                where=", ".join(str(path) for path in paths),
                why="a run's own logs have columns of fixed names; only those of other trainers are guessed",
                fix="leave --column out, or give the log of another trainer",
            )
        )
    return columns
