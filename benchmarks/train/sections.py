"""Figures -> the sections of the page below its headline, each a string; empty where nothing was measured."""

from pathlib import Path

from contenders import CONTENDERS
from figures import Figures, done, failures
from ladder_names import RUNGS
from parity import BATCH_MANY, MOST_BF16, MOST_FLOAT32, MOST_GRADIENT
from parts import TRIED
from wording import conditions, gap_text, percent, setting_text, table, times


def cells(figures: Figures) -> str:
    """Every batch, dropout and precision."""
    rows = []
    for precision in dict.fromkeys((figures.precision, "float32")):
        for batch in figures.batches:
            for dropout in (0.0, 0.1):
                row = _cell_row(figures, precision, batch, dropout)
                if row:
                    rows.append(row)
    if not rows:
        return ""
    head = (
        "precision, batch, dropout",
        "lorascope",
        "TRL, same steps",
        "",
        "TRL, own order",
        "",
        "padded to 512",
        "",
        "of the limit",
    )
    words = (
        "## Every cell\n\nExamples per second, and how many times as fast lorascope is. With LoRA dropout "
        "prefixes are not shared, because examples would share what it drops.\n\n"
    )
    if figures.precision != "bf16":
        words += (
            "bf16 was not run: this CPU multiplies it by emulation, at a hundredth of float32's speed.\n\n"
        )
    return words + table(head, rows)


def _cell_row(figures: Figures, precision: str, batch: int, dropout: float) -> tuple[str, ...] | None:
    lines = figures.cell(precision, batch, dropout)
    if not lines:
        return None
    ours, *others = lines
    same = [line for line in others if line.kind.startswith("trl") and not CONTENDERS[line.kind].own_order]
    own = [line for line in others if CONTENDERS[line.kind].own_order]
    classic = [line for line in others if line.kind == "classic"]
    cells = [f"{precision}, {batch}, {dropout:g}", f"{ours.examples_per_s:.2f}"]
    for group in (same, own, classic):
        best = max(group, key=lambda line: line.examples_per_s, default=None)
        cells += [f"{best.examples_per_s:.2f}", times(best.ratio)] if best else ["", ""]
    return (*cells, percent(figures.efficiency(precision, batch, dropout)))


def parity(figures: Figures) -> str:
    """How close losses and gradients are to the plain loop."""
    record = figures.records.get("parity")
    if not record:
        return ""
    told = (
        f"One step of {record['examples']} examples with a drawn B: loss within {gap_text(record['loss'])}, "
        f"the worst adapter gradient within {gap_text(record['gradient'])}, relative, of a padded float32 "
        f"loop written with transformers and PEFT alone (allowed {gap_text(MOST_GRADIENT)}). "
    )
    for name, most in (("float32", MOST_FLOAT32), ("bf16", MOST_BF16)):
        if f"losses_{name}" in record:
            told += (
                f"Over {record['steps']} steps of {BATCH_MANY} examples of at most 96 tokens, updates "
                f"included, {name} losses stay within {gap_text(record[f'losses_{name}'])} "
                f"(allowed {gap_text(most)}). "
            )
    return "## Parity before timing\n\n" + told + "Nothing is timed where this fails."


def ladder_rates(figures: Figures) -> dict[str, tuple[float, float]]:
    """Examples per second and peak memory of each rung."""
    record = figures.records.get("ladder") or {}
    found = {}
    for rung in RUNGS:
        steps = done(record.get(rung))
        if steps:
            rates = sorted(step["examples"] / step["seconds"] for step in steps)
            found[rung] = (sum(rates) / len(rates), max(step["peak_gib"] for step in steps))
    return found


def ladder(figures: Figures, out: Path) -> str:
    """What each rung adds."""
    rates = ladder_rates(figures)
    if not rates:
        return ""
    first, before, rows = next(iter(rates.values()))[0], None, []
    for rung, (rate, peak) in rates.items():
        gained = "" if before is None else f"{rate / before:.2f}x"
        rows.append((RUNGS[rung], f"{rate:.2f}", gained, f"{rate / first:.2f}x", f"{peak:.1f} GiB"))
        before = rate
    head = ("each rung adds", "examples/s", "this rung", "so far", "peak memory")
    return (
        f"## The ladder\n\n{conditions(figures).capitalize()}, the same examples on each rung, one process "
        f"each.\n\n![Examples per second by rung]({out.stem}-ladder.svg)\n\n" + table(head, rows)
    )


