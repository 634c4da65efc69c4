"""Section: the audit of the data - what came in, what was left out, and what the checks proved."""

from lorascope.pages.bars import histogram
from lorascope.pages.checks import checks_table
from lorascope.pages.document import section
from lorascope.pages.markup import Html, tag
from lorascope.pages.table import table
from lorascope.report.facts import Facts, Json


def data_section(facts: Facts) -> Html | None:
    """Rows, splits, lengths, repetitions and checks; None before prepare."""
    prepare = facts.prepare
    if prepare is None:
        return None
    dropped = prepare["dropped"]
    lead = (
        f"{prepare['rows_read']:,} rows were read and {prepare['kept']:,} kept; {dropped['malformed']:,} "
        "were malformed "
        f"and {dropped['over_length']:,} longer than {prepare['max_length']:,} tokens. "
        + (facts.check["first_line"].capitalize() + "." if facts.check else "Not checked.")
    )
    body = [_splits(prepare), *_sources(prepare), _lengths(prepare), _repetition(prepare)]
    if prepare["dropped_by_reason"]:
        rows = list(prepare["dropped_by_reason"].items())
        body.append(
            table(("Malformed because", "Rows"), rows, caption="Each is listed in prepare/dropped.jsonl")
        )
    if facts.check:
        body.append(_checks(facts.check))
    return section("data", "The data", body, lead)


def _splits(prepare: Json) -> Html:
    rows = [
        (
            name,
            one["examples"],
            one["tokens"],
            one["target_tokens"],
            f"{one['target_tokens'] / one['tokens']:.0%}",
        )
        for name, one in prepare["splits"].items()
    ]
    columns = ("Split", "Examples", "Tokens", "Target tokens", "Trained on")
    return table(columns, rows, align=("left", "right", "right", "right", "right"))


def _sources(prepare: Json) -> list[Html]:
    """What each of several sources gave."""
    sources = prepare.get("sources", ())
    if len(sources) < 2:
        return []
    rows = [
        (
            one["name"],
            one["read_as"],
            one["rows_read"],
            sum(split["examples"] for split in one["splits"].values()),
            one["not_used"],
            one["malformed"] + one["over_length"],
        )
        for one in sources
    ]
    columns = ("Source", "Read as", "Rows", "Kept", "Not used", "Left out")
    return [table(columns, rows, align=("left", "left", "right", "right", "right", "right"))]


def _lengths(prepare: Json) -> Html:
    lengths = prepare["lengths"]
    bins = lengths["histogram"]
    caption = (
        f"Median {lengths['median']:.0f}, 99th percentile {lengths['p99']:.0f}, longest {lengths['max']:,}."
    )
    return histogram(
        bins["counts"], bins["edges"], x_label="tokens in an example", title="Length", caption=caption
    )


def _repetition(prepare: Json) -> Html:
    twins = prepare["duplicates"]
    rows: list[tuple[str, object]] = [
        ("Rows that repeat another exactly", twins["exact"]),
        ("Prompts with more than one answer", twins["conflicting"]),
    ]
    near = prepare.get("near_duplicates")
    if near:
        rows += [
            ("Rows that nearly repeat another", near["both"]["rows"]),
            ("Prompts that nearly repeat another", near["prompt"]["rows"]),
        ]
    for split, one in prepare["overlap"].items():
        of = f" of {one['num_examples']:,}"
        rows += [
            (f"{split} rows that stand in training", f"{one['same_both']:,}{of}"),
            (f"{split} rows that nearly stand in training", f"{one.get('near_both') or 0:,}{of}"),
            (f"{split} prompts that stand in training", f"{one['same_prompt']:,}{of}"),
            (f"{split} answers that stand in training", f"{one['same_answer']:,}{of}"),
        ]
    return table(("Repetition", "Count"), rows, align=("left", "right"))


def _checks(check: Json) -> Html:
    note = tag("p", "Made on the real collated batches, row by row, before the first step.", class_="ls-soft")
    return tag("div", checks_table(check), note)
