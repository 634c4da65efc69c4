"""A row of values -> a strip of cells, the higher the darker."""

import math
from collections.abc import Sequence

from lorascope.pages.frame import SIZE
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import number_text


def heat_strip(
    values: Sequence[float | None],
    *,
    label: str,
    names: Sequence[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    title: str | Html | None = None,
    caption: str | Html | None = None,
) -> Html:
    """Draw values side by side as shades of one colour: layers, positions, ranks.

    Args:
        values: One per cell; None is an empty cell, a value that is not finite a red one.
        label: What the values are, with their unit.
        names: What each cell is, for hover; its index by default.
        low: Value of the lightest shade; the lowest value by default.
        high: Value of the darkest shade; the highest value by default. Give both to compare strips.
        title: One line above the strip.
        caption: Small print below.

    Returns:
        The figure, with its scale below.
    """
    if names is not None and len(names) != len(values):
        raise ValueError(f"{len(values)} values, but {len(names)} names")
    finite = [value for value in values if value is not None and math.isfinite(value)]
    lowest = low if low is not None else min(finite, default=0.0)
    highest = high if high is not None else max(finite, default=1.0)
    width = SIZE / max(1, len(values))
    cells = [
        _cell(value, names[index] if names else f"{index}", index * width, width, lowest, highest)
        for index, value in enumerate(values)
    ]
    num_odd = len(values) - len(finite)
    summary = f"{label}: {len(values):,} cells from {number_text(lowest)} to {number_text(highest)}" + (
        f", {num_odd:,} without a finite value" if num_odd else ""
    )
    strip = tag(
        "svg",
        tag("title", summary),
        join(cells),
        viewBox=f"0 0 {SIZE} 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=summary,
    )
    return tag(
        "figure",
        tag("div", title, class_="ls-figure-title") if title else "",
        strip,
        _key(lowest, highest, label),
        tag("figcaption", caption) if caption else "",
        class_="ls-chart ls-heat",
    )


def _key(low: float, high: float, label: str) -> Html:
    """The lightest and the darkest shade with their values."""
    return tag(
        "div",
        tag("span", number_text(low)),
        tag("span", class_="ls-ramp"),
        tag("span", number_text(high)),
        tag("span", label, class_="ls-soft"),
        class_="ls-heat-key",
        aria_hidden="true",
    )


def _cell(value: float | None, name: str, left: float, width: float, low: float, high: float) -> Html:
    """One cell; its shade runs from 6 % for the lowest value, so that it differs from an empty cell."""
    if value is None:
        kind, shade, text = "ls-hole", None, "no value"
    elif not math.isfinite(value):
        kind, shade, text = "ls-bad", None, "not finite"
    else:
        share = (value - low) / (high - low) if high > low else 0.5
        kind, shade, text = "ls-cell", f"{0.06 + 0.94 * min(1.0, max(0.0, share)):.3f}", number_text(value)
    hover = tag("title", f"{name}: {text}")
    x, wide = f"{left:.2f}", f"{width:.2f}"
    return tag("rect", hover, x=x, y=0, width=wide, height=10, class_=kind, fill_opacity=shade)
