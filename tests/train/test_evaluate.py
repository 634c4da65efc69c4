"""Evaluations during training: when, on what, and by which code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.lm.load import load_base
from lorascope.lm.score import score_examples
from lorascope.run.dataset import Example
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_evals
from lorascope.train.eval_plan import EvalSets, comparable_loss
from lorascope.train.evaluate import evaluate
from lorascope.train.ranks import Ranks


def example(number: int, *, length: int = 10) -> Example:
    ids = np.full(length, 1 + number % 200)
    labels = ids.copy()
    labels[:2] = -100
    return Example(example_id=str(number), input_ids=ids, labels=labels)


def test_an_evaluation_is_the_score_of_the_same_code_in_evaluation_mode(alpaca_base: Path) -> None:
    model = load_base(str(alpaca_base), dropout=0.5).train()
    rows = [example(n, length=8 + n) for n in range(6)]
    sets = EvalSets(probe=tuple(rows[:3]), validation=tuple(rows), first=4)
    ranks = Ranks(rank=0, world=1)
    record = evaluate(
        model,
        sets,
        step=3,
        epoch=0.5,
        full=False,
        precision="float32",
        pad_id=0,
        row_tokens=64,
        ranks=ranks,
    )
    truth = score_examples(model, rows[:4], pad_id=0)
    assert record.validation is not None
    assert record.validation.loss == pytest.approx(
        float(truth.nll_sum_N.sum() / truth.num_tokens_N.sum()), rel=1e-6
    )
    assert record.validation.nll_sums[:3] == pytest.approx(record.probe.nll_sums, rel=1e-6)
    assert (record.probe.num_examples, record.validation.num_examples) == (3, 4)
    assert model.training


def test_the_interval_of_a_single_example_is_unknown_and_its_loss_is_not(alpaca_base: Path) -> None:
    sets = EvalSets(probe=(example(1),), validation=(example(2),), first=5)
    record = evaluate(
        load_base(str(alpaca_base)),
        sets,
        step=0,
        epoch=0.0,
        full=True,
        precision="float32",
        pad_id=0,
        row_tokens=64,
        ranks=Ranks(rank=0, world=1),
    )
    assert record.validation is not None
    assert (record.validation.low, record.validation.high) == (None, None)
    assert record.validation.loss > 0


def test_an_evaluation_by_the_plain_path_pads_and_gives_the_same_losses(alpaca_base: Path) -> None:
    from lorascope.lm.passes import how_it_runs

    model = load_base(str(alpaca_base)).requires_grad_(False)
    rows = tuple(example(n, length=8 + n) for n in range(5))
    layout: dict[str, Any] = {"step": 0, "epoch": 0.0, "full": True, "precision": "float32"}
    layout |= {"pad_id": 0, "row_tokens": 64, "ranks": Ranks(rank=0, world=1)}
    sets = EvalSets(probe=rows, validation=(), first=5)
    plain = evaluate(model, sets, route="padded", **layout)
    assert how_it_runs(model) == "as loaded"
    packed = evaluate(model, sets, **layout)
    assert how_it_runs(model).startswith("packed rows")
    assert plain.probe.nll_sums == pytest.approx(packed.probe.nll_sums, rel=1e-6)


def test_a_training_is_evaluated_before_at_each_interval_and_on_all_at_the_end(straight: RunFolder) -> None:
    records = read_evals(straight.evals)
    assert [record.step for record in records] == [0, 4, 8, 12]
    assert [record.full for record in records] == [False, False, False, True]
    assert {(record.probe.num_examples, record.validation.num_examples) for record in records} == {(3, 3)}  # type: ignore[union-attr]


def test_the_best_adapter_has_the_lowest_validation_loss_after_the_start(straight: RunFolder) -> None:
    losses = {
        record.step: comparable_loss(record.validation, 200)
        for record in read_evals(straight.evals)
        if record.step and record.validation
    }
    summary = json.loads(straight.train_summary.read_text())
    best = min(losses, key=lambda step: losses[step])
    assert (summary["best_step"], summary["best_loss"]) == (best, losses[best])


def test_training_learns(straight: RunFolder) -> None:
    first, *_, last = read_evals(straight.evals)
    for before, after in ((first.probe, last.probe), (first.validation, last.validation)):
        assert before is not None and before.low is not None
        assert after is not None and after.high is not None
        assert after.high < before.low


def test_a_mixture_tells_the_loss_of_each_source(alpaca_base: Path) -> None:
    rows = tuple(example(n, length=8 + n) for n in range(6))
    sources = {"0": "poems", "1": "poems", "2": "code", "3": "code", "4": "poems"}
    sets = EvalSets(probe=rows[:2], validation=rows, first=5, sources=sources)
    record = evaluate(
        load_base(str(alpaca_base)),
        sets,
        step=0,
        epoch=0.0,
        full=False,
        precision="float32",
        pad_id=0,
        row_tokens=64,
        ranks=Ranks(rank=0, world=1),
    )
    assert record.validation is not None and record.validation.by_source is not None
    nll, tokens = record.validation.nll_sums, record.validation.num_tokens
    # Rows of poems are 0, 1 and 4, of code 2 and 3; the sixth is not scored.
    assert record.validation.by_source == pytest.approx(
        {
            "poems": (nll[0] + nll[1] + nll[4]) / (tokens[0] + tokens[1] + tokens[4]),
            "code": (nll[2] + nll[3]) / (tokens[2] + tokens[3]),
        }
    )
    assert set(record.probe.by_source or ()) == {"poems"}
