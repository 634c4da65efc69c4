"""Every known way of silently ruining a fine-tune through its data is planted, and found."""

import os
from pathlib import Path

import pytest
from planted_faults import FAULTS as TOKEN_FAULTS
from planted_faults import Fault, table_lines
from planted_in_texts import TEXT_FAULTS

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("planted")]

PAGE = Path(__file__).parents[2] / "docs" / "check.md"
BEGIN, END = (
    "<!-- planted faults: written by tests/check/test_planted_faults.py -->",
    "<!-- end of planted faults -->",
)
FAULTS = [*TOKEN_FAULTS, *TEXT_FAULTS]
_told: dict[str, str] = {}


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_planted_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    said = fault.plant(tmp_path)
    line = next((one for one in said.splitlines() if fault.says in one), None)
    assert line is not None, f"not found in:\n{said}"
    _told[fault.name] = line if line != "True" else "prompts, and near copies of them, stay on one side"


def test_the_table_of_the_docs_is_what_the_faults_come_to() -> None:
    if len(_told) < len(FAULTS):
        pytest.skip("only some of the faults were planted in this process")
    assert len(FAULTS) >= 25
    made = "\n".join([BEGIN, "", *table_lines((fault, _told[fault.name]) for fault in FAULTS), "", END])
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if os.environ.get("LORASCOPE_WRITE_DOCS"):
        PAGE.write_text(before + made + after, encoding="utf-8")
    assert made in PAGE.read_text(encoding="utf-8"), "run it with LORASCOPE_WRITE_DOCS=1"
