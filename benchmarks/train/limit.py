"""The limit: the fewest floating-point operations of a step over the rates reached on their shapes.

    python benchmarks/train/limit.py JOB

Frozen matrices are multiplied once forward and once for the gradient of their input, the head for targets
alone; shared prefixes stand once; adapters and attention pairs are counted too. Each rate is measured on the
step's own shapes, with the weight laid out both ways and nothing allocated, and the better one is taken.
Shapes: T tokens computed, S targets, D model width, V vocabulary, R LoRA rank, I and O in- and out-features.
"""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from conversation import serve
from work import RANK, Job, Tokens, load_rows, read_job, step_rows

LEAST_S = 0.15
"""How long each product is repeated."""
_BLOCK = 1024


def shared_work(rows: Sequence[Tokens], *, share: bool) -> tuple[int, int, int]:
    """Tokens to compute, targets, and pairs of tokens that attention has to look at.

    Args:
        rows: The examples of a step.
        share: Whether a prefix that several have in common is computed once.
    """
    from lorascope.engine.packing import Text, pack_rows, tokens_in

    packed = pack_rows([Text(row.ids, row.labels) for row in rows], row_tokens=2**31, share=share)
    pairs = 0
    for row in packed:
        for segment in row.segments:
            before = row.segments[segment.parent].length if segment.parent >= 0 else 0
            pairs += segment.length * (segment.length + 1) // 2 + segment.length * before
    return tokens_in(packed), sum(row.num_targets for row in rows), pairs


def seconds_of(product: Callable[[], Any]) -> float:
    """The fastest of several repetitions; the first one chooses a kernel and does not count."""
    product()
    best, until = float("inf"), time.perf_counter() + LEAST_S
    while time.perf_counter() < until:
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return best


def matmul_seconds(left: int, inner: int, right: int, dtype: Any) -> float:
    """Seconds of [left, inner] x [inner, right], the right one as it is or a transposed view."""
    import torch

    a, out = torch.randn(left, inner).to(dtype), torch.empty(left, right, dtype=dtype)
    ways = (torch.randn(inner, right).to(dtype), torch.randn(right, inner).to(dtype).T)
    return min(seconds_of(lambda b=b: torch.mm(a, b, out=out)) for b in ways)


def head_seconds(targets: int, width: int, vocabulary: int, dtype: Any) -> float:
    """Logits and the gradient of hidden states, over the whole vocabulary or block by block."""
    whole = vocabulary * sum(
        matmul_seconds(targets, a, b, dtype) / _BLOCK for a, b in ((width, _BLOCK), (_BLOCK, width))
    )
    at_once = matmul_seconds(targets, width, vocabulary, dtype)
    return min(whole, 2 * at_once)


def limit_of(rows: Sequence[Tokens], job: Job, config: Any) -> dict[str, Any]:
    """Seconds that a step of these examples takes at least, by part."""
    import torch

    dtype = torch.bfloat16 if job.precision == "bf16" else torch.float32
    tokens, targets, pairs = shared_work(rows, share=job.dropout == 0)
    width, layers = config.n_embd, config.n_layer
    frozen = lora = 0.0
    for inner, outer, adapted, bottom in (
        (width, 3 * width, True, True),
        (width, width, True, False),
        (width, 4 * width, False, False),
        (4 * width, width, True, False),
    ):
        down = layers - bottom  # nothing asks for the gradient of the embeddings
        frozen += layers * matmul_seconds(tokens, inner, outer, dtype)
        frozen += down * matmul_seconds(tokens, outer, inner, dtype)
        if adapted:
            lora += lora_seconds(tokens, inner, outer, layers, down, dtype)
    rate = 2 * tokens * width * width / matmul_seconds(tokens, width, width, dtype)
    parts = {
        "frozen": frozen,
        "head": head_seconds(targets, width, config.vocab_size, dtype),
        "adapters": lora,
        # two products of width D for each pair forward, four backward
        "attention": 12 * pairs * width * layers / rate,
    }
    return {"parts": parts, "computed": tokens, "gflops": rate / 1e9}


def lora_seconds(tokens: int, inner: int, outer: int, layers: int, down: int, dtype: Any) -> float:
    """The six narrow products of an adapter, in all layers."""
    forward = matmul_seconds(tokens, inner, RANK, dtype) + matmul_seconds(tokens, RANK, outer, dtype)
    weights = matmul_seconds(RANK, tokens, inner, dtype) + matmul_seconds(RANK, tokens, outer, dtype)
    back = matmul_seconds(tokens, outer, RANK, dtype)
    return layers * (forward + weights + back) + down * matmul_seconds(tokens, RANK, inner, dtype)


def main(job: Job) -> None:
    """Serve the limit of step after step."""
    from transformers import AutoConfig

    rows = load_rows(Path(job.folder), job.data)
    config = AutoConfig.from_pretrained(Path(job.folder) / "base")

    def step(number: int) -> dict[str, Any]:
        chosen = step_rows(rows, number, job.batch)
        found = limit_of(chosen, job, config)
        return {**found, "seconds": sum(found["parts"].values()), "examples": len(chosen)}

    serve(step)


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
