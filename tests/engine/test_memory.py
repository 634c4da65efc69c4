"""What autograd keeps is counted once, and errors that mean "no memory left" are known by their words."""

import pytest
import torch

from lorascope.engine.memory import (
    available_memory,
    bytes_in_words,
    is_out_of_memory,
    kept_for_backward,
    peak_memory,
    reset_peak,
)

CPU = torch.device("cpu")


def test_each_storage_is_counted_once_and_parameters_never() -> None:
    layer = torch.nn.Linear(8, 8, bias=False)
    x = torch.ones(4, 8, requires_grad=True)
    with kept_for_backward(layer.parameters()) as kept:
        y = layer(x)  # keeps x, 4 * 8 floats, and its weight, which is there anyway
        out = y * y  # keeps y, twice, 4 * 8 floats
    assert kept.total == 2 * 4 * 8 * 4
    out.sum().backward()
    assert x.grad is not None


def test_nothing_is_kept_where_no_gradient_is_wanted() -> None:
    layer = torch.nn.Linear(8, 8)
    with kept_for_backward(layer.parameters()) as kept, torch.no_grad():
        layer(torch.ones(4, 8))
    assert kept.total == 0


def test_the_peak_grows_by_what_is_taken_and_begins_anew() -> None:
    reset_peak(CPU)
    before = peak_memory(CPU)
    if before is None:
        pytest.skip("this system does not tell a process's memory")
    block = torch.ones(64 * 2**20, dtype=torch.uint8)
    peak = peak_memory(CPU)
    assert peak is not None and peak - before > 60 * 2**20
    del block
    reset_peak(CPU)
    after = peak_memory(CPU)
    assert after is not None and after < peak


def test_some_memory_is_left() -> None:
    assert (available_memory() or 1) > 0
    assert available_memory(CPU) is None or available_memory(CPU) > 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GiB)"),
    ],
)
def test_no_memory_left_is_known_by_its_words(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    ("number", "words"),
    [(640_000, "640 kB"), (1_000_000, "1.0 MB"), (9.94e6, "9.9 MB"), (9.96e6, "10 MB"), (3.44e9, "3.4 GB")],
)
def test_bytes_are_written_as_people_say_them(number: float, words: str) -> None:
    assert bytes_in_words(number) == words


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_real_refusal_of_this_machine_is_known() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**62, dtype=torch.uint8)
    assert is_out_of_memory(refused.value)
