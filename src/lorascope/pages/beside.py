"""Base beside adapter: what they answer, how far apart they predict. For compare's page and the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.pages.bars import bar_chart
from lorascope.pages.document import section
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import interval_text, number_text
from lorascope.pages.side_by_side import side_by_side
from lorascope.pages.table import table

Json = Mapping[str, Any]

MEASURES = (
    ("kl_base_adapter", "KL(base || adapter), nats"),
    ("kl_adapter_base", "KL(adapter || base), nats"),
    ("js", "JS, nats (at most 0.693)"),
    ("centred_l2", "L2 of centred logits"),
    ("top1_agreement", "same first choice"),
)
"""Name in the records, and label; the last is a share, the others are distances."""


def answers_section(id: str, title: str, rows: Sequence[Json], decoding: str) -> Html:
    """Answers of base and adapter to the same prompts, side by side, with the reference where there is one.

    Args:
        id: Anchor of the section.
        title: Its heading.
        rows: Lines of compare/generations.jsonl of one decoding.
        decoding: Its name.
    """
    leads = Counter(_first_paragraph(row["prompt"]) for row in rows)
    pieces = []
    for number, row in enumerate(rows, start=1):
        shown = [("Base", row["base"]["text"], _note(row["base"], row["max_new_tokens"]))]
        shown += [("Adapter", row["adapter"]["text"], _note(row["adapter"], row["max_new_tokens"]))]
        if row["reference"] is not None:
            shown.append(("Reference", row["reference"], "what the data answers"))
        same = "; both answers are the same" if row["same"] else ""
        label = f"{number} of {len(rows)}: {row['prompt_id']}, {row['prompt_tokens']} tokens{same}"
        pieces.append(side_by_side(_dimmed(row["prompt"], leads), shown, label=label))
    num_same = sum(row["same"] for row in rows)
    lead = f"Decoded {decoding}; {len(rows) - num_same} of {len(rows)} answers differ."
    return section(id, title, pieces, lead)


def _dimmed(prompt: str, leads: Mapping[str, int]) -> Html:
    """A prompt whose first paragraph other prompts share: the template's wording, set back."""
    lead = _first_paragraph(prompt)
    return join([tag("span", lead, class_="ls-soft"), prompt[len(lead) :]] if leads[lead] > 1 else [prompt])


def _first_paragraph(prompt: str) -> str:
    return prompt[: prompt.find("\n\n") + 1]


def _note(answer: Json, most: int) -> str:
    length = f"{answer['num_tokens']:,} token{'' if answer['num_tokens'] == 1 else 's'}"
    return f"{length}, " + (
        "ended by the stop token" if answer["stopped"] else f"cut at the limit of {most:,}"
    )


def distances_section(report: Json, *, id: str = "distances") -> Html:
    """How far the predictions of base and adapter are apart, with intervals and the noise floor.

    Args:
        report: As in compare/report.json.
        id: Anchor of the section.
    """
    targets = report["divergences"]["targets"]
    last = report["divergences"]["last_prompt_position"]
    floor = report["divergences"]["base_against_itself"]
    rows = []
    for name, label in MEASURES:
        one = targets[name]
        write = percent_text if name == "top1_agreement" else short_number
        rows.append(
            (
                label,
                with_interval(one, write),
                write(one["median"]),
                write(one["p99"]),
                with_interval(last[name], write),
                write(floor[name]["mean"]),
            )
        )
    columns = (
        "Measure",
        "Mean per target token",
        "Median",
        "p99",
        "At the last prompt position",
        "Base vs itself",
    )
    lead = (
        f"Both models read the same {targets['num_positions']:,} target tokens of "
        f"{targets['num_examples']:,} {report['split']} examples, and the ends of {last['num_positions']:,} "
        "prompts."
        if targets["num_positions"]
        else f"Both models read the ends of {last['num_positions']:,} prompts; no data was given to follow."
    )
    notes = [f"target tokens: {why}" for why in targets["why"].values() if targets["num_positions"]]
    notes += [f"last prompt position: {why}" for why in last["why"].values()]
    body = [
        table(columns, rows, align=("left", "right", "right", "right", "right", "right")),
        tag(
            "p",
            "Square brackets hold 95 % intervals, clustered by example. The last column is the base against "
            "itself in other batches with padding on the other side, at "
            f"{floor['num_positions']:,} positions: what rounding alone does. The last prompt position is "
            "the one that predicts the first answer token.",
            *(f" {sentence(note)}" for note in dict.fromkeys(notes)),
            class_="ls-soft",
        ),
    ]
    if targets["num_positions"]:
        body.append(_places(targets["by_place"]))
    if "unrelated" in report:  # reports of earlier versions have none
        body += _unrelated(report)
    return section(id, "How far apart they are", body, lead)


