"""Signals that end a training, as the pipeline reads them."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lorascope.pipeline import judge_run
from lorascope.run.folder import RunFolder
from lorascope.run.progress import Judgement, Observer
from lorascope.run.records import read_evals, read_steps

pytestmark = pytest.mark.end_to_end

OVERFIT = ("train.epochs=30", "train.learning_rate=0.004", "train.batch_size=8", "train.eval_steps=12")


@pytest.fixture
def own(ready_run: Callable[..., RunFolder]) -> RunFolder:
    """A prepared and checked run to train."""
    return ready_run()


class Told(Observer):
    """Keeps the judgements."""

    def __init__(self) -> None:
        self.judgements: list[Judgement] = []

    def judgement(self, found: Judgement) -> None:
        self.judgements.append(found)


def test_a_judge_that_says_stop_ends_the_training_there_with_everything_kept(
    own: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    def judge(run: Any, stop_on: Any) -> Judgement:
        last = read_evals(run.evals)[-1].step
        return Judgement(
            verdict="overfitting", reason="shown", stop="overfitting: shown" if last >= 4 else None
        )

    told = Told()
    summary = train(own, "train.eval_steps=2", judge=judge, observer=told)
    assert summary["stopped"] == {"step": 4, "why": "overfitting: shown"} and summary["steps"] == 4
    # Steps 0, 2 and 4, and once more of the finished training, which nothing can stop.
    assert [one.stop for one in told.judgements] == [None, None, "overfitting: shown", None]
    assert [one.is_last for one in told.judgements] == [False, False, False, True]
    assert read_steps(own.steps)[-1].step == 4
    assert own.adapter.is_dir() and read_evals(own.evals)[-1].full
    assert json.loads(own.train_summary.read_text())["stopped"]["step"] == 4


def test_a_training_that_is_not_asked_to_stop_goes_on_whatever_it_shows(
    own: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    told = Told()
    summary = train(own, "train.eval_steps=4", judge=judge_run, observer=told)
    assert summary["stopped"] is None and told.judgements
    assert summary["steps"] == read_steps(own.steps)[-1].step


@pytest.fixture
def unlearnable(make_run: Callable[..., RunFolder]) -> RunFolder:
    """A run whose answers are dealt out anew: training rows can be remembered, others cannot be learnt."""
    from lorascope.check.stage import check_run
    from lorascope.run.current import recipe_of
    from lorascope.starter import base_folder

    told = json.loads((base_folder().parent / "data" / "alpaca_starter.json").read_text())[:72]
    answers = np.random.default_rng(0).permutation([row["output"] for row in told])
    rows = [{**row, "output": str(answer)} for row, answer in zip(told, answers, strict=True)]
    run = make_run(rows, base_folder(), "prepare.validation=24")
    check_run(run, recipe_of(run))
    return run


def test_the_judge_names_the_rule_only_where_it_is_asked_for(
    unlearnable: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    train(unlearnable, *OVERFIT)
    found = judge_run(unlearnable, ("non_finite", "overfitting"))
    assert found.verdict == "overfitting"
    assert found.stop is not None and found.stop.startswith("overfitting: ")
    assert judge_run(unlearnable, ("non_finite",)).stop is None


@pytest.mark.slow
def test_overfitting_ends_a_real_training_before_its_last_step(
    unlearnable: RunFolder, train: Callable[..., dict[str, Any]]
) -> None:
    summary = train(unlearnable, *OVERFIT, "train.stop_on=[overfitting]", judge=judge_run)
    planned = round(30 * summary["steps"] / summary["epochs"])
    assert summary["stopped"] is not None and summary["steps"] < planned
    assert summary["stopped"]["why"].startswith("overfitting")
