"""`lorascope eval`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption
from lorascope.errors import command
from lorascope.run.texts import OVERLAP, SOURCE


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A trained run.", metavar="[RUN]")] = None,
    base: Annotated[str | None, typer.Option(help="Without a run: the base model.")] = None,
    adapter: Annotated[str, typer.Option(help="last, best, or a folder or Hub id with an adapter.")] = "last",
    data: Annotated[
        Path | None, typer.Option(help="Without a run: a data file or a tokenised dataset.")
    ] = None,
    settings: SetOption = [],  # noqa: B006
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure base and adapter exactly, on the same examples, in one process.

    The loss is the sum of negative log-likelihoods over all target tokens divided by their number; batch size
    and padding never change it. Give a RUN, or --base MODEL --adapter DIR --data DATA.
    """
    from lorascope.cli.display import TerminalObserver, next_step, print_json
    from lorascope.run.current import recipe_of
    from lorascope.run.folder import open_run
    from lorascope.without_run import eval_without_run

    observer = TerminalObserver()
    if run is None:
        if base is None or data is None:
            raise typer.BadParameter("give a RUN, or --base MODEL --adapter DIR --data DATA")
        chosen = None if adapter in ("last", "best") else adapter
        result = eval_without_run(base=base, adapter=chosen, data=data, settings=settings, observer=observer)
    elif base is not None or data is not None:
        raise typer.BadParameter("a RUN has its own base and data: give the RUN alone, or leave it out")
    else:
        from lorascope.eval.stage import eval_run

        folder = open_run(run)
        recipe = recipe_of(folder, settings, reads=("base", "eval"))
        result = eval_run(folder, recipe, adapter=adapter, overwrite=overwrite, observer=observer)
    if as_json:
        print_json({"run": None if run is None else str(run), **result})
        return
    for line in lines_of(result):
        typer.echo(line)
    if run is not None:
        next_step(command("compare", run))


def lines_of(result: dict[str, Any]) -> list[str]:
    """Base beside adapter, as a small table."""
    base, adapter = result["base"], result["adapter"]
    columns = [("base", base)] + ([("adapter", adapter)] if adapter else [])
    lines = [
        f"{base['num_examples']:,} examples ({base['split']}), {base['supervised_tokens']:,} target tokens, "
        f"forward pass in {base['precision']}",
        "".ljust(22) + "".join(name.rjust(14) for name, _ in columns),
    ]
    for label, key, form in (
        ("loss (nats/token)", "eval_loss", ".4f"),
        ("perplexity", "perplexity", ",.3f"),
        ("bits per byte", "bits_per_byte", ".4f"),
        ("token accuracy", "token_accuracy", ".1%"),
        ("mean of batch losses", "mean_of_batch_losses", ".4f"),
    ):
        cells = "".join(("-" if one[key] is None else format(one[key], form)).rjust(14) for _, one in columns)
        lines.append(label.ljust(22) + cells)
    for name, one in columns:
        lines += [f"{name}: {key} has no value: {why.splitlines()[0]}" for key, why in one["why"].items()]
        answers = one["answers"]
        if answers:
            lines.append(
                f"{name} answers {answers['num_examples']} prompts: exact match "
                f"{answers['exact_match']['estimate']:.1%}, ended by the stop token "
                f"{answers['stopped']['estimate']:.1%}"
            )
    lines += _by_group(base, adapter)
    change = adapter and adapter["difference_from_base"]["loss"]
    if change:
        lines.append(
            f"adapter - base: {change['estimate']:+.4f} nats/token, 95 % interval {change['low']:+.4f} to "
            f"{change['high']:+.4f}, paired over {change['num']:,} examples"
        )
    return lines


def _by_group(base: dict[str, Any], adapter: dict[str, Any] | None) -> list[str]:
    """Losses by source, and of examples that training has seen: what an overlap is worth."""
    lines = []
    for column in (SOURCE, OVERLAP):
        for value, one in base["by_group"].get(column, {}).items():
            own = adapter and adapter["by_group"][column][value]["eval_loss"]
            losses = ", ".join(
                f"{name} {loss:.4f}" for name, loss in (("base", one["eval_loss"]), ("adapter", own)) if loss
            )
            lines.append(f"{column}: {value}: {one['num_examples']:,} examples, {losses}")
    return lines
