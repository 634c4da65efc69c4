"""Attention over packed rows: every example sees its own tokens, and the prefix it shares, and nothing else.

Three forms of the same function: `dense_attention` with a mask over the whole row, the one to read;
`bucketed_attention`, which gathers each example with its prefix, pads those of similar length alike, and
asks for plain causal attention without any mask; `varlen_attention`, where CUDA takes the lengths itself.
Shapes: T tokens in a row, H heads, G key-value heads, K width of a head, N sequences of a bucket, L tokens of
its longest, U tokens gathered in all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lorascope.engine.packing import Segment

_MOST_BUCKETS = 6
_TOKEN_COST = 96
"""A padded token costs as much as this many attention pairs of its own: gathering it, and returning it."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sequences of similar length.

    Attributes:
        rows_NL: Place in the packed row of each of their tokens; padding points at the first token.
        lengths_N: Tokens of each.
    """

    rows_NL: Tensor
    lengths_N: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SharedRows:
    """A prefix that stands once in the row and in several sequences.

    Attributes:
        start: Its first token in the row.
        length: Its tokens.
        copies_MP: Where its tokens stand among the gathered ones, one line for each sequence but the first.
    """

    start: int
    length: int
    copies_MP: Tensor


@dataclass(frozen=True, kw_only=True)
class AttentionPlan:
    """How the tokens of one packed row see each other; made once, used by every layer.

    Attributes:
        segments: Of the row.
        num_tokens: Tokens of the row.
        device: Where attention runs.
        padded: Whether sequences are put into buckets, or laid end to end.
        calls: Attention calls so far; a model that calls less often than it has layers ignored the plan.
    """

    segments: tuple[Segment, ...]
    num_tokens: int
    device: torch.device
    padded: bool = True
    calls: list[int] = field(default_factory=lambda: [0])

    @cached_property
    def sequences(self) -> list[np.ndarray]:
        """Places in the row of each example's tokens, prefix first."""
        parents = {segment.parent for segment in self.segments}
        found = []
        for place, segment in enumerate(self.segments):
            if place in parents:
                continue
            own = np.arange(segment.start, segment.start + segment.length)
            if segment.parent >= 0:
                prefix = self.segments[segment.parent]
                own = np.concatenate([np.arange(prefix.start, prefix.start + prefix.length), own])
            found.append(own)
        return found

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(len(sequence) for sequence in self.sequences)

    @cached_property
    def buckets(self) -> list[Bucket]:
        """The sequences in few groups, each padded to its longest; without padding each for itself."""
        sequences = sorted(self.sequences, key=len)
        groups = [slice(place, place + 1) for place in range(len(sequences))]
        found = []
        for group in _cut([len(sequence) for sequence in sequences]) if self.padded else groups:
            members = sequences[group]
            rows_NL = np.zeros((len(members), len(members[-1])), dtype=np.int64)
            for line, member in enumerate(members):
                rows_NL[line, : len(member)] = member
            lengths = tuple(len(member) for member in members)
            found.append(Bucket(torch.from_numpy(rows_NL).to(self.device), lengths))
        return found

    @cached_property
    def gather(self) -> Tensor:
        """All buckets' `rows_NL`, flat, [sum of N * L]."""
        return torch.cat([bucket.rows_NL.flatten() for bucket in self.buckets])

    @cached_property
    def restore_T(self) -> Tensor:
        """Where each token of the row stands among the gathered ones; that of its first sequence."""
        return torch.from_numpy(self._places()[0]).to(self.device)

    @cached_property
    def shared(self) -> list[SharedRows]:
        """Prefixes that several sequences have."""
        copies = self._places()[1]
        return [
            SharedRows(
                segment.start, segment.length, torch.from_numpy(np.stack(copies[place])).to(self.device)
            )
            for place, segment in enumerate(self.segments)
            if copies.get(place)
        ]

    def _places(self) -> tuple[np.ndarray, dict[int, list[np.ndarray]]]:
        """For each token its first place among the gathered ones; for each prefix its further ones."""
        first_T = np.full(self.num_tokens, -1, dtype=np.int64)
        prefixes = {
            self.segments[segment.parent].start: segment.parent
            for segment in self.segments
            if segment.parent >= 0
        }
        copies: dict[int, list[np.ndarray]] = {}
        offset = 0
        for bucket in self.buckets:
            rows_NL = bucket.rows_NL.cpu().numpy()
            for line, length in enumerate(bucket.lengths_N):
                rows, places = rows_NL[line, :length], np.arange(offset, offset + length)
                offset += rows_NL.shape[1]
                known = first_T[rows] >= 0
                first_T[rows[~known]] = places[~known]
                if known.any():
                    copies.setdefault(prefixes[int(rows[0])], []).append(places[known])
        return first_T, copies

    @cached_property
    def mask_TT(self) -> Tensor:
        """True where the row's token may see the column's."""
        mask = np.zeros((self.num_tokens, self.num_tokens), dtype=bool)
        for segment in self.segments:
            own = slice(segment.start, segment.start + segment.length)
            mask[own, own] = np.tri(segment.length, dtype=bool)
            if segment.parent >= 0:
                prefix = self.segments[segment.parent]
                mask[own, prefix.start : prefix.start + prefix.length] = True
        return torch.from_numpy(mask).to(self.device)

    @cached_property
    def cumulative(self) -> Tensor:
        """Where each sequence begins when all are laid end to end, and where the last ends, int32."""
        lengths = [0, *(length for bucket in self.buckets for length in bucket.lengths_N)]
        return torch.tensor(np.cumsum(lengths), dtype=torch.int32, device=self.device)


