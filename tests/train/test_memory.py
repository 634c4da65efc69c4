"""Memory is planned from what a pass keeps, and running out of it never changes a step."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.errors import RunError
from lorascope.lm.batches import shorter_rows
from lorascope.lm.recompute import recomputes_activations
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_steps
from lorascope.train.memory import kept_per_token, out_of_memory_told, plan_memory
from lorascope.train.step import optimizer_step
from lorascope.train.trainee import Trainee

from .test_step import TARGETS, make_examples, make_trainee

GB = 10**9


def plan(**changes: Any) -> Any:
    """12 layers, 500 kB a token: rows of 4,096 (as on mps) need 1.3 * 500 kB * 4,096 = 2.7 GB."""
    settings = {
        "kept": 500_000.0,
        "num_layers": 12,
        "longest": 600,
        "step_tokens": 10_000,
        "optimizer_bytes": 0,
        "available": 20 * GB,
        "row_tokens": None,
        "recompute": None,
        "device": "mps",
    }
    return plan_memory(**{**settings, **changes})


def test_where_memory_is_plenty_rows_are_long_and_nothing_is_said() -> None:
    found = plan()
    assert (found.row_tokens, found.recompute, found.told) == (4096, False, "")
    assert found.activation_bytes == 1.3 * 500_000 * 4096


def test_rows_are_halved_until_they_fit() -> None:
    # 90 % of 1.5 GB are 1.35 GB; 2,048 tokens need 1.33 GB.
    found = plan(available=1.5 * GB)
    assert (found.row_tokens, found.recompute) == (2048, False)
    assert found.told == "rows of 2,048 tokens in place of 4,096 for the 1.5 GB left"
    assert plan(available=1.5 * GB, optimizer_bytes=20_000_000).row_tokens == 1024


def test_activations_are_computed_twice_only_where_the_shortest_rows_do_not_fit() -> None:
    # 600 tokens need 390 MB; of 0.4 GB 360 MB are left. A sixth of 2.7 GB is 444 MB, that of 2,048 is 222 MB.
    found = plan(available=0.4 * GB)
    assert (found.row_tokens, found.recompute) == (2048, True)
    assert found.told.startswith("rows of 2,048 tokens in place of 4,096 and activations computed again")


def test_a_small_step_needs_no_more_than_its_own_tokens() -> None:
    found = plan(available=1.5 * GB, step_tokens=1000)
    assert (found.row_tokens, found.activation_bytes) == (4096, 1.3 * 500_000 * 1000)


def test_what_was_asked_for_is_done() -> None:
    assert plan(available=1 * GB, recompute=False).recompute is False
    assert plan(available=1 * GB, row_tokens=4096).row_tokens == 4096
    assert plan(available=1 * GB, row_tokens=4096).recompute is True
    assert plan(recompute=True).told == ""
    assert plan(available=None).row_tokens == 4096


def test_a_row_is_never_shorter_than_the_longest_example() -> None:
    assert plan(available=0.5 * GB, longest=3000, recompute=False).row_tokens == 3000
    examples = make_examples(5)
    longest, total = max(e.num_tokens for e in examples), sum(e.num_tokens for e in examples)
    assert shorter_rows(10_000, examples) == max(longest, total // 2)
    assert shorter_rows(longest, examples) is None
    assert shorter_rows(longest + 1, examples) == longest


def test_what_a_token_keeps_is_what_autograd_saves(alpaca_base: Path) -> None:
    trainee = make_trainee(alpaca_base, TARGETS["alpaca_base"])
    examples = make_examples(3)
    kept = kept_per_token(trainee.model, examples, pad_id=0, route="padded", share=False)
    config = trainee.model.config
    # Each layer keeps at least: input and output of two norms, query, key and value, attention's output, and
    # the wide activation before and after gelu; 4 bytes each.
    width, wide = config.n_embd, config.n_inner or 4 * config.n_embd
    least = config.n_layer * 4 * (4 * width + 3 * width + width + 2 * wide)
    assert least < kept < 3 * least


@pytest.fixture
def device_of() -> Callable[[Trainee, int], list[int]]:
    """A device on which a pass over more than so many tokens runs out of memory, in its last layer."""

    def make(trainee: Trainee, most: int) -> list[int]:
        tried: list[int] = []
        layers = trainee.model.get_base_model().transformer.h

        def refuse(_: Any, given: tuple[Any, ...]) -> None:
            tokens = given[0].shape[0] * given[0].shape[1]
            tried.append(tokens)
            if tokens > most and not recomputes_activations(trainee.model):
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {tokens} tokens")

        layers[-1].register_forward_pre_hook(refuse)
        return tried

    return make


def gradient(trainee: Trainee) -> list[torch.Tensor]:
    return [p.grad.clone() for p in trainee.parameters if p.grad is not None]


def test_a_step_without_enough_memory_is_tried_again_in_shorter_rows_and_stays_the_same_step(
    alpaca_base: Path, device_of: Callable[[Trainee, int], list[int]]
) -> None:
    examples = make_examples(8)
    straight, short = (make_trainee(alpaca_base, TARGETS["alpaca_base"], max_grad_norm=None) for _ in "ab")
    wanted = optimizer_step(straight, examples, rate=0.0, seed=3)
    assert wanted.retries == ()
    tried = device_of(short, 100)
    found = optimizer_step(short, examples, rate=0.0, seed=3)
    # The first row held all 8; each try halves the budget, and stops where the fullest row has 100 at most.
    halves = [sum(one.num_tokens for one in examples) // 2**tries for tries in (1, 2)]
    assert max(tried) > 100 and found.retries == tuple(f"rows of {rows} tokens" for rows in halves)
    assert found.loss == pytest.approx(wanted.loss, rel=1e-6)
    for one, other in zip(gradient(short), gradient(straight), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert optimizer_step(short, examples, rate=0.0, seed=4).retries == ()


def test_where_each_example_stands_alone_activations_are_computed_again(
    alpaca_base: Path, device_of: Callable[[Trainee, int], list[int]]
) -> None:
    examples = make_examples(4)
    longest = max(one.num_tokens for one in examples)
    straight = make_trainee(alpaca_base, TARGETS["alpaca_base"], max_grad_norm=None)
    wanted = optimizer_step(straight, examples, rate=0.0, seed=3)
    short = make_trainee(alpaca_base, TARGETS["alpaca_base"], max_grad_norm=None, recompute=None)
    device_of(short, longest - 1)
    found = optimizer_step(short, examples, rate=0.0, seed=3)
    assert found.retries[-1] == "activations computed again in the backward pass"
    assert short.recompute is True
    assert found.loss == pytest.approx(wanted.loss, rel=1e-6)
    for one, other in zip(gradient(short), gradient(straight), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_where_nothing_is_left_to_change_the_error_says_what_to_do(
    alpaca_base: Path, device_of: Callable[[Trainee, int], list[int]], tmp_path: Path
) -> None:
    trainee = make_trainee(alpaca_base, TARGETS["alpaca_base"])
    device_of(trainee, 1)
    with (
        pytest.raises(RunError, match="memory of this machine is not enough") as told,
        out_of_memory_told(RunFolder(tmp_path)),
    ):
        optimizer_step(trainee, make_examples(4), rate=0.1, seed=0)
    assert "Tried to allocate" in told.value.message


def test_recomputed_activations_give_the_same_training(
    ready_run: Callable[[str], RunFolder], train: Callable[..., dict[str, Any]]
) -> None:
    plain, again = ready_run("plain"), ready_run("again")
    train(plain)  # with LoRA dropout: the second computation has to drop what the first did
    train(again, "train.checkpoint_activations=true")
    losses = [[record.loss for record in read_steps(run.steps)] for run in (plain, again)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_an_error_of_another_kind_is_not_tried_again(alpaca_base: Path) -> None:
    trainee = make_trainee(alpaca_base, TARGETS["alpaca_base"])

    def refuse(_: Any, given: tuple[Any, ...]) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    trainee.model.get_base_model().transformer.h[-1].register_forward_pre_hook(refuse)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        optimizer_step(trainee, make_examples(4), rate=0.1, seed=0)


def test_a_resumed_training_keeps_the_rows_that_memory_allowed(
    ready_run: Callable[[str], RunFolder],
    train: Callable[..., dict[str, Any]],
    make_recorder: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # With LoRA dropout rows laid out differently drop other values: the losses would differ at once.
    straight, broken = ready_run("straight"), ready_run("broken")
    train(straight, "train.row_tokens=auto", "train.checkpoint_activations=true")
    from lorascope.train import memory

    def stop(step: int) -> None:
        if step == 7:
            raise KeyboardInterrupt

    monkeypatch.setitem(memory.ROW_TOKENS, "cpu", 128)
    narrow = ready_run("narrow")
    train(narrow, "train.row_tokens=auto", "train.checkpoint_activations=true")
    with pytest.raises(KeyboardInterrupt):
        train(
            broken,
            "train.row_tokens=auto",
            "train.checkpoint_activations=true",
            observer=make_recorder(stop),
        )
    monkeypatch.setitem(memory.ROW_TOKENS, "cpu", 4096)  # the machine has more memory now
    train(broken, "train.row_tokens=auto", "train.checkpoint_activations=true", resume=True)
    losses = [[record.loss for record in read_steps(run.steps)] for run in (straight, narrow, broken)]
    assert losses[2] == losses[1] != losses[0]
