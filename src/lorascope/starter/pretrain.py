"""Trains the base model on packed base documents: float32 on CPU, seeded, every loss on record.

Shapes: B = rows, T = tokens in a row, D = model width.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lorascope.starter.muon import Muon


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every setting of the training."""

    seed: int = 0
    num_steps: int = 2400
    rows_per_step: int = 16
    rows_per_pass: int = 8  # 8 rows fit the cache: 16 % faster than 16 on two cores
    row_tokens: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.03
    num_layers: int = 4
    width: int = 192
    num_heads: int = 6
    max_length: int = 512
    log_steps: int = 50


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
    return GPT2LMHeadModel(config)


def packed_rows(texts: list[str], tokenizer: PreTrainedTokenizerFast, row_tokens: int) -> Tensor:
    """All documents end to end, each closed by end-of-text, cut into rows of T + 1 ids; the remainder is dropped.

    Returns:
        Token ids, [rows, T + 1]: inputs are all but the last column, targets all but the first.
    """
    stream = [tokenizer.eos_token_id]
    for ids in tokenizer(texts)["input_ids"]:
        stream += [*ids, tokenizer.eos_token_id]
    num_rows = (len(stream) - 1) // row_tokens
    starts = torch.arange(num_rows)[:, None] * row_tokens
    return torch.tensor(stream)[starts + torch.arange(row_tokens + 1)]


def mean_loss(model: GPT2LMHeadModel, rows_BT: Tensor) -> Tensor:
    """Mean nats per token of the rows; the head runs in slices, so that its logits stay in cache."""
    hidden_BTD = model.transformer(input_ids=rows_BT[:, :-1], use_cache=False).last_hidden_state
    slices = zip(hidden_BTD.split(2), rows_BT[:, 1:].split(2), strict=True)
    losses = [F.cross_entropy(model.lm_head(h).flatten(0, 1), t.flatten(), reduction="sum") for h, t in slices]
    return torch.stack(losses).sum() / rows_BT[:, 1:].numel()


def row_batches(num_rows: int, plan: Plan) -> Iterator[Tensor]:
    """Row numbers of each step: shuffled anew every epoch, forever."""
    generator = torch.Generator().manual_seed(plan.seed)
    while True:
        order = torch.randperm(num_rows, generator=generator)
        yield from order[: num_rows // plan.rows_per_step * plan.rows_per_step].split(plan.rows_per_step)


def learning_rate(step: int, plan: Plan) -> float:
    """Linear warmup, then cosine down to zero."""
    num_warmup = max(1, round(plan.warmup * plan.num_steps))
    if step < num_warmup:
        return plan.learning_rate * (step + 1) / num_warmup
    share = (step - num_warmup) / max(1, plan.num_steps - num_warmup)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * share))


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
def held_out_loss(model: GPT2LMHeadModel, rows_BT: Tensor, rows_per_pass: int = 8) -> float:
    """Mean nats per token over rows that are never trained on."""
    total = sum(float(mean_loss(model, part)) * len(part) for part in rows_BT.split(rows_per_pass))
    return total / len(rows_BT)


def pretrain(
    model: GPT2LMHeadModel,
    rows_BT: Tensor,
    held_out_BT: Tensor,
    plan: Plan,
    say: Callable[[str], None],
) -> list[dict[str, float]]:
    """Train in place.

    Returns:
        The loss curve: one entry per `log_steps` with step, tokens seen, mean training loss since the last entry,
        held-out loss, learning rate and seconds since the start.
    """
    workers = optimizers(model, plan)
    curve: list[dict[str, float]] = []
    start, running, since = time.perf_counter(), 0.0, 0
    batches = row_batches(len(rows_BT), plan)
    for step in range(plan.num_steps):
        lr = learning_rate(step, plan)
        running += _step(model, rows_BT[next(batches)], workers, lr, plan)
        since += 1
        if (step + 1) % plan.log_steps == 0 or step + 1 == plan.num_steps:
            entry = {
                "step": step + 1,
                "tokens": (step + 1) * plan.rows_per_step * plan.row_tokens,
                "train_loss": round(running / since, 4),
                "held_out_loss": round(held_out_loss(model, held_out_BT), 4),
                "learning_rate": round(lr, 7),
                "seconds": round(time.perf_counter() - start, 1),
            }
            curve.append(entry)
            say(" ".join(f"{key}={value}" for key, value in entry.items()))
            running, since = 0.0, 0
    return curve


def _step(
    model: GPT2LMHeadModel, batch_BT: Tensor, workers: list[torch.optim.Optimizer], lr: float, plan: Plan
) -> float:
    total = 0.0
    for part in batch_BT.split(plan.rows_per_pass):
        loss = mean_loss(model, part) * len(part) / len(batch_BT)
        loss.backward()
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for worker in workers:
        for group in worker.param_groups:
            group["lr"] = lr
        worker.step()
        worker.zero_grad()
    return total
