"""Takes back the cores that launchers withhold: `accelerate launch` and `torchrun` set OMP_NUM_THREADS=1.

They mean to keep many processes from crowding one machine. With one process on a CPU it leaves all cores but
one idle; on 2 cores a training step then takes twice as long.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path


def threads_to_take(environ: Mapping[str, str], *, num_cores: int) -> int | None:
    """How many threads each process should have, when a launcher left it one.

    Args:
        environ: The environment variables.
        num_cores: Cores that this process may use, >= 1.

    Returns:
        Cores divided by the processes on this machine, >= 2; None when no launcher set OMP_NUM_THREADS=1,
        when the user wrote another number, or when there is no second core to have.
    """
    launched = "LOCAL_WORLD_SIZE" in environ or any(name.startswith("ACCELERATE_") for name in environ)
    if not launched or environ.get("OMP_NUM_THREADS") != "1":
        return None
    written = environ.get("LOCAL_WORLD_SIZE", "1")
    num_processes = int(written) if written.isdecimal() and int(written) > 0 else 1
    threads = num_cores // num_processes
    return threads if threads > 1 else None


def take_back_threads() -> str | None:
    """Give this process its share of the cores where a launcher left it one thread.

    Returns:
        A sentence for the log saying what was done; None when nothing was.
    """
    import torch  # here, so that doctor can count cores without it

    threads = threads_to_take(os.environ, num_cores=cores())
    if threads is None or torch.get_num_threads() >= threads:
        return None
    torch.set_num_threads(threads)
    return (
        f"the launcher set OMP_NUM_THREADS=1; using {threads} threads instead "
        "(start with OMP_NUM_THREADS=2 or more to choose the number yourself)"
    )


def cores() -> int:
    """How many cores this process may use: by its affinity mask and its container's quota, else all."""
    affinity = getattr(os, "sched_getaffinity", None)
    number = len(affinity(0)) if affinity is not None else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        number = min(number, math.ceil(int(quota) / int(period)))  # "max" is no number: no quota
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, number)
