"""Results -> docs/benchmarks/train.md and the charts beside it; the headline first, then all the tables."""

from pathlib import Path

from chart import Bar, bars_svg
from contenders import CONTENDERS, HERE
from figures import Figures, Line
from ladder_names import RUNGS
from sections import cells, how, ladder, ladder_rates, losses, memory, other_data, parity, profile
from wording import conditions, gap_text, percent, setting_text, table, times

TARGET_TRL, STRETCH_TRL, TARGET_CLASSIC = 4.0, 5.0, 14.0
TARGET_LIMIT, MOONSHOT_LIMIT, TARGET_MEMORY = 0.70, 0.80, 0.5
"""What batch 32, dropout 0, bf16 on two cores with AVX512-BF16 should reach."""


def write_page(results: Path, out: Path) -> None:
    """Write the page and its charts from a file of results."""
    figures = Figures(results)
    out.parent.mkdir(parents=True, exist_ok=True)
    sections = [
        _opening(figures, out),
        _targets(figures),
        _headline_table(figures),
        cells(figures),
        parity(figures),
        ladder(figures, out),
        memory(figures),
        other_data(figures),
        profile(figures),
        losses(figures),
        (HERE / "tried.md").read_text(encoding="utf-8").strip(),
        how(figures),
    ]
    out.write_text("\n\n".join(section for section in sections if section) + "\n", encoding="utf-8")
    _charts(figures, out)


def _opening(figures: Figures, out: Path) -> str:
    facts = figures.facts
    lines = figures.headline
    ours, trl = figures.of(lines, "lorascope"), figures.best_of_trl(lines)
    classic = figures.of(lines, "classic")
    versions = ", ".join(f"{name} {number}" for name, number in facts["product"].items())
    told = ["# Training steps beside peers", ""]
    if figures.facts["smoke"]:
        told += ["**A smoke run: a tiny model on synthetic rows. These figures mean nothing.**", ""]
    if ours:
        sentence = (
            f"As shipped, at {conditions(figures)}: **{ours.examples_per_s:.2f} examples/s** "
            f"({ours.targets_per_s:.0f} target tokens/s)"
        )
        if trl:
            sentence += f", {times(trl.ratio)} TRL's best ({CONTENDERS[trl.kind].short.split(', ')[1]})"
        if classic:
            sentence += f" and {times(classic.ratio)} the classic recipe padded to 512"
        share = figures.efficiency(figures.precision, figures.batches[0], 0.0)
        told += [sentence + (f"; {percent(share)} of what the machine allows." if share else "."), ""]
        told += [f"![Examples per second of each contender]({out.stem}.svg)", ""]
    told.append(
        f"`make bench-train`, {facts['date']}, {facts['machine']['cores']} cores of {_named(facts)} "
        f"({_instructions(facts)}), {versions}. GPT-2 small's shape under random weights, LoRA of rank 8 on "
        f"`c_attn` and `c_proj`, AdamW, real Alpaca rows in GPT-2's tokens."
    )
    return "\n".join(told)


def _named(facts: dict[str, object]) -> str:
    name = str(facts["machine"]["processor"])  # type: ignore[index]
    return f"an {name}" if name[:1] in "AEIOU" else f"a {name}"


def _instructions(facts: dict[str, object]) -> str:
    return f"with {facts['bf16']}" if facts["bf16"] else "no bf16 instructions, so bf16 was not run"


