"""Real public files, prepared whole; expected numbers come from each file by another way, or its manifest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.folder import RunFolder
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def manifest(data_folder: Path) -> dict[str, Any]:
    entries = json.loads((data_folder / "datasets" / "MANIFEST.json").read_text(encoding="utf-8"))
    return {entry["file"]: entry for entry in entries}


def dropped_of(run: RunFolder) -> list[dict[str, Any]]:
    lines = (run.path / "prepare" / "dropped.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_alpaca_row_is_trained_on_whole_or_named(
    data_folder: Path, real_gpt2: Path, make_run: Callable[..., RunFolder]
) -> None:
    from transformers import AutoTokenizer

    path = data_folder / "alpaca_5000.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    run = make_run(path, real_gpt2)
    report = json.loads(run.prepare_report.read_text())
    empty = [number for number, row in enumerate(rows, start=1) if not row["output"].strip()]
    dropped = dropped_of(run)
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


@pytest.mark.parametrize("name", ["llamafactory_alpaca_en.json", "llamafactory_alpaca_zh.json"])
def test_duplicates_are_those_of_the_manifest(
    name: str,
    data_folder: Path,
    manifest: dict[str, Any],
    make_run: Callable[..., RunFolder],
    real_gpt2: Path,
) -> None:
    # Neither file has rows that differ in case or white space alone, so counting raw rows comes to the same;
    # with every length that fits no row of them is left out.
    run = make_run(data_folder / "datasets" / name, real_gpt2, "prepare.max_length=100000")
    report, oddities = json.loads(run.prepare_report.read_text()), manifest[name]["oddities"]
    counts = report["duplicates"]
    if report["kept"] == report["rows_read"]:
        assert (counts["exact"], counts["prompt"]) == (oddities["exact_dup_rows"], oddities["dup_prompts"])
    else:  # a few Chinese rows are longer than GPT-2's 1,024 positions
        assert report["rows_read"] - report["kept"] <= 20
        assert 0 < counts["exact"] <= oddities["exact_dup_rows"]


def test_a_line_without_its_brace_is_named_and_hides_no_other(
    data_folder: Path, make_run: Callable[..., RunFolder], alpaca_base: Path
) -> None:
    # The manifest: "Line 8 (of 23) is not valid JSON: the closing } is missing; the other 22 parse."
    path = data_folder / "datasets" / "nexus_broken_line.jsonl"
    run = make_run(path, alpaca_base, "prepare.max_length=100000", "prepare.validation=0")
    assert [(bad["line"], bad["row"]) for bad in dropped_of(run) if bad["reason"] == "not_json"] == [(8, 8)]
    assert json.loads(run.prepare_report.read_text())["rows_read"] == 23


@pytest.fixture(scope="session")
def roomy_base(alpaca_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny GPT-2 with so many positions that no row is too long."""
    import shutil

    folder = tmp_path_factory.mktemp("models") / "roomy"
    shutil.copytree(alpaca_base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "n_positions": 2_000_000}))
    return folder