def _cut(lengths: Sequence[int]) -> list[slice]:
    """Cut ascending lengths into at most `_MOST_BUCKETS` stretches with the least padded work, O(N^2)."""
    sizes = np.asarray(lengths, dtype=np.float64)
    num = len(sizes)
    cost = sizes * (sizes + _TOKEN_COST)  # of a sequence padded to this length
    best = np.full((_MOST_BUCKETS + 1, num + 1), np.inf)
    cuts = np.zeros((_MOST_BUCKETS + 1, num + 1), dtype=np.int64)
    best[0, 0] = 0
    counts = np.arange(num + 1)
    for used in range(1, _MOST_BUCKETS + 1):
        for end in range(1, num + 1):
            totals = best[used - 1, :end] + (end - counts[:end]) * cost[end - 1]
            cuts[used, end] = totals.argmin()
            best[used, end] = totals[cuts[used, end]]
    # A bucket costs a call of its own: about what 64 tokens of padding do.
    used = int((best[1:, num] + np.arange(_MOST_BUCKETS) * 64 * _TOKEN_COST).argmin()) + 1
    found, end = [], num
    while end:
        start = int(cuts[used, end])
        found.append(slice(start, end))
        end, used = start, used - 1
    return found[::-1]


class _Gathered(torch.autograd.Function):
    """Rows of x by the plan's index; the gradient of a shared row is summed over its copies in float32."""

    @staticmethod
    def forward(ctx: Any, x_TF: Tensor, plan: AttentionPlan, dtype: torch.dtype) -> Tensor:
        ctx.plan, ctx.dtype = plan, x_TF.dtype
        return x_TF.index_select(0, plan.gather).to(dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad_UF,) = grads
        plan: AttentionPlan = ctx.plan
        # Padding has no gradient: nothing real looks right, and what it computes is thrown away.
        grad_TF = grad_UF.index_select(0, plan.restore_T)
        for rows in plan.shared:
            extra = grad_UF[rows.copies_MP].float().sum(dim=0)
            own = grad_TF[rows.start : rows.start + rows.length]
            own.copy_(own.float() + extra)
        return grad_TF.to(ctx.dtype), None, None


