"""Optimizers by name: torch's AdamW, and those of bitsandbytes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lorascope.errors import ConfigError
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_steps
from lorascope.train.optimizers import make_optimizer, moment_bytes, optimizer_told


def weight(seed: int = 0) -> torch.nn.Parameter:
    torch.manual_seed(seed)
    return torch.nn.Parameter(torch.randn(128, 64))


def test_adamw_is_that_of_torch() -> None:
    made = make_optimizer("adamw", [weight()], rate=0.1, weight_decay=0.2)
    assert type(made) is torch.optim.AdamW
    assert (made.defaults["lr"], made.defaults["weight_decay"]) == (0.1, 0.2)


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw", "paged_adamw_8bit"])
def test_what_bitsandbytes_does_is_adamw_up_to_its_rounding(name: str) -> None:
    pytest.importorskip("bitsandbytes")
    ours, theirs = weight(), weight()
    plain = make_optimizer("adamw", [ours], rate=1e-2, weight_decay=0.01)
    other = make_optimizer(name, [theirs], rate=1e-2, weight_decay=0.01)
    for step in range(10):
        torch.manual_seed(step)
        ours.grad = torch.randn(128, 64)
        theirs.grad = ours.grad.clone()
        plain.step()
        other.step()
    moved = (ours - weight()).detach().norm()
    # 8 bits resolve a moment to about 1 %; 32 bits differ in the last digits alone.
    assert float((ours - theirs).detach().norm() / moved) < (0.05 if "8bit" in name else 1e-5)
    kept = {value.dtype for value in other.state[theirs].values() if torch.is_tensor(value)}
    assert (torch.uint8 in kept) == ("8bit" in name)


def test_moments_in_8_bits_take_a_quarter() -> None:
    # A gradient of 4 bytes; two moments of 4 bytes, or of 1 byte, for each of 128 * 64 weights.
    assert moment_bytes("adamw", [weight()]) == 128 * 64 * 12
    assert moment_bytes("paged_adamw_8bit", [weight()]) == 128 * 64 * 6


def test_pages_are_said_to_be_missing_off_a_gpu() -> None:
    told = optimizer_told("paged_adamw", torch.device("cpu"))
    assert told is not None and "no pages on cpu" in told
    assert optimizer_told("adamw_8bit", torch.device("cpu")) is None


def test_a_missing_bitsandbytes_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match="adamw_8bit needs bitsandbytes") as told:
        make_optimizer("adamw_8bit", [weight()], rate=0.1, weight_decay=0.0)
    assert "lorascope[bitsandbytes]" in told.value.message


def test_a_training_in_8_bits_resumes_bit_for_bit(
    ready_run: Callable[[str], RunFolder],
    train: Callable[..., dict[str, Any]],
    make_recorder: Callable[..., Any],
) -> None:
    pytest.importorskip("bitsandbytes")
    straight, broken = ready_run("straight"), ready_run("broken")
    # Rank 40 makes tensors of more than 4,096 weights: bitsandbytes keeps smaller ones in 32 bits.
    settings = ("train.optimizer=adamw_8bit", "lora.rank=40")
    train(straight, *settings)

    def stop(step: int) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(broken, *settings, observer=make_recorder(stop))
    train(broken, *settings, resume=True)
    assert [r.loss for r in read_steps(straight.steps)] == [r.loss for r in read_steps(broken.steps)]
    adapters = [(run.adapter / "adapter_model.safetensors").read_bytes() for run in (straight, broken)]
    assert adapters[0] == adapters[1]
