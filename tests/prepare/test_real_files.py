"""Real public files; each expected number comes from the file by another way than ours, shown beside it."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.gather import gather, refuse_too_many_bad
from lorascope.prepare.overlap import duplicate_counts
from lorascope.prepare.split import answer_key, prompt_key
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.folder import RunFolder
from lorascope.run.progress import SILENT
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def manifest(data_folder: Path) -> dict[str, Any]:
    entries = json.loads((data_folder / "datasets" / "MANIFEST.json").read_text(encoding="utf-8"))
    return {entry["file"]: entry for entry in entries}


def test_every_alpaca_row_is_trained_on_whole_or_named(
    data_folder: Path, real_gpt2: Path, make_run: Callable[..., RunFolder]
) -> None:
    from transformers import AutoTokenizer

    path = data_folder / "alpaca_5000.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    run = make_run(path, real_gpt2)
    report = json.loads(run.prepare_report.read_text())
    empty = [number for number, row in enumerate(rows, start=1) if not row["output"].strip()]
    dropped = [json.loads(line) for line in (run.path / "prepare" / "dropped.jsonl").read_text().splitlines()]
    assert [one["row"] for one in dropped if one["reason"] == "empty_output"] == empty
    lengths = []
    tokenizer = AutoTokenizer.from_pretrained(real_gpt2)
    for split in ("train", "validation"):
        for example in load_examples(run.dataset, split)[0]:
            row = rows[int(example.example_id.partition("#")[2]) - 1]
            targets = example.labels[example.labels != IGNORE]
            assert targets[-1] == example.input_ids[-1] == 50256
            assert tokenizer.decode(targets[:-1]) == row["output"]
            lengths.append(example.num_tokens)
    assert len(lengths) == report["kept"] == 5000 - len(dropped)
    # At most half a percent is longer than the 99.5th percentile.
    assert 0 < report["dropped"]["over_length"] <= 0.005 * 5000
    assert max(lengths) <= report["max_length"] <= 1024
    assert report["splits"]["validation"]["examples"] == (5000 - len(dropped)) // 10
    assert report["overlap"]["validation"]["same_prompt"] == 0


@pytest.mark.parametrize(
    "name",
    [
        "llamafactory_alpaca_en.json",
        "llamafactory_alpaca_zh.json",
        "codealpaca_2k.json",
        "llamafactory_identity.json",
        "torchtune_alpaca_text.json",
        "vigogne_oasst_fr.jsonl",
        "turkish_dialogues_jsonl.jsonl",
        "tinker_conversations.jsonl",
        "llamafactory_kto_en.json",
    ],
)
def test_every_row_is_read_or_named(name: str, data_folder: Path, manifest: dict[str, Any]) -> None:
    gathered = gather(data_folder / "datasets" / name, SILENT)
    entry = manifest[name]
    assert gathered.num_rows == entry["num_rows"]
    oddities = entry["oddities"]
    empty = oddities.get("empty_output_rows_index0", [])
    assert [bad.row - 1 for bad in gathered.bad if bad.reason == "empty_output"] == empty
    assert set(gathered.unused) == set(entry["columns"]) - {
        "instruction",
        "input",
        "output",
        "messages",
        "label",
    }


@pytest.mark.parametrize("name", ["llamafactory_alpaca_en.json", "llamafactory_alpaca_zh.json"])
def test_duplicates_are_those_of_the_manifest(name: str, data_folder: Path, manifest: dict[str, Any]) -> None:
    # Neither file has rows that differ in case or white space alone, so counting raw rows comes to the same.
    messages = [one.messages for one in gather(data_folder / "datasets" / name, SILENT).conversations]
    counts = duplicate_counts([prompt_key(one) for one in messages], [answer_key(one) for one in messages])
    oddities = manifest[name]["oddities"]
    assert (counts["exact"], counts["prompt"]) == (oddities["exact_dup_rows"], oddities["dup_prompts"])


def test_a_line_without_its_brace_is_named_and_hides_no_other(data_folder: Path) -> None:
    # The manifest: "Line 8 (of 23) is not valid JSON: the closing } is missing; the other 22 parse."
    gathered = gather(data_folder / "datasets" / "nexus_broken_line.jsonl", SILENT)
    assert [(bad.line, bad.row, bad.reason) for bad in gathered.bad] == [(8, 8, "not_json")]
    assert [one.line for one in gathered.conversations] == [line for line in range(1, 24) if line != 8]


def test_answers_that_people_rejected_are_not_trained_on(data_folder: Path) -> None:
    # The manifest: "label is a bool, 150 True / 150 False".
    path = data_folder / "datasets" / "llamafactory_kto_en.json"
    gathered = gather(path, SILENT)
    assert Counter(bad.reason for bad in gathered.bad) == {"label_is_false": 150}
    with pytest.raises(DataError, match="150 of 300 rows are malformed"):
        refuse_too_many_bad(gathered, gathered.bad, 0.01, path)


@pytest.mark.parametrize(
    "name",
    [
        "llamafactory_v1_sft_parts.jsonl",
        "llamafactory_tool_parts.jsonl",
        "llamafactory_multimodal_parts.jsonl",
    ],
)
def test_contents_in_parts_are_refused_and_never_guessed(
    name: str, data_folder: Path, manifest: dict[str, Any]
) -> None:
    path = data_folder / "datasets" / name
    gathered = gather(path, SILENT)
    num = manifest[name]["num_rows"]
    assert Counter(bad.reason for bad in gathered.bad) == {"wrong_type_content": num}
    with pytest.raises(DataError, match=f"{num} of {num} rows are malformed"):
        refuse_too_many_bad(gathered, gathered.bad, 1.0, path)


def test_line_numbers_of_a_pretty_file_are_those_of_the_text(data_folder: Path) -> None:
    path = data_folder / "datasets" / "llamafactory_alpaca_en.json"
    lines = path.read_text(encoding="utf-8").splitlines()
    for one in gather(path, SILENT).conversations:
        assert lines[one.line - 1].strip() == "{"
        assert json.dumps(one.messages[0].content, ensure_ascii=False) in lines[one.line]


UNKNOWN = {
    "axolotl_missingturns.json": "conversations",
    "cdial_splits_in_one.json": "test, train, valid",
    "chinese_vicuna_chat_lists.jsonl": "input, output",
    "dolly_fixture.json": "category, context, instruction, response",
    "fastchat_sharegpt.json": "conversations, id",
    "llamafactory_c4_text.jsonl": "text",
    "llamafactory_dpo_zh.json": "chosen, conversations, rejected",
    "llamafactory_glaive_tools_zh.json": "conversations, tools",
    "longform_val.json": "input, output, source, subset",
    "mlx_lora_sql_text.jsonl": "text",
    "nexus_preference.jsonl": "chosen, prompt, rejected",
    "rag_japanese_qa.csv": "Hard-Negative, Negative, Positive",
    "snappy_parquet_html.parquet": "input, output",
    "text2cypher_parquet.parquet": "cypher, question, schema",
    "wwdc25_poems_train.jsonl": "completion, prompt",
    "xquad_ar.json": "data, version",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_columns_that_are_not_understood_are_named(name: str, data_folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        gather(data_folder / "datasets" / name, SILENT)
    assert "no known columns" in caught.value.message
    assert UNKNOWN[name] in caught.value.message
    assert "fix:" in caught.value.message


def test_a_file_that_is_no_json_is_said_to_be_none(data_folder: Path) -> None:
    with pytest.raises(DataError, match="not_json"):
        gather(data_folder / "datasets" / "ccks_not_json.jsonl", SILENT)


def test_chats_are_prepared_under_an_alpaca_template_and_under_their_own(
    data_folder: Path, make_run: Callable[..., RunFolder], alpaca_base: Path, chat_base: Path
) -> None:
    path = data_folder / "datasets" / "tinker_conversations.jsonl"
    answers = [
        [turn["content"] for turn in json.loads(line)["messages"] if turn["role"] == "assistant"]
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for name, base in (("alpaca", alpaca_base), ("chat", chat_base)):
        run = make_run(path, base, name=name)
        assert json.loads(run.template.read_text())["name"] == name
        texts = read_texts(run.examples)
        assert len(texts) > 100
        for text in texts:
            row = int(text.example_id.partition("#")[2])
            assert text.target_text == "".join(answers[row - 1])
