import numpy as np

from lorascope.diagnose.answers.collapse import collapse
from lorascope.diagnose.answers.drift import drift
from lorascope.diagnose.answers.repetition import repetition
from lorascope.diagnose.evidence import Answers, Evidence
from lorascope.diagnose.finding import Finding, NotRun

WORDS = [f"word{index}" for index in range(500)]
NUM = 60


def sentence(seed: int, length: int = 40) -> str:
    """Words without a pattern."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, length))


VARIED = tuple(sentence(seed) for seed in range(NUM))
OTHERS = tuple(sentence(1000 + seed) for seed in range(NUM))
DATA = tuple(sentence(2000 + seed) for seed in range(NUM))


def answered(
    adapter: tuple[str, ...],
    *,
    base: tuple[str, ...] = OTHERS,
    stopped: float = 1.0,
    base_stopped: float = 1.0,
) -> Evidence:
    ends = np.arange(len(adapter)) < stopped * len(adapter)
    base_ends = np.arange(len(adapter)) < base_stopped * len(adapter)
    answers = Answers(
        base=base[: len(adapter)],
        adapter=adapter,
        reference=DATA[: len(adapter)],
        base_stopped=base_ends,
        adapter_stopped=ends,
    )
    return Evidence(run="runs/x", answers=answers)


def test_answers_that_loop_are_found() -> None:
    looping = tuple(" ".join(one.split()[:8]) + " the end is near" * 8 for one in VARIED)
    found = repetition(answered(looping))
    assert isinstance(found, Finding) and found.severity == "warn" and found.evidence["loops"] == NUM
    # 8 + 32 words have 37 4-grams; "the end is near" has 4 turns, each told once: 32 - 3 - 4 = 25 repeat.
    assert abs(found.evidence["excess_seq_rep_4"] - 25 / 37) < 0.02


def test_answers_that_never_stop_are_found_although_they_do_not_repeat() -> None:
    found = repetition(answered(VARIED, stopped=0.2))
    assert isinstance(found, Finding) and found.title == "the adapter does not stop"
    assert found.evidence["without_stop"] == 0.8 and found.evidence["without_stop_base"] == 0.0


def test_a_base_that_repeats_as_much_is_the_measure() -> None:
    looping = tuple(one + " the end is near" * 8 for one in VARIED)
    assert repetition(answered(looping, base=looping)) is None


def test_varied_answers_that_end_are_no_finding() -> None:
    assert repetition(answered(VARIED)) is None and collapse(answered(VARIED)) is None


def test_one_answer_to_every_prompt_is_a_collapse() -> None:
    found = collapse(answered(tuple([VARIED[0]] * NUM)))
    assert (
        isinstance(found, Finding) and found.evidence["share"] == 1.0 and found.evidence["share_data"] == 0.0
    )


def test_short_answers_that_are_alike_in_the_data_too_are_no_collapse() -> None:
    yes_no = tuple("yes" if index % 2 else "no" for index in range(NUM))
    answers = Answers(
        base=OTHERS,
        adapter=yes_no,
        reference=yes_no,
        base_stopped=np.ones(NUM, dtype=bool),
        adapter_stopped=np.ones(NUM, dtype=bool),
    )
    assert collapse(Evidence(run="runs/x", answers=answers)) is None


def test_thirty_prompts_are_needed() -> None:
    for rule in (repetition, collapse):
        found = rule(answered(VARIED[:29]))
        assert isinstance(found, NotRun) and "30 are needed" in found.reason


def compared(kl: float, floor: float) -> Evidence:
    def measured(mean: float) -> dict[str, object]:
        told = {"mean": mean, "interval": {"low": 0.9 * mean, "high": 1.1 * mean}}
        return {
            "kl_base_adapter": told,
            "kl_adapter_base": told,
            "top1_agreement": {"mean": 0.7},
            "num_positions": 400,
        }

    return Evidence(
        run="runs/x",
        compared={"divergences": {"targets": measured(kl), "base_against_itself": measured(floor)}},
    )


def test_drift_above_the_noise_of_rounding_is_told_and_below_is_not() -> None:
    found = drift(compared(0.31, 1e-6))
    assert (
        isinstance(found, Finding) and found.severity == "info" and found.evidence["kl_base_adapter"] == 0.31
    )
    assert drift(compared(2e-6, 1e-6)) is None
    assert isinstance(drift(Evidence(run="runs/x")), NotRun)