def _targets(figures: Figures) -> str:
    lines = figures.headline
    ours, trl = figures.of(lines, "lorascope"), figures.best_of_trl(lines)
    if ours is None:
        return ""
    classic = figures.of(lines, "classic")
    share = figures.efficiency(figures.precision, figures.batches[0], 0.0)
    rows = []
    if trl:
        rows.append(_target("times TRL's best", TARGET_TRL, trl.ratio, stretch=STRETCH_TRL))
    if classic:
        rows.append(_target("times the classic recipe", TARGET_CLASSIC, classic.ratio))
    for kind, goal in ((trl.kind if trl else "", TARGET_TRL), ("classic", TARGET_CLASSIC)):
        plain = figures.elsewhere(kind)
        if plain:
            what = f"times {CONTENDERS[kind].short} in float32"
            rows.append(_target(what, goal, ours.examples_per_s / plain.examples_per_s))
    if share is not None:
        goal = f"{TARGET_LIMIT:.0%} (moonshot {MOONSHOT_LIMIT:.0%})".replace("%", " %")
        rows.append(("share of the limit", goal, percent(share), _verdict(share / TARGET_LIMIT)))
    if trl:
        part = ours.peak_gib / trl.peak_gib
        goal = f"at most {TARGET_MEMORY:g} of TRL's"
        rows.append(("peak memory", goal, f"{part:.2f} of TRL's best", _verdict(TARGET_MEMORY / part)))
    note = ""
    if figures.precision != "bf16":
        note = (
            "\n\nThe targets are meant for two cores with AVX512-BF16, in bf16. This machine has no bf16: "
            "the figures are float32's, where products take most of a step and nobody can shorten them."
        )
    return "## Targets\n\n" + table(("", "target", "reached", ""), rows) + note


def _target(what: str, goal: float, got: float | None, *, stretch: float | None = None) -> tuple[str, ...]:
    told = f"{goal:g}x" + (f" (stretch {stretch:g}x)" if stretch else "")
    return what, told, times(got), _verdict((got or 0.0) / goal)


def _verdict(part: float) -> str:
    return "reached" if part >= 1 else f"missed by {100 * (1 - part):.0f} %"


def _headline_table(figures: Figures) -> str:
    lines = figures.headline
    if not lines:
        return ""
    rows = []
    for line in lines:
        own_examples = CONTENDERS[line.kind].own_order or line.tried_only
        marks = ("\\*" if own_examples else "") + (" (tried once)" if line.tried_only else "")
        rows.append(
            (
                CONTENDERS[line.kind].title + marks,
                setting_text(line),
                f"{line.examples_per_s:.2f}",
                f"{line.targets_per_s:,.0f}",
                times(line.ratio),
                f"{line.peak_gib:.1f} GiB",
                gap_text(line.gap),
            )
        )
    limit = figures.limit_per_s(figures.precision, figures.batches[0])
    if limit:
        rows.append(("the limit", "", f"{limit:.2f}", "", "", "", ""))
    head = ("", "setting", "examples/s", "target tokens/s", "lorascope is", "peak memory", "loss differs by")
    rounds = lines[0].rounds
    return (
        f"## {conditions(figures).capitalize()}\n\n"
        + table(head, rows, words=2)
        + f"\n\nMedians of {rounds} round{'s' if rounds > 1 else ''}, contenders in turns on the same "
        "examples; \\* groups or packs in its own order, or was tried once on other examples, so its examples/s are "
        "original tokens per second over the mean length of the others' examples. Loss: the largest relative difference of a step's "
        "loss from that of the padded recipe."
    )


def _charts(figures: Figures, out: Path) -> None:
    facts = figures.facts
    where = f"{facts['machine']['cores']} cores, {conditions(figures)}, {facts['date']}"
    bars = [_bar(line) for line in figures.headline]
    if bars:
        limit = figures.limit_per_s(figures.precision, figures.batches[0])
        told = f"the limit: {limit:.2f}" if limit else ""
        drawn = bars_svg("Training, examples per second", where, bars, limit=limit, limit_text=told)
        out.with_suffix(".svg").write_text(drawn, encoding="utf-8")
    rates = ladder_rates(figures)
    if rates:
        rungs = [
            Bar(RUNGS[rung], rate, f"{rate:.2f}", ours=rung == "shared") for rung, (rate, _) in rates.items()
        ]
        drawn = bars_svg("What each rung adds, examples per second", where, rungs)
        out.with_name(f"{out.stem}-ladder.svg").write_text(drawn, encoding="utf-8")


def _bar(line: Line) -> Bar:
    ratio = "" if line.ratio is None else f"  (lorascope {times(line.ratio)})"
    ours = line.kind == "lorascope"
    return Bar(CONTENDERS[line.kind].short, line.examples_per_s, f"{line.examples_per_s:.2f}{ratio}", ours)
