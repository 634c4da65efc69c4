from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.compare.presence import adapter_presence, low_rank_norm


@pytest.mark.parametrize(("out", "rank", "width"), [(7, 2, 5), (3, 4, 9), (1, 1, 1), (64, 16, 48)])
def test_the_norm_of_a_product_is_that_of_the_product_written_out(out: int, rank: int, width: int) -> None:
    draw = np.random.default_rng(0)
    b_OR, a_RI = draw.normal(size=(out, rank)), draw.normal(size=(rank, width))
    assert low_rank_norm(b_OR, a_RI) == pytest.approx(np.linalg.norm(b_OR @ a_RI), rel=1e-12)


def test_the_norm_keeps_its_digits_where_b_and_a_nearly_cancel() -> None:
    # B A = [1, 1] [[1], [-1 + d]] = d with d = 2^-40. The Gram matrices hold d^2 = 2^-80 beside 1, so the
    # shorter formula loses it: it gives 0 or noise of 1e-8.
    tiny = 2.0**-40
    b_OR, a_RI = np.array([[1.0, 1.0]]), np.array([[1.0], [tiny - 1.0]])
    assert low_rank_norm(b_OR, a_RI) == pytest.approx(tiny, rel=1e-3, abs=0)  # eps / d = 2e-4
    gram = float(np.sum((b_OR.T @ b_OR) * (a_RI @ a_RI.T)))
    assert np.sqrt(abs(gram)) != pytest.approx(tiny, rel=0.1, abs=0)


def test_norms_are_those_of_the_explicit_product_beside_the_weight(base: Path, pair_of: Any) -> None:
    pair = pair_of(base)
    presence = adapter_presence(pair)
    modules = dict(pair.model.base_model.model.named_modules())
    squares: dict[str, float] = {}
    for one in presence["modules"]:
        module = modules[one["name"]]
        a, b = module.lora_A["default"].weight.double(), module.lora_B["default"].weight.double()
        norm = float((12 / 4 * b @ a).norm())  # alpha 12, rank 4
        assert one["norm"] == pytest.approx(norm, rel=1e-12)
        assert one["relative"] == pytest.approx(
            norm / float(module.base_layer.weight.double().norm()), rel=1e-12
        )
        squares[one["layer"]] = squares.get(one["layer"], 0.0) + norm**2
    assert [one["layer"] for one in presence["by_layer"]] == ["0", "1"]
    for one in presence["by_layer"]:
        assert one["norm"] == pytest.approx(np.sqrt(squares[one["layer"]]), rel=1e-12)
    assert presence["norm"] == pytest.approx(np.sqrt(sum(squares.values())), rel=1e-12)


def test_every_linear_layer_but_the_head_is_counted(base: Path, pair_of: Any) -> None:
    presence = adapter_presence(pair_of(base))
    # GPT-2: c_attn, c_proj, c_fc, c_proj in each of 2 layers. Llama: q, k, v, o, gate, up, down in each of 2.
    expected = 8 if "gpt2" in base.name else 14
    assert (presence["num_modules"], presence["num_linear_layers"]) == (expected, expected)


def test_zero_trainable_parameters_is_not_taken_for_a_missing_adapter(base: Path, pair_of: Any) -> None:
    pair = pair_of(base)
    presence = adapter_presence(pair)
    held = sum(p.numel() for n, p in pair.model.named_parameters() if "lora_" in n)
    assert presence["trainable_parameters"] == 0
    assert presence["adapter_parameters"] == held > 0
    assert "0 trainable parameters is right" in presence["trainable_why"]
    assert presence["norm"] > 0


def test_an_adapter_with_b_at_zero_has_norm_zero_in_every_layer(base: Path, pair_of: Any) -> None:
    presence = adapter_presence(pair_of(base, b_std=0))
    assert presence["norm"] == 0
    assert [one["relative"] for one in presence["by_layer"]] == [0, 0]
    assert presence["num_modules"] > 0


def test_a_weight_that_is_no_matrix_of_floats_leaves_its_share_unknown(
    alpaca_base: Path, pair_of: Any
) -> None:
    pair = pair_of(alpaca_base)
    module = next(m for m in pair.model.modules() if hasattr(m, "lora_A") and hasattr(m, "base_layer"))
    packed = torch.zeros(8, dtype=torch.uint8)  # as a quantised layer stores it
    module.base_layer.weight = torch.nn.Parameter(packed, requires_grad=False)
    presence = adapter_presence(pair)
    assert presence["modules"][0]["norm"] > 0
    assert presence["modules"][0]["relative"] is None
    assert presence["relative"] is None