class _Restored(torch.autograd.Function):
    """The gathered rows back in the order of the packed row, each from its first copy."""

    @staticmethod
    def forward(ctx: Any, out_UF: Tensor, plan: AttentionPlan, dtype: torch.dtype) -> Tensor:
        ctx.plan, ctx.shape, ctx.dtype = plan, out_UF.shape, out_UF.dtype
        return out_UF.index_select(0, plan.restore_T).to(dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad_TF,) = grads
        grad_UF = grad_TF.new_zeros(ctx.shape, dtype=ctx.dtype)
        grad_UF.index_copy_(0, ctx.plan.restore_T, grad_TF.to(ctx.dtype))
        return grad_UF, None, None


def bucketed_attention(
    query_THK: Tensor, key_TGK: Tensor, value_TGK: Tensor, plan: AttentionPlan, *, scale: float
) -> Tensor:
    """Causal attention within each example, in buckets of similar length.

    A prefix is gathered into each sequence that continues it: its keys and values are needed there, and its
    queries cost less than a mask would.

    Args:
        query_THK: Queries of the packed row.
        key_TGK: Keys; G divides H.
        value_TGK: Values.
        plan: Of the row.
        scale: Factor of the scores, as a rule 1 / sqrt(K).

    Returns:
        [T, H, K], in the type of the queries. On a CPU it is computed in float32, which is faster there for
        short sequences than bf16 is.
    """
    dtype = torch.float32 if query_THK.device.type == "cpu" else query_THK.dtype
    query, key, value = (_gathered(one, plan, dtype) for one in (query_THK, key_TGK, value_TGK))
    outs, offset = [], 0
    for bucket in plan.buckets:
        num, length = bucket.rows_NL.shape
        part = slice(offset, offset + num * length)
        offset = part.stop
        query_NHLK, key_NGLK, value_NGLK = (
            one[part].view(num, length, *one.shape[1:]).transpose(1, 2) for one in (query, key, value)
        )
        out_NHLK = torch.nn.functional.scaled_dot_product_attention(
            query_NHLK,
            key_NGLK,
            value_NGLK,
            is_causal=True,
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        outs.append(out_NHLK.transpose(1, 2).flatten(0, 1).flatten(1))
    out_UF = torch.cat(outs) if len(outs) > 1 else outs[0]
    restored: Tensor = _Restored.apply(out_UF, plan, query_THK.dtype)  # type: ignore[no-untyped-call]
    return restored.view(query_THK.shape)


def _gathered(x_THK: Tensor, plan: AttentionPlan, dtype: torch.dtype) -> Tensor:
    gathered: Tensor = _Gathered.apply(x_THK.flatten(1), plan, dtype)  # type: ignore[no-untyped-call]
    return gathered.view(-1, *x_THK.shape[1:])


def dense_attention(
    query_THK: Tensor, key_TGK: Tensor, value_TGK: Tensor, plan: AttentionPlan, *, scale: float
) -> Tensor:
    """The plain path: attention over the whole row under a mask; T^2 work for what needs far less."""
    query, key, value = (one.transpose(0, 1).unsqueeze(0) for one in (query_THK, key_TGK, value_TGK))
    out_1HTK = torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=plan.mask_TT,
        scale=scale,
        enable_gqa=query_THK.shape[1] != key_TGK.shape[1],
    )
    return out_1HTK.squeeze(0).transpose(0, 1)


def varlen_attention(
    query_THK: Tensor, key_TGK: Tensor, value_TGK: Tensor, plan: AttentionPlan, *, scale: float
) -> Tensor:
    """Causal attention on CUDA over sequences laid end to end, for a plan that is not padded.

    In half precision only.
    """
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (_gathered(one, plan, query_THK.dtype) for one in (query_THK, key_TGK, value_TGK))
    out: Any = varlen_attn(
        query,
        key,
        value,
        plan.cumulative,
        plan.cumulative,
        plan.longest,
        plan.longest,
        scale=scale,
        window_size=(-1, 0),  # the default of (-1, -1) is not causal
        enable_gqa=query.shape[1] != key.shape[1],
    )
    restored: Tensor = _Restored.apply(out.flatten(1), plan, query_THK.dtype)  # type: ignore[no-untyped-call]
    return restored.view(query_THK.shape)


Attention = Callable[..., Tensor]
