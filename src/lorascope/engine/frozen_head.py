"""The loss without its logits: hidden states and a frozen head -> nats per target token, and their gradient.

Under LoRA the head is not trained, so the gradient of a token's loss with respect to its hidden state is
known as soon as its probabilities are, and nothing of vocabulary size is kept for the backward pass.
Shapes: S target positions, D model width, V vocabulary, B tokens of a block of it.
"""

from typing import Any

import torch
from torch import Tensor

_BLOCK = {"cpu": 1024, "cuda": 8192}
_ROWS = {"cpu": 2048, "cuda": 16384}
"""Logits that exist at a time: so many rows by so many tokens of the vocabulary. On two cores without AVX512
blocks of 1,024 tokens took 2.3 s for 1,920 targets of GPT-2's head, forward and backward, and 128 rows by the
whole vocabulary 4.2 s: products with 50,257 columns run at half the speed."""


class _FrozenHead(torch.autograd.Function):
    """nll_s = -log softmax(h_s W^T + b)[target_s], and d nll_s / d h_s = (p_s - onehot_s) W beside it."""

    @staticmethod
    def forward(
        ctx: Any, hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor
    ) -> tuple[Tensor, Tensor]:
        keep, rows = ctx.needs_input_grad[0], _ROWS.get(hidden_SD.device.type, 2048)
        parts = [
            _rows(hidden_SD[start : start + rows], weight_VD, bias_V, target_S[start : start + rows], keep)
            for start in range(0, max(1, len(hidden_SD)), rows)
        ]
        nll_S, correct_S, slope_SD = (torch.cat(one) for one in zip(*parts, strict=True))
        if keep:
            ctx.save_for_backward(slope_SD.to(hidden_SD.dtype))
        ctx.mark_non_differentiable(correct_S)
        return nll_S, correct_S

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (slope_SD,) = ctx.saved_tensors
        return (slope_SD * grads[0].unsqueeze(1)).to(slope_SD.dtype), None, None, None


def _rows(
    hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Go through the vocabulary block by block: a running maximum m and a running sum of exp(logit - m).

    Where the maximum grows, what was summed before shrinks by exp(old - new): the sum over the blocks is that
    of one softmax, and never overflows.

    Returns:
        nll_S, correct_S and, where `keep`, the slope d nll / d hidden [S, D] float32; else it is empty.
    """
    block = _BLOCK.get(hidden_SD.device.type, 1024)
    most_S1 = hidden_SD.new_full((len(hidden_SD), 1), -torch.inf, dtype=torch.float32)
    sum_S1, told_S1 = torch.zeros_like(most_S1), torch.zeros_like(most_S1)
    slope_SD = hidden_SD.new_zeros(hidden_SD.shape if keep else (len(hidden_SD), 0), dtype=torch.float32)
    for start in range(0, len(weight_VD) if len(hidden_SD) else 0, block):
        weight_BD = weight_VD[start : start + block]
        bias_B = None if bias_V is None else bias_V[start : start + block]
        logit_SB = torch.nn.functional.linear(hidden_SD, weight_BD, bias_B).float()
        here = ((target_S >= start) & (target_S < start + len(weight_BD))).nonzero().squeeze(1)
        told_S1[here, 0] = logit_SB[here, target_S[here] - start]
        larger_S1 = torch.maximum(most_S1, logit_SB.amax(dim=1, keepdim=True))
        shrink_S1 = (most_S1 - larger_S1).exp_()
        logit_SB.sub_(larger_S1).exp_()
        sum_S1.mul_(shrink_S1).add_(logit_SB.sum(dim=1, keepdim=True))
        if keep:
            _add_product(slope_SD.mul_(shrink_S1), logit_SB, weight_BD)
        most_S1 = larger_S1
    nll_S = (sum_S1.log() + most_S1 - told_S1).squeeze(1)
    if keep:
        slope_SD.div_(sum_S1).sub_(weight_VD[target_S])
    return nll_S, (told_S1 == most_S1).squeeze(1), slope_SD


def _add_product(sum_SD: Tensor, exp_SB: Tensor, weight_BD: Tensor) -> None:
    """Add exp @ W to a float32 sum; in half precision the product of a block is rounded, never the sum."""
    if weight_BD.dtype == torch.float32:
        sum_SD.addmm_(exp_SB, weight_BD)
    else:
        sum_SD.add_(exp_SB.to(weight_BD.dtype) @ weight_BD)


def frozen_head_nll(
    hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of each target token, from the hidden states that predict them.

        nll_s = logsumexp_v(h_s . W_v + b_v) - (h_s . W_t + b_t),    t = target_s

    Logits exist for a block of the vocabulary at a time, so memory does not grow with it. Softmax and loss
    are float32 whatever the weights are.

    Args:
        hidden_SD: After the last norm, one row for each target.
        weight_VD: The head's weight, not trained.
        bias_V: Its bias, or None.
        target_S: Token ids, int64.

    Returns:
        nll_S: float32, nats, differentiable in `hidden_SD` alone.
        correct_S: Whether the target was the most likely token; of equally likely ones each counts.

    Source:
        Milakov, Gimelshein 2018, "Online normalizer calculation for softmax"; the gradient beside it as in
        Dao et al. 2022, "FlashAttention", with the head in the place of the values.
    """
    found: tuple[Tensor, Tensor] = _FrozenHead.apply(  # type: ignore[no-untyped-call]
        hidden_SD, weight_VD, bias_V, target_S
    )
    return found
