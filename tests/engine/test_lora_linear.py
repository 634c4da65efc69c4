"""The fused LoRA layer equals its formula, and its gradients those of torch's own differentiation."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lorascope.engine import lora_linear as module
from lorascope.engine.lora_linear import lora_linear

SCALE = 1.7


def made(dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"x": (2, 5, 6), "weight": (4, 6), "bias": (4,), "a": (3, 6), "b": (4, 3)}
    exact = {"generator": generator, "dtype": torch.float64}
    drawn = {name: torch.randn(shape, **exact) for name, shape in shapes.items()}  # type: ignore[call-overload]
    return {name: one.to(dtype) for name, one in drawn.items()}


def plain(values: dict[str, Tensor], *, with_bias: bool, keep: Tensor | None = None) -> Tensor:
    """The formula, in the fewest words; `keep` is what dropout leaves, already scaled up."""
    seen = values["x"] if keep is None else values["x"] * keep
    out = values["x"] @ values["weight"].T + SCALE * (seen @ values["a"].T) @ values["b"].T
    return out + values["bias"] if with_bias else out


def differentiated(out: Tensor, values: dict[str, Tensor]) -> list[Tensor]:
    weight = torch.arange(out.numel(), dtype=out.dtype).view(out.shape).sin()
    return list(torch.autograd.grad((out * weight).sum(), [values[name] for name in ("x", "a", "b")]))


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("is_view", [False, True])  # GPT-2 keeps weights as [in, out]
def test_layer_and_gradients_are_those_of_the_formula(with_bias: bool, is_view: bool) -> None:
    values = made(torch.float64)
    for name in ("x", "a", "b"):
        values[name].requires_grad_()
    weight = values["weight"].T.contiguous().T if is_view else values["weight"]
    out = lora_linear(
        values["x"], weight, values["bias"] if with_bias else None, values["a"], values["b"], scale=SCALE
    )
    expected = plain(values, with_bias=with_bias)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    for own, truth in zip(differentiated(out, values), differentiated(expected, values), strict=True):
        torch.testing.assert_close(own, truth, rtol=1e-11, atol=1e-11)


def test_dropout_hides_from_the_adapter_alone_and_the_backward_pass_knows_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = made(torch.float64)
    for name in ("x", "a", "b"):
        values[name].requires_grad_()
    drawn: list[Tensor] = []
    random = torch.rand_like

    def remembered(x: Tensor, **more: Any) -> Tensor:
        drawn.append(random(x, **more))
        return drawn[-1]

    monkeypatch.setattr(module.torch, "rand_like", remembered)
    out = lora_linear(values["x"], values["weight"], None, values["a"], values["b"], scale=SCALE, dropout=0.5)
    keep = ((drawn[0] >= 0.5).double() / 0.5).view(values["x"].shape)
    assert 0 < keep.count_nonzero() < keep.numel()
    expected = plain(values, with_bias=False, keep=keep)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    for own, truth in zip(differentiated(out, values), differentiated(expected, values), strict=True):
        torch.testing.assert_close(own, truth, rtol=1e-11, atol=1e-11)


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    values = made()
    values["a"].requires_grad_()
    values["b"].requires_grad_()
    lora_linear(values["x"], values["weight"], None, values["a"], values["b"], scale=SCALE).sum().backward()
    assert values["x"].grad is None
    assert values["a"].grad is not None and values["b"].grad is not None


def test_half_precision_layers_have_float32_adapters_and_gradients() -> None:
    values = made()
    half = {name: values[name].bfloat16() for name in ("x", "weight")}
    half["x"].requires_grad_()
    a, b = (values[name].clone().requires_grad_() for name in ("a", "b"))
    out = lora_linear(half["x"], half["weight"], None, a, b, scale=SCALE)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    assert a.grad is not None and b.grad is not None and half["x"].grad is not None
    assert (a.grad.dtype, b.grad.dtype, half["x"].grad.dtype) == (
        torch.float32,
        torch.float32,
        torch.bfloat16,
    )
    exact = {name: one.double().requires_grad_() for name, one in values.items()}
    plain(exact, with_bias=False).sum().backward()
    for own, truth in ((a.grad, exact["a"].grad), (b.grad, exact["b"].grad)):
        assert truth is not None
        cosine = torch.nn.functional.cosine_similarity(own.double().flatten(), truth.flatten(), dim=0)
        assert float(cosine) > 0.999
