"""One cell of the equality matrix: a step's loss and adapter gradients, computed in one of many ways.

Also a program: `torchrun ... equality.py FILE` computes every cell with several processes and writes FILE.
LoRA dropout is drawn for each token of each example, whatever row it stands in, so that all ways drop alike.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "lm"))

from small_models import PACKED, examples, model_of

from lorascope.engine import lora_linear
from lorascope.lm import passes
from lorascope.lm.adapter import trainable_parameters
from lorascope.lm.packed import FORMS, PackedModel
from lorascope.run.dataset import IGNORE
from lorascope.train.ranks import Ranks, join_ranks
from lorascope.train.step import optimizer_step
from lorascope.train.trainee import Trainee

DROPPED = 0.3
LAYOUTS: dict[str, dict[str, Any]] = {
    "padded": {"route": "padded"},
    "packed": {"share": False},
    "packed, shared": {"share": True},
}
CELLS = [
    (name, layout, form, dropout)
    for name, layout, form, dropout in product(PACKED, LAYOUTS, ("dense", "bucketed"), (0.0, DROPPED))
    if layout != "padded" or form == "dense"  # attention over padded rows is transformers' own
]
ROW_TOKENS = 90  # two or three of the examples, so that a step takes several passes


class Tokens:
    """Which token of which example stands where in the pass that is running."""

    def __init__(self) -> None:
        self.places: list[tuple[int, int]] = []

    def drawn(self, width: int) -> torch.Tensor:
        """Uniform numbers, [tokens, width], that depend on example, position and width alone."""
        return torch.stack([_uniform(example, at, width) for example, at in self.places])


@cache
def _uniform(example: int, at: int, width: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng([example, at, width]).random(width, dtype=np.float32))


class DroppedByToken(torch.nn.Module):
    """Dropout with the mask of `Tokens`; for PEFT's own layers."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = self.tokens.drawn(x.shape[-1]).view(x.shape) >= DROPPED
        return x * kept / (1 - DROPPED)


def with_own_dropout(model: Any, tokens: Tokens) -> Any:
    for module in model.modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = DroppedByToken(tokens)
    return model


@contextmanager
def known_tokens(tokens: Tokens, ranks: Ranks) -> Iterator[None]:
    """Follow the product's passes, packed and padded, and let its LoRA layer draw by token."""
    hidden, padded = PackedModel.hidden, passes.padded_losses

    def follow_packed(self: PackedModel, row: Any) -> torch.Tensor:
        if len(row.segments) == len(row.examples):  # no prefix is shared: then nothing may be dropped
            owners = [ranks.rank + place * ranks.world for place in row.examples]
            lengths = [segment.length for segment in row.segments]
            tokens.places = list(zip(np.repeat(owners, lengths), row.position_ids_T, strict=True))
        return hidden(self, row)

    def follow_padded(model: Any, rows: Any, **layout: Any) -> Any:
        longest = max(one.num_tokens for one in rows)
        tokens.places = [(int(one.example_id), at) for one in rows for at in range(longest)]
        return padded(model, rows, **layout)

    with ExitStack() as patched:
        patched.enter_context(mock.patch.object(PackedModel, "hidden", follow_packed))
        patched.enter_context(mock.patch.object(passes, "padded_losses", follow_padded))
        draw = mock.Mock(side_effect=lambda x, dtype: tokens.drawn(x.shape[-1]))
        patched.enter_context(mock.patch.object(lora_linear.torch, "rand_like", draw))
        yield


def computed(cell: tuple[str, str, str, float], ranks: Ranks) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients of one step by the product, in one layout."""
    name, layout, form, dropout = cell
    tokens = Tokens()
    model = model_of(*PACKED[name], dropout=dropout).train()
    if layout == "padded" and dropout:
        model = with_own_dropout(model, tokens)
    parameters = trainable_parameters(model)
    trainee = Trainee(
        model=model,
        parameters=parameters,
        optimizer=torch.optim.AdamW(parameters),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        pad_id=0,
        row_tokens=ROW_TOKENS,
        max_grad_norm=None,
        ranks=ranks,
        **LAYOUTS[layout],
    )
    with known_tokens(tokens, ranks), mock.patch.dict(FORMS, bucketed=FORMS[form]):
        result = optimizer_step(trainee, examples(), rate=0.0, seed=0)
    return result.loss, gradients_of(model)


def plainly(name: str, dropout: float) -> tuple[float, dict[str, np.ndarray]]:
    """The oracle: transformers' and PEFT's own forward pass and loss, one unpadded example at a time."""
    tokens = Tokens()
    model = model_of(*PACKED[name], dropout=dropout).train()
    if dropout:
        model = with_own_dropout(model, tokens)
    rows, total = examples(), torch.zeros(())
    for one in rows:
        tokens.places = [(int(one.example_id), at) for at in range(one.num_tokens)]
        ids, labels = (torch.from_numpy(x).unsqueeze(0) for x in (one.input_ids, one.labels))
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        total = total + torch.nn.functional.cross_entropy(
            logits, labels[0, 1:], ignore_index=IGNORE, reduction="sum"
        )
    loss = total / sum(int((one.labels[1:] != IGNORE).sum()) for one in rows)
    loss.backward()
    return float(loss.detach()), gradients_of(model)


def gradients_of(model: Any) -> dict[str, np.ndarray]:
    return {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}


def main() -> None:
    """Compute all cells with the processes that were started; the first one writes what came out."""
    torch.set_num_threads(1)
    ranks = join_ranks()
    found: dict[str, np.ndarray] = {}
    for cell in CELLS:
        loss, gradients = computed(cell, ranks)
        found[f"{cell}"] = np.array(loss)
        found |= {f"{cell}/{name}": gradient for name, gradient in gradients.items()}
    if ranks.writes:
        np.savez(sys.argv[1], **found)
    ranks.wait()


if __name__ == "__main__":
    main()
