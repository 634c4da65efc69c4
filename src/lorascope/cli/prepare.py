"""`lorascope prepare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption
from lorascope.errors import command


def prepare(
    data: Annotated[
        str,
        typer.Argument(
            help="Instruction data: a file (JSON, JSON Lines, CSV, TSV, Parquet, Arrow, also compressed), a "
            "folder of them, a dataset on the Hub; or a recipe that lists several.",
            metavar="DATA|RECIPE",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    base: Annotated[str | None, typer.Option(help="Base model: a Hub id such as gpt2, or a folder.")] = None,
    score: Annotated[
        bool,
        typer.Option(
            "--score", help="Also score every example by its loss under the base: a data-quality score."
        ),
    ] = False,
    settings: SetOption = [],  # noqa: B006
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn instruction data into a tokenised dataset without leaks.

    Finds out what the rows are (Alpaca, ShareGPT, messages, questions and answers, plain text and more) and
    says so. Writes OUT/prepare/: the dataset, a report, and a list of every row that was dropped, with its
    line and the reason.
    """
    from lorascope.cli.display import TerminalObserver, next_step, print_json
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.current import later_sections
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import is_recipe_file, make_recipe, read_recipe_file, with_overrides

    run, path = RunFolder(out), Path(data).expanduser()
    from_recipe = is_recipe_file(path)
    values = read_recipe_file(path) if from_recipe else {**later_sections(run), "data": data}
    values |= {} if base is None else {"base": base}
    settings = [*settings, *(["prepare.score=true"] if score else [])]
    report = prepare_run(
        run,
        make_recipe(with_overrides(values, settings), data if from_recipe else "command line"),
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
    dropped = report["dropped"]
    lines = [
        *_read(report),
        f"template {report['template']}, stop token {' or '.join(report['stop_tokens'])}, "
        f"at most {report['max_length']} tokens (median {report['lengths']['median']:.0f})",
    ]
    if dropped["malformed"] or dropped["over_length"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in report["dropped_by_reason"].items())
        malformed = f"{dropped['malformed']:,} malformed" + (f" ({reasons})" if reasons else "")
        lines.append(
            f"dropped: {malformed}, {dropped['over_length']:,} too long; listed in prepare/dropped.jsonl"
        )
    if cut := sum(report["truncation"]["cut"].values()):
        what = "prompts" if report["truncation"]["policy"] == "cut_prompt" else "answers"
        by_split = ", ".join(f"{name} {count:,}" for name, count in report["truncation"]["cut"].items())
        lines.append(f"cut: the {what} of {cut:,} examples, to make them fit ({by_split})")
    lines += [*_left_out(report), *_of_the_template(report)]
    if report["odd"]:
        odd = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in report["odd"].items())
        lines.append(f"worth a look: {odd}")
    if report["unused_columns"]:
        unused = (name or '""' for name in report["unused_columns"])
        lines.append(f"columns not learnt from: {', '.join(unused)}")
    return [*lines, *_repeats(report), *_scores(report)]


def _scores(report: dict[str, Any]) -> list[str]:
    """The data-quality score: what is typical, and the ends."""
    scores = report["scores"]
    if scores is None:
        return []
    lines = [
        f"data-quality score, loss under the base: median {scores['median']:.2f} nats per token, "
        f"90 % of the examples from {scores['p5']:.2f} to {scores['p95']:.2f}; all in prepare/scores.parquet"
    ]
    for name in ("strangest", "trivial"):
        lines += [
            f"  {name}: {one['example_id']} ({one['loss']:.2f}): {one['answer'][:60]!r}"
            for one in scores[name][:3]
        ]
    return lines


def _read(report: dict[str, Any]) -> list[str]:
    """What was read, and where it went; a line for each source where there are several."""
    splits = _dealt(report["splits"])
    sources = [one for one in report["sources"] if one["name"] != (report["held_out_file"] or {}).get("file")]
    if len(sources) == 1:
        own = f"; {', '.join(sources[0]['own_splits'])} are its own" if sources[0]["own_splits"] else ""
        return [f"read {report['file']} as {report['read_as']}: {_rows(report)} kept ({splits}{own})"]
    lines = [
        f"read {one['name']} as {one['read_as']}: {_counted(one['rows_read'])}, "
        + (f"{one['not_used']:,} examples not used, " if one["not_used"] else "")
        + f"kept {_dealt(one['splits'])}"
        for one in sources
    ]
    return [*lines, f"together {report['kept']:,} of {report['rows_read']:,} rows kept ({splits})"]


def _dealt(splits: dict[str, Any]) -> str:
    return ", ".join(f"{name} {facts['examples']:,}" for name, facts in splits.items()) or "none"


def _repeats(report: dict[str, Any]) -> list[str]:
    """What repeats what, exactly and nearly, within the data and across the splits."""
    lines = []
    twins, near = report["duplicates"], report["near_duplicates"]
    if twins["exact"] or twins["conflicting"]:
        lines.append(
            f"duplicates: {_counted(twins['exact'])} the same as another; "
            f"prompts with more than one answer: {twins['conflicting']:,}"
        )
    if twins["across_sources"]:
        both = ", ".join(f"{pair} {count:,}" for pair, count in twins["across_sources"].items())
        lines.append(f"rows that stand in two sources: {both}")
    if near and near["both"]["rows"]:
        lines.append(
            f"near duplicates: {_counted(near['both']['rows'])} in {near['both']['clusters']:,} "
            f"group{'s' * (near['both']['clusters'] != 1)}; "
            f"prompts alone: {near['prompt']['rows']:,} in {near['prompt']['clusters']:,}"
        )
    if report["parted_group"]:
        lines.append(
            f"note: {report['parted_group']:,} rows have nearly the same prompt; they stand on both sides, "
            "because too little could be held out otherwise"
        )
    for split, overlap in report["overlap"].items():
        seen = {
            "are in training": overlap["same_both"],
            "are nearly in training": overlap["near_both"],
            "share a prompt with training": overlap["same_prompt"],
            "share nearly a prompt with training": overlap["near_prompt"],
        }
        told = [f"{count:,} {what}" for what, count in seen.items() if count]
        if told:
            lines.append(f"overlap: of {overlap['num_examples']:,} {split} rows {', '.join(told)}")
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
