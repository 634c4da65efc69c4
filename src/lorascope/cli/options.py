"""Arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

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
