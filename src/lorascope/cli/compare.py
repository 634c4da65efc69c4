"""`lorascope compare`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lorascope.cli.options import JsonOption, OverwriteOption, SetOption
from lorascope.errors import command

_SHOWN_PROMPTS, _SHOWN_LINES, _NARROW = 4, 8, 80
# What a model says must not steer the terminal: escapes, carriage returns, bidirectional overrides.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MEASURES = (
    ("KL(base || adapter), nats", "kl_base_adapter"),
    ("KL(adapter || base), nats", "kl_adapter_base"),
    ("JS, nats", "js"),
    ("L2 of centred logits", "centred_l2"),
    ("same first choice", "top1_agreement"),
)


def compare(
    run: Annotated[Path | None, typer.Argument(help="A trained run.", metavar="[RUN]")] = None,
    base: Annotated[str | None, typer.Option(help="Without a run: the base model.")] = None,
    adapter: Annotated[str, typer.Option(help="last, best, or a folder or Hub id with an adapter.")] = "last",
    prompts: Annotated[
        Path | None,
        typer.Option(help="More prompts: one a line, or JSON Lines with instruction or messages."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Without a run: a data file or a tokenised dataset.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Without a run: a folder for the page and the records.")
    ] = None,
    settings: SetOption = [],  # noqa: B006
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put base beside adapter: what they answer, how far apart they are, and whether the adapter is there.

    Every prompt goes through the template the adapter was trained on. Both models read the same target tokens
    in one process, so every difference is paired. Give a RUN, or --base MODEL --adapter DIR with --prompts or
    --data.
    """
    from lorascope.cli.display import TerminalObserver, next_step, print_json
    from lorascope.run.current import recipe_of
    from lorascope.run.folder import open_run
    from lorascope.without_run import compare_without_run

    observer = TerminalObserver()
    if run is None:
        if base is None or adapter in ("last", "best") or (data is None and prompts is None):
            raise typer.BadParameter(
                "give a RUN, or --base MODEL --adapter DIR with --prompts FILE or --data DATA"
            )
        result = compare_without_run(
            base=base,
            adapter=adapter,
            data=data,
            prompts=prompts,
            settings=settings,
            out=out,
            overwrite=overwrite,
            observer=observer,
        )
    else:
        from lorascope.compare.stage import compare_run

        if base is not None or data is not None or out is not None:
            raise typer.BadParameter(
                "--base, --data and --out are for comparing without a RUN, which has its own"
            )
        folder = open_run(run)
        recipe = recipe_of(folder, settings, reads=("base", "compare", "eval"))
        result = compare_run(
            folder, recipe, adapter=adapter, prompts=prompts, overwrite=overwrite, observer=observer
        )
    page = run / "compare" / "compare.html" if run is not None else out and out / "compare.html"
    if as_json:
        print_json({**result, "run": None if run is None else str(run), "page": page and str(page)})
        return
    for line in lines_of(result, page):
        typer.echo(line)
    if run is not None:
        next_step(f"{command('export', run, '--merged', 'DIR')}, or {command('report', run)}")


def lines_of(result: dict[str, Any], page: Path | None, width: int | None = None) -> list[str]:
    """Answers side by side, then the table of divergences, then what is known about the adapter.

    Args:
        result: From `compare_run`.
        page: Where the rest can be read, None for nowhere.
        width: Of the terminal; None asks it.
    """
    import shutil

    width = width or min(shutil.get_terminal_size((100, 24)).columns, 160)
    template, presence = result["template"], result["presence"]
    return [
        f"{result['base']} beside {result['adapter']}, forward pass in {result['precision']}",
        f"template: {template['name']} ({template['from']})",
        *_answer_lines(result["generations"], page, width),
        "",
        *_divergence_lines(result),
        _unrelated_line(result),
        "",
        f"LoRA on {presence['num_modules']:,} of {presence['num_linear_layers']:,} linear layers; "
        "norm of B.A by layer, in % of W:",
        "  " + _layers(presence["by_layer"]),
        f"{presence['trainable_why']}.",
        "",
        f"verdict: {result['verdict']['sentence']}",
        *([f"page: {page}"] if page else []),
    ]


def _answer_lines(rows: Sequence[dict[str, Any]], page: Path | None, width: int) -> list[str]:
    ids = list(dict.fromkeys(row["prompt_id"] for row in rows))
    lines: list[str] = []
    for number, prompt_id in enumerate(ids[:_SHOWN_PROMPTS], start=1):
        mine = [row for row in rows if row["prompt_id"] == prompt_id]
        lines += ["", f"--- prompt {number} of {len(ids)}: {prompt_id} ".ljust(width, "-")]
        lines += _cut([line for line in _plain(mine[0]["prompt"]).splitlines() if line.strip()]).splitlines()
        for row in mine:
            lines += ["", f"[{row['decoding']}]" + (" both the same" if row["same"] else "")]
            lines += _columns(_answer(row["base"]), _answer(row["adapter"]), width)
        if mine[0]["reference"]:
            lines += ["", f"[reference] {_cut(_plain(mine[0]['reference']).splitlines())}"]
    if len(ids) > _SHOWN_PROMPTS:
        rest = f"; all are in {page}" if page else "; --out FOLDER keeps all, --json prints them"
        lines += ["", f"{len(ids) - _SHOWN_PROMPTS} more prompts were answered{rest}"]
    return lines


