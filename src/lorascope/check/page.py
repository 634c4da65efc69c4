"""The checks as a page, and as a piece of a notebook: verdict, checks, what is worth a look, the masks."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.check.findings import MOST_ROWS
from lorascope.pages.checks import checks_table
from lorascope.pages.document import document, fragment, section
from lorascope.pages.finding import finding_card, status_badge
from lorascope.pages.markup import Html, tag
from lorascope.pages.mask import mask_map
from lorascope.pages.tokens import token_strip
from lorascope.run.dataset import IGNORE, Example

# A longer example is cut in the drawing, and says so: 500 long rows would take seconds to open.
_TOKENS_SHOWN, _SHOWN_LONG, _TOKENS_OF_OTHERS = 2000, 50, 160


def check_page(
    report: Mapping[str, Any], rows: Sequence[tuple[str, Example]], tokenizer: Any, *, name: str
) -> Html:
    """Build the page.

    Args:
        report: As of `check.stage`.
        rows: Split and example, the worst first, at most `MOST_ROWS`.
        tokenizer: The base's, to decode token by token.
        name: What was checked.
    """
    stops = {tokenizer.convert_tokens_to_ids(token) for token in report["stop_tokens"]}
    faults = faults_of(report)
    masks = [_learned(example) for _, example in rows]
    shown = f"{len(rows):,} of {sum(report['splits'].values()):,} rows, the worst first"
    overview = mask_map(
        masks,
        failed=[example.example_id in faults for _, example in rows],
        title="Each line is an example, as long as it is",
    )
    ids = sorted({int(one) for _, example in rows for one in example.input_ids[:_TOKENS_SHOWN]})
    texts = dict(zip(ids, tokenizer.batch_decode([[one] for one in ids]), strict=True))
    strips = [
        _strip(split, example, texts, stops, faults, _TOKENS_SHOWN if at < _SHOWN_LONG else _TOKENS_OF_OTHERS)
        for at, (split, example) in enumerate(rows)
    ]
    return document(
        f"{name}: what is learned",
        subtitle=report["first_line"],
        nav=[("checks", "Checks"), ("map", "Masks"), ("rows", "Token by token")],
        body=[
            section("checks", "Checks", summary_of(report)),
            section("map", "Masks", overview, shown),
            section("rows", "Token by token", strips, "Hover over a token for its id and position."),
        ],
    )


def check_fragment(report: Mapping[str, Any]) -> Html:
    """The verdict, the checks and what is worth a look, for a notebook cell."""
    return fragment([tag("p", tag("strong", report["first_line"])), *summary_of(report)])


def summary_of(report: Mapping[str, Any]) -> list[Html]:
    """The checks as a table, and a card for each notice."""
    cards = [
        finding_card(
            one["sentence"],
            one["severity"],
            [f"{row['example_id']} ({row['split']}): {row['what']}" for row in one["worst"]],
            None,
            one["fix"] or None,
            None,
        )
        for one in report["notices"]
    ]
    failed = [
        finding_card(
            f"{one['num_failed']:,} of {one['num_rows']:,} rows fail: {one['question']}",
            "critical",
            [f"{row['example_id']} ({row['split']}): {row['what']}" for row in one["worst"]],
            None,
            one["fix"],
            None,
        )
        for one in report["checks"]
        if one["passed"] is False
    ]
    return [checks_table(report), *failed, *cards]


def faults_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Example id to what is wrong with it: failed checks first, then notices."""
    found = dict(report["failed_rows"])
    for one in report["notices"]:
        if one["severity"] == "warn":
            for row in one["worst"]:
                found.setdefault(row["example_id"], row["what"])
    return found


def worst_first(
    splits: Mapping[str, Sequence[Example]], report: Mapping[str, Any], most: int = MOST_ROWS
) -> list[tuple[str, Example]]:
    """Examples with their splits: those with a fault in the order of the faults, then the others."""
    rank = {name: place for place, name in enumerate(faults_of(report))}
    rows = [(split, example) for split, examples in splits.items() for example in examples]
    rows.sort(key=lambda row: rank.get(row[1].example_id, len(rank)))
    return rows[:most]


def _learned(example: Example) -> list[bool]:
    """Which tokens the loss counts: never the first, which nothing stands before to predict it from."""
    return [False, *(example.labels[1:] != IGNORE).tolist()]


def _strip(
    split: str,
    example: Example,
    texts: Mapping[int, str],
    stops: set[int],
    faults: Mapping[str, str],
    most: int,
) -> Html:
    ids = example.input_ids.tolist()[:most]
    more = example.num_tokens - len(ids)
    label = f"{example.example_id} ({split})"
    what = faults.get(example.example_id)
    strip = token_strip(
        [texts[one] for one in ids],
        is_target=_learned(example)[: len(ids)],
        ids=ids,
        label=label,
        stop_ids=stops,
        legend=False,
    )
    notes = [
        tag("p", status_badge("critical", what)) if what else "",
        tag("p", f"{more:,} more tokens are not shown", class_="ls-soft") if more > 0 else "",
    ]
    return tag("div", *notes, strip, class_="ls-lazy")
