"""Trains the base model on packed base documents: float32 on CPU, seeded, every loss on record.

Shapes: B = rows, T = tokens in a row, D = model width.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from lorascope.starter.muon import Muon


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every setting of the training."""

    seed: int = 0
    num_steps: int = 3600
    rows_per_step: int = 8  # 8 rows fit the cache: 16 % faster a token than 16 on two cores
    row_tokens: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    warmup_steps: int = 60
    decay_steps: int = 1000
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

    A head that looks one token back is then one linear map for all positions, not learned position by position.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762; there fixed, here only where training starts. Wavelengths end at
        2 pi 1000, not 10000, as the context is short.
    """
    angle_TH = torch.arange(num_positions)[:, None] * 1000.0 ** -torch.linspace(0, 1, width // 2)
    return 0.02 * 2**0.5 * torch.cat([angle_TH.sin(), angle_TH.cos()], dim=1)


def packed_rows(texts: list[str], tokenizer: PreTrainedTokenizerFast, row_tokens: int) -> Tensor:
    """All documents end to end, each closed by end-of-text, cut into rows of T + 1 ids; the rest is dropped.

    Returns:
        Token ids, [rows, T + 1]: inputs are all but the last column, targets all but the first.
    """
    stream = [tokenizer.eos_token_id]
    for ids in tokenizer(texts)["input_ids"]:
        stream += [*ids, tokenizer.eos_token_id]
    num_rows = (len(stream) - 1) // row_tokens
    starts = torch.arange(num_rows)[:, None] * row_tokens
    return torch.tensor(stream)[starts + torch.arange(row_tokens + 1)]


def mean_loss(model: GPT2LMHeadModel, rows_BT: Tensor, first_position: int = 0) -> Tensor:
    """Mean nats per token of the rows; the head runs in slices, so that its logits stay in cache."""
    inputs_BT = rows_BT[:, :-1]
    positions_T = torch.arange(first_position, first_position + inputs_BT.shape[1])
    hidden_BTD = model.transformer(
        input_ids=inputs_BT, position_ids=positions_T[None], use_cache=False
    ).last_hidden_state
    slices = zip(torch.split(hidden_BTD, 2), torch.split(rows_BT[:, 1:], 2), strict=True)
    losses = [
        F.cross_entropy(model.lm_head(h).flatten(0, 1), t.flatten(), reduction="sum") for h, t in slices
    ]
    return torch.stack(losses).sum() / rows_BT[:, 1:].numel()


def row_batches(num_rows: int, plan: Plan) -> Iterator[Tensor]:
    """Row numbers of each step: shuffled anew every epoch, forever."""
    generator = torch.Generator().manual_seed(plan.seed)
    while True:
        order = torch.randperm(num_rows, generator=generator)
        yield from order[: num_rows // plan.rows_per_step * plan.rows_per_step].view(-1, plan.rows_per_step)


def learning_rate(step: int, plan: Plan) -> float:
    """Linear warmup, constant, linear decay to zero; trainings of all lengths begin with the same steps."""
    rising, falling = (step + 1) / plan.warmup_steps, (plan.num_steps - step) / plan.decay_steps
    return plan.learning_rate * min(1.0, rising, falling)


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
    total = 0.0
    for part in torch.split(rows_BT, rows_per_pass):
        total += float(mean_loss(model, part)) * len(part)
    return total / len(rows_BT)


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
    rows_BT: Tensor,
    held_out_BT: Tensor,
    plan: Plan,
    on_entry: Callable[[dict[str, float]], None],
) -> None:
    """Train in place, from where `progress` stands.

    The loss curve gets one entry per `log_steps`: step, tokens seen, mean training loss since the last entry,
    held-out loss, learning rate and seconds of training. `on_entry` sees each as it is made.
    """
    before = progress.curve[-1]["seconds"] if progress.curve else 0.0
    start, losses = time.perf_counter() - before, []
    for step, batch in zip(range(plan.num_steps), row_batches(len(rows_BT), plan), strict=False):
        if step < progress.step:
            continue
        losses.append(_update(progress, rows_BT[batch], step, plan))
        if (step + 1) % plan.log_steps == 0 or step + 1 == plan.num_steps:
            entry = {
                "step": step + 1,
                "tokens": (step + 1) * plan.rows_per_step * plan.row_tokens,
                "train_loss": round(sum(losses) / len(losses), 4),
                "held_out_loss": round(held_out_loss(progress.model, held_out_BT), 4),
                "learning_rate": round(learning_rate(step, plan), 7),
                "seconds": round(time.perf_counter() - start, 1),
            }
            progress.curve.append(entry)
            losses.clear()
            on_entry(entry)


def _update(progress: Progress, batch_BT: Tensor, step: int, plan: Plan) -> float:
    # Every eighth step reads its rows at positions 256 to 511, so that the whole context is trained.
    loss = mean_loss(progress.model, batch_BT, first_position=plan.row_tokens if step % 8 == 7 else 0)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(progress.model.parameters(), 1.0)
    for worker in progress.workers:
        for group in worker.param_groups:
            group["lr"] = learning_rate(step, plan)
        worker.step()
        worker.zero_grad()
    return float(loss.detach())
