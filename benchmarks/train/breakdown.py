"""Where the time of a step goes: torch's profiler over one step as shipped, grouped into a few parts.

python benchmarks/train/breakdown.py JOB
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from conversation import serve
from lorascope_side import do_step, trainee_of, warm_up
from work import Job, load_rows, read_job, step_rows

PARTS = ("products", "head's products", "attention", "head's softmax", "activation, norm", "copies")
_PRODUCTS = ("mm", "addmm", "addmm_", "bmm", "baddbmm")
_SOFT = ("gelu", "gelu_backward", "native_layer_norm", "native_layer_norm_backward", "add", "add_", "mul")
_COPIES = ("copy_", "index_select", "index_copy_", "cat", "index", "index_put_", "_index_put_impl_", "zero_")


def part_of(name: str, above: set[str]) -> str:
    """The part an operation belongs to, by its name and by what it runs under."""
    short = name.removeprefix("aten::")
    if any("Optimizer" in one for one in above) or short.startswith("_foreach"):
        return "optimizer"
    product = short in _PRODUCTS
    if "head" in above or any("_FrozenHead" in one for one in above):
        return "head's products" if product else "head's softmax"
    if product:
        return "products"
    if "scaled_dot_product" in short:
        return "attention"
    if short in _SOFT:
        return "activation, norm"
    if short in _COPIES:
        return "copies"
    return "other"


def profiled(trainee: Any, rows: Any, number: int) -> dict[str, Any]:
    """Shares of one step."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        loss = do_step(trainee, rows, number)
    spent: Counter[str] = Counter()
    for event in found.events():
        above, parent = set(), event.cpu_parent
        while parent is not None:
            above.add(parent.name)
            parent = parent.cpu_parent
        spent[part_of(event.name, above | {event.name})] += event.self_cpu_time_total
    total = sum(spent.values())
    return {"loss": loss, "shares": {name: spent[name] / total for name in sorted(spent)}}


def mark_head() -> None:
    """Have the profiler see when the head runs."""
    import torch

    from lorascope.lm import packed

    plain = packed.frozen_head_nll

    def marked(*given: Any) -> Any:
        with torch.profiler.record_function("head"):
            return plain(*given)

    packed.frozen_head_nll = marked


def main(job: Job) -> None:
    """Serve profiled steps."""
    rows = load_rows(Path(job.folder), job.data)
    mark_head()
    trainee = trainee_of(job)
    warm_up(trainee, rows)
    serve(lambda number: profiled(trainee, step_rows(rows, number, job.batch), number))


if __name__ == "__main__":
    main(read_job(sys.argv[1]))
