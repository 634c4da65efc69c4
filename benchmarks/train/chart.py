"""Figures -> a chart as an SVG file: bars with their numbers, for light and dark pages, without scripts.

Names stand above their bars, so that the drawing is narrow and can be read on a phone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lorascope.pages.markup import Html, escape, join

WIDTH, ROW, BAR, TOP = 560, 44, 16, 62
_STYLE = """
svg { font: 15px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
text { fill: #1c1e22; font-variant-numeric: tabular-nums; }
.title { font-size: 18px; font-weight: 600; }
.soft { fill: #595e68; font-size: 14px; }
.paper { fill: #fbfaf7; }
.track { fill: #ebe8e0; }
.ours { fill: #1d6cae; }
.peer { fill: #8d95a1; }
.strong { font-weight: 600; }
.limit { stroke: #c44d1a; stroke-width: 2; }
.limit-text { fill: #c44d1a; font-size: 14px; }
@media (prefers-color-scheme: dark) {
  text { fill: #e8e6e0; }
  .soft { fill: #a6abb5; }
  .paper { fill: #15171b; }
  .track { fill: #292d34; }
  .ours { fill: #6db3f0; }
  .peer { fill: #6d7684; }
  .limit { stroke: #f0935f; }
  .limit-text { fill: #f0935f; }
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: its name, its amount, what stands beside it, and whether it is ours."""

    name: str
    value: float
    text: str
    ours: bool = False


def bars_svg(
    title: str, subtitle: str, bars: Sequence[Bar], *, limit: float | None = None, limit_text: str = ""
) -> str:
    """Draw bars from zero.

    Args:
        title: What is shown.
        subtitle: The conditions, on one line.
        bars: From top to bottom.
        limit: An amount to mark across all bars.
        limit_text: What it is.

    Returns:
        A whole SVG document.
    """
    left, right = 16, WIDTH - 16
    most = max([bar.value for bar in bars] + [limit or 0.0]) or 1.0
    scale = (right - left) / most
    bottom = TOP + ROW * len(bars)
    height = bottom + (30 if limit else 12)
    rows = [_row(bar, TOP + ROW * place, left, right, scale) for place, bar in enumerate(bars)]
    marked = []
    if limit:
        x = left + limit * scale
        marked = [
            # Across the bars alone: a whole line would run through their numbers.
            Html(f'<path class="limit" d="{_across(x, len(bars))}"/>'),
            Html(f'<text class="limit-text" x="{x:.1f}" y="{bottom + 18}" text-anchor="end">'),
            escape(limit_text),
            Html("</text>"),
        ]
    told = "; ".join(f"{bar.name}: {bar.text}" for bar in bars) + (f"; {limit_text}" if limit else "")
    return join(
        [
            Html(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '),
            Html(f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="t d">\n<title id="t">'),
            escape(title),
            Html('</title>\n<desc id="d">'),
            escape(told),
            Html(f'</desc>\n<style>{_STYLE}</style>\n<rect class="paper" width="{WIDTH}" height="{height}" '),
            Html(f'rx="8"/>\n<text class="title" x="{left}" y="27">'),
            escape(title),
            Html(f'</text>\n<text class="soft" x="{left}" y="48">'),
            escape(subtitle),
            Html("</text>\n"),
            *rows,
            *marked,
            Html("\n</svg>\n"),
        ]
    )


def _across(x: float, rows: int) -> str:
    return "".join(f"M{x:.1f} {TOP + ROW * row + 20}v{BAR + 6}" for row in range(rows))


def _row(bar: Bar, top: int, left: int, right: int, scale: float) -> Html:
    strong = " strong" if bar.ours else ""
    width = max(1.0, bar.value * scale)
    middle, bar_top = top + 17, top + 23
    return join(
        [
            Html(f'<text class="{"strong" if bar.ours else ""}" x="{left}" y="{middle}">'),
            escape(bar.name),
            Html(f'</text><text class="value{strong}" x="{right}" y="{middle}" text-anchor="end">'),
            escape(bar.text),
            Html(
                f'</text><rect class="track" x="{left}" y="{bar_top}" width="{right - left}" height="{BAR}"'
            ),
            Html(f' rx="3"/><rect class="{"ours" if bar.ours else "peer"}" x="{left}" y="{bar_top}" '),
            Html(f'width="{width:.1f}" height="{BAR}" rx="3"/>\n'),
        ]
    )
