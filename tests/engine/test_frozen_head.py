"""The loss without its logits equals cross-entropy over all of them, gradient included, in any chunks."""

import pytest
import torch
from torch import Tensor

from lorascope.engine import frozen_head
from lorascope.engine.frozen_head import frozen_head_nll


def made(num: int = 37, width: int = 16, vocabulary: int = 101) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(num, width, generator=generator)
    weight = torch.randn(vocabulary, width, generator=generator)
    bias = torch.randn(vocabulary, generator=generator)
    return hidden, weight, bias, torch.randint(vocabulary, (num,), generator=generator)


def truth(hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a weighted sum in float64, from torch's own cross-entropy."""
    own = hidden.double().requires_grad_()
    logits = own @ weight.double().T + (0 if bias is None else bias.double())
    nll = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    (nll * torch.arange(1, len(nll) + 1)).sum().backward()
    assert own.grad is not None
    return nll.detach(), own.grad


@pytest.mark.parametrize(("rows", "block"), [(1, 8), (8, 7), (2048, 101), (2048, 1024)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_loss_and_gradient_are_those_of_cross_entropy(
    rows: int, block: int, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(frozen_head._ROWS, "cpu", rows)
    monkeypatch.setitem(frozen_head._BLOCK, "cpu", block)
    hidden, weight, bias, target = made()
    own = hidden.clone().requires_grad_()
    nll, correct = frozen_head_nll(own, weight, bias if with_bias else None, target)
    (nll * torch.arange(1, len(nll) + 1)).sum().backward()
    expected, slope = truth(hidden, weight, bias if with_bias else None, target)
    torch.testing.assert_close(nll.double(), expected, rtol=1e-5, atol=1e-6)
    assert own.grad is not None
    torch.testing.assert_close(own.grad.double(), slope, rtol=1e-4, atol=1e-4)
    logits = hidden @ weight.T + (bias if with_bias else 0)
    assert correct.tolist() == (logits.argmax(dim=-1) == target).tolist()


def test_a_hopeless_target_has_its_exact_loss_and_no_infinity() -> None:
    # Logits 0 and 200: the loss of the first is log(1 + e^200) = 200, and e^-200 is no float32.
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [200.0]])
    nll, _ = frozen_head_nll(hidden, weight, None, torch.tensor([0]))
    assert nll.tolist() == [200.0]


def test_half_precision_weights_give_a_float32_loss() -> None:
    hidden, weight, _, target = made()
    half = hidden.bfloat16().requires_grad_()
    nll, _ = frozen_head_nll(half, weight.bfloat16(), None, target)
    assert nll.dtype == torch.float32
    nll.sum().backward()
    assert half.grad is not None and half.grad.dtype == torch.bfloat16
    expected, _ = truth(hidden, weight, None, target)
    # Logits of size 4 rounded to 8 bits are off by up to 0.016; the mean of 37 by less.
    assert abs(float(nll.detach().mean() - expected.mean())) < 0.01


def test_without_targets_the_loss_is_a_differentiable_zero() -> None:
    hidden = torch.randn(0, 16, requires_grad=True)
    nll, correct = frozen_head_nll(hidden, torch.randn(9, 16), None, torch.zeros(0, dtype=torch.int64))
    nll.sum().backward()
    assert (len(nll), len(correct), float(nll.detach().sum())) == (0, 0, 0.0)
    assert hidden.grad is not None and hidden.grad.shape == (0, 16)


def test_nothing_is_kept_where_no_gradient_is_asked_for() -> None:
    hidden, weight, _, target = made()
    nll, _ = frozen_head_nll(hidden, weight, None, target)
    assert not nll.requires_grad


def test_logits_exist_for_a_block_of_the_vocabulary_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    plain = torch.nn.functional.linear

    def watched(*args: Tensor) -> Tensor:
        out = plain(*args)
        shapes.append(tuple(out.shape))
        return out

    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    hidden, weight, _, target = made(num=300, vocabulary=2500)
    frozen_head_nll(hidden, weight, None, target)
    assert shapes == [(300, 1024), (300, 1024), (300, 452)]


def test_a_maximum_that_grows_from_block_to_block_overflows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # Logits 0, 100, ..., 900: of the last the loss is log(1 + e^-100 + ...) = 0, of the first 900.
    monkeypatch.setitem(frozen_head._BLOCK, "cpu", 1)
    hidden = torch.ones(2, 1, requires_grad=True)
    weight = torch.arange(10.0).unsqueeze(1) * 100
    nll, correct = frozen_head_nll(hidden, weight, None, torch.tensor([9, 0]))
    assert nll.tolist() == [0.0, 900.0]
    assert correct.tolist() == [True, False]
    nll.sum().backward()
    # p is all on the last token: (900 - 900) and (900 - 0).
    assert hidden.grad is not None and hidden.grad.tolist() == [[0.0], [900.0]]
