"""Rows become examples, chunk by chunk: every one of them, or a bad row with its line."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lorascope.lm.template import Template
from lorascope.prepare.origin import open_origin
from lorascope.prepare.parallel import work_through
from lorascope.prepare.read import BadRow, SourceRow
from lorascope.prepare.shapes.detect import detect
from lorascope.prepare.work import Worked, work
from lorascope.run.data_sections import DataSection
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message
from lorascope.run.progress import SILENT

FORGETFUL = (
    "{% for m in messages %}{{ m['role'] }}:"
    "{% if m['role'] == 'assistant' and not loop.last %}...{% else %}{{ m['content'] }}{% endif %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
ASKED = {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "Hello."}


def worked(values: list[Any], template: Template, *, first_row: int = 1) -> Worked:
    rows = [
        one if isinstance(one, BadRow) else SourceRow(10 * n, one) for n, one in enumerate(values, start=1)
    ]
    shape = detect([one for one in values if isinstance(one, dict)], "rows.json")
    done = work(rows, shape=shape, template=template, targets="all")
    return done.placed(source="rows", file="rows.json", first_row=first_row, origin=3, side=1)


def test_rows_keep_their_line_and_their_number(alpaca_tokenizer: Any) -> None:
    good, bad = {"instruction": "a", "output": "b"}, {"instruction": "a", "output": ""}
    broken = BadRow(20, "not_json", "{")
    done = worked([good, broken, bad, good], Template("alpaca", alpaca_tokenizer), first_row=100)
    assert done.batch.column("example_id").to_pylist() == ["rows.json#100", "rows.json#103"]
    assert [(one.line, one.row, one.reason) for one in done.bad] == [
        (20, 101, "not_json"),
        (30, 102, "empty_output"),
    ]
    assert {one.file for one in done.bad} == {"rows.json"}
    assert set(done.batch.column("source").to_pylist()) == {"rows"}
    assert (done.facts.origin_N.tolist(), done.facts.side_N.tolist()) == ([3, 3], [1, 1])
    assert done.num_rows == 4


def test_the_batch_holds_what_the_template_makes(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca", alpaca_tokenizer)
    done = worked([{"instruction": "Add.", "input": "1", "output": "\u00e91", "source": "x"}], template)
    (row,) = done.batch.to_pylist()
    messages = [{name: turn[name] for name in ("role", "content", "context")} for turn in row["messages"]]
    assert messages == [
        {"role": "user", "content": "Add.", "context": "1"},
        {"role": "assistant", "content": "\u00e91", "context": ""},
    ]
    assert (row["target_text"], row["target_bytes"], row["labels"]) == ("\u00e91", 3, '{"source": "x"}')
    (encoded,) = template.encode(
        [Message(role="user", content="Add.", context="1"), Message(role="assistant", content="\u00e91")]
    )
    assert (row["input_ids"], row["targets"]) == (encoded.input_ids, encoded.labels)
    assert done.facts.num_tokens_N.tolist() == [len(row["input_ids"])]
    assert done.facts.num_targets_N.tolist() == [sum(one != IGNORE for one in row["targets"])]


def test_a_row_that_the_template_refuses_is_bad_and_hides_no_other(alpaca_tokenizer: Any) -> None:
    late = {"messages": [ASKED, {"role": "system", "content": "b"}, SAID]}
    good = {"messages": [ASKED, SAID]}
    done = worked([good, late, good], Template("alpaca", alpaca_tokenizer))
    assert [one.row for one in done.bad] == [2]
    assert done.bad[0].reason.startswith("template_refuses: ")
    assert done.batch.num_rows == 2


def test_a_conversation_that_a_template_splits_gives_examples_with_ids_of_their_own(
    chat_tokenizer: Any,
) -> None:
    template = Template("chat", chat_tokenizer, chat_template=FORGETFUL)
    done = worked([{"messages": [ASKED, SAID, ASKED, SAID]}], template)
    assert done.batch.column("example_id").to_pylist() == ["rows.json#1/1", "rows.json#1/2"]
    assert [len(turns) for turns in done.batch.column("messages").to_pylist()] == [2, 4]
    assert done.tally["split_conversations"] == 1
    assert len(set(done.facts.prompt_N.tolist())) == 1  # so that they stay on one side of a split


def test_what_is_odd_is_counted(alpaca_tokenizer: Any) -> None:
    rows = [{"instruction": "a {{name}}", "output": "b"}, {"instruction": "a", "output": "b"}]
    done = worked(rows, Template("alpaca", alpaca_tokenizer))
    assert sum(n for name, n in done.tally.items() if name.startswith("odd/")) == 1


@pytest.mark.end_to_end
def test_several_processes_give_what_one_gives(alpaca_tokenizer: Any, tmp_path: Path) -> None:
    rows = [{"instruction": f"Say {n}.", "output": "" if n % 50 == 7 else f"{n}!"} for n in range(3000)]
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    origins = [open_origin(DataSection(path=str(tmp_path), name="both"), SILENT)]
    template = Template("alpaca", alpaca_tokenizer)
    small = 40_000  # a chunk is then a few hundred rows
    results = []
    for processes in (1, 2):
        found = list(work_through(origins, template, "all", processes=processes, num_bytes=small))
        results.append(
            (
                pa.Table.from_batches([one.batch for _, one in found]),
                [bad for _, one in found for bad in one.bad],
                sum(one.num_rows for _, one in found),
            )
        )
    (here, bad_here, num_here), (there, bad_there, num_there) = results
    assert here.equals(there) and bad_here == bad_there
    assert num_here == num_there == 6000 == here.num_rows + len(bad_here)
    assert len(bad_here) == 120
    assert here.column("example_id").to_pylist()[0] == "one.jsonl#1"
    assert bad_here[-1].file == "two.jsonl" and (bad_here[-1].row, bad_here[-1].line) == (2958, 2958)
