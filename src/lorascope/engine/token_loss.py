"""The plain loss: logits and targets -> nats per target token. Shapes: S target positions, V vocabulary."""

import torch
from torch import Tensor


def token_nll(logit_SV: Tensor, target_S: Tensor) -> Tensor:
    """Negative log-likelihood of each target token.

        nll_s = logsumexp_v(logit_sv) - logit_s,target(s)

    Taken in float32 whatever the logits are: half precision loses the small terms of a sum over a vocabulary.

    Args:
        logit_SV: Unnormalised scores, any float type.
        target_S: Token ids, int64.

    Returns:
        [S] float32, nats, >= 0; not reduced, so that every mean is the caller's own.
    """
    return torch.nn.functional.cross_entropy(logit_SV.float(), target_S, reduction="none")
