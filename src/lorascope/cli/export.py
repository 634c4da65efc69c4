"""`lorascope export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import AdapterOption, JsonOption, OverwriteOption, RunArgument, SetOption
from lorascope.errors import command


def export(
    run: RunArgument,
    merged: Annotated[
        Path,
        typer.Option(help="Where the merged model goes: a new folder.", metavar="DIR", show_default=False),
    ],
    adapter: AdapterOption = "last",
    dtype: Annotated[
        str,
        typer.Option(
            help="What the weights are stored in; merging is float32 always.", metavar="float32|bf16"
        ),
    ] = "float32",
    settings: SetOption = [],  # noqa: B006
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Merge the adapter into the base model, prove that nothing changed, and write a folder to ship.

    The same validation rows go through base and adapter and through the merged model after it was read back
    from disk. Where they disagree by more than rounding, nothing is left at DIR and the exit status is 1.
    DIR holds weights, tokenizer, a generation config that stops where training taught it to, a model card,
    and the proof.
    """
    from lorascope.cli.display import TerminalObserver, next_step, print_json
    from lorascope.export.stage import export_run
    from lorascope.run.current import recipe_of
    from lorascope.run.folder import open_run

    folder = open_run(run)
    recipe = recipe_of(folder, settings)
    report = export_run(
        folder,
        recipe,
        merged=merged,
        adapter=adapter,
        dtype=dtype,
        overwrite=overwrite,
        observer=TerminalObserver(),
    )
    if as_json:
        print_json({"run": str(run), **report})
        return
    for line in lines_of(report):
        typer.echo(line)
    next_step(command("report", run))


def lines_of(report: dict[str, Any]) -> list[str]:
    """What was proven, in a few lines."""
    proof = report["proof"]
    float32, stored = proof["float32"], proof["stored"]
    size = report["weights"] * (4 if report["dtype"] == "float32" else 2)
    lines = [
        f"merged model at {report['target']}: {report['weights']:,} weights in {report['dtype']}, "
        f"{size / 2**20:,.1f} MiB",
        f"proven equal to base + adapter on {proof['num_examples']:,} {proof['split']} examples, float32 "
        "forward pass:",
        f"  logits  largest difference {float32['max_logit_difference']:.2e} at {float32['num_positions']:,} "
        f"positions (tolerance {float32['logit_tolerance']:.2e}; the adapter moves them by up to "
        f"{proof['adapter_effect']:.3g})",
        f"  top-1   the same token at {float32['top_1_agreement']:.2%} of the positions",
        f"  loss    {float32['reference_loss']:.6f} and {float32['loss']:.6f} nats/token",
    ]
    if report["dtype"] != "float32":
        change = proof["stored_loss_change"]
        interval = f", 95 % interval {change['low']:+.1e} to {change['high']:+.1e}" if change else ""
        lines.append(
            f"rounded once to {report['dtype']}: logits move by up to {stored['max_logit_difference']:.3g}, "
            f"top-1 the same at {stored['top_1_agreement']:.2%}, loss {stored['loss']:.6f} "
            f"({stored['loss'] - stored['reference_loss']:+.1e}{interval})"
        )
    if report["note"]:
        lines.append(f"note: {report['note']}")
    lines.append(
        f"stops at {', '.join(report['stop_tokens'])}; the prompt's exact wording is in its README.md"
    )
    return lines
