"""Packed attention in each of its forms equals plain attention, one example at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lorascope.engine.attention import AttentionPlan, bucketed_attention, dense_attention
from lorascope.engine.packing import PackedRow, Text, pack_rows

FORMS = {
    "dense": (dense_attention, True),
    "bucketed": (bucketed_attention, True),
    "one sequence each": (bucketed_attention, False),
}
HEADS, GROUPS, WIDTH = 4, 2, 8


def packed(lengths: list[int], *, shared: int, share: bool = True) -> tuple[PackedRow, list[Text]]:
    """Examples of these lengths whose first tokens are the same, none of them a target before its last."""
    rng = np.random.default_rng(sum(lengths))
    texts = []
    for number, length in enumerate(lengths):
        ids = np.concatenate([np.arange(shared), [1000 + number], rng.integers(0, 99, length)])[:length]
        texts.append(Text(ids, np.where(np.arange(length) == length - 1, ids, -100)))
    (row,) = pack_rows(texts, row_tokens=10**6, share=share)
    return row, texts


def plan_of(row: PackedRow, *, padded: bool = True) -> AttentionPlan:
    return AttentionPlan(
        segments=row.segments, num_tokens=row.num_tokens, device=torch.device("cpu"), padded=padded
    )


def sequences(row: PackedRow) -> list[np.ndarray]:
    """Places in the row of each example's tokens, by segments alone."""
    parents = {one.parent for one in row.segments}
    found = []
    for place, one in enumerate(row.segments):
        if place not in parents:
            before = [row.segments[one.parent]] if one.parent >= 0 else []
            found.append(np.concatenate([np.arange(s.start, s.start + s.length) for s in (*before, one)]))
    return found


def one_by_one(row: PackedRow, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """The oracle: softmax(q k^T) v under a triangle, in plain products, one example after the other."""
    out = torch.zeros_like(query)
    for places in sequences(row):
        index = torch.from_numpy(places)
        own_q, own_k, own_v = query[index], key[index], value[index]
        own_k, own_v = (x.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for x in (own_k, own_v))
        scores = torch.einsum("ihk,jhk->hij", own_q, own_k) * scale
        scores = scores.masked_fill(~torch.ones(len(index), len(index)).tril().bool(), float("-inf"))
        out = out.index_copy(0, index, torch.einsum("hij,jhk->ihk", scores.softmax(-1), own_v))
    return out


def random_qkv(row: PackedRow, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = [(row.num_tokens, heads, WIDTH) for heads in (HEADS, GROUPS, GROUPS)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("lengths", "shared"),
    [([5], 0), ([20, 30, 30, 41, 80], 0), ([20, 30, 30, 41, 80], 12), ([15, 15], 9), ([9] * 40, 8)],
)
def test_every_form_is_plain_attention_of_each_example(form: str, lengths: list[int], shared: int) -> None:
    attention, is_padded = FORMS[form]
    row, _ = packed(lengths, shared=shared)
    ours, truth = random_qkv(row), random_qkv(row)
    out = attention(*ours, plan_of(row, padded=is_padded), scale=0.3)
    expected = one_by_one(row, *truth, scale=0.3)
    # float32 products of 8 terms and sums over up to 80 weights: a few units of 6e-8 each.
    torch.testing.assert_close(out, expected, rtol=2e-6, atol=2e-6)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    for own, plain in zip(ours, truth, strict=True):
        torch.testing.assert_close(own.grad, plain.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_no_example_sees_another(form: str) -> None:
    attention, is_padded = FORMS[form]
    row, _ = packed([20, 30, 41], shared=12)
    query, key, value = (one.detach() for one in random_qkv(row))
    plan = plan_of(row, padded=is_padded)
    before = attention(query, key, value, plan, scale=0.3)
    changed = sequences(row)[1][12:]  # the second example's own tokens
    for one in (query, key, value):
        one[torch.from_numpy(changed)] += 7.0
    after = attention(query, key, value, plan, scale=0.3)
    others = np.setdiff1d(np.arange(row.num_tokens), changed)
    assert torch.equal(before[others], after[others])
    assert not torch.allclose(before[changed], after[changed])


@pytest.mark.parametrize("form", FORMS)
def test_no_token_sees_a_later_one(form: str) -> None:
    attention, is_padded = FORMS[form]
    row, _ = packed([20, 30], shared=12)
    query, key, value = (one.detach() for one in random_qkv(row))
    plan = plan_of(row, padded=is_padded)
    before = attention(query, key, value, plan, scale=0.3)
    places = sequences(row)[0]
    key[int(places[15])] += 7.0
    value[int(places[15])] += 7.0
    after = attention(query, key, value, plan, scale=0.3)
    same = torch.isclose(before, after).all(dim=2).all(dim=1).numpy()
    assert same[places[:15]].all()
    assert not same[places[15:]].any()


def test_buckets_hold_every_sequence_once_with_little_padding() -> None:
    rng = np.random.default_rng(0)
    row, _ = packed(rng.integers(20, 400, 64).tolist(), shared=0)
    plan = plan_of(row)
    held = sorted(length for bucket in plan.buckets for length in bucket.lengths_N)
    assert held == sorted(len(one) for one in sequences(row))
    assert len(plan.buckets) <= 6
    assert len(plan.gather) < 1.2 * row.num_tokens
    assert plan.longest == max(held)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_gradient_of_a_shared_prefix_is_summed_in_float32(dtype: torch.dtype) -> None:
    # 96 examples that add 1 each to a prefix row whose sum in bf16 would stop growing at 256 = 2^8.
    row, _ = packed([12] * 96, shared=8)
    value = torch.zeros(row.num_tokens, 1, 4, dtype=dtype, requires_grad=True)
    query, key = (torch.zeros(row.num_tokens, 1, 4, dtype=dtype) for _ in range(2))
    out = bucketed_attention(query, key, value, plan_of(row), scale=1.0)
    out.float().sum().backward()
    exact = torch.zeros(row.num_tokens, 1, 4, dtype=torch.float64, requires_grad=True)
    one_by_one(row, query.double(), key.double(), exact, 1.0).sum().backward()
    assert value.grad is not None and exact.grad is not None
    # One rounding of the sum: half a unit of the last of 8 bits.
    torch.testing.assert_close(value.grad.double(), exact.grad, rtol=2**-8, atol=0)


def test_a_plan_counts_who_used_it() -> None:
    row, _ = packed([10], shared=0)
    plan, other = plan_of(row), plan_of(row)
    plan.calls[0] += 1
    assert (plan.calls, other.calls) == ([1], [0])
