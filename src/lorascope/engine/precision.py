"""Which number format the frozen weights have, and on which device: a wish in, a choice with its reason out.

bf16 is chosen where the hardware multiplies it and nowhere else. Elsewhere it still runs, by emulation: on an
AMD EPYC without avx512_bf16 a bf16 matmul reached 1 GFLOP/s where float32 reached 140.
"""

import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from lorascope.engine.compute_capability import has_bf16, why_not
from lorascope.errors import ConfigError, ModelError, explain, nearest

log = logging.getLogger(__name__)

PrecisionName = Literal["float32", "bf16", "fp16"]
_WISHES = ("auto", "float32", "bf16", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """A number format for the frozen weights. LoRA weights, their gradients and AdamW are float32 always."""

    name: PrecisionName
    weight_dtype: torch.dtype
    scale_loss: bool
    """True for fp16 alone: below 6e-5 it loses digits, so gradients vanish unless the loss is scaled up."""
    reason: str


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """Choose the number format for a device.

    Args:
        wanted: "auto", "float32", "bf16" or "fp16".
        device: Where the model will run.

    Returns:
        What was asked for, or, for "auto" and for fp16 off CUDA, bf16 where the hardware has it and float32
        elsewhere.

    Raises:
        ConfigError: `wanted` is none of the four.
    """
    if wanted not in _WISHES:
        message = explain(
            f'"{wanted}" is not a precision',
            where="train.precision or eval.precision of the recipe",
            why="a model is stored in one of these formats",
            fix=nearest(wanted, _WISHES),
        )
        raise ConfigError(message)
    hardware = bf16_hardware(device)
    if wanted == "float32":
        return _float32("as asked")
    if wanted == "bf16":
        slow = (
            f"; {device.type} here multiplies bf16 by emulation only, expect it to be far slower than float32"
        )
        return _bf16(f"as asked; {hardware}" if hardware else f"as asked{slow}")
    if wanted == "fp16" and device.type == "cuda":
        return Precision(
            name="fp16", weight_dtype=torch.float16, scale_loss=True, reason="as asked; the loss is scaled"
        )
    before = (
        f"fp16 was asked for, but it trains on CUDA only and this is {device.type}: "
        if wanted == "fp16"
        else ""
    )
    if hardware:
        return _bf16(f"{before}{hardware}")
    return _float32(f"{before}{_no_bf16(device)}")


def choose_device(wanted: str | None = None) -> torch.device:
    """Choose where to run: what was asked for, else a usable CUDA GPU, else Apple's GPU, else the CPU.

    Under `accelerate launch` and `torchrun` each process takes the GPU of its LOCAL_RANK.

    Args:
        wanted: As torch writes it ("cpu", "cuda", "cuda:1", "mps"); None or "auto" to choose.

    Returns:
        The device. A GPU that this torch build cannot use is passed over, with a warning in the log.

    Raises:
        ModelError: The device asked for is unknown, absent, or not usable by this torch build.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted is None or wanted == "auto":
        fault = cuda_fault(local_rank)
        if fault is None:
            return torch.device("cuda", local_rank)
        if torch.cuda.is_available():
            log.warning("the GPU is not used: %s", fault)
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise _no_device(
            wanted, "torch does not know this name", 'write "cpu", "cuda", "cuda:1" or "mps"'
        ) from None
    if device.type == "cuda":
        index = local_rank if device.index is None else device.index
        fault = cuda_fault(index)
        if fault is not None:
            raise _no_device(wanted, fault, 'use "cpu", or run "lorascope doctor" to see what is missing')
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise _no_device(wanted, "this torch build or this machine has no Apple GPU", 'use "cpu"')
    return device


def cuda_fault(index: int) -> str | None:
    """Why the CUDA (or ROCm) device of this index cannot be used.

    Args:
        index: 0 for the first.

    Returns:
        One sentence, or None when it can be used.
    """
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch build is for the CPU only"
    if not torch.cuda.is_available():
        return "torch finds no GPU: no driver, no device, or CUDA_VISIBLE_DEVICES hides it"
    count = torch.cuda.device_count()
    if not 0 <= index < count:
        return f"there is no GPU {index}: torch sees {count}, numbered from 0"
    if torch.version.hip is not None:
        return None
    return why_not(torch.cuda.get_arch_list(), torch.cuda.get_device_capability(index))


def bf16_hardware(device: torch.device) -> str | None:
    """What multiplies bf16 on this device, in words.

    Args:
        device: Where the model will run.

    Returns:
        As in "this CPU has avx512_bf16"; None where bf16 would be emulated, and on MPS, where we have not
        measured it.
    """
    if device.type == "cuda":
        if torch.version.hip is not None:
            return "this GPU has bf16" if torch.cuda.is_bf16_supported() else None
        capability = torch.cuda.get_device_capability(device)
        return f"this GPU (sm_{capability[0]}{capability[1]}) has bf16" if has_bf16(capability) else None
    if device.type == "cpu":
        found = cpu_bf16_instructions()
        return f"this CPU has {found}" if found else None
    return None


def cpu_bf16_instructions() -> str | None:
    """Name the CPU's bf16 instructions: "amx", "avx512_bf16", or None.

    Torch is asked first; where it cannot say, Linux's /proc/cpuinfo is. ARM's bf16 counts as none: not
    measured.
    """
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    avx = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if amx is not None and avx is not None:
        return "amx" if amx() else "avx512_bf16" if avx() else None
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return None
    return "amx" if "amx_bf16" in flags else "avx512_bf16" if "avx512_bf16" in flags else None


def _float32(reason: str) -> Precision:
    return Precision(name="float32", weight_dtype=torch.float32, scale_loss=False, reason=reason)


def _bf16(reason: str) -> Precision:
    return Precision(name="bf16", weight_dtype=torch.bfloat16, scale_loss=False, reason=reason)


def _no_bf16(device: torch.device) -> str:
    if device.type == "cuda":
        return "this GPU has no bf16 (it came with compute capability 8.0), so float32"
    if device.type == "cpu":
        return f"this CPU ({platform.machine()}) has neither avx512_bf16 nor amx, so float32"
    return f"bf16 has not been measured on {device.type}, so float32"


def _no_device(wanted: str, why: str, fix: str) -> ModelError:
    return ModelError(explain(f'cannot run on "{wanted}"', where="the device asked for", why=why, fix=fix))
