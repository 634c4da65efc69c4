"""The loss without its logits: hidden states and a frozen head -> nats per target token, and their gradient.

Under LoRA the head is not trained, so the gradient of a token's loss with respect to its hidden state is
known as soon as its probabilities are, and nothing of vocabulary size is kept for the backward pass.
Shapes: S target positions, D model width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

_CHUNK = {"cpu": 128, "cuda": 4096}
"""Rows of logits that exist at a time. On a CPU 128 rows of 50,257 floats stay in cache, and 512 take 1.3
times as long. On a GPU few and large products are fastest."""
_TINY = 1e-30


class _FrozenHead(torch.autograd.Function):
    """nll_s = -log softmax(h_s W^T + b)[target_s], and d nll_s / d h_s = (p_s - onehot_s) W beside it."""

    @staticmethod
    def forward(
        ctx: Any, hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor
    ) -> tuple[Tensor, Tensor]:
        keep = ctx.needs_input_grad[0]
        nll_S = torch.empty(len(hidden_SD), dtype=torch.float32, device=hidden_SD.device)
        correct_S = torch.empty(len(hidden_SD), dtype=torch.bool, device=hidden_SD.device)
        slope_SD = torch.empty_like(hidden_SD) if keep else None
        chunk = _CHUNK.get(hidden_SD.device.type, 1024)
        for start in range(0, len(hidden_SD), chunk):
            rows = slice(start, start + chunk)
            logit_CV = torch.nn.functional.linear(hidden_SD[rows], weight_VD, bias_V)
            target_C1 = target_S[rows].unsqueeze(1)
            prob_CV = torch.softmax(logit_CV, dim=-1, dtype=torch.float32)
            prob_C = prob_CV.gather(1, target_C1).squeeze(1)
            nll_S[rows] = _nll(prob_C, logit_CV, target_C1)
            correct_S[rows] = prob_C == prob_CV.amax(dim=-1)
            if slope_SD is not None:
                prob_CV.scatter_add_(1, target_C1, torch.full_like(target_C1, -1, dtype=torch.float32))
                torch.mm(prob_CV.to(weight_VD.dtype), weight_VD, out=slope_SD[rows])
        if slope_SD is not None:
            ctx.save_for_backward(slope_SD)
        ctx.mark_non_differentiable(correct_S)
        return nll_S, correct_S

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (slope_SD,) = ctx.saved_tensors
        return (slope_SD * grads[0].unsqueeze(1)).to(slope_SD.dtype), None, None, None


def _nll(prob_C: Tensor, logit_CV: Tensor, target_C1: Tensor) -> Tensor:
    """-log p; where p is too small for float32 to tell, taken from the logits."""
    nll_C = -prob_C.log()
    lost = prob_C < _TINY
    if bool(lost.any()):
        logit_LV = logit_CV[lost].float()
        nll_C[lost] = logit_LV.logsumexp(-1) - logit_LV.gather(1, target_C1[lost]).squeeze(1)
    return nll_C


def frozen_head_nll(
    hidden_SD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_S: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss of each target token, from the hidden states that predict them.

        nll_s = logsumexp_v(h_s . W_v + b_v) - (h_s . W_t + b_t),    t = target_s

    Logits exist for a few rows at a time, so memory does not grow with positions x vocabulary. Softmax and
    loss are float32 whatever the weights are.

    Args:
        hidden_SD: After the last norm, one row for each target.
        weight_VD: The head's weight, not trained.
        bias_V: Its bias, or None.
        target_S: Token ids, int64.

    Returns:
        nll_S: float32, nats, differentiable in `hidden_SD` alone.
        correct_S: Whether the target was the most likely token; of equally likely ones each counts.
    """
    found: tuple[Tensor, Tensor] = _FrozenHead.apply(hidden_SD, weight_VD, bias_V, target_S)  # type: ignore[no-untyped-call]
    return found