def _answer(answer: dict[str, Any]) -> str:
    end = "" if answer["stopped"] else f" ... ({answer['num_tokens']} tokens, no stop)"
    return (_plain(answer["text"].strip()) or "(empty answer)") + end


def _plain(text: str) -> str:
    return _UNSAFE.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)


def _cut(lines: Sequence[str]) -> str:
    more = [f"({len(lines) - _SHOWN_LINES} more lines)"] if len(lines) > _SHOWN_LINES else []
    return "\n".join([*lines[:_SHOWN_LINES], *more])


def _columns(base: str, adapter: str, width: int) -> list[str]:
    """Base left and adapter right; one over the other where the terminal is narrow."""
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    texts = [Text(_cut(text.splitlines() or [""])) for text in (base, adapter)]
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    if width < _NARROW:
        table.add_column(width=8)
        table.add_column(ratio=1, overflow="fold")
        table.add_row("base", texts[0])
        table.add_row("adapter", texts[1])
    else:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True)
        table.add_column("base", ratio=1, overflow="fold", header_style="")
        table.add_column("adapter", ratio=1, overflow="fold", header_style="")
        table.add_row(*texts)
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def _divergence_lines(result: dict[str, Any]) -> list[str]:
    """The table of measures: over target tokens, at the last prompt position, and base against itself."""
    targets = result["divergences"]["targets"]
    last, floor = result["divergences"]["last_prompt_position"], result["divergences"]["base_against_itself"]
    head = ("", "mean per token", "95 % interval", "median", "p99", "last prompt pos.", "base vs itself")
    rows = []
    for label, name in _MEASURES:
        form = ".1%" if name == "top1_agreement" else ".4g"
        interval = targets[name]["interval"]
        between = f"{interval['low']:{form}} to {interval['high']:{form}}" if interval else "-"
        numbers = [targets[name]["mean"], targets[name]["median"], targets[name]["p99"]]
        mean, median, p99, at_last, noise = (
            "-" if one is None else format(one, form)
            for one in (*numbers, last[name]["mean"], floor[name]["mean"])
        )
        rows.append((label, mean, between, median, p99, at_last, noise))
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    return [
        f"{targets['num_positions']:,} target tokens of {targets['num_examples']:,} examples, and the ends "
        f"of {last['num_positions']:,} prompts",
        *(
            row[0].ljust(widths[0])
            + "".join(f"  {cell.rjust(size)}" for cell, size in zip(row[1:], widths[1:], strict=True))
            for row in (head, *rows)
        ),
        *(f"target tokens: {why}" for why in targets["why"].values() if targets["num_positions"]),
    ]


def _unrelated_line(result: dict[str, Any]) -> str:
    """What the adapter has forgotten: perplexities on unrelated text, and how far apart they are."""
    one = result["unrelated"]
    if one is None:
        return f"unrelated text: not measured, {result['unrelated_why']}"
    text = f"unrelated text ({one['from']}, {one['num_passages']:,} passages, {one['num_tokens']:,} tokens): "
    if not one["base_can_read"]:
        loss = f"{one['base']['loss']:.2f} nats per token, among {one['vocabulary']:,} tokens"
        return f"{text}the base cannot read it ({loss}), so it does not show what was forgotten"
    kl = f"KL(base || adapter) {one['kl_base_adapter']['mean']:.3g}"
    ratio = one["perplexity_ratio"]
    if ratio is None or None in (one["base"]["perplexity"], one["adapter"]["perplexity"]):
        return f"{text}{one['base']['loss']:.3f} -> {one['adapter']['loss']:.3f} nats per token; {kl}"
    between = f"95 % interval {ratio['low'] - 1:+.1%} to {ratio['high'] - 1:+.1%}"
    return (
        f"{text}perplexity {one['base']['perplexity']:.4g} -> {one['adapter']['perplexity']:.4g}, "
        f"{ratio['estimate'] - 1:+.1%} ({between}); {kl}"
    )


def _layers(layers: Sequence[dict[str, Any]]) -> str:
    known = [(one["layer"], one["relative"]) for one in layers]
    return ", ".join(
        f"{name}: {'not known' if share is None else f'{100 * share:.3g}'}" for name, share in known
    )
