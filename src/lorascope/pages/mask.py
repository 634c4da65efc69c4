"""Many tokenised examples at a glance: one line each, as long as it is, with what is learned coloured."""

from collections.abc import Sequence
from itertools import groupby

from lorascope.pages.frame import SIZE
from lorascope.pages.markup import Html, tag

_LINE, _GAP = 4, 1


def mask_map(masks: Sequence[Sequence[bool]], *, failed: Sequence[bool], title: str) -> Html:
    """Draw the masks of examples below each other.

    Args:
        masks: For each example whether the loss counts each token.
        failed: For each whether something is wrong with it; marked at its left end.
        title: One line above the figure.

    Returns:
        The figure. All read-only stretches are one path and all learned ones another, so that a thousand rows
        draw at once.
    """
    longest = max((len(mask) for mask in masks), default=1) or 1
    scale = (SIZE - 8) / longest
    paths: dict[bool, list[str]] = {False: [], True: []}
    marks = []
    for row, mask in enumerate(masks):
        top, start = row * (_LINE + _GAP), 0
        for learned, run in groupby(map(bool, mask)):
            width = sum(1 for _ in run)
            paths[learned].append(
                f"M{8 + start * scale:.1f} {top}h{width * scale:.1f}v{_LINE}h-{width * scale:.1f}z"
            )
            start += width
        if failed[row]:
            marks.append(f"M0 {top}h5v{_LINE}h-5z")
    height = max(1, len(masks) * (_LINE + _GAP))
    num_learned = sum(sum(map(bool, mask)) for mask in masks)
    total = sum(len(mask) for mask in masks)
    counts = f"{len(masks):,} examples, {total:,} tokens, {num_learned:,} of them learned"
    summary = f"{counts}; {len(marks):,} with a fault"
    drawing = tag(
        "svg",
        tag("title", summary),
        tag("path", d="".join(paths[False]), class_="ls-mask-read"),
        tag("path", d="".join(paths[True]), class_="ls-mask-learned"),
        tag("path", d="".join(marks), class_="ls-mask-fault") if marks else "",
        viewBox=f"0 0 {SIZE} {height}",
        preserveAspectRatio="none",
        style=f"height:{min(height, 900)}px",
        role="img",
        aria_label=summary,
    )
    legend = tag(
        "ul",
        tag("li", tag("span", class_="ls-mask-key ls-mask-learned"), "learned"),
        tag("li", tag("span", class_="ls-mask-key ls-mask-read"), "read, not learned"),
        tag("li", tag("span", class_="ls-mask-key ls-mask-fault"), "something is wrong with it")
        if marks
        else "",
        class_="ls-legend",
    )
    return tag(
        "figure",
        tag("div", title, class_="ls-figure-title"),
        legend,
        drawing,
        tag("figcaption", f"{summary}. The longest has {longest:,} tokens."),
        class_="ls-chart ls-mask",
    )
