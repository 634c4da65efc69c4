"""`lorascope diagnose`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import ColumnOption, JsonOption, columns_of
from lorascope.errors import ConfigError, command, explain, nearest

_METRICS_SHOWN = 3

PathsArgument = Annotated[
    list[Path],
    typer.Argument(
        help="A run folder, or any trainer's log: trainer_state.json, a checkpoint folder, "
        "trainer_log.jsonl, "
        "TensorBoard, W&B, CSV, JSONL, text. Several are put beside each other.",
        metavar="RUN|LOG...",
    ),
]


def diagnose(
    paths: PathsArgument,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="Exit status 1 at a finding of this severity or worse, of any of the paths.",
            metavar="info|warn|critical",
        ),
    ] = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read a training's signals: one verdict, findings with their evidence, and the next step.

    Works on a training that is finished, failed, interrupted or still going; reads files only and needs no
    torch. What could not be judged is listed with the reason. Of a run of ours it reads the losses of single
    rows and writes RUN/diagnose/report.json; of any other trainer's log it reads the curves, says which
    columns it took, marks its evidence as "curve only", and writes nothing. Several are put beside each other
    in one table, with their curves, and with the reason where their numbers must not be compared.
    """
    from lorascope.cli.display import print_json
    from lorascope.diagnose.finding import at_least
    from lorascope.diagnose.stage import diagnose_beside, diagnose_path

    _refuse_unknown_severity(fail_on)
    places = [one.expanduser() for one in paths]
    columns = columns_of(column or [], places)
    if len(places) > 1:
        told = diagnose_beside(places, columns)
        _show_beside(told, as_json=as_json)
        findings = [one for run in told["runs"] for one in run["findings"]]
    else:
        report = diagnose_path(places[0], columns)
        findings = report["findings"]
        if as_json:
            print_json({("log_path" if "log" in report else "run"): str(paths[0]), **report})
        else:
            for line in lines_of(report, str(paths[0])):
                typer.echo(line)
    if fail_on is not None and any(at_least(one["severity"], fail_on) for one in findings):
        raise typer.Exit(1)


def _show_beside(told: dict[str, Any], *, as_json: bool) -> None:
    from lorascope.cli.beside import beside_lines
    from lorascope.cli.display import print_json

    if as_json:
        print_json(told)
        return
    for line in beside_lines(told):
        typer.echo(line)


def lines_of(report: dict[str, Any], run: str) -> list[str]:
    """The verdict in one line, findings as short paragraphs, the next step."""
    import shutil
    import textwrap

    width = min(100, max(30, shutil.get_terminal_size(fallback=(100, 24)).columns))
    going = report["state"] in ("unfinished", "failed")
    state = f" ({report['state']}, step {report['last_step']:,})" if going else ""
    lines = [
        *_log_lines(report, width),
        f"verdict{state}: {report['verdict'].replace('_', ' ')} - {report['verdict_reason']}",
    ]
    lines += textwrap.wrap(f"health: {report['health']['told']}", width, subsequent_indent="  ")
    for one in report["findings"]:
        lines += ["", f"[{one['severity']}] {one['title']}"]
        for text in (
            one["evidence"]["sentence"],
            f"How sure: {one['how_sure']}.",
            f"Next: {one['action']}",
            f"Would change it: {one['would_change']}.",
        ):
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
        by_reason: dict[str, list[str]] = {}
        for one in report["rules_not_run"]:
            by_reason.setdefault(one["reason"], []).append(one["rule"])
        for reason, rules in by_reason.items():
            lines += textwrap.wrap(
                f"{', '.join(dict.fromkeys(rules))}: {reason}",
                width,
                initial_indent="  ",
                subsequent_indent="    ",
            )
    if report["visible_rise"] is not None:
        told = f"smallest rise to be seen: {report['visible_rise']['sentence']}"
        lines += ["", *textwrap.wrap(told, width, subsequent_indent="  ")]
    return [*lines, "", *_ending(report, run)]


def _log_lines(report: dict[str, Any], width: int) -> list[str]:
    """What was noteworthy about reading, and what was recognised in the log of another trainer."""
    import textwrap

    log = report.get("log")
    notes = [f"note: {one}" for one in report["problems"]]
    if log is None:
        told = notes
    else:
        told = [
            f"read: {log['format']}, {log['num_training_points']:,} training points and "
            f"{log['num_evaluations']:,} evaluations ({log['path']})",
            f"columns: {_columns_told(log['columns'])}",
            *notes,
            "evidence: curve only; one number per evaluation, noise told from the differences of neighbours",
        ]
    wrapped = [
        textwrap.wrap(one, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)
        for one in told
    ]
    return [*(line for one in wrapped for line in one), *([""] if told else [])]


def _columns_told(columns: dict[str, str]) -> str:
    """Our name of each quantity with that in the file; of the many metrics of evaluations the first few."""
    losses = ("eval_loss",) if "eval_loss" in columns else ("eval_perplexity",)  # whose logarithm stands in
    metrics = [theirs for ours, theirs in columns.items() if ours.startswith("eval_") and ours not in losses]
    told = [
        ours if ours == theirs else f"{ours} = {theirs}"
        for ours, theirs in columns.items()
        if theirs not in metrics
    ]
    if metrics:
        more = f" and {len(metrics) - _METRICS_SHOWN} more" if len(metrics) > _METRICS_SHOWN else ""
        told.append(f"metrics of evaluations: {', '.join(metrics[:_METRICS_SHOWN])}{more}")
    return ", ".join(told)


def _ending(report: dict[str, Any], run: str) -> list[str]:
    ship = report["step_to_ship"]
    if "log" in report:
        which = (
            f"{ship['adapter']}: " if ship["adapter"] else "" if ship["step"] is not None else "not shown: "
        )
        return [f"to ship: {which}{ship['why']}"]
    going = []
    if report["state"] == "unfinished":
        going = [f"next: {command('watch', run) if report['goes_on'] else command('train', run, '--resume')}"]
    if ship["adapter"] is None:
        return [f"to ship: nothing: {ship['why']}", *going]
    which = f"adapter {ship['adapter']}, step {ship['step']:,}"
    lines = [f"to ship: {which}: {ship['why']}"]
    if not ship["shown"]:
        lines = [f"to ship: not shown; {which} is on disk: {ship['why']}"]
    if ship["cost"]:
        lines.append(f"  {ship['cost']['sentence']}")
    lines += going
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
