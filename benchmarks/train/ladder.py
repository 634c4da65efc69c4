"""The ladder from the plain path to what ships: each rung switches one thing on.

The product has no switches for most of these, and needs none: the benchmark exchanges functions of the
product in its own process.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from ladder_names import RUNGS
from reference import plain_step
from work import Tokens

Step = Callable[[Any, Sequence[Tokens], int], float]


def climb(rung: str, trainee: Any, shipped: Step) -> Step:
    """Make this process run a rung.

    Args:
        rung: Key of `RUNGS`.
        trainee: Its route and sharing are set.
        shipped: One optimizer step of the product.

    Returns:
        One optimizer step of the rung.
    """
    if rung == "plain":
        return lambda trained, rows, number: plain_step(trained.model, trained.optimizer, rows)
    place = list(RUNGS).index(rung)
    trainee.route = "padded" if rung == "sorted" else "auto"
    trainee.share = rung == "shared"
    if rung != "sorted":
        _take_away(place)
    return shipped


def _take_away(place: int) -> None:
    """Exchange what this rung does not have yet."""
    import lorascope.lm.packed as packed
    import lorascope.lm.passes as passes

    names = list(RUNGS)
    if place < names.index("bucketed"):
        passes.build_packed = partial(packed.build_packed, form="dense")
    if place < names.index("targets"):
        packed.PackedModel.nll = _nll_of_all_logits
    elif place < names.index("blocks"):
        packed.frozen_head_nll = _nll_of_logits
    if place < names.index("fused"):
        passes.fuse_layers = lambda model: None


def _nll_of_logits(hidden_SD: Any, weight_VD: Any, bias_V: Any, target_S: Any) -> tuple[Any, Any]:
    """The head as it is written down: logits of all targets, then the loss."""
    import torch

    from lorascope.engine.token_loss import token_nll

    logit_SV = torch.nn.functional.linear(hidden_SD, weight_VD, bias_V)
    return token_nll(logit_SV, target_S), logit_SV.argmax(dim=-1) == target_S


def _nll_of_all_logits(self: Any, row: Any) -> tuple[Any, Any]:
    """Logits of every position of the row, as a model's own forward pass gives them."""
    import torch

    from lorascope.engine.token_loss import token_nll

    hidden_TD = self.hidden(replace(row, predict_S=np.arange(row.num_tokens)))
    logit_SV = self.head(hidden_TD)[torch.from_numpy(row.predict_S)]
    target_S = torch.from_numpy(row.target_S)
    return token_nll(logit_SV, target_S), logit_SV.argmax(dim=-1) == target_S
