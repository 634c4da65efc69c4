"""Can this torch build run on that GPU? Pure functions of names, without torch, so `doctor` can always ask.

A build of torch carries machine code (`sm_90`) and sometimes portable code (`compute_90`) for a list of GPU
generations. A GPU newer or older than all of them is listed as present and then fails at the first kernel.
"""

import re
from collections.abc import Sequence

_ARCH = re.compile(r"(sm|compute)_(\d+)([af]?)")


def runs_on(arch_list: Sequence[str], capability: tuple[int, int]) -> bool:
    """Whether a build's code runs on a GPU of this compute capability.

    Machine code for X.Y runs on X.Z with Z >= Y; with suffix `a` on X.Y alone. Portable code for X.Y is
    compiled by the driver for anything at or above X.Y. An empty list (a build without CUDA, or ROCm) runs
    nowhere.

    Args:
        arch_list: What `torch.cuda.get_arch_list()` returns, as in ["sm_75", "sm_90", "compute_90"].
        capability: The GPU's (major, minor), as in (9, 0).

    Returns:
        True when at least one entry runs.

    Source:
        CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility".
    """
    for arch in arch_list:
        match = _ARCH.fullmatch(arch)
        if match is None:
            continue
        kind, digits, suffix = match.groups()
        built_for = (int(digits[:-1]), int(digits[-1]))
        if suffix == "a":
            runs = built_for == capability
        elif kind == "sm" or suffix == "f":
            runs = built_for[0] == capability[0] and built_for[1] <= capability[1]
        else:
            runs = built_for <= capability
        if runs:
            return True
    return False


def why_not(arch_list: Sequence[str], capability: tuple[int, int]) -> str | None:
    """Say why a build cannot use a GPU, and whether an older or a newer build would.

    Args:
        arch_list: As in `runs_on`.
        capability: As in `runs_on`.

    Returns:
        One sentence, or None when the build can use the GPU.
    """
    if runs_on(arch_list, capability):
        return None
    name = f"sm_{capability[0]}{capability[1]}"
    built = [tuple_of(arch) for arch in arch_list if _ARCH.fullmatch(arch)]
    if not built:
        return f"this torch build carries no CUDA code, and the GPU needs {name}"
    side = (
        "newer than"
        if capability > max(built)
        else "older than"
        if capability < min(built)
        else "missing from"
    )
    return f"the GPU is {name}, {side} what this torch build was made for ({', '.join(arch_list)})"


def tuple_of(arch: str) -> tuple[int, int]:
    """Turn "sm_120" into (12, 0).

    Args:
        arch: A name as in `runs_on`.

    Returns:
        (major, minor).

    Raises:
        ValueError: The name is not one of CUDA's.
    """
    match = _ARCH.fullmatch(arch)
    if match is None:
        raise ValueError(f"not a CUDA architecture: {arch!r}")
    digits = match.group(2)
    return int(digits[:-1]), int(digits[-1])


def has_bf16(capability: tuple[int, int]) -> bool:
    """Whether a GPU multiplies bf16 in hardware: from Ampere, 8.0, on. Older ones emulate it, slowly."""
    return capability >= (8, 0)
