"""`lorascope run`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption

_FEW_GROUPS = 4  # more would bury the summary; the report has them all


def run(
    target: Annotated[
        Path,
        typer.Argument(
            help="A recipe (YAML, or the config.json of a run) or a data file.", metavar="RECIPE|DATA"
        ),
    ],
    base: Annotated[str | None, typer.Option(help="Base model: a Hub id such as gpt2, or a folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; runs/NAME where not given.")] = None,
    merged: Annotated[
        Path | None, typer.Option(help="Where the merged model goes; RUN/merged where not given.")
    ] = None,
    skip: Annotated[list[str], typer.Option(help="Leave out eval, compare or export; may be repeated.")] = [],  # noqa: B006
    settings: SetOption = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Prepare, check, plan memory and time, try three steps, and stop."),
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do everything: prepare, check, train, eval, compare, export, diagnose, report.

    Stages that are up to date are skipped, so the same command continues where an earlier one stopped.
    """
    from lorascope.errors import ConfigError, explain, nearest
    from lorascope.pipeline import SKIPPABLE
    from lorascope.run.recipe import is_recipe_file, read_recipe_file, with_overrides

    for name in skip:
        if name not in SKIPPABLE:
            raise ConfigError(
                explain(
                    f'--skip "{name}" is not possible',
                    where="command line, --skip",
                    why="later stages read what it writes, or there is no such stage",
                    fix=nearest(name, SKIPPABLE),
                )
            )
    from_recipe = is_recipe_file(target)
    values = read_recipe_file(target) if from_recipe else {"data": str(target)}
    values = {**values, **({"base": base} if base is not None else {})}
    name = target.parent.name if target.name == "config.json" else target.stem
    folder = out or Path("runs") / name
    source = target if from_recipe else None
    chosen = with_overrides(values, settings)
    given: list[object] = ["run", target, "--out", folder]
    for option, value in (("--base", base), ("--merged", merged)):
        given += [] if value is None else [option, value]
    for option, several in (("--skip", skip), ("--set", settings)):
        given += [word for one in several for word in (option, one)]
    if dry_run:
        plan_only(chosen, folder, overwrite, as_json, source=source, again=given)
        return
    go(chosen, folder, merged, skip, resume, overwrite, as_json, source=source, again=given)


def plan_only(
    values: dict[str, Any],
    out: Path,
    overwrite: bool,
    as_json: bool,
    *,
    source: Path | None,
    again: Sequence[object],
) -> None:
    """Print what a run will take, and stop before it trains; arguments as in `go`."""
    from lorascope.cli.display import TerminalObserver, next_step, print_json
    from lorascope.errors import command
    from lorascope.pipeline import dry_run_all
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe

    recipe = make_recipe(values, "command line" if source is None else str(source))
    found = dry_run_all(RunFolder(out), recipe, overwrite=overwrite, observer=TerminalObserver())
    if as_json:
        print_json({"run": str(out), **found})
        return
    for line in plan_lines(found["plan"], found["measured"]):
        typer.echo(line)
    next_step(command(*again))


def plan_lines(plan: dict[str, Any], measured: dict[str, Any]) -> list[str]:
    """What a run will take, as a short table."""
    from lorascope.cli.display import duration
    from lorascope.engine.memory import bytes_in_words

    def size(number: float | None) -> str:
        return "not known here" if number is None else bytes_in_words(number)

    def within(difference: float) -> str:
        return f"within {difference:.0e}" if difference else "the same to the last bit"

    planned = plan["weight_bytes"] + plan["activation_bytes"] + plan["optimizer_bytes"]
    layout = f"rows of {plan['row_tokens']:,} tokens" + (
        ", activations computed twice" if plan["checkpoint_activations"] else ""
    )
    rows = [
        (
            "steps",
            f"{plan['steps']:,} of {plan['batch_size']} examples, {plan['epochs']:.3g} epochs of "
            f"{plan['train_examples']:,}; evaluated every {plan['eval_steps']:,}",
        ),
        ("tokens", f"{plan['tokens']:,}, of which {plan['target_tokens']:,} targets"),
        (
            "adapter",
            f"{plan['adapter_weights']:,} weights: rank {plan['rank']}, {', '.join(plan['target_modules'])}",
        ),
        ("engine", f"{plan['engine']}; {layout}"),
        (
            "fast path = plain path",
            f"loss {within(measured['loss_difference'])}, gradient "
            f"{within(measured['gradient_difference'])}, over {measured['steps']} steps",
        ),
        (
            "speed",
            f"{measured['target_tokens_per_s']:,.0f} target tokens/s, "
            f"{measured['examples_per_s']:,.2f} examples/s",
        ),
        (
            "memory",
            f"{size(measured['peak_bytes'])} at most"
            f"{'' if plan['device'] == 'cuda' else ' for the process with its libraries'}; "
            f"planned {size(planned)} beside them "
            f"(model {size(plan['weight_bytes'])}, passes {size(plan['activation_bytes'])}, adapter "
            f"{size(plan['optimizer_bytes'])}) of {size(plan['available_bytes'])} left",
        ),
        ("disk", f"{size(plan['disk_bytes'])} of {size(plan['disk_free_bytes'])} left"),
        (
            "time",
            f"training about {duration(measured['training_seconds'])}, evaluations about "
            f"{duration(measured['evaluation_seconds'])}",
        ),
    ]
    rows += [("out of memory", f"tried again with {change}") for change in measured["retries"]]
    return ["", *(f"  {label:24}{told}" for label, told in rows), ""]


