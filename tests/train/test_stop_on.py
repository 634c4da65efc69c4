"""Signals that end a training, as the pipeline reads them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.pipeline import judge_run
from lorascope.run.progress import Judgement, Observer
from lorascope.run.records import read_evals, read_steps

pytestmark = pytest.mark.end_to_end

OVERFIT = ("train.epochs=40", "train.learning_rate=0.02", "train.eval_steps=4", "lora.rank=16")


class Told(Observer):
    """Keeps the judgements."""

    def __init__(self) -> None:
        self.judgements: list[Judgement] = []

    def judgement(self, found: Judgement) -> None:
        self.judgements.append(found)


def test_a_judge_that_says_stop_ends_the_training_there_with_everything_kept(
    ready_run: Any, train: Callable[..., dict[str, Any]]
) -> None:
    def judge(run: Any, stop_on: Any) -> Judgement:
        last = read_evals(run.evals)[-1].step
        return Judgement(
            verdict="overfitting", reason="shown", stop="overfitting: shown" if last >= 4 else None
        )

    told = Told()
    summary = train(ready_run, "train.eval_steps=2", judge=judge, observer=told)
    assert summary["stopped"] == {"step": 4, "why": "overfitting: shown"} and summary["steps"] == 4
    assert [one.stop for one in told.judgements] == [None, None, "overfitting: shown"]  # steps 0, 2, 4
    assert read_steps(ready_run.steps)[-1].step == 4
    assert ready_run.adapter.is_dir() and read_evals(ready_run.evals)[-1].full
    assert json.loads(ready_run.train_summary.read_text())["stopped"]["step"] == 4


def test_a_training_that_is_not_asked_to_stop_goes_on_whatever_it_shows(
    ready_run: Any, train: Callable[..., dict[str, Any]]
) -> None:
    told = Told()
    summary = train(ready_run, "train.eval_steps=4", judge=judge_run, observer=told)
    assert summary["stopped"] is None and told.judgements
    assert summary["steps"] == read_steps(ready_run.steps)[-1].step


def test_the_judge_names_the_rule_only_where_it_is_asked_for(
    ready_run: Any, train: Callable[..., dict[str, Any]]
) -> None:
    train(ready_run, *OVERFIT)
    found = judge_run(ready_run, ("non_finite", "overfitting"))
    assert (
        found.verdict == "overfitting" and found.stop is not None and found.stop.startswith("overfitting: ")
    )
    assert judge_run(ready_run, ("non_finite",)).stop is None


def test_overfitting_ends_a_real_training_before_its_last_step(
    ready_run: Any, train: Callable[..., dict[str, Any]]
) -> None:
    summary = train(ready_run, *OVERFIT, "train.stop_on=[overfitting]", judge=judge_run)
    planned = round(40 * summary["steps"] / summary["epochs"])
    assert summary["stopped"] is not None and summary["steps"] < planned
    assert summary["stopped"]["why"].startswith("overfitting")
