import math
from typing import Any

import pytest

from lorascope.diagnose.answers.forgetting import forgetting
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun
from lorascope.diagnose.rules import diagnose


def measured(rise: float, *, half: float = 0.002, base: float = 3.2, **changes: Any) -> dict[str, Any]:
    """What compare reports where perplexity rose by a share: a difference of ln(1 + rise) nats per token."""
    difference = math.log1p(rise)
    return {
        "from": "bundled",
        "num_passages": 48,
        "num_tokens": 4000,
        "vocabulary": 50257,
        "base": {"loss": base, "perplexity": math.exp(base)},
        "adapter": {"loss": base + difference, "perplexity": math.exp(base + difference)},
        "difference": {"estimate": difference, "low": difference - half, "high": difference + half},
        "kl_base_adapter": {"mean": 0.04},
        "top1_agreement": {"mean": 0.92},
        **changes,
    }


def forgot(report: dict[str, Any] | None, why: str | None = None) -> Any:
    compared = {"divergences": {}, "unrelated": report, "unrelated_why": why}
    return forgetting(Evidence(run="runs/x", compared=compared))


@pytest.mark.parametrize(
    ("rise", "severity"), [(1.6, "warn"), (0.051, "warn"), (0.049, "info"), (0.006, "info")]
)
def test_text_that_became_harder_is_told_and_five_percent_is_a_warning(rise: float, severity: str) -> None:
    found = forgot(measured(rise))
    assert isinstance(found, Finding) and found.severity == severity
    assert found.title == f"unrelated text became harder: its perplexity rose by {rise:.1%}"
    assert found.evidence["perplexity_rise"] == pytest.approx(rise)
    assert found.evidence["loss_adapter"] - found.evidence["loss_base"] == pytest.approx(math.log1p(rise))
    assert all(isinstance(value, int | float | str) for value in found.evidence.values())


def test_the_sentence_says_the_losses_and_the_interval_of_the_rise() -> None:
    # exp(0.05 + 0.01) - 1 = 6.18 %, exp(0.05) - 1 = 5.13 %, exp(0.05 - 0.01) - 1 = 4.08 %.
    found = forgot(measured(math.expm1(0.05), half=0.01))
    assert isinstance(found, Finding)
    assert found.evidence["sentence"] == (
        "On 48 passages (bundled, 4,000 tokens) the base loses 3.200 nats per token and the adapter 3.250: "
        "perplexity rose by 5.1% (95 % interval 4.1% to 6.2%)."
    )


def test_what_an_interval_includes_0_for_or_became_easier_is_no_finding() -> None:
    assert forgot(measured(0.10, half=0.2)) is None
    assert forgot(measured(-0.05)) is None
    assert forgot(measured(0.004, half=0.0001)) is None  # shown, but nothing to act on
    assert forgot(measured(0.0, half=0.0)) is None  # an adapter that changes nothing


def test_without_a_measurement_the_reason_is_told() -> None:
    missing = forgetting(Evidence(run="runs/x"))
    assert isinstance(missing, NotRun) and missing.reason == "compare has not measured this adapter"
    off = forgot(None, "compare.unrelated is false")
    assert isinstance(off, NotRun) and off.reason.endswith("not measured: compare.unrelated is false")
    earlier = forgetting(Evidence(run="runs/x", compared={"divergences": {}}))
    assert isinstance(earlier, NotRun) and "before it could be" in earlier.reason


def test_text_that_the_base_cannot_read_shows_nothing() -> None:
    # 0.75 ln(50,257) = 0.75 * 10.8249 = 8.1187 nats.
    found = forgot(measured(0.5, base=8.12))
    assert isinstance(found, NotRun)
    assert "it loses 8.12 nats per token, where guessing among 50,257 tokens loses 10.82" in found.reason
    assert isinstance(forgot(measured(0.5, base=8.11)), Finding)


def test_it_holds_back_health_as_a_part_of_generalisation() -> None:
    compared = {"divergences": {}, "unrelated": measured(0.08), "unrelated_why": None}
    report = diagnose(Evidence(run="runs/x", compared=compared))
    assert report["health"]["parts"]["generalisation"] == 60
    assert report["health"]["limited_by"] == {"part": "generalisation", "rule": "forgetting"}
    assert "forgetting" in {one["rule"] for one in report["findings"]}
