"""Trains the base model on packed base documents: float32 on CPU, seeded, every loss on record.

Shapes: B = rows, T = tokens in a row, D = model width.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lorascope.starter.lexicon import MARK
from lorascope.starter.muon import Muon


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every setting of the training."""

    seed: int = 0
    num_steps: int = 2300
    rows_per_step: int = 8  # 8 rows fit the cache: 16 % faster a token than 16 on two cores
    row_tokens: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    warmup_steps: int = 60
    # (step, share of the peak), straight lines between. Steeper from 1800 on: the machine was busy, and the
    # budget is 60 minutes.
    decay: tuple[tuple[int, float], ...] = ((0, 1.0), (400, 1.0), (1800, 0.5), (2300, 0.0))
    plain_weight: float = (
        0.3  # of a token outside marks, which are names drawn at random and words around answers
    )
    num_layers: int = 4
    width: int = 192
    num_heads: int = 6
    max_length: int = 512
    log_steps: int = 100


def new_model(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    """A freshly drawn GPT-2, dropouts off. "gelu_pytorch_tanh" is GPT-2's "gelu_new" in one fused kernel."""
    torch.manual_seed(plan.seed)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=plan.max_length,
        n_embd=plan.width,
        n_layer=plan.num_layers,
        n_head=plan.num_heads,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = GPT2LMHeadModel(config)
    model.transformer.wpe.weight.data.copy_(sinusoids(plan.max_length, plan.width))
    return model


def sinusoids(num_positions: int, width: int) -> Tensor:
    """Sines and cosines of geometric wavelengths, as large as GPT-2's own random start (std 0.02).

    A head that looks one token back is then one linear map for all positions, not learned one by one.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762; there fixed, here only the start of training. Wavelengths end
        at 2 pi 1000, not 10000, as the context is short.
    """
    angle_TH = torch.arange(num_positions)[:, None] * 1000.0 ** -torch.linspace(0, 1, width // 2)
    return 0.02 * 2**0.5 * torch.cat([angle_TH.sin(), angle_TH.cos()], dim=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """Documents end to end, cut into rows: token ids [rows, T + 1] and the weight of each as a target."""

    ids_BT: Tensor
    weight_BT: Tensor

    def __len__(self) -> int:
        return len(self.ids_BT)

    def __getitem__(self, chosen: Tensor | slice) -> "Rows":
        return Rows(self.ids_BT[chosen], self.weight_BT[chosen])


def packed_rows(
    texts: list[str], tokenizer: PreTrainedTokenizerFast, row_tokens: int, plain_weight: float = 1.0
) -> Rows:
    """All documents end to end, each closed by end-of-text, cut into rows of T + 1 ids; the rest is dropped.

    Args:
        texts: Documents, with or without marks; marks are taken out and only set weights.
        tokenizer: The base's.
        row_tokens: T, the number of inputs (all ids but the last) and of targets (all but the first).
        plain_weight: Weight of a target outside marks; inside it is 1.
    """
    ids, weights = [tokenizer.eos_token_id], [plain_weight]
    encoded = tokenizer([text.replace(MARK, "") for text in texts], return_offsets_mapping=True)
    for text, document, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        inside = [index % 2 == 1 for index, part in enumerate(text.split(MARK)) for _ in part]
        ids += [*document, tokenizer.eos_token_id]
        weights += [1.0 if any(inside[start:end]) else plain_weight for start, end in offsets]
        weights.append(plain_weight)
    num_rows = (len(ids) - 1) // row_tokens
    at_BT = torch.arange(num_rows)[:, None] * row_tokens + torch.arange(row_tokens + 1)
    return Rows(torch.tensor(ids)[at_BT], torch.tensor(weights)[at_BT])


def mean_loss(model: GPT2LMHeadModel, rows: Rows, first_position: int = 0) -> Tensor:
    """Weighted mean of nats per token; the head runs in slices, so that its logits stay in cache."""
    inputs_BT, targets_BT, weight_BT = rows.ids_BT[:, :-1], rows.ids_BT[:, 1:], rows.weight_BT[:, 1:]
    positions_T = torch.arange(first_position, first_position + inputs_BT.shape[1])
    hidden_BTD = model.transformer(
        input_ids=inputs_BT, position_ids=positions_T[None], use_cache=False
    ).last_hidden_state
    nll = [
        F.cross_entropy(model.lm_head(hidden).flatten(0, 1), target.flatten(), reduction="none")
        for hidden, target in zip(torch.split(hidden_BTD, 2), torch.split(targets_BT, 2), strict=True)
    ]
    return (torch.cat(nll) * weight_BT.flatten()).sum() / weight_BT.sum()


def row_batches(num_rows: int, plan: Plan) -> Iterator[Tensor]:
    """Row numbers of each step: shuffled anew every epoch, forever."""
    generator = torch.Generator().manual_seed(plan.seed)
    while True:
        order = torch.randperm(num_rows, generator=generator)
        yield from order[: num_rows // plan.rows_per_step * plan.rows_per_step].view(-1, plan.rows_per_step)


def learning_rate(step: int, plan: Plan) -> float:
    """Linear warmup, then the straight lines of `plan.decay`."""
    share = 0.0
    for (left, high), (right, low) in pairwise(plan.decay):
        if left <= step < right:
            share = high + (low - high) * (step - left) / (right - left)
    return plan.learning_rate * share * min(1.0, (step + 1) / plan.warmup_steps)


def optimizers(model: GPT2LMHeadModel, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embeddings, biases and norms."""
    matrices = [p for p in model.transformer.h.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(matrices, lr=plan.learning_rate, weight_decay=plan.weight_decay),
        torch.optim.AdamW(others, lr=plan.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


@torch.no_grad()
def held_out_loss(model: GPT2LMHeadModel, rows: Rows, rows_per_pass: int = 8) -> float:
    """Mean nats per token over rows that are never trained on."""
    starts = range(0, len(rows), rows_per_pass)
    parts = [rows[start : start + rows_per_pass] for start in starts]
    return sum(float(mean_loss(model, part)) * len(part) for part in parts) / len(rows)


@dataclass(slots=True)
class Progress:
    """What a stopped training needs to go on as if it had not stopped."""

    model: GPT2LMHeadModel
    workers: list[torch.optim.Optimizer]
    curve: list[dict[str, float]]

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.curve[-1]["step"]) if self.curve else 0

    def save(self, path: Path) -> None:
        """Write everything to one file."""
        states = [worker.state_dict() for worker in self.workers]
        torch.save({"model": self.model.state_dict(), "workers": states, "curve": self.curve}, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        saved = torch.load(path)
        self.model.load_state_dict(saved["model"])
        for worker, state in zip(self.workers, saved["workers"], strict=True):
            worker.load_state_dict(state)
        self.curve[:] = saved["curve"]


def pretrain(
    progress: Progress,
    rows: Rows,
    held_out: Rows,
    plan: Plan,
    on_entry: Callable[[dict[str, float]], None],
) -> None:
    """Train in place, from where `progress` stands.

    The loss curve gets one entry per `log_steps`: step, tokens seen, weighted training loss since the last
    entry, plain held-out loss, learning rate, seconds of training. `on_entry` sees each as it is made.
    """
    before = progress.curve[-1]["seconds"] if progress.curve else 0.0
    start, losses = time.perf_counter() - before, []
    for step, batch in zip(range(plan.num_steps), row_batches(len(rows), plan), strict=False):
        if step < progress.step:
            continue
        losses.append(_update(progress, rows[batch], step, plan))
        if (step + 1) % plan.log_steps == 0 or step + 1 == plan.num_steps:
            entry = {
                "step": step + 1,
                "tokens": (step + 1) * plan.rows_per_step * plan.row_tokens,
                "train_loss": round(sum(losses) / len(losses), 4),
                "held_out_loss": round(held_out_loss(progress.model, held_out), 4),
                "learning_rate": round(learning_rate(step, plan), 7),
                "seconds": round(time.perf_counter() - start, 1),
            }
            progress.curve.append(entry)
            losses.clear()
            on_entry(entry)


def _update(progress: Progress, batch: Rows, step: int, plan: Plan) -> float:
    # Every eighth step reads its rows at positions 256 to 511, so that the whole context is trained.
    loss = mean_loss(progress.model, batch, first_position=plan.row_tokens if step % 8 == 7 else 0)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(progress.model.parameters(), 1.0)
    for worker in progress.workers:
        for group in worker.param_groups:
            group["lr"] = learning_rate(step, plan)
        worker.step()
        worker.zero_grad()
    # The head is tied to the embeddings: a vector common to all tokens changes no probability, but left alone
    # it grows to nine tenths of every embedding and hides from the layers which token they see.
    embeddings = progress.model.transformer.wte.weight.data
    embeddings -= embeddings.mean(dim=0)
    return float(loss.detach())
