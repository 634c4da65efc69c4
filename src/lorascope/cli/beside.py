"""Several trainings as lines of a terminal: a table, their curves over each other, what may be compared."""

import itertools
import shutil
import sys
from collections.abc import Sequence
from typing import Any

_UNKNOWN = "-"
_MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROWS = 14


def beside_lines(told: dict[str, Any]) -> list[str]:
    """The lines of `diagnose A B ...`."""
    from lorascope.cli.curves import curve_lines

    width = min(110, shutil.get_terminal_size(fallback=(100, 24)).columns)
    num = len(told["runs"])
    marks = [*_MARKS, *(str(place) for place in range(len(_MARKS) + 1, num + 1))][:num]
    lines = [f"{mark}  {run['name']}" for mark, run in zip(marks, told["runs"], strict=False)]
    lines += ["", *_table(told["runs"], marks), *_notes(told["runs"], marks, width)]
    drawn = [
        (mark, curve["validation"] or curve["train"])
        for mark, curve in zip(marks, told["curves"], strict=False)
    ]
    if all(points for _, points in drawn):
        which = (
            "evaluation" if all(curve["validation"] for curve in told["curves"]) else "evaluation or training"
        )
        lines += [
            "",
            f"{which} loss by step",
            *curve_lines(drawn, width=width, height=_ROWS, colour=sys.stdout.isatty()),
        ]
    return [*lines, "", *_pairs(told, marks, width)]


def _table(runs: Sequence[dict[str, Any]], marks: Sequence[str]) -> list[str]:
    head = ("", "verdict", "health", "steps", "best loss", "at step", "last loss", "perplexity", "bits/byte")
    rows = [
        (
            mark,
            run["verdict"].replace("_", " "),
            _number(run["health"], "d"),
            f"{run['last_step']:,}",
            _number(run["best_loss"], ".4g"),
            _number(run["best_step"], ",d"),
            _number(run["last_loss"], ".4g"),
            _number(run["perplexity"], ".4g"),
            _number(run["bits_per_byte"], ".4f"),
        )
        for mark, run in zip(marks, runs, strict=False)
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]


def _notes(runs: Sequence[dict[str, Any]], marks: Sequence[str], width: int) -> list[str]:
    """What was noteworthy about reading each, below an empty line; nothing where nothing was."""
    notes = [
        line
        for mark, run in zip(marks, runs, strict=False)
        for one in run["problems"]
        for line in _wrapped(f"note on {mark}: {one}", width)
    ]
    return ["", *notes] if notes else []


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False)


def _number(value: float | None, form: str) -> str:
    return _UNKNOWN if value is None else format(value, form)


def _pairs(told: dict[str, Any], marks: Sequence[str], width: int) -> list[str]:
    """What may be compared, each reason once for all pairs that it holds of."""
    # By place and not by name: one path may be given twice.
    marked = itertools.combinations(marks, 2)
    by_reason: dict[str, list[str]] = {}
    lines: list[str] = []
    for (first, second), pair in zip(marked, told["pairs"], strict=True):
        both = f"{first} and {second}"
        if pair["difference"]:
            lines.append(f"{both}: {pair['difference']['sentence']}")
        elif pair["why_not"]:
            also = "; bits per byte may" if pair["comparable"] == ["bits_per_byte"] else ""
            by_reason.setdefault(pair["why_not"] + also, []).append(both)
        else:
            lines.append(f"{both}: too few rows were scored by both for a difference")
    lines += [f"not compared ({'; '.join(pairs)}): {reason}" for reason, pairs in by_reason.items()]
    return [part for line in lines for part in _wrapped(line, width)]
