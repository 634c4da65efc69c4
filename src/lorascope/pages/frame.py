"""Two scales and some drawing -> a plot that fills any width without shrinking its text.

The drawing is an SVG of 1000 by 1000 units, stretched to the plot; its strokes keep their width. Everything
that is read - ticks, labels, marks - is HTML placed by percent, so 12 px stay 12 px on a phone and on a wide
screen.
"""

from collections.abc import Sequence

from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import tick_texts
from lorascope.pages.scale import Scale
from lorascope.pages.series import Marker

SIZE = 1000
# Labels of vertical lines are stacked so that they do not meet on a plot of this many pixels: a phone.
_NARROW_PX = 290
_LETTER_PX = 7.2


def place(scale: Scale, value: float) -> str:
    """Where a value stands along the x direction of the drawing.

    Args:
        scale: The horizontal axis.
        value: A value it can show.

    Returns:
        SVG units, one decimal, from 0 at the left to 1000 at the right.
    """
    return f"{scale.share(value) * SIZE:.1f}".removesuffix(".0")


def drop(scale: Scale, value: float) -> str:
    """Where a value stands along the y direction of the drawing.

    Args:
        scale: The vertical axis.
        value: A value it can show.

    Returns:
        SVG units, one decimal, from 0 at the top to 1000 at the bottom.
    """
    return f"{(1 - scale.share(value)) * SIZE:.1f}".removesuffix(".0")


def percent(share: float) -> str:
    """Write a share as a CSS length.

    Args:
        share: 0 to 1.

    Returns:
        "12.34%".
    """
    return f"{share * 100:.2f}%"


def plot(
    drawing: Html,
    *,
    x_scale: Scale,
    y_scale: Scale,
    label: str,
    description: str = "",
    markers: Sequence[Marker] = (),
    over: Html | None = None,
    right_ch: float = 0,
    kind: str = "",
) -> Html:
    """Put axes around a drawing.

    Args:
        drawing: SVG elements in units of 1000.
        x_scale: Horizontal axis.
        y_scale: Vertical axis.
        label: What the plot shows, for those who hear it.
        description: What can be read off it, for those who hear it.
        markers: Vertical lines with labels.
        over: HTML on top of the drawing, placed by percent.
        right_ch: Room for labels at the right, in characters; phones do without.
        kind: One more class, so that a toggle can choose between plots.

    Returns:
        The plot.
    """
    y_texts = tick_texts(y_scale.ticks)
    shown = [marker for marker in markers if 0 <= x_scale.share(marker.x) <= 1]
    labels, num_rows = _marker_labels(shown, x_scale)
    left_ch = max((len(text) for text in y_texts), default=1)
    svg = tag(
        "svg",
        tag("title", label),
        tag("desc", description) if description else "",
        tag("path", d=_grid(y_scale), class_="ls-grid"),
        drawing,
        tag("path", d="".join(f"M{place(x_scale, m.x)} 0V{SIZE}" for m in shown), class_="ls-marker")
        if shown
        else "",
        viewBox=f"0 0 {SIZE} {SIZE}",
        preserveAspectRatio="none",
        role="img",
        tabindex=0,
        aria_label=f"{label}. {description}".strip(),
    )
    return tag(
        "div",
        svg,
        join(_y_tick(y_scale, tick, text) for tick, text in zip(y_scale.ticks, y_texts, strict=True)),
        x_ticks(x_scale),
        labels,
        over or "",
        class_=f"ls-plot {kind}".strip(),
        style=f"--left:{left_ch};--right:{right_ch:g};--rows:{num_rows}",
        data_x=f"{x_scale.low!r} {x_scale.high!r}",
        data_y=f"{y_scale.low!r} {y_scale.high!r}",
        data_log=y_scale.log,
    )


def figure(
    plots: Html,
    *,
    y_label: str,
    x_label: str,
    title: str | Html | None,
    caption: str | Html | None,
    legend: Html | None = None,
    before: Html | None = None,
    notes: Sequence[str] = (),
    width: int | None = None,
    height: int = 300,
    data: str | None = None,
) -> Html:
    """Wrap plots with title, legend, axis labels, notes and caption.

    Args:
        plots: One plot, or several of which a toggle shows one.
        y_label: What the vertical axis measures, with its unit; stands above the axis.
        x_label: What the horizontal axis measures.
        title: One line above the chart: best a sentence with the result.
        caption: Small print below.
        legend: Names of the colours.
        before: Controls that stand before the plots.
        notes: Warnings about what could not be drawn.
        width: Greatest width in px; None fills the page.
        height: Height of the plot in px; phones take four fifths.
        data: JSON for the read-out.

    Returns:
        The figure.
    """
    style = f"--height:{height}px" + (f";max-width:{width}px" if width else "")
    return tag(
        "figure",
        tag("div", title, class_="ls-figure-title") if title else "",
        legend or "",
        before or "",
        tag("div", y_label, class_="ls-y-label", aria_hidden="true"),
        plots,
        tag("div", x_label, class_="ls-x-label", aria_hidden="true"),
        join(tag("p", note, class_="ls-note") for note in notes),
        tag("figcaption", caption) if caption else "",
        class_="ls-chart",
        style=style,
        data_series=data,
        data_x_label=x_label,
    )


def x_ticks(scale: Scale) -> Html:
    """Write the marked values below a horizontal axis; phones show every other one.

    Args:
        scale: The axis.

    Returns:
        One span per mark, placed by percent in the box around them.
    """
    texts = tick_texts(scale.ticks)
    return join(
        tag(
            "span",
            text,
            class_="ls-x ls-alt" if index % 2 else "ls-x",
            style=f"left:{percent(scale.share(tick))}",
            aria_hidden="true",
        )
        for index, (tick, text) in enumerate(zip(scale.ticks, texts, strict=True))
    )


def _grid(y_scale: Scale) -> str:
    return "".join(f"M0 {drop(y_scale, tick)}H{SIZE}" for tick in y_scale.ticks)


def _y_tick(y_scale: Scale, tick: float, text: str) -> Html:
    style = f"top:{percent(1 - y_scale.share(tick))}"
    return tag("span", text, class_="ls-y", style=style, aria_hidden="true")


def _marker_labels(markers: Sequence[Marker], x_scale: Scale) -> tuple[Html, int]:
    """Labels of vertical lines, each in the first row where it meets no other, and the number of rows."""
    row_ends: list[float] = []
    labels = []
    for marker in sorted(markers):
        share = x_scale.share(marker.x)
        width = len(marker.label) * _LETTER_PX / _NARROW_PX
        # Centred on its line, but inside the plot at both of its ends.
        side, before = (
            ("left", 0.0) if share < 0.25 else ("right", width) if share > 0.75 else ("middle", width / 2)
        )
        start = share - before
        row = next((index for index, end in enumerate(row_ends) if end <= start), len(row_ends))
        row_ends[row : row + 1] = [start + width + 0.03]
        style = f"left:{percent(share)};--row:{row}"
        labels.append(tag("span", marker.label, class_=f"ls-marker-label ls-at-{side}", style=style))
    return join(labels), len(row_ends)
