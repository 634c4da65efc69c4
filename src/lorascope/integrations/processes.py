"""What the processes of a training say together: each sees its own rows, and all must decide alike."""

from typing import Any

import torch
from torch import distributed


def num_processes() -> int:
    """Processes of the training; 1 where it is alone."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def summed(values: list[float], device: torch.device | str) -> list[float]:
    """Each value summed over all processes, which must all call this; NaN in one is NaN in all.

    Args:
        values: Of this process.
        device: That its backend talks through.
    """
    if num_processes() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return [float(one) for one in total.tolist()]


def of_any(flag: bool, device: torch.device | str) -> bool:
    """Whether a flag is up in any process: what one does alone, others would wait for without end."""
    return summed([float(flag)], device)[0] > 0


def of_all(rows: list[Any]) -> list[Any]:
    """The rows of every process, in the order of the processes."""
    if num_processes() == 1:
        return rows
    shares: list[Any] = [None] * num_processes()
    distributed.all_gather_object(shares, rows)
    return [row for share in shares for row in share]
