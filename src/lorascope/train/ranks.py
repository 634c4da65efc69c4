"""The processes that train together, through accelerate; a single process is the case of one rank."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from lorascope.engine.precision import choose_device
from lorascope.errors import RunError, explain


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: 0 is the one that writes.
        world: How many there are.
    """

    rank: int
    world: int

    @property
    def writes(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def mine(self, values: Sequence[Any]) -> list[Any]:
        """This rank's share of a step's or an evaluation's work."""
        return list(values[self.rank :: self.world])

    def sum_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all ranks, in place."""
        if self.world > 1:
            for tensor in tensors:
                torch.distributed.all_reduce(tensor)

    def gather(self, values: Sequence[Any]) -> list[Any]:
        """Collect every rank's share, undoing `mine`."""
        shares = self._shares(values)
        whole: list[Any] = [None] * sum(len(share) for share in shares)
        for rank, share in enumerate(shares):
            whole[rank :: self.world] = share
        return whole

    def collect(self, values: Sequence[Any]) -> list[Any]:
        """Everybody's values, one process after the other."""
        return [value for share in self._shares(values) for value in share]

    def largest(self, number: int) -> int:
        """The largest of every process's numbers."""
        return int(max(self.collect([number])))

    def _shares(self, values: Sequence[Any]) -> list[list[Any]]:
        if self.world == 1:
            return [list(values)]
        from accelerate.utils import gather_object

        shares: list[list[Any]] = gather_object([list(values)])
        return shares

    def wait(self) -> None:
        """Wait until every rank is here."""
        if self.world > 1:
            torch.distributed.barrier()


def one_of_several(environ: Mapping[str, str]) -> str | None:
    """Say that a launcher was asked for several processes and started one.

    `accelerate launch --num_processes 2` does so on a CPU without a word; all it leaves is the address at
    which the others would meet.

    Args:
        environ: The environment variables.
    """
    asked = "ACCELERATE_USE_CPU" in environ and "MASTER_ADDR" in environ
    if not asked or "WORLD_SIZE" in environ:
        return None
    return (
        "accelerate launch was asked for several processes and started one, as it does on a CPU: "
        "torchrun --nproc-per-node N or accelerate launch --multi_gpu --num_processes N starts several"
    )


def join_ranks() -> Ranks:
    """Join the processes started by `accelerate launch` or `torchrun`; alone otherwise.

    Raises:
        RunError: The launcher started several, and they do not form a group: each would train by itself and
            write over the others.
    """
    import accelerate

    # Without cpu=True accelerate forms no group on a machine whose torch has no accelerator.
    state = accelerate.PartialState(cpu=choose_device().type == "cpu")
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != started:
        raise RunError(
            explain(
                f"{started} processes were started, and {state.num_processes} of them train together",
                where="the environment variable WORLD_SIZE",
                why="each would train by itself and write over the others",
                fix="start with accelerate launch or torchrun, on devices that can all talk to each other",
            )
        )
    return Ranks(rank=state.process_index, world=state.num_processes)
