"""`lorascope prepare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption
from lorascope.errors import command


def prepare(
    data: Annotated[
        Path, typer.Argument(help="Instruction data: a JSON, JSON Lines, CSV, TSV or Parquet file.")
    ],
    base: Annotated[str, typer.Option(help="Base model: a Hub id such as gpt2, or a folder.")],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    settings: SetOption = [],  # noqa: B006
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn instruction data into a tokenised dataset without leaks.

    Reads Alpaca rows (instruction, input, output) or chat rows (messages). Writes OUT/prepare/: the dataset,
    a report, and a list of every row that was dropped, with its line and the reason.
    """
    from lorascope.cli.display import TerminalObserver, next_step, print_json
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.current import later_sections
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe, with_overrides

    run = RunFolder(out)
    values = with_overrides({**later_sections(run), "base": base, "data": str(data)}, settings)
    report = prepare_run(
        run,
        make_recipe(values, "command line"),
        overwrite=overwrite,
        observer=TerminalObserver(),
    )
    if as_json:
        print_json({"run": str(out), **report})
        return
    for line in summary(report):
        typer.echo(line)
    next_step(command("check", out))


def summary(report: dict[str, Any]) -> list[str]:
    """What prepare did, in a few lines."""
    splits = ", ".join(f"{name} {facts['examples']:,}" for name, facts in report["splits"].items())
    dropped = report["dropped"]
    lines = [
        f"read {report['file']} as {report['read_as']}: {_rows(report)} kept ({splits})",
        f"template {report['template']}, stop token {' or '.join(report['stop_tokens'])}, "
        f"at most {report['max_length']} tokens (median {report['lengths']['median']:.0f})",
    ]
    if dropped["malformed"] or dropped["over_length"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["dropped_by_reason"].items())
        malformed = f"{dropped['malformed']:,} malformed" + (f" ({reasons})" if reasons else "")
        lines.append(
            f"dropped: {malformed}, {dropped['over_length']:,} too long; listed in prepare/dropped.jsonl"
        )
    lines += [*_left_out(report), *_of_the_template(report)]
    if report["odd"]:
        odd = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in report["odd"].items())
        lines.append(f"worth a look: {odd}")
    if report["unused_columns"]:
        lines.append(f"columns not learnt from: {', '.join(report['unused_columns'])}")
    twins = report["duplicates"]
    if twins["exact"] or twins["conflicting"]:
        lines.append(
            f"duplicates: {twins['exact']:,} rows repeat another exactly; "
            f"{twins['conflicting']:,} prompts have more than one answer"
        )
    for split, overlap in report["overlap"].items():
        if overlap["same_both"] or overlap["same_prompt"]:
            lines.append(
                f"overlap: {overlap['same_both']:,} of {overlap['num_examples']:,} {split} rows "
                f"are in training, {overlap['same_prompt']:,} share a prompt with it"
            )
    return lines


def _left_out(report: dict[str, Any]) -> list[str]:
    """What was left out though nothing is wrong with it."""
    lines = []
    if report["cut_after_last_answer"]:
        lines.append(
            f"cut: {report['cut_after_last_answer']:,} conversations end with a turn that nobody answers"
        )
    if report["not_chosen"] or report["rejected_answers"]:
        told = [
            f"{count:,} {what}"
            for count, what in (
                (report["not_chosen"], "rows whose answer was turned down"),
                (report["rejected_answers"], "rejected answers beside the chosen ones"),
            )
            if count
        ]
        lines.append(f"preferences: the chosen answers are learnt; left out: {' and '.join(told)}")
    return lines


def _of_the_template(report: dict[str, Any]) -> list[str]:
    """What the chat template does to the rows, and what a server has to be told."""
    lines = []
    if report["template_options"]:
        options = ", ".join(f"{name}={str(one).lower()}" for name, one in report["template_options"].items())
        lines.append(f"the chat template is used with {options}: tell the server the same")
    if report["folds_system"]:
        lines.append("the chat template has no system turn: system messages lead the first user turn")
    if report["split_conversations"]:
        lines.append(
            f"the chat template rewrites earlier turns: {report['split_conversations']:,} conversations "
            "became one example per answer"
        )
    lines += [
        f"the chat template has no place for {name}: left out of {count:,} conversations"
        for name, count in report["omitted_by_template"].items()
    ]
    return lines


def _rows(report: dict[str, Any]) -> str:
    """How many rows were read from which file, and how many of all of them were kept."""
    held_out, num_rows, kept = report["held_out_file"], report["rows_read"], report["kept"]
    if held_out is None:
        return f"{_counted(num_rows)}, {kept:,}"
    held = held_out["rows_read"]
    return (
        f"{_counted(num_rows - held)}, and {held_out['file']} for validation: {_counted(held)}; "
        f"{kept:,} of {num_rows:,}"
    )


def _counted(num_rows: int) -> str:
    return f"{num_rows:,} row" + ("" if num_rows == 1 else "s")
