"""Torch, the devices it can use, their number formats, and the cores and memory of this machine."""

import importlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lorascope.doctor.check import Check, fail, ok, warn
from lorascope.doctor.packages import TRAIN
from lorascope.engine.compute_capability import why_not
from lorascope.engine.memory import available_memory
from lorascope.engine.threads import cores, threads_to_take

_GET_TORCH = "https://pytorch.org/get-started/locally/"
_LOW_MEMORY_BYTES = 2 * 2**30


def import_torch() -> ModuleType | ImportError | None:
    """Torch; the error when it is installed and cannot be imported; None when it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    try:
        return importlib.import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return error if isinstance(error, ImportError) else ImportError(str(error))


def examine(torch: ModuleType | ImportError | None, environ: Mapping[str, str]) -> list[Check]:
    """Check torch, each device, precision, threads and memory.

    Args:
        torch: From `import_torch`.
        environ: The environment variables.

    Returns:
        One check each; without torch those of torch, threads and memory.
    """
    machine = [_threads(environ), memory(available_memory())]
    if torch is None:
        return [warn("torch", "not installed, so no training and no measuring here", TRAIN), *machine]
    if isinstance(torch, ImportError):
        reason = str(torch).splitlines()[0] if str(torch) else "no reason given"
        return [
            fail("torch", f"installed, but cannot be imported: {reason}", f"reinstall it: {_GET_TORCH}"),
            *machine,
        ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        devices = _devices(torch)
    said = [str(warning.message).splitlines()[0] for warning in caught]
    return [_build(torch), *_gpus(torch, devices, said), _precision(torch), *machine]


def num_gpus(torch: ModuleType | ImportError | None) -> int | None:
    """How many CUDA devices torch sees; None when it cannot be asked."""
    if not isinstance(torch, ModuleType):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return int(torch.cuda.device_count())


def gpu(
    name: str, index: int, capability: tuple[int, int], arch_list: Sequence[str], total_bytes: int
) -> Check:
    """Check one CUDA GPU against what the torch build was made for.

    Args:
        name: As the driver calls it.
        index: Its number.
        capability: Its compute capability.
        arch_list: What the build carries code for.
        total_bytes: Its memory.

    Returns:
        "fail" when the build has no code for it: it is listed as present and stops at the first kernel.
    """
    title = f"cuda:{index}"
    reason = why_not(arch_list, capability)
    what = f"{name}, {total_bytes / 2**30:.0f} GiB, sm_{capability[0]}{capability[1]}"
    if reason is not None:
        return fail(title, f"{what}: {reason}", f"install a torch build with this architecture: {_GET_TORCH}")
    return ok(title, f"{what}, which this torch build has code for")


def memory(available_bytes: int | None) -> Check:
    """Check the memory that is free.

    Args:
        available_bytes: From `available_memory`.

    Returns:
        "warn" below 2 GiB: a small model takes that.
    """
    if available_bytes is None:
        return ok("memory", "not known on this system")
    found = f"{available_bytes / 2**30:.1f} GiB available"
    if available_bytes < _LOW_MEMORY_BYTES:
        return warn("memory", found, "close other programs; GPT-2 small needs about 2 GiB to train")
    return ok("memory", found)


def _build(torch: ModuleType) -> Check:
    if torch.version.cuda is not None:
        return ok(
            "torch", f"{torch.__version__}, CUDA {torch.version.cuda}, {' '.join(torch.cuda.get_arch_list())}"
        )
    if torch.version.hip is not None:
        return ok("torch", f"{torch.__version__}, ROCm {torch.version.hip}")
    return ok("torch", f"{torch.__version__}, for the CPU only")


def _devices(torch: ModuleType) -> list[dict[str, Any]]:
    """What torch says about each CUDA device. May warn about the driver."""
    if not torch.cuda.is_available():
        return []
    return [
        {
            "name": torch.cuda.get_device_name(index),
            "index": index,
            "capability": torch.cuda.get_device_capability(index),
            "total_bytes": torch.cuda.get_device_properties(index).total_memory,
        }
        for index in range(torch.cuda.device_count())
    ]


def _gpus(torch: ModuleType, devices: Sequence[Mapping[str, Any]], said: Sequence[str]) -> list[Check]:
    if devices and torch.version.hip is not None:
        return [ok(f"cuda:{device['index']}", f"{device['name']}, by ROCm") for device in devices]
    if devices:
        arch_list = torch.cuda.get_arch_list()
        return [gpu(arch_list=arch_list, **device) for device in devices]
    if torch.backends.mps.is_available():
        return [ok("mps", "an Apple GPU, in float32")]
    has_driver = Path("/proc/driver/nvidia/version").exists()
    if has_driver and torch.version.cuda is None:
        found = "an NVIDIA driver is installed, but this torch build is for the CPU only"
        return [warn("gpu", found, f"install a CUDA build of torch: {_GET_TORCH}")]
    if torch.version.cuda is not None and (has_driver or said):
        found = said[0] if said else "an NVIDIA driver is installed, but torch finds no GPU"
        return [
            warn("gpu", found, "update the driver, and see that CUDA_VISIBLE_DEVICES does not hide the GPU")
        ]
    return [ok("gpu", "none; runs use the CPU")]


def _precision(torch: ModuleType) -> Check:
    from lorascope.engine.precision import choose_device, choose_precision

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        device = choose_device()
        chosen = choose_precision("auto", device)
    return ok("precision", f"auto means {chosen.name} on {device}: {chosen.reason}")


def _threads(environ: Mapping[str, str]) -> Check:
    number, written = cores(), environ.get("OMP_NUM_THREADS")
    taken = threads_to_take(environ, num_cores=number)
    if taken is not None:
        return ok(
            "cpu", f"{number} cores; a launcher set OMP_NUM_THREADS=1, training will use {taken} threads"
        )
    if written == "1" and number > 1:
        found = f"{number} cores, but OMP_NUM_THREADS=1 leaves all but one idle"
        return warn("cpu", found, "unset OMP_NUM_THREADS, or set it to the number of cores to use")
    return ok("cpu", f"{number} cores" + (f", OMP_NUM_THREADS={written}" if written else ""))
