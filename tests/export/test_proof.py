"""The comparison itself, on numbers made by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from lorascope.errors import NoTargetTokens
from lorascope.export import proof
from lorascope.export.proof import Measured, ProofRows, choose_rows, compare
from lorascope.lm.score import ExampleScores
from lorascope.run.dataset import IGNORE, Example


def example(num_targets: int, name: str = "e") -> Example:
    labels = np.array([IGNORE, *range(num_targets)])
    return Example(example_id=name, input_ids=np.arange(num_targets + 1), labels=labels)


def measured(logit_SV: Any, nll: float) -> Measured:
    tensor = torch.tensor(logit_SV)
    scores = ExampleScores(
        nll_sum_N=np.array([nll]), num_tokens_N=np.array([len(tensor)]), num_correct_N=np.array([0])
    )
    return Measured(logits=[tensor], scores=scores)


def rows(num_targets: int) -> ProofRows:
    return ProofRows(split="validation", examples=[example(num_targets)], num_positions=(num_targets,))


def test_a_model_agrees_with_itself() -> None:
    one = measured([[1.0, -1.0, 0.0]], 2.0)
    found = compare(one, one, rows(1))
    assert (found.max_logit_difference, found.loss_difference, found.failures) == (0.0, 0.0, [])


def test_the_scale_ignores_what_all_logits_share() -> None:
    # Softmax does not see a shift: 99, 101, 100 are -1, 1, 0 around their mean, so the scale is 1, the
    # tolerance 1e-3.
    one = measured([[99.0, 101.0, 100.0]], 2.0)
    found = compare(one, measured([[99.0, 101.0, 100.5]], 2.0), rows(1))
    assert found.logit_scale == 1.0 and found.logit_tolerance == pytest.approx(1e-3)
    assert found.max_logit_difference == 0.5 and "a logit differs by 0.5 (example e)" in found.failures[0]


def test_a_tie_that_rounding_decides_is_no_disagreement() -> None:
    # Scale 2 (mean 0), tolerance 2e-3; the best two are 1e-3 apart and swap, which a change of 1e-3 each can
    # do.
    one = measured([[1.0, 1.001, -2.001]], 2.0)
    found = compare(one, measured([[1.001, 1.0, -2.001]], 2.0), rows(1))
    assert (found.num_top_1_differ, found.num_undecided, found.num_top_1_differ_decided) == (1, 1, 0)
    assert found.failures == []


def test_another_best_token_where_rounding_cannot_decide_is_a_disagreement() -> None:
    one = measured([[1.0, 0.0, -1.0], [1.0, 0.0, -1.0]], 2.0)
    found = compare(one, measured([[0.0, 1.0, -1.0], [1.0, 0.0, -1.0]], 2.0), rows(2))
    assert found.top_1_agreement == 0.5
    assert any("the most likely token differs at 1 of 2 positions" in one for one in found.failures)


@pytest.mark.parametrize(
    ("loss", "other", "agrees"),
    [
        # Relative above 1 nat: 4e-5 of 4 is 1e-5. Absolute below: 0.9e-5 of 0.01 would be 9e-4, and passes.
        (4.0, 4.0 + 3.9e-5, True),
        (4.0, 4.0 + 4.1e-5, False),
        (0.01, 0.01 + 0.9e-5, True),
        (0.01, 0.01 + 1.1e-5, False),
    ],
)
def test_the_loss_may_differ_by_one_in_a_hundred_thousand(loss: float, other: float, agrees: bool) -> None:
    logit_SV = [[1.0, 0.0, -1.0]]
    found = compare(measured(logit_SV, loss), measured(logit_SV, other), rows(1))
    assert (found.failures == []) is agrees


def test_logits_are_compared_on_as_many_positions_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    # Room for 10 logits of a vocabulary of 2 is 5 positions: 3 of the first example, 2 of the second's 4,
    # then no more.
    monkeypatch.setattr(proof, "MAX_LOGITS", 10)
    chosen = choose_rows("validation", [example(3), example(0), example(4), example(1)], vocabulary=2)
    assert chosen.num_positions == (3, 2)
    assert [one.num_target_tokens for one in chosen.examples] == [
        3,
        4,
        1,
    ]  # what has no targets proves nothing


def test_a_vocabulary_above_the_budget_still_gets_one_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "MAX_LOGITS", 10)
    assert choose_rows("validation", [example(3)], vocabulary=99).num_positions == (1,)


def test_rows_without_targets_prove_nothing() -> None:
    with pytest.raises(NoTargetTokens, match='split "validation"'):
        choose_rows("validation", [example(0)], vocabulary=2)
