"""Run by test_hub.py in a fresh process: opens what its argument lists and says what it is, one line each."""

import json
import sys
import traceback
from typing import Any

from lorascope.errors import DataError, parts
from lorascope.prepare.read import SourceRow, open_source


def answer(**asked: Any) -> dict[str, Any]:
    source = open_source(**asked)
    return {
        "name": source.name,
        "splits": {
            split: [
                row.value if isinstance(row, SourceRow) else [row.line, row.reason]
                for row in source.rows(split)
            ]
            for split in source.splits
        },
        "files": [part.file for part in source.parts],
        "notes": list(source.notes),
        "sha256": source.sha256(),
    }


for asked in json.loads(sys.argv[1]):
    try:
        said = answer(**asked)
    except DataError as error:
        said = {"error": parts(error.message)}
    except BaseException:
        said = {"bug": traceback.format_exc()}
    print(json.dumps(said))
