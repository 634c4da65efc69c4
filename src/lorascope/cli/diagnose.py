"""`lorascope diagnose`."""

from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, RunArgument
from lorascope.errors import ConfigError, command, explain, nearest


def diagnose(
    run: RunArgument,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="Exit status 1 at a finding of this severity or worse.", metavar="info|warn|critical"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read a run's signals: one verdict, findings with their evidence, and the next step.

    Works on a training that is finished, failed, interrupted or still going; reads files only and needs no
    torch. What could not be judged is listed with the reason. Writes RUN/diagnose/report.json.
    """
    from lorascope.cli.display import print_json
    from lorascope.diagnose.finding import at_least
    from lorascope.diagnose.stage import diagnose_run
    from lorascope.run.folder import open_run

    _refuse_unknown_severity(fail_on)
    report = diagnose_run(open_run(run))
    if as_json:
        print_json({"run": str(run), **report})
    else:
        for line in lines_of(report, str(run)):
            typer.echo(line)
    if fail_on is not None and any(at_least(one["severity"], fail_on) for one in report["findings"]):
        raise typer.Exit(1)


def lines_of(report: dict[str, Any], run: str) -> list[str]:
    """The verdict in one line, findings as short paragraphs, the next step."""
    import shutil
    import textwrap

    width = min(100, max(30, shutil.get_terminal_size(fallback=(100, 24)).columns))
    state = "" if report["state"] == "finished" else f" ({report['state']}, step {report['last_step']:,})"
    lines = [f"verdict{state}: {report['verdict'].replace('_', ' ')} - {report['verdict_reason']}"]
    for one in report["findings"]:
        lines += ["", f"[{one['severity']}] {one['title']}"]
        for text in (one["evidence"]["sentence"], f"How sure: {one['how_sure']}.", f"Next: {one['action']}"):
            lines += textwrap.wrap(
                text,
                width,
                initial_indent="  ",
                subsequent_indent="  ",
                break_on_hyphens=False,
                break_long_words=False,
            )
    if report["rules_not_run"]:
        lines += ["", "not judged:"]
        lines += [f"  {one['rule']}: {one['reason']}" for one in report["rules_not_run"]]
    return [*lines, "", *_ending(report, run)]


def _ending(report: dict[str, Any], run: str) -> list[str]:
    ship = report["step_to_ship"]
    if ship["adapter"] is None:
        return [f"to ship: nothing: {ship['why']}"]
    which = f"adapter {ship['adapter']}, step {ship['step']:,}"
    lines = [f"to ship: {which}: {ship['why']}"]
    if not ship["shown"]:
        lines = [f"to ship: not shown; {which} is on disk: {ship['why']}"]
    if ship["cost"]:
        lines.append(f"  {ship['cost']['sentence']}")
    if report["state"] == "unfinished":
        return [*lines, f"next: {command('train', run, '--resume')}"]
    grave = [one for one in report["findings"] if one["severity"] != "info"]
    if not grave and report["state"] == "finished":
        lines.append(f"next: {_measure(report, run)}")
    return lines


def _measure(report: dict[str, Any], run: str) -> str:
    """The command that measures the adapter: on rows that were learnt where nothing was held out."""
    words = ["eval", run, "--adapter", report["step_to_ship"]["adapter"]]
    return command(*words, *([] if report["has_validation"] else ["--set", "eval.split=train"]))


def _refuse_unknown_severity(wanted: str | None) -> None:
    severities = ("info", "warn", "critical")
    if wanted is not None and wanted not in severities:
        raise ConfigError(
            explain(
                f'--fail-on: "{wanted}" is no severity',
                where="the command line",
                why="a finding has one of three",
                fix=nearest(wanted, severities),
            )
        )