def memory(figures: Figures) -> str:
    """Peak memory and speed by the tokens of a row."""
    record = figures.records.get("memory") or {}
    rows = []
    for tokens, steps in record.items():
        measured = done(steps)
        if measured:
            rate = sum(s["examples"] for s in measured) / sum(s["seconds"] for s in measured)
            peak = max(step["peak_gib"] for step in measured)
            rows.append((f"lorascope, `row_tokens: {int(tokens)}`", f"{peak:.1f} GiB", f"{rate:.2f}"))
    if not rows:
        return ""
    trl = sorted(
        (line for line in figures.headline if line.kind.startswith("trl")),
        key=lambda one: -one.examples_per_s,
    )
    for line in trl[:2]:
        name = f"{CONTENDERS[line.kind].title}, {setting_text(line)}"
        rows.append((name, f"{line.peak_gib:.1f} GiB", f"{line.examples_per_s:.2f}"))
    return (
        "## Memory against row_tokens\n\nPeak resident memory of the whole process, libraries and the base's "
        "weights included.\n\n" + table(("", "peak memory", "examples/s"), rows)
    )


def other_data(figures: Figures) -> str:
    """Data without a shared preamble, and with long answers."""
    names = {
        "bare": "bare instruction and answer, no shared preamble",
        "long": "the 10 % with the longest answers (other work)",
    }
    rows = []
    for data, batch in (("bare", figures.batches[0]), ("long", figures.batches[0] // 2)):
        lines = figures.cell(figures.precision, batch, 0.0, data)
        if not lines:
            continue
        trl = figures.best_of_trl(lines)
        cells = (f"{trl.examples_per_s:.2f}", times(trl.ratio)) if trl else ("", "")
        share = figures.efficiency(figures.precision, batch, 0.0, data)
        ours = f"{lines[0].examples_per_s:.2f}"
        rows.append((f"{names[data]}, batch {batch}", ours, *cells, percent(share)))
    if not rows:
        return ""
    head = ("", "lorascope", "TRL's best", "lorascope is", "of the limit")
    return "## Other data\n\nExamples per second where nothing or little is shared.\n\n" + table(head, rows)


def profile(figures: Figures) -> str:
    """Where the time of a step goes."""
    steps = done(figures.records.get("profile"))
    if not steps:
        return ""
    shares = sorted(steps[-1]["shares"].items(), key=lambda item: -item[1])
    rows = [(name, percent(share) if share >= 0.005 else "< 1 %") for name, share in shares]
    return (
        "## Where the time goes\n\nOne step as shipped under torch's profiler, "
        f"{conditions(figures)}.\n\n" + table(("", "share of the step"), rows)
    )


def losses(figures: Figures) -> str:
    """Every cell and every measure where a peer is better."""
    found = []
    for line in figures.headline[1:]:
        name = f"{CONTENDERS[line.kind].title}, {setting_text(line)}"
        if line.ratio is not None and line.ratio < 1:
            found.append(f"{name} is faster at {conditions(figures)}: {line.examples_per_s:.2f} examples/s.")
        if line.peak_gib < figures.headline[0].peak_gib:
            found.append(f"{name} needs less memory than the defaults: {line.peak_gib:.1f} GiB.")
    for precision in dict.fromkeys((figures.precision, "float32")):
        for batch in figures.batches:
            for dropout in (0.0, 0.1):
                for line in figures.cell(precision, batch, dropout)[1:]:
                    if line.ratio is not None and line.ratio < 1:
                        where = f"{precision}, batch {batch}, dropout {dropout:g}"
                        found.append(f"{CONTENDERS[line.kind].title} is faster at {where}.")
    if not figures.headline:
        return ""
    told = [f"- {one}" for one in dict.fromkeys(found)] or ["- Nowhere in these cells."]
    return "## Where we do not win\n\n" + "\n".join(told)


def how(figures: Figures) -> str:
    """The manner of measuring, and the settings that were tried."""
    tried = figures.records.get(f"tried {figures.precision}") or {}
    rows = []
    for kind in TRIED:
        for step in tried.get(kind, []):
            what = f"rows of {step['setting']:,}" if kind == "trl-packing" else f"passes of {step['setting']}"
            stopped = (failures([step]) or [""])[0].removeprefix(f"{kind}: ")
            told = stopped or f"{step['tokens'] / step['seconds']:.0f}"
            peak = "" if stopped else f"{step['peak_gib']:.1f} GiB"
            rows.append((CONTENDERS[kind].title, what, told, peak))
    text = (
        "## How it is measured\n\nEvery contender is a process of its own; all are loaded and warmed up, "
        "then take turns, one optimizer step each, on the same 32, 16 or 4 examples from the same first "
        "adapter, and in every second round the other way round. Same learning rate, AdamW, clipping at 1, "
        "the base's own dropouts off. The peers run in a venv of their own on token ids in plain files. Each "
        "peer runs at the setting that was fastest in one step:\n\n"
    )
    if rows:
        head = ("", "setting", "original tokens/s", "peak memory")
        text += table(head, rows, words=2) + "\n\n"
    return (
        text
        + "The limit counts the fewest floating-point operations of the job (frozen matrices once forward "
        "and once for the gradient of their input, the head for targets alone, shared prefixes once, "
        "attention pairs and adapters) over the rates that products of just these shapes reach here in the "
        f"same run. All parts took {figures.spent_min:.0f} minutes"
        + ("." if figures.complete else "; the run was not finished.")
    )
