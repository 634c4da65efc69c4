"""Section: base and adapter on the held-out split, exactly, with intervals."""

from lorascope.pages.bars import bar_chart
from lorascope.pages.document import section
from lorascope.pages.markup import Html
from lorascope.pages.number import interval_text, number_text
from lorascope.pages.table import table
from lorascope.report.facts import Facts, Json

_ROWS = (
    ("Loss, nats per target token", "eval_loss"),
    ("Perplexity", "perplexity"),
    ("Bits per byte", "bits_per_byte"),
    ("Token accuracy", "token_accuracy"),
    ("Mean of batch losses (older tools)", "mean_of_batch_losses"),
)


def metrics_section(facts: Facts) -> Html | None:
    """The table of measures; None before eval."""
    base, adapter = facts.base, facts.adapter
    if base is None or adapter is None:
        return None
    rows: list[tuple[object, ...]] = [(label, _cell(base, key), _cell(adapter, key)) for label, key in _ROWS]
    rows += _answer_rows(base, adapter)
    change = adapter["difference_from_base"]["loss"]
    body = [table(("Measure", "Base", "Adapter"), rows, align=("left", "right", "right"))]
    body += [_groups(column, base, adapter) for column in adapter["by_group"]]
    if adapter["answers"]:
        body += [_group_bars(column, groups) for column, groups in adapter["answers"]["by_group"].items()]
    lead = (
        f"{adapter['num_examples']:,} {adapter['split']} examples, {adapter['supervised_tokens']:,} target "
        "tokens, "
        f"forward pass in {adapter['precision']}, base and adapter on the same rows in one process. "
    )
    if change:
        lead += (
            f"Adapter minus base: {interval_text(change['estimate'], change['low'], change['high'])} nats "
            "per token "
            "(paired, 95 %)."
        )
    return section("metrics", "What it gained", body, lead)


def _cell(measures: Json, key: str) -> str:
    value = measures[key]
    if value is None:
        return f"no value: {measures['why'].get(key, 'unknown').splitlines()[0]}"
    interval = measures.get(f"{key}_interval")
    if key == "token_accuracy":
        return f"{value:.1%}"
    return interval_text(value, interval["low"], interval["high"]) if interval else number_text(value)


def _answer_rows(base: Json, adapter: Json) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    if not (base["answers"] and adapter["answers"]):
        return rows
    num = adapter["answers"]["num_examples"]
    for label, key in (
        (f"Exact match, {num:,} free answers", "exact_match"),
        ("Token F1", "token_f1"),
        ("Ended by the stop token", "stopped"),
    ):
        cells = [one["answers"][key] for one in (base, adapter)]
        if all(cells):
            rows.append((label, *map(_share, cells)))
    return rows


def _share(cell: Json) -> str:
    told = f"{cell['estimate']:.1%}"
    return told if cell["low"] is None else f"{told} [{cell['low']:.0%}, {cell['high']:.0%}]"


def _groups(column: str, base: Json, adapter: Json) -> Html:
    rows = [
        (value, one["num_examples"], base["by_group"][column][value]["perplexity"], one["perplexity"])
        for value, one in adapter["by_group"][column].items()
    ]
    columns = (column, "Examples", "Perplexity, base", "Perplexity, adapter")
    return table(columns, rows, align=("left", "right", "right", "right"))


def _group_bars(column: str, groups: Json) -> Html:
    cells = [one["exact_match"] for one in groups.values()]
    return bar_chart(
        list(groups),
        [cell["estimate"] for cell in cells],
        [cell["low"] for cell in cells],
        [cell["high"] for cell in cells],
        x_label="share of answers that match the reference exactly",
        title=f"Exact match of the adapter, by {column}",
        caption="Lines are 95 % intervals (Wilson). Groups with free-form answers are not expected to "
        "match word for word.",
    )
