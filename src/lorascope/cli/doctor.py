"""`lorascope doctor`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorascope.cli.options import JsonOption

if TYPE_CHECKING:
    from lorascope.doctor.check import Check


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="An accelerate config to check.", metavar="PATH")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="A run folder, whose disk is checked.", metavar="PATH")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Is this machine ready?

    Looks at packages, torch and GPUs, precision, cores, memory, disk, accelerate's config, the model cache.
    Uses no network. Exit status 1 when something would stop a run; warnings alone do not fail.
    """
    from lorascope.cli.display import print_json
    from lorascope.doctor.examine import examine

    checks = examine(config=config, run=run)
    ready = all(check.status != "fail" for check in checks)
    if as_json:
        print_json({"checks": [check.to_json() for check in checks], "ok": ready})
    else:
        _show(checks)
    if not ready:
        raise typer.Exit(1)


def _show(checks: "Sequence[Check]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("status", "name"):
        table.add_column(column, no_wrap=True)
    table.add_column("found", overflow="fold")
    style = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for check in checks:
        found = Text(check.found)  # Text: what was found may hold brackets, which markup would swallow
        if check.fix is not None:
            found.append(f"\nfix: {check.fix}", style="bold")
        table.add_row(Text(check.status, style=style[check.status]), check.name, found)
    console = Console(highlight=False)
    console.print(table)
    count = {status: sum(check.status == status for check in checks) for status in style}
    console.print(
        "ready" if not count["fail"] else "not ready",
        f"({count['ok']} ok, {count['warn']} to know, {count['fail']} to fix)",
    )
