"""A comparison -> the page people read: verdict, answers side by side, distances, the adapter itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from lorascope.pages.bars import bar_chart
from lorascope.pages.beside import (
    MEASURES,
    answers_section,
    distances_section,
    percent_text,
    sentence,
    short_number,
)
from lorascope.pages.document import document, section
from lorascope.pages.finding import status_badge
from lorascope.pages.markup import Html, join, tag
from lorascope.pages.number import number_text
from lorascope.pages.table import key_values, table, tiles

Json = Mapping[str, Any]

_STATUS = {
    "changes": ("good", "applied"),
    "within_rounding": ("unknown", "no difference shown"),
    "changes_nothing": ("critical", "changes nothing"),
}
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
        answers_section(
            f"answers-{index}", title, [row for row in generations if row["decoding"] == decoding], decoding
        )
        for index, (title, decoding) in enumerate(zip(titles, decodings, strict=False))
    ]
    parts = [_verdict(report), *answers, distances_section(report), _examples(report, rows), _adapter(report)]
    nav = [("verdict", "Verdict")]
    nav += [(f"answers-{index}", title) for index, title in enumerate(titles[: len(decodings)])]
    nav += [("distances", "Distances"), ("prompts", "By prompt"), ("adapter", "The adapter")]
    return document(
        "Base beside adapter",
        subtitle=f"{report['run'] or 'One adapter'}: {report['adapter']} on {report['base']}",
        nav=nav,
        body=parts,
        footer=f"Forward pass in {report['precision']}; divergences in float64. Seed {report['seed']}. "
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
            short_number(at_all["kl_base_adapter"]["mean"]),
            f"nats {where}{_range(at_all, 0)}",
        ),
        ("Same first choice", percent_text(at_all["top1_agreement"]["mean"]), f"{where}{_range(at_all, 4)}"),
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
            tag("p", sentence(report["verdict"]["would_change"]), class_="ls-soft"),
            tag("p", note, class_="ls-soft"),
        ],
        lead=sentence(report["verdict"]["sentence"]),
    )


def _examples(report: Json, rows: Sequence[Json]) -> Html:
    prompts = []
    for one in report["prompts"]:
        base, adapter = one["first_choice"]["base"], one["first_choice"]["adapter"]
        known = one["reference_tokens"]
        prompts.append(
            (
                one["prompt_id"],
                short_number(one["last_prompt_position"]["kl_base_adapter"]),
                short_number(one["last_prompt_position"]["js"]),
                _choice(base),
                _choice(adapter),
                short_number(known["kl_base_adapter"]) if known else None,
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
                        short_number(row["kl_base_adapter"]),
                        short_number(row["js"]),
                        percent_text(row["top1_agreement"]),
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
        tag("p", sentence(presence["trainable_why"]), class_="ls-soft"),
        bar_chart(
            [one["layer"] if not one["layer"].isdigit() else f"layer {one['layer']}" for one in layers],
            [None if one["relative"] is None else 100 * one["relative"] for one in layers],
            x_label="norm of B.A in % of the norm of W",
            texts=[_beside(one["relative"]) or "not known" for one in layers],
            title="How much each layer is changed",
        ),
        table(
            ("Kind of module", "Norm of B.A", "Beside W"),
            [
                (one["kind"], short_number(one["norm"]), _beside(one["relative"]))
                for one in presence["by_kind"]
            ],
            align=("left", "right", "right"),
            caption="Over all layers",
        ),
    ]
    lead = "Norms are of (alpha / rank) B.A, the matrix that is added to each weight W."
    return section("adapter", "The adapter itself", body, lead)


def _beside(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.3g} %"


def _range(measured: Json, index: int) -> str:
    one = measured[MEASURES[index][0]]
    if one["interval"] is None:
        return ""
    low, high = one["interval"]["low"], one["interval"]["high"]
    return (
        f", {low:.1%} to {high:.1%}" if index == 4 else f", {number_text(low, 3)} to {number_text(high, 3)}"
    )
