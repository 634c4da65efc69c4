"""How much memory a computation keeps and takes, and how much the machine has left."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_REFUSED = re.compile(r"allocate memory|out of memory|OUT_OF_MEMORY|ALLOC_FAILED")
"""What torch, CUDA, cuBLAS and Apple's allocator write where memory ran out, also in a plain RuntimeError."""


class KeptBytes:
    """Bytes that autograd kept for the backward pass; `total` is complete when the pass is done."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: dict[int, torch.Tensor] = {}

    def note(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Count a saved tensor's storage once; parameters are there anyway."""
        import torch

        storage = tensor.untyped_storage()
        if not isinstance(tensor, torch.nn.Parameter) and storage.data_ptr() not in self._seen:
            self._seen[storage.data_ptr()] = tensor  # held, so that no later storage gets its address
            self.total += storage.nbytes()
        return tensor


@contextlib.contextmanager
def kept_for_backward(parameters: "Iterator[torch.Tensor]") -> "Iterator[KeptBytes]":
    """Count what the forward passes inside keep for their backward passes.

    Args:
        parameters: Of the model, trained or not: they and their views are not counted.

    Yields:
        The count.
    """
    import torch

    kept = KeptBytes()
    for parameter in parameters:
        kept._seen[parameter.untyped_storage().data_ptr()] = parameter
    with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda tensor: tensor):
        yield kept


def available_memory(device: "torch.device | None" = None) -> int | None:
    """Bytes this process may still take.

    Args:
        device: Of which memory is asked for; None is the machine's own.

    Returns:
        Of a GPU what is free and what torch holds without use; else what the system has, or what a
        container's limit leaves, if less. None where the system does not tell.
    """
    if device is not None and device.type == "cuda":
        import torch

        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    free = kilobytes * 1024
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8").strip()
        return min(free, int(limit) - int(used)) if limit != "max" else free
    except (OSError, ValueError):
        return free


def reset_peak(device: "torch.device") -> None:
    """Let `peak_memory` begin anew; where the system does not allow it, the peak stays the process's own."""
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: VmHWM back to VmRSS


def peak_memory(device: "torch.device") -> int | None:
    """Most bytes that this process took since `reset_peak`; None where the system does not tell."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return _status("VmHWM")


def bytes_in_words(number: float) -> str:
    """Write a number of bytes as people say it: 640 kB, 28 MB, 3.4 GB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= 9.95 * size:
            return f"{number / size:,.0f} {unit}"
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:,.0f} kB"


def _status(name: str) -> int | None:
    """A line of Linux's /proc/self/status, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError):
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, whatever its type."""
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _REFUSED.search(str(error)) is not None
