"""The tables of a run, prepare/examples.parquet and eval/*.parquet -> what rules on texts look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.diagnose.evidence import Answers
from lorascope.run.folder import RunFolder

_LEAKED = ("near", "same")


def leaked_rows(examples: Path, ids: Sequence[str]) -> np.ndarray | None:
    """Whether prepare found each validation row in training too, prompt and answer, in the order of the ids.

    Args:
        examples: prepare/examples.parquet.
        ids: Of the validation rows.
    """
    if not ids or not examples.is_file():
        return None
    import pyarrow.parquet as pq

    if "overlap" not in pq.read_schema(examples).names:
        return None
    table = pq.read_table(examples, columns=["example_id", "overlap"], filters=[("overlap", "in", _LEAKED)])
    leaked = set(table.column("example_id").to_pylist())
    return np.array([one in leaked for one in ids], dtype=bool)


def read_answers(run: RunFolder, *, measured: bool) -> Answers | None:
    """What eval generated with base and adapter for the same validation rows; None where it did not.

    Args:
        run: With an eval folder.
        measured: Whether eval measured the adapter that the run has now.
    """
    paths = [run.stage("eval") / f"{name}.parquet" for name in ("base", "adapter")]
    if not measured or not run.examples.is_file() or not all(path.is_file() for path in paths):
        return None
    import pyarrow.parquet as pq

    if any("answer" not in pq.read_schema(path).names for path in paths):
        return None
    base, adapter = (_by_id(path, ("answer", "stopped")) for path in paths)
    reference = _by_id(run.examples, ("target_text",))
    shared = [
        one for one in adapter if one in base and one in reference and None not in (*base[one], *adapter[one])
    ]
    if not shared:
        return None
    return Answers(
        base=tuple(base[one][0] for one in shared),
        adapter=tuple(adapter[one][0] for one in shared),
        reference=tuple(reference[one][0] for one in shared),
        base_stopped=np.array([base[one][1] for one in shared], dtype=bool),
        adapter_stopped=np.array([adapter[one][1] for one in shared], dtype=bool),
    )


def _by_id(path: Path, columns: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["example_id", *columns])
    rows = zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    return dict(zip(table.column("example_id").to_pylist(), rows, strict=True))
