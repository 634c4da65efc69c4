"""Results of the gallery -> the tables in docs/diagnose.md, between their marks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faults import FAULTS, SEEDS, Fault, healthy_variants
from public_logs import alarm_table, reading_table

_FOUND_IN = 4  # of five seeds


def seen(fault: Fault, trial: Mapping[str, Any]) -> bool:
    """Whether a check, a rule or the verdict saw what was planted."""
    return bool(_seen_by(fault, trial))


def _seen_by(fault: Fault, trial: Mapping[str, Any]) -> set[str]:
    """What spoke: a failed check, a warning, or the verdict; information does not count."""
    warned = {trial["verdict"], *trial["checks"], *_warned(trial)} & fault.seen_by
    return warned | ({*trial["findings"]} & fault.told_by)


def tables(stored: Mapping[str, Any]) -> str:
    """Detection by fault and severity, false alarms by rule, verdicts by fault, and peers beside it."""
    records, known = stored["records"], stored["facts"]
    healthy = [trial for key, trial in records.items() if key.startswith("healthy")]
    parts = [
        f"`make bench-diagnose`, {known['date']}, {known['machine']['cores']} cores of "
        f"{known['machine']['processor']}, lorascope {known['lorascope']}, torch {known['torch']}: the "
        "starter model, 320 training and 160 validation rows, two epochs, five seeds of each severity and "
        f"sixty healthy trainings; {_how_far(stored)}. A finding counts "
        "from `warn` on. Severities and what counts as seeing them were written down before the run "
        "(`benchmarks/diagnose/faults.py`); `setback`, `low_rate`, `prompt_use` and `hard_rows` were made "
        "after a first look at seed 0, so the other four seeds are their test. That `unstable` joins steps of "
        "few tokens was decided after all five: until then it spoke in 2 of the healthy trainings, both of four "
        "rows a step.",
        _detection(records),
        "Warnings on healthy trainings, with the exact upper end of the 95 % interval of their rate:",
        _alarms(healthy),
        "Verdicts, each fault at its worst:",
        _confusion(records, healthy),
    ]
    if "peers" in stored:
        parts += [_PEERS.format(**stored["peer_versions"]), _beside(records, stored["peers"])]
    if stored.get("public"):
        parts += ["The public logs, by the reading made by eye:", reading_table(stored["public"])]
        if "peers" in stored:
            parts += [
                "Logs with at least one warning, of those that a tool can read:",
                alarm_table(stored["public"]),
            ]
    return "\n\n".join(parts)


def _how_far(stored: Mapping[str, Any]) -> str:
    """How many of the trainings are done, and in what time once all are."""
    done = len(stored["records"])
    planned = len(healthy_variants()) + len(SEEDS) * sum(len(fault.severities) for fault in FAULTS)
    if done < planned:
        return f"{done} of {planned} of them are done, the machine was also used for other work"
    return f"{stored['spent_s'] / 60:.0f} minutes in all"


_PEERS = (
    "The same trainings as `trainer_state.json` through tools that read curves (ftdoctor {ftdoctor}, "
    "trainproof {trainproof}), and through our own rules on curves alone: trainings with at least one "
    "warning. Faults that were refused before training have no log."
)


def _beside(
    records: Mapping[str, Mapping[str, Any]], peers: Mapping[str, Mapping[str, Sequence[str]]]
) -> str:
    tools = ("curve", "ftdoctor", "trainproof")
    lines = [
        "| at its worst | lorascope | its curve rules | ftdoctor | trainproof |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    rows = [("healthy", "healthy|"), *((f.name, f"{f.name}|{f.severities[-1]}|") for f in FAULTS)]
    for name, lead in rows:
        keys = [key for key in peers if key.startswith(lead)]
        if keys:
            ours = sum(bool(_warned(records[key])) for key in keys)
            others = [sum(bool(peers[key][tool]) for key in keys) for tool in tools]
            told = " | ".join(f"{num} of {len(keys)}" for num in (ours, *others))
            lines.append(f"| {name} | {told} |")
    return "\n".join(lines)


def _warned(trial: Mapping[str, Any]) -> set[str]:
    return {rule for rule, severity in trial["findings"].items() if severity != "info"}


def _detection(records: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| planted | how badly | seen in | by |", "| --- | --- | ---: | --- |"]
    for fault in FAULTS:
        for severity in fault.severities:
            trials = [t for k, t in records.items() if k.startswith(f"{fault.name}|{severity}|")]
            if not trials:
                continue
            found = [trial for trial in trials if seen(fault, trial)]
            by = Counter(one for trial in found for one in _seen_by(fault, trial))
            told = ", ".join(f"{name} {num}" for name, num in by.most_common(4)) or "nothing"
            mark = "" if len(found) >= _FOUND_IN * len(trials) / 5 else " (missed)"
            lines.append(
                f"| {fault.name} | {severity:g} {fault.unit} | {len(found)} of {len(trials)}{mark} | {told} |"
            )
    return "\n".join(lines)


def _alarms(healthy: list[Mapping[str, Any]]) -> str:
    """Warnings and worse on healthy trainings, with the exact 95 % upper bound of their rate."""
    from scipy.special import betaincinv

    num = len(healthy)
    counts = Counter(rule for trial in healthy for rule in _warned(trial))
    lines = ["| rule | alarms on healthy trainings | at most (95 %) |", "| --- | ---: | ---: |"]
    for rule in sorted({*counts, *_ALWAYS_TOLD}):
        bound = float(betaincinv(counts[rule] + 1, num - counts[rule], 0.95)) if num > counts[rule] else 1.0
        lines.append(f"| `{rule}` | {counts[rule]} of {num} | {bound:.1%} |")
    return "\n".join(lines)


_ALWAYS_TOLD = {
    "overfitting",
    "diverging",
    "not_learning",
    "low_rate",
    "prompt_use",
    "setback",
    "non_finite",
    "spikes",
    "unstable",
    "memorisation",
}


def _confusion(records: Mapping[str, Mapping[str, Any]], healthy: list[Mapping[str, Any]]) -> str:
    by_fault = {"healthy": Counter(trial["verdict"] for trial in healthy)}
    for fault in FAULTS:
        worst = f"{fault.name}|{fault.severities[-1]}|"
        by_fault[fault.name] = Counter(t["verdict"] for k, t in records.items() if k.startswith(worst))
    verdicts = sorted({verdict for counts in by_fault.values() for verdict in counts})
    head = "| at its worst | " + " | ".join(one.replace("_", " ") for one in verdicts) + " |"
    lines = [head, "| --- |" + " ---: |" * len(verdicts)]
    for name, counts in by_fault.items():
        lines.append(f"| {name} | " + " | ".join(str(counts[one] or "") for one in verdicts) + " |")
    return "\n".join(lines)


def write_tables(page: Path, text: str, mark: str = "gallery") -> None:
    """Put tables between their marks, <!-- mark --> and <!-- /mark -->."""
    whole = page.read_text(encoding="utf-8")
    begin = f"<!-- {mark} -->"
    start, end = whole.index(begin) + len(begin), whole.index(f"<!-- /{mark} -->")
    page.write_text(f"{whole[:start]}\n{text}\n{whole[end:]}", encoding="utf-8")
