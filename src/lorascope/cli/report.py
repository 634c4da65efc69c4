"""`lorascope report`."""

import typer

from lorascope.cli.options import JsonOption, RunArgument


def report(run: RunArgument, as_json: JsonOption = False) -> None:
    """Write one self-contained HTML page about a run: report.html in its folder.

    It opens with five sentences for somebody who did not train it. Whatever stages the run has been through
    are on it; it needs no network and no other file.
    """
    from lorascope.cli.display import print_json
    from lorascope.pipeline import report_current
    from lorascope.run.folder import open_run

    path = report_current(open_run(run))
    if as_json:
        print_json({"run": str(run), "report": str(path), "bytes": path.stat().st_size})
    else:
        typer.echo(f"report: {path} ({path.stat().st_size / 1024:,.0f} KiB)")
