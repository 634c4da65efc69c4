"""The bytes of a step log -> its numbers, column by column. Shapes: C columns, L lines."""

import itertools
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json

_BLOCK_BYTES = 1 << 22  # parsed at once; a block of each thread is in memory, with its columns as text
_LONGEST_LINE = 1 << 16
_MOST_THREADS = 8


def read_columns(path: Path, names: Sequence[str]) -> np.ndarray:
    """Read numbers of every whole line of a JSON Lines file; a torn last line is passed over.

    A training writes all its lines alike: the same names in the same order, each behind the same spaces. Cut
    at their commas, such lines are a table of cells that each begin with their name, which Arrow reads twice
    as fast as JSON. Every cell is checked, and a block in which one is otherwise is read as JSON.

    Args:
        path: With one object a line.
        names: Of the columns that are wanted.

    Returns:
        Their values in the order of the names, NaN for null and for a name that a line does not have, [C, L].

    Raises:
        pa.ArrowInvalid: A line is no JSON, or a value is no number.
    """

    def read(ends: tuple[int, int]) -> np.ndarray:
        with path.open("rb") as file:
            file.seek(ends[0])
            data = file.read(ends[1] - ends[0])
        found = _of_lines_alike(data, names)
        return _of_json(data, names) if found is None else found

    # In a thread also where there is one block: in the main one Arrow takes the signal that asks a training
    # to stop for its own, and breaks off.
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
        blocks = list(threads.map(read, _blocks(path)))
    return np.concatenate([np.empty((len(names), 0)), *blocks], axis=1)


def _blocks(path: Path) -> list[tuple[int, int]]:
    """First byte of each block of whole lines, and the one behind its last."""
    end = _whole_lines(path)
    bounds = [0]
    with path.open("rb") as file:
        while bounds[-1] < end:
            file.seek(min(end, bounds[-1] + _BLOCK_BYTES) - 1)
            file.readline()
            bounds.append(file.tell())
    return list(itertools.pairwise(bounds))


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last line that is whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _LONGEST_LINE))
        tail = file.read(_LONGEST_LINE)
    return size - (len(tail) - tail.rfind(b"\n") - 1)


def _of_json(data: bytes, names: Sequence[str]) -> np.ndarray:
    schema = pa.schema([(name, pa.float64()) for name in names])
    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(block_size=2 * _BLOCK_BYTES, use_threads=False)
    table = pyarrow.json.read_json(pa.BufferReader(data), read, parse)
    return np.stack([_as_numpy(table.column(name)) for name in names])


def _of_lines_alike(data: bytes, names: Sequence[str]) -> np.ndarray | None:
    """The columns of a block whose lines are all made like its first; None where one is not."""
    try:
        first = json.loads(data[: data.index(b"\n")])
        if not isinstance(first, dict) or not set(names) <= first.keys():
            return None
        cells = _cells(data, list(first))
        read = {name: _numbers(cells.column(name), first[name] is None) for name in first}
    except ValueError:  # the first line is torn, a line has another number of cells, a cell is no number
        return None
    return np.stack([read[name] for name in names])


def _cells(data: bytes, names: Sequence[str]) -> pa.Table:
    """The text of every value, cut out of lines that all hold these names in this order.

    Raises:
        ValueError: A line does not.
    """
    import pyarrow.compute as pc

    table = pyarrow.csv.read_csv(
        pa.BufferReader(data),
        pyarrow.csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        pyarrow.csv.ParseOptions(
            quote_char=False, double_quote=False
        ),  # a comma inside a text is one cell more
        pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=False),
    )
    cut = []
    for at, name in enumerate(names):
        cells, before = table.column(name), ("{" if at == 0 else " ") + json.dumps(name) + ": "
        if not pc.all(pc.starts_with(cells, before)).as_py():
            raise ValueError(name)
        if at == len(names) - 1:
            if not pc.all(pc.ends_with(cells, "}")).as_py():
                raise ValueError(name)
            cells = pc.binary_replace_slice(cells, -1, _LONGEST_LINE, b"")
        cut.append(pc.binary_slice(cells, len(before), _LONGEST_LINE))
    return pa.table(cut, list(names))


def _numbers(cells: pa.ChunkedArray, is_null: bool) -> np.ndarray:
    """The values of a column, of which the first line says whether it is null throughout.

    Raises:
        ValueError: It is not, or is no number.
    """
    if not is_null:
        return _as_numpy(cells.cast(pa.string()).cast(pa.float64()))
    if cells.unique().to_pylist() != [b"null"]:
        raise ValueError("not null throughout")
    return np.full(len(cells), np.nan)


def _as_numpy(numbers: pa.ChunkedArray) -> np.ndarray:
    """The numbers, NaN for null. Arrow's own `to_numpy` imports pandas first, a third of a second."""
    whole = pa.concat_arrays(numbers.chunks)
    valid, values = whole.buffers()
    read = np.frombuffer(values, np.float64)[whole.offset : whole.offset + len(whole)]
    if not whole.null_count:
        return read
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    return np.where(bits[whole.offset : whole.offset + len(whole)], read, np.nan)