def _unrelated(report: Json) -> list[Html]:
    """What the adapter has forgotten: both models on text that has nothing to do with the data."""
    one = report["unrelated"]
    if one is None:
        why = sentence(f"unrelated text was not measured: {report['unrelated_why']}")
        return [tag("p", why, class_="ls-soft")]
    difference = one["difference"]
    apart = interval_text(difference["estimate"], difference["low"], difference["high"])
    columns = ("On unrelated text", "Base", "Adapter", "Adapter - base, 95 % interval")
    rows = [
        ("nats per token", short_number(one["base"]["loss"]), short_number(one["adapter"]["loss"]), apart),
        (
            "perplexity",
            short_number(one["base"]["perplexity"]),
            short_number(one["adapter"]["perplexity"]),
            _rise(one["perplexity_ratio"]),
        ),
        ("KL(base || adapter), nats", None, with_interval(one["kl_base_adapter"], short_number), None),
        ("KL(adapter || base), nats", None, with_interval(one["kl_adapter_base"], short_number), None),
        ("same first choice", None, with_interval(one["top1_agreement"], percent_text), None),
    ]
    note = (
        f"{one['num_passages']:,} passages, {one['num_tokens']:,} tokens, {one['from']}; paired by passage. "
        "A loss that rose is what the adapter has forgotten."
    )
    if not one["base_can_read"]:
        note += (
            f" The base cannot read this text: guessing among its {one['vocabulary']:,} tokens would be "
            "nearly as good or better, so the difference says nothing. Name another text: compare.unrelated."
        )
    return [table(columns, rows, align=("left", "right", "right", "right")), tag("p", note, class_="ls-soft")]


def _rise(ratio: Json | None) -> str | None:
    """A ratio of perplexities as percent: "+5.8% [+4.1%, +7.5%]"."""
    if ratio is None:
        return None
    return f"{ratio['estimate'] - 1:+.1%} [{ratio['low'] - 1:+.1%}, {ratio['high'] - 1:+.1%}]"


def _places(places: Sequence[Json]) -> Html:
    return bar_chart(
        [_place(one) for one in places],
        [one["kl_base_adapter"] for one in places],
        [one["interval"]["low"] if one["interval"] else None for one in places],
        [one["interval"]["high"] if one["interval"] else None for one in places],
        x_label="KL(base || adapter), nats per token",
        marks="dots",
        title="Where in the answer the models part",
        texts=[f"{short_number(one['kl_base_adapter'])}, {one['num_positions']:,} tokens" for one in places],
        caption="Mean with its 95 % interval by place in the answer. The stop token counts as the last.",
    )


def _place(one: Json) -> str:
    return (
        f"token {one['first']}" if one["first"] == one["last"] else f"tokens {one['first']} to {one['last']}"
    )


def short_number(value: float | None) -> str | None:
    """A number for people, or None, which a table shows as having no value."""
    return None if value is None else number_text(value)


def percent_text(value: float | None) -> str | None:
    """A share for people, or None."""
    return None if value is None else f"{value:.1%}"


def with_interval(one: Json, write: Any) -> str | None:
    """A measure's mean with its interval.

    Args:
        one: A measure of compare/report.json.
        write: `short_number` or `percent_text`.
    """
    if one["interval"] is None:
        return write(one["mean"])  # type: ignore[no-any-return]
    interval = one["interval"]
    if write is percent_text:
        return f"{one['mean']:.1%} [{interval['low']:.1%}, {interval['high']:.1%}]"
    return interval_text(one["mean"], interval["low"], interval["high"])


def sentence(text: str) -> str:
    """A clause as a sentence: a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."