def go(
    values: dict[str, Any],
    out: Path,
    merged: Path | None,
    skip: list[str],
    resume: bool,
    overwrite: bool,
    as_json: bool,
    *,
    source: Path | None,
    again: Sequence[object],
) -> None:
    """Run all stages and print what came of it.

    Args:
        values: Of the recipe.
        out: The run folder.
        merged: Where the merged model goes; None is inside the run.
        skip: Stages to leave out.
        resume: Continue an interrupted training.
        overwrite: Make finished stages again.
        as_json: Print one JSON object instead of a table.
        source: The recipe's file, where there is one.
        again: The words of the command that goes on with this run.
    """
    import sys

    from lorascope.cli.display import TrainingObserver, print_json
    from lorascope.errors import command
    from lorascope.pipeline import repeated_differently, run_all
    from lorascope.run.folder import RunFolder
    from lorascope.run.recipe import make_recipe
    from lorascope.train.signals import Interrupted

    where = "command line" if source is None else str(source)
    folder = RunFolder(out)
    recipe = make_recipe(values, where)
    observer = TrainingObserver()
    try:
        results = run_all(
            folder, recipe, merged=merged, skip=skip, overwrite=overwrite, resume=resume, observer=observer
        )
    except Interrupted as stop:
        typer.echo(f"{stop}; continue with: {command(*again, '--resume')}", err=True)
        sys.exit(stop.code)
    differences = repeated_differently(folder, source)
    if as_json:
        print_json({"run": str(out), **results, "differs_from_repeated_run": differences})
        return
    for line in differences:
        typer.echo(f"differs from the run it repeats: {line}")
    for line in summary(results, out):
        typer.echo(line)


def summary(results: dict[str, Any], out: Path) -> list[str]:
    """What the run came to, as a short table."""
    from lorascope.cli.display import duration

    train, diagnosis = results["train"], results["diagnose"]
    rows: list[tuple[str, ...]] = [("", "base", "adapter")]
    if "eval" in results:
        base, adapter = results["eval"]["base"], results["eval"]["adapter"]
        for label, key, form in (
            ("validation loss", "eval_loss", ".3f"),
            ("perplexity", "perplexity", ",.2f"),
            ("bits per byte", "bits_per_byte", ".3f"),
            ("token accuracy", "token_accuracy", ".1%"),
        ):
            rows.append(
                (label, *("-" if one[key] is None else format(one[key], form) for one in (base, adapter)))
            )
        if base["answers"] and adapter["answers"]:
            rows += _answer_rows(base["answers"], adapter["answers"])
    table = [f"  {label:26}{base:>12}{adapter:>12}" for label, base, adapter in rows]
    lines = ["", *table] if "eval" in results else []
    lines += [
        "",
        f"trained {train['steps']:,} steps in {duration(train['step_seconds'])}; verdict: "
        f"{diagnosis['verdict']}",
    ]
    if "export" in results:
        lines.append(f"merged model, proven equal: {results['export']['target']}")
    return [*lines, f"report: {results['report']}"]


def _answer_rows(base: dict[str, Any], adapter: dict[str, Any]) -> list[tuple[str, ...]]:
    """Matches of the free answers, also by the first column they are broken down by, if it has few values."""
    parts = [("", base, adapter)]
    for column in list(adapter["by_group"])[:1]:
        groups = adapter["by_group"][column]
        if len(groups) <= _FEW_GROUPS:
            parts += [(f", {value}", base["by_group"][column][value], groups[value]) for value in groups]
    rows = []
    for label, key in (("exact match", "exact_match"), ("token F1", "token_f1")):
        for name, *both in parts:
            if all(one[key] for one in both):
                rows.append((f"{label}{name}", *(f"{one[key]['estimate']:.1%}" for one in both)))
    stopped = (f"{one['stopped']['estimate']:.1%}" for one in (base, adapter))
    return [*rows, ("ended by stop token", *stopped)]
