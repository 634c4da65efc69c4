"""`lorascope check`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, SetOption
from lorascope.errors import ConfigError, command, explain


def check(
    target: Annotated[
        Path, typer.Argument(help="A run folder, or a tokenised dataset made elsewhere.", metavar="RUN")
    ],
    base: Annotated[str | None, typer.Option(help="Base model of a dataset made elsewhere.")] = None,
    show: Annotated[
        int, typer.Option(help="Print this many decoded examples with their targets coloured.")
    ] = 0,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page here: the checks, and up to 500 rows token by token, worst first."),
    ] = None,
    settings: SetOption = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """Prove, on the real batches, that training would learn what it should.

    Every row has targets and ends with a stop token that is one; no padding and no prompt is trained on; the
    prompt of generation is a prefix of the training text; no validation row is in training. Exit status 1
    when one fails.
    """
    from lorascope.cli.display import next_step, print_json
    from lorascope.run.folder import RunFolder

    if show < 0:
        raise _no_count(show)
    is_run = (target / "config.json").is_file() or (base is None and not _is_dataset(target))
    run = RunFolder(target)
    report, base_id = _of_run(run, settings) if is_run else _of_dataset(target, base, settings)
    dataset = run.dataset if is_run else target
    if html is not None:
        _write_page(html, dataset, base_id, report, target)
    if as_json:
        shown = {"shown": _shown(dataset, base_id, report, show)} if show else {}
        print_json({"target": str(target), **report, **shown})
    else:
        for line in summary(report):
            typer.echo(line)
        if show:
            _show(dataset, base_id, report, show)
        if html is not None:
            typer.echo(f"page: {html}")
        if report["passed"] and is_run:
            next_step(command("train", target))
    if not report["passed"]:
        raise typer.Exit(1)


def _no_count(show: int) -> ConfigError:
    return ConfigError(
        explain(
            f"--show {show} is no number of examples",
            where="command line, --show",
            why="examples are counted from 0, which shows none",
            fix="for example --show 3",
        )
    )


def _of_run(run: Any, settings: list[str]) -> tuple[dict[str, Any], str]:
    from lorascope.check.stage import check_run
    from lorascope.cli.display import TerminalObserver
    from lorascope.run.current import recipe_of
    from lorascope.run.folder import open_run

    open_run(run.path)
    recipe = recipe_of(run, settings, reads=("base", "check"))
    return check_run(run, recipe, observer=TerminalObserver()), recipe.base.id


def _is_dataset(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("dataset_dict.json", "dataset_info.json", "state.json"))


def _of_dataset(folder: Path, base: str | None, settings: list[str]) -> tuple[dict[str, Any], str]:
    from lorascope.check.stage import check_dataset
    from lorascope.run.recipe import make_recipe, with_overrides

    if base is None:
        raise ConfigError(
            explain(
                "a dataset made elsewhere needs its base model",
                where=str(folder),
                why="ids mean nothing without the tokenizer that made them",
                fix=command("check", folder, "--base", "MODEL"),
            )
        )
    recipe = make_recipe(with_overrides({"base": base, "data": str(folder)}, settings), "command line")
    report = check_dataset(folder, recipe.base.id, allow=recipe.check.allow)
    return report, recipe.base.id


def summary(report: dict[str, Any]) -> list[str]:
    """The checks, the most important sentence first."""
    lines = [report["first_line"]]
    for one in report["checks"]:
        mark = {True: "ok  ", False: "FAIL", None: "--  "}[one["passed"]]
        if one["passed"] is False and one["name"] in report["allowed"]:
            mark = "allowed"
        counts = (
            f"{one['num_failed']:,} of {one['num_rows']:,} rows" if one["passed"] is False else one["note"]
        )
        lines.append(f"  {mark} {one['question']}" + (f": {counts}" if counts else ""))
        if one["passed"] is False:
            lines += [
                f"         {row['example_id']} ({row['split']}): {row['what']}" for row in one["worst"][:3]
            ]
            lines.append(f"         fix: {one['fix']}")
    for one in report["notices"]:
        lines.append(f"  {'look' if one['severity'] == 'warn' else 'info'} {one['sentence']}")
        if one["severity"] == "warn":
            lines += [
                f"         {row['example_id']} ({row['split']}): {row['what']}" for row in one["worst"][:3]
            ]
            lines.append(f"         fix: {one['fix']}")
    return lines


def _shown(dataset: Path, base: str, report: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Some examples, the worst first, as runs of decoded tokens that are targets or not."""
    from lorascope.check.page import faults_of, worst_first
    from lorascope.check.show import marked_tokens
    from lorascope.check.stage import load_all
    from lorascope.lm.load import load_tokenizer

    tokenizer, faults = load_tokenizer(base), faults_of(report)
    return [
        {
            "example_id": example.example_id,
            "split": split,
            "fault": faults.get(example.example_id),
            "num_tokens": example.num_tokens,
            "num_target_tokens": example.num_target_tokens,
            "pieces": [
                {"text": text, "is_target": is_target}
                for text, is_target in marked_tokens(example, tokenizer)
            ],
        }
        for split, example in worst_first(load_all(dataset)[0], report, count)
    ]


def _show(dataset: Path, base: str, report: dict[str, Any], count: int) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True)
    for example in _shown(dataset, base, report, count):
        text = Text()
        for piece in example["pieces"]:
            if console.is_terminal:
                text.append(piece["text"], style="black on green" if piece["is_target"] else "dim")
            else:  # a file has no colours
                text.append(f">>{piece['text']}<<" if piece["is_target"] else piece["text"])
        targets = f"{example['num_target_tokens']} of {example['num_tokens']} tokens are targets"
        console.print(Text(f"\n{example['example_id']}: {targets}", style="bold"))
        if example["fault"]:
            console.print(Text(example["fault"], style="bold red"))
        console.print(text)


def _write_page(path: Path, dataset: Path, base: str, report: dict[str, Any], target: Path) -> None:
    from lorascope.check.page import check_page, worst_first
    from lorascope.check.stage import load_all
    from lorascope.lm.load import load_tokenizer
    from lorascope.run.commit import write_text

    rows = worst_first(load_all(dataset)[0], report)
    page = check_page(report, rows, load_tokenizer(base), name=target.resolve().name)
    write_text(path, str(page))
