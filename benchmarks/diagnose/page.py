"""Results of the gallery -> the tables in docs/diagnose.md, between their marks."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faults import FAULTS, Fault

BEGIN, END = "<!-- gallery -->", "<!-- /gallery -->"
_FOUND_IN = 4  # of five seeds


def seen(fault: Fault, trial: Mapping[str, Any]) -> bool:
    """Whether a check, a rule or the verdict saw what was planted."""
    told = {trial["verdict"], *trial["checks"], *trial["findings"]}
    return bool(told & fault.seen_by)


def tables(records: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """Detection by fault and severity, false alarms by rule, verdicts by fault."""
    healthy = [trial for key, trial in records.items() if key.startswith("healthy")]
    parts = [
        f"`make bench-diagnose`, {facts['date']}, {facts['machine']['cores']} cores of "
        f"{facts['machine']['processor']}, lorascope {facts['lorascope']}, torch {facts['torch']}: the starter "
        "model, 320 training rows, two epochs, five seeds of each severity, "
        f"{len(healthy)} healthy trainings; {facts['minutes']:.0f} minutes in all.",
        _detection(records),
        _alarms(healthy),
        _confusion(records, healthy),
    ]
    return "\n\n".join(parts)


def _detection(records: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| planted | how badly | seen in | by |", "| --- | --- | ---: | --- |"]
    for fault in FAULTS:
        for severity in fault.severities:
            trials = [t for k, t in records.items() if k.startswith(f"{fault.name}|{severity}|")]
            if not trials:
                continue
            found = [trial for trial in trials if seen(fault, trial)]
            by = Counter(
                one
                for trial in found
                for one in {trial["verdict"], *trial["checks"], *trial["findings"]} & fault.seen_by
            )
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
    counts = Counter(
        rule for trial in healthy for rule, severity in trial["findings"].items() if severity != "info"
    )
    lines = ["| rule | alarms on healthy trainings | at most (95 %) |", "| --- | ---: | ---: |"]
    for rule in sorted(
        {*counts, "overfitting", "diverging", "not_learning", "non_finite", "spikes", "unstable"}
    ):
        bound = float(betaincinv(counts[rule] + 1, num - counts[rule], 0.95)) if num > counts[rule] else 1.0
        lines.append(f"| `{rule}` | {counts[rule]} of {num} | {bound:.1%} |")
    return "\n".join(lines)


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


def write_tables(page: Path, text: str) -> None:
    """Put the tables between their marks."""
    whole = page.read_text(encoding="utf-8")
    start, end = whole.index(BEGIN) + len(BEGIN), whole.index(END)
    page.write_text(f"{whole[:start]}\n{text}\n{whole[end:]}", encoding="utf-8")
