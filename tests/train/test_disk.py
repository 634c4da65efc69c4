"""The disk a training takes is known before its first step."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest

from lorascope.errors import RunError
from lorascope.run.folder import RunFolder
from lorascope.train import disk

MB = 10**6


class Usage:
    def __init__(self, free: float) -> None:
        self.free = int(free)


def on_disk(run: RunFolder) -> int:
    return sum(path.stat().st_size for path in run.stage("train").rglob("*") if path.is_file())


def test_what_is_planned_is_what_a_training_writes(
    ready_run: Callable[[str], RunFolder],
    train: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned: list[int] = []
    monkeypatch.setattr(
        disk, "disk_bytes", lambda training, count=disk.disk_bytes: planned.append(count(training)) or 0
    )
    run = ready_run("run")
    summary = train(run, "lora.rank=64", "train.keep_checkpoints=3")
    # One checkpoint more than is kept, and one adapter more, stand there for a moment only.
    for_a_moment = summary["trainable_parameters"] * 4 * (3 + 1)
    tokenizer = sum(p.stat().st_size for p in run.adapter.iterdir() if "tokenizer" in p.name) * 2
    assert planned[0] - for_a_moment == pytest.approx(on_disk(run) - tokenizer, rel=0.10)


def test_a_training_that_will_not_fit_is_refused_before_its_first_step(
    ready_run: Callable[[str], RunFolder],
    train: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ready_run("run")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0.1 * MB))
    with pytest.raises(
        RunError, match=r"the disk has 100 kB left, and this training writes up to [1-9.]+ MB"
    ):
        train(run, "lora.rank=64")
    assert not run.stage("train").exists()


def test_what_an_overwritten_training_holds_counts_as_room(
    ready_run: Callable[[str], RunFolder],
    train: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = ready_run("run")
    train(run, "lora.rank=64")
    held = on_disk(run)
    monkeypatch.setattr(disk, "disk_bytes", lambda _: held)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0))
    train(run, "lora.rank=64", "seed=1", overwrite=True)
    monkeypatch.setattr(disk, "disk_bytes", lambda _: 2 * held)
    with pytest.raises(RunError, match="the disk has 0 kB left"):
        train(run, "lora.rank=64", "seed=2", overwrite=True)
    assert run.train_summary.is_file()  # the older training stays where the new one is refused
