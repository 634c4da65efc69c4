"""Section: the same prompts answered at every evaluation, so that one sees the answers change."""

from lorascope.pages.document import section
from lorascope.pages.markup import Html
from lorascope.pages.side_by_side import side_by_side
from lorascope.report.facts import Facts, Json

_SHOWN = 4


def samples_section(facts: Facts) -> Html | None:
    """The answers to `train.sample_prompts`; None where none were asked for."""
    if not facts.samples:
        return None
    by_prompt: dict[str, list[Json]] = {}
    for one in facts.samples:
        by_prompt.setdefault(one["prompt"], []).append(one)
    body = [
        side_by_side(
            prompt, [(_name(one["step"]), one["text"], _note(one)) for one in _spread(answers)], label=None
        )
        for prompt, answers in by_prompt.items()
    ]
    steps = len({one["step"] for one in facts.samples})
    lead = (
        f"Answered greedily at each of {steps} evaluations during training; shown are up to {_SHOWN} of "
        "them, the "
        "first and the last among them. All are in train/samples.jsonl."
    )
    return section("samples", "How the answers changed", body, lead)


def _spread(answers: list[Json]) -> list[Json]:
    """The first, the last, and some at equal distances between."""
    if len(answers) <= _SHOWN:
        return answers
    return [answers[round(place * (len(answers) - 1) / (_SHOWN - 1))] for place in range(_SHOWN)]


def _name(step: int) -> str:
    return "base model" if step == 0 else f"step {step:,}"


def _note(one: Json) -> str:
    return (
        f"{one['num_tokens']} tokens"
        if one["stopped"]
        else f"{one['num_tokens']} tokens, cut: it did not stop"
    )
