import sys
from pathlib import Path
from typing import Any

import pytest

from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rows.prompt_use import prompt_use
from lorascope.diagnose.verdict import give_verdict

sys.path.insert(0, str(Path(__file__).parents[1]))
from synthetic import falling, make_evidence

CURVE = falling(9)


def scored(own: float, other: float, num: int = 40) -> dict[str, Any]:
    """Answers of 10 and 20 tokens in turn; the second of two rows a little harder."""
    tokens = [10, 20] * (num // 2)
    return {
        "split": "validation",
        "num_tokens": tokens,
        "own_nll": [n * (own + 0.1 * (at % 2)) for at, n in enumerate(tokens)],
        "other_nll": [n * (other + 0.1 * (at % 2) + 0.02 * (at % 3)) for at, n in enumerate(tokens)],
    }


def test_answers_that_are_as_likely_behind_any_prompt_are_a_warning_and_a_verdict() -> None:
    evidence = make_evidence(CURVE, CURVE, prompt_use=scored(1.0, 1.0))
    found = prompt_use(evidence)
    assert isinstance(found, Finding) and found.severity == "warn"
    assert give_verdict(evidence, [found])[0] == "not_learning"


def test_what_the_right_prompt_is_worth_is_told_in_nats_per_token() -> None:
    # (10 * 1.0 + 20 * 1.1) / 30 = 1.067 behind the own prompt; a nat more and 0.02 on average behind another.
    found = prompt_use(make_evidence(CURVE, CURVE, prompt_use=scored(1.0, 2.0)))
    assert isinstance(found, Finding) and found.severity == "info"
    assert found.evidence["own_loss"] == pytest.approx(32 / 30)
    assert found.evidence["worth"] == pytest.approx(1.02, abs=0.003)


@pytest.mark.parametrize(
    ("told", "curve", "reason"),
    [
        (None, CURVE, "not finished"),
        ({**scored(1.0, 1.0), "num_tokens": []}, CURVE, "fewer than 20 rows"),
        (scored(1.0, 1.0), [0.0] * 9, "fell by less than 10 %"),
    ],
)
def test_what_cannot_be_judged_is_said(told: Any, curve: list[float], reason: str) -> None:
    found = prompt_use(make_evidence(curve, curve, prompt_use=told))
    assert isinstance(found, NotRun) and reason in found.reason
