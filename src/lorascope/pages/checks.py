"""What the checks of a dataset came to, as a table."""

from collections.abc import Mapping
from typing import Any

from lorascope.pages.finding import status_badge
from lorascope.pages.markup import Html
from lorascope.pages.table import table


def checks_table(report: Mapping[str, Any]) -> Html:
    """Draw check/report.json: each question, its result, and the rows concerned.

    Args:
        report: Its "checks" and "allowed" are read.
    """
    rows = []
    for one in report["checks"]:
        allowed = one["passed"] is False and one["name"] in report["allowed"]
        status = {True: "passed", False: "failed", None: "unknown"}[one["passed"]]
        words = "not made" if status == "unknown" else None
        badge = status_badge("warn", "failed, allowed") if allowed else status_badge(status, words)
        detail = f"{one['num_failed']:,} of {one['num_rows']:,} rows" if one["num_failed"] else one["note"]
        rows.append((one["question"], badge, detail or f"{one['num_rows']:,} rows"))
    return table(("Check", "Result", "Rows"), rows, align=("left", "left", "left"))
