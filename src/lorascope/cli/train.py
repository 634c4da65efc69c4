"""`lorascope train`."""

import sys
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, RunArgument, SetOption
from lorascope.errors import command


def train(
    run: RunArgument,
    settings: SetOption = [],  # noqa: B006
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the newest good checkpoint.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a LoRA adapter on a prepared run.

    Checks the data first where that has not been done. Scores a sample of training and validation examples
    with the same code before the first step, during training and at the end. Writes RUN/train/: every step,
    every evaluation, checkpoints, the last adapter and the best one.
    """
    from lorascope.cli.display import TrainingObserver, next_step, print_json
    from lorascope.pipeline import train_checked
    from lorascope.run.current import recipe_of, unsettled
    from lorascope.run.folder import open_run
    from lorascope.train.ranks import join_ranks
    from lorascope.train.signals import Interrupted

    folder = open_run(run)
    recipe = recipe_of(folder, settings, reads=("base", "lora", "train", "check"))
    recipe = unsettled(folder, recipe, "train") if overwrite else recipe
    try:
        summary = train_checked(
            folder, recipe, overwrite=overwrite, resume=resume, observer=TrainingObserver()
        )
    except Interrupted as stop:
        if join_ranks().writes:
            typer.echo(f"{stop}; continue with: {command('train', run, '--resume')}", err=True)
        sys.exit(stop.code)
    if not join_ranks().writes:  # of several processes one speaks
        return
    if as_json:
        print_json({"run": str(run), **summary})
        return
    for line in lines_of(summary):
        typer.echo(line)
    next_step(command("diagnose", run))


def lines_of(summary: dict[str, Any]) -> list[str]:
    """What training came to, in a few lines."""
    from lorascope.cli.display import duration, loss_and_perplexity
    from lorascope.metrics.in_words import like_choosing

    share = summary["trainable_parameters"] / summary["base_parameters"]
    rate = summary["target_tokens_per_s"]
    lines = [
        f"trained {summary['steps']:,} steps, {summary['epochs']:.3g} "
        f"{'epoch' if summary['epochs'] == 1 else 'epochs'} in {duration(summary['step_seconds'])}"
        + (f" ({rate:,.0f} target tokens/s, {summary['examples_per_s']:,.1f} examples/s)" if rate else ""),
        f"adapter: {summary['adapted_layers']} layers, {summary['trainable_parameters']:,} parameters "
        f"({share:.2%})",
    ]
    if summary.get("stopped"):
        lines.append(f"stopped after step {summary['stopped']['step']:,}, {summary['stopped']['why']}")
    first, last = summary["first_evaluation"], summary["last_evaluation"]
    if last["validation_loss"] is not None:
        before, after = first["validation_loss"], last["validation_loss"]
        lines.append(
            f"validation loss {loss_and_perplexity(before)} -> {loss_and_perplexity(after)}, "
            f"{like_choosing(after)}"
        )
        if summary["best_step"] not in (None, summary["steps"]):
            lines.append(f"lowest validation loss after step {summary['best_step']}: train/adapter-best")
    return lines
