"""The starter as files to try commands on: 300 rows, the base model, and text to see what it forgets."""

import json
import shutil
from pathlib import Path

from lorascope.errors import RunError, explain
from lorascope.starter import base_folder, data_file, unrelated_file

ROWS, BASE, UNRELATED = "my_rows.jsonl", "starter-base", "unrelated.txt"
_NUM_ROWS = 300


def copy_files(folder: Path) -> tuple[Path, Path]:
    """Write my_rows.jsonl, starter-base/ and unrelated.txt into a folder, made where it is not there.

    Returns:
        Paths of the rows and of the base model.

    Raises:
        RunError: One of them is there already; nothing is written.
    """
    rows_file, base, unrelated = folder / ROWS, folder / BASE, folder / UNRELATED
    taken = next((path for path in (rows_file, base, unrelated) if path.exists()), None)
    if taken is not None:
        raise RunError(
            explain(
                f'"{taken}" is there already',
                where=str(taken),
                why="it may be yours, and is not written over",
                fix="choose another folder",
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    rows = json.loads(data_file().read_text(encoding="utf-8"))[:_NUM_ROWS]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    rows_file.write_text(lines, encoding="utf-8")
    shutil.copytree(base_folder(), base)
    shutil.copyfile(unrelated_file(), unrelated)
    return rows_file, base