# File to its shape, its examples under Alpaca's template, and its malformed rows by reason.
READ: dict[str, tuple[str, int, dict[str, int]]] = {
    "chinese_vicuna_chat_lists.jsonl": ("turn_lists", 3, {}),
    "codealpaca_2k.json": ("alpaca", 2015, {"empty_output": 2}),
    "dolly_fixture.json": ("alpaca", 12, {}),
    "fastchat_sharegpt.json": ("sharegpt", 500, {}),
    "llamafactory_alpaca_en.json": ("alpaca", 999, {}),
    "llamafactory_alpaca_zh.json": ("alpaca", 1000, {}),
    "llamafactory_c4_text.jsonl": ("text", 300, {}),
    "llamafactory_dpo_zh.json": ("preference", 300, {}),
    "llamafactory_identity.json": ("alpaca", 91, {}),
    "llamafactory_kto_en.json": ("preference", 150, {}),  # 150 answers were turned down
    "llamafactory_v1_sft_parts.jsonl": ("messages", 500, {}),
    "longform_val.json": ("pairs", 9, {}),
    "mlx_lora_sql_text.jsonl": ("text", 1000, {}),
    "nexus_broken_line.jsonl": ("alpaca", 22, {"not_json": 1}),
    "nexus_preference.jsonl": ("preference", 14, {}),
    "nexus_translation.jsonl": ("pairs", 14, {}),
    "rag_japanese_qa.csv": ("pairs", 3428, {}),
    "snappy_parquet_html.parquet": ("pairs", 441, {}),
    "stackexchange_paired.json": ("preference", 25, {}),
    "stanford_seed_tasks.jsonl": ("seed_tasks", 175, {}),
    "tinker_conversations.jsonl": ("messages", 128, {}),
    "torchtune_alpaca_text.json": ("alpaca", 100, {}),
    "turkish_dialogues_jsonl.jsonl": ("messages", 525, {}),
    "vigogne_oasst_fr.jsonl": ("messages", 256, {}),
    "wwdc25_poems_train.jsonl": ("pairs", 1800, {}),
    "wwdc25_poems_valid.jsonl": ("pairs", 144, {}),
}


@pytest.mark.parametrize("name", READ)
def test_every_row_is_learnt_from_or_accounted_for(
    name: str,
    data_folder: Path,
    manifest: dict[str, Any],
    make_run: Callable[..., RunFolder],
    roomy_base: Path,
) -> None:
    shape, kept, reasons = READ[name]
    run = make_run(data_folder / "datasets" / name, roomy_base, "prepare.max_length=2000000")
    report = json.loads(run.prepare_report.read_text())
    assert (report["shape"], report["kept"], report["dropped_by_reason"]) == (shape, kept, reasons)
    # The manifest counts what parses; a line that does not is a row here.
    assert report["rows_read"] == manifest[name]["num_rows"] + reasons.get("not_json", 0)
    assert report["rows_read"] == report["kept"] + sum(reasons.values()) + report["not_chosen"]


def test_columns_of_other_names_are_asked_for_and_then_read(
    data_folder: Path, make_run: Callable[..., RunFolder], roomy_base: Path
) -> None:
    path = data_folder / "datasets" / "text2cypher_parquet.parquet"
    with pytest.raises(
        DataError, match=r"no known columns: found question(.|\n)*--set (.|\n)*prepare.columns"
    ):
        make_run(path, roomy_base)
    columns = "prepare.columns={prompt: question, context: schema, answer: cypher}"
    run = make_run(path, roomy_base, columns, "prepare.max_length=2000000", name="named")
    report = json.loads(run.prepare_report.read_text())
    assert (report["rows_read"], report["kept"]) == (4736, 4736)


REFUSED = {
    "axolotl_missingturns.json": "1 of 1 rows are malformed: empty_content 1",
    "llamafactory_multimodal_parts.jsonl": "24 of 24 rows are malformed: image_content 24",
    "llamafactory_tool_parts.jsonl": "50 of 50 rows are malformed: template_refuses",
    "llamafactory_glaive_tools_zh.json": "template_refuses: template alpaca has no place for tool calls 157",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_learnt_from_is_refused_with_the_reason(
    name: str, data_folder: Path, make_run: Callable[..., RunFolder], roomy_base: Path
) -> None:
    with pytest.raises(DataError) as caught:
        make_run(data_folder / "datasets" / name, roomy_base)
    assert REFUSED[name] in caught.value.message


def test_a_file_that_is_no_json_is_said_to_be_none(
    data_folder: Path, make_run: Callable[..., RunFolder], alpaca_base: Path
) -> None:
    with pytest.raises(DataError, match="not_json"):
        make_run(data_folder / "datasets" / "ccks_not_json.jsonl", alpaca_base)


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
