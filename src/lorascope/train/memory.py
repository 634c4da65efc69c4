"""Too little memory, told as what it is."""

import contextlib
from collections.abc import Iterator

import torch

from lorascope.errors import LorascopeError, RunError, explain
from lorascope.run.folder import RunFolder


@contextlib.contextmanager
def out_of_memory_told(run: RunFolder) -> Iterator[None]:
    """Turn the many errors that mean "no memory left" into one that says what to do.

    Raises:
        RunError: Memory ran out.
    """
    try:
        yield
    except LorascopeError:  # a RunError is a RuntimeError too, and says itself what is wrong
        raise
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and "allocate memory" not in str(error):
            raise
        raise RunError(
            explain(
                "the memory of this machine is not enough for this training",
                where=str(run.path),
                why=str(error).splitlines()[0][:120] if str(error) else "the system refused more memory",
                fix="a smaller train.row_tokens or lora.rank, train.checkpoint_activations, another base",
            )
        ) from error
