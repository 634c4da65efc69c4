"""A comparison -> the page people read: verdict, answers side by side, distances, the adapter itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.pages.bars import bar_chart
from lorascope.pages.document import document, section
from lorascope.pages.finding import status_badge
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import interval_text, number_text
from lorascope.pages.side_by_side import side_by_side
from lorascope.pages.table import key_values, table, tiles

Json = Mapping[str, Any]

_STATUS = {
    "changes": ("good", "applied"),
    "within_rounding": ("unknown", "no difference shown"),
    "changes_nothing": ("critical", "changes nothing"),
}
_MEASURES = (
    ("kl_base_adapter", "KL(base || adapter), nats"),
    ("kl_adapter_base", "KL(adapter || base), nats"),
    ("js", "JS, nats (at most 0.693)"),
    ("centred_l2", "L2 of centred logits"),
    ("top1_agreement", "same first choice"),
)
_MOST_CHANGED = 8


def comparison_page(report: Json, generations: Sequence[Json], rows: Sequence[Json]) -> Html:
    """Build the page.

    Args:
        report: As in compare/report.json.
        generations: Lines of compare/generations.jsonl.
        rows: As in compare/by_example.parquet.
    """
    decodings = list(dict.fromkeys(row["decoding"] for row in generations))
    titles = ["Greedy answers", "Sampled answers"]
    answers = [
        _answers(
            f"answers-{index}", title, [row for row in generations if row["decoding"] == decoding], decoding
        )
        for index, (title, decoding) in enumerate(zip(titles, decodings, strict=False))
    ]
    parts = [_verdict(report), *answers, _distances(report), _examples(report, rows), _adapter(report)]
    nav = [("verdict", "Verdict")]
    nav += [(f"answers-{index}", title) for index, title in enumerate(titles[: len(decodings)])]
    nav += [("distances", "Distances"), ("prompts", "By prompt"), ("adapter", "The adapter")]
    return document(
        "Base beside adapter",
        subtitle=f"{report['run'] or 'One adapter'}: {report['adapter']} on {report['base']}",
        nav=nav,
        body=parts,
        footer=f"Forward pass in {report['precision']}; divergences in float32. Seed {report['seed']}. "
        f"Base model {report['base_sha256'][:12]}, template {report['template']['sha256'][:12]}. "
        "Written by lorascope compare.",
    )


def _verdict(report: Json) -> Html:
    status, word = _STATUS[report["verdict"]["kind"]]
    targets, presence = report["divergences"]["targets"], report["presence"]
    at_all = targets if targets["num_positions"] else report["divergences"]["last_prompt_position"]
    where = "per target token" if at_all is targets else "at the last prompt position"
    items = [
        (
            "KL(base || adapter)",
            _short(at_all["kl_base_adapter"]["mean"]),
            f"nats {where}{_range(at_all, 0)}",
        ),
        ("Same first choice", _percent(at_all["top1_agreement"]["mean"]), f"{where}{_range(at_all, 4)}"),
        ("B.A beside W", _beside(presence["relative"]), "Frobenius norms over all adapted weights"),
        (
            "Greedy answers that differ",
            f"{report['answers'][0]['num_prompts'] - report['answers'][0]['num_same']}"
            if report["answers"]
            else None,
            f"of {report['answers'][0]['num_prompts']} prompts" if report["answers"] else "no prompt",
        ),
    ]
    template = report["template"]
    note = (
        f"Every prompt went through the template {template['name']} ({template['from']}); an answer ends at "
        f"{' or '.join(template['stop_tokens'])}. The base is the same model with its adapter switched off."
    )
    return section(
        "verdict",
        "What the adapter does",
        [
            tag("p", status_badge(status, word)),
            tiles(items),
            tag("p", _sentence(report["verdict"]["would_change"]), class_="ls-soft"),
            tag("p", note, class_="ls-soft"),
        ],
        lead=_sentence(report["verdict"]["sentence"]),
    )


def _answers(id: str, title: str, rows: Sequence[Json], decoding: str) -> Html:
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


def _distances(report: Json) -> Html:
    targets = report["divergences"]["targets"]
    last = report["divergences"]["last_prompt_position"]
    floor = report["divergences"]["base_against_itself"]
    rows = []
    for name, label in _MEASURES:
        one = targets[name]
        write = _percent if name == "top1_agreement" else _short
        rows.append(
            (
                label,
                _with_interval(one, write),
                write(one["median"]),
                write(one["p99"]),
                _with_interval(last[name], write),
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
            *(f" {_sentence(note)}" for note in dict.fromkeys(notes)),
            class_="ls-soft",
        ),
    ]
    if targets["num_positions"]:
        body.append(_places(targets["by_place"]))
    return section("distances", "How far apart they are", body, lead)


def _places(places: Sequence[Json]) -> Html:
    return bar_chart(
        [_place(one) for one in places],
        [one["kl_base_adapter"] for one in places],
        [one["interval"]["low"] if one["interval"] else None for one in places],
        [one["interval"]["high"] if one["interval"] else None for one in places],
        x_label="KL(base || adapter), nats per token",
        marks="dots",
        title="Where in the answer the models part",
        texts=[f"{_short(one['kl_base_adapter'])}, {one['num_positions']:,} tokens" for one in places],
        caption="Mean with its 95 % interval by place in the answer. The stop token counts as the last.",
    )


def _place(one: Json) -> str:
    return (
        f"token {one['first']}" if one["first"] == one["last"] else f"tokens {one['first']} to {one['last']}"
    )


def _examples(report: Json, rows: Sequence[Json]) -> Html:
    prompts = []
    for one in report["prompts"]:
        base, adapter = one["first_choice"]["base"], one["first_choice"]["adapter"]
        known = one["reference_tokens"]
        prompts.append(
            (
                one["prompt_id"],
                _short(one["last_prompt_position"]["kl_base_adapter"]),
                _short(one["last_prompt_position"]["js"]),
                _choice(base),
                _choice(adapter),
                _short(known["kl_base_adapter"]) if known else None,
            )
        )
    columns = ("Prompt", "KL", "JS", "Base begins with", "Adapter begins with", "KL over the reference")
    body = [
        table(
            columns,
            prompts,
            align=("left", "right", "right", "left", "left", "right"),
            caption="At the position that predicts the first answer token",
        )
    ]
    changed = sorted((row for row in rows if row["num_positions"]), key=lambda row: -row["kl_base_adapter"])
    if changed:
        body.append(
            table(
                ("Example", "Target tokens", "KL(base || adapter)", "JS", "Same first choice"),
                [
                    (
                        row["example_id"],
                        row["num_positions"],
                        _short(row["kl_base_adapter"]),
                        _short(row["js"]),
                        _percent(row["top1_agreement"]),
                    )
                    for row in changed[:_MOST_CHANGED]
                ],
                align=("left", "right", "right", "right", "right"),
                caption="Examples that the adapter changes most; all are in compare/by_example.parquet",
            )
        )
    return section("prompts", "By prompt and example", body)


def _choice(choice: Json) -> Html:
    text = join([tag("code", repr(choice["token"])), f" {choice['probability']:.0%}"])
    return tag("span", text, class_="ls-number")


def _adapter(report: Json) -> Html:
    presence = report["presence"]
    layers = presence["by_layer"]
    facts = [
        (
            "Modules with LoRA",
            f"{presence['num_modules']:,} of {presence['num_linear_layers']:,} linear layers",
        ),
        ("Adapter parameters", presence["adapter_parameters"]),
        ("Trainable after loading", presence["trainable_parameters"]),
        ("Norm of B.A", presence["norm"]),
        ("Norm of the weights W", presence["weight_norm"]),
        ("Beside A and B", ", ".join(presence["other_trained_parts"]) or "nothing"),
    ]
    body = [
        key_values(facts),
        tag("p", _sentence(presence["trainable_why"]), class_="ls-soft"),
        bar_chart(
            [one["layer"] if not one["layer"].isdigit() else f"layer {one['layer']}" for one in layers],
            [None if one["relative"] is None else 100 * one["relative"] for one in layers],
            x_label="norm of B.A in % of the norm of W",
            texts=[_beside(one["relative"]) or "not known" for one in layers],
            title="How much each layer is changed",
        ),
        table(
            ("Kind of module", "Norm of B.A", "Beside W"),
            [(one["kind"], _short(one["norm"]), _beside(one["relative"])) for one in presence["by_kind"]],
            align=("left", "right", "right"),
            caption="Over all layers",
        ),
    ]
    lead = "Norms are of (alpha / rank) B.A, the matrix that is added to each weight W."
    return section("adapter", "The adapter itself", body, lead)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _short(value: float | None) -> str | None:
    """A number for people, or None, which a table shows as having no value."""
    return None if value is None else number_text(value)


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"


def _beside(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.3g} %"


def _with_interval(one: Json, write: Any) -> str | None:
    if one["interval"] is None:
        return write(one["mean"])  # type: ignore[no-any-return]
    interval = one["interval"]
    if write is _percent:
        return f"{one['mean']:.1%} [{interval['low']:.1%}, {interval['high']:.1%}]"
    return interval_text(one["mean"], interval["low"], interval["high"])


def _range(measured: Json, index: int) -> str:
    one = measured[_MEASURES[index][0]]
    if one["interval"] is None:
        return ""
    low, high = one["interval"]["low"], one["interval"]["high"]
    return (
        f", {low:.1%} to {high:.1%}" if index == 4 else f", {number_text(low, 3)} to {number_text(high, 3)}"
    )
