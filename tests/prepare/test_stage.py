import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.prepare import summary
from lorascope.errors import ConfigError, DataError, ModelError, RunError
from lorascope.prepare import stage
from lorascope.prepare.stage import prepare_run
from lorascope.run.commit import verify_folder
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.folder import RunFolder
from lorascope.run.message import Message
from lorascope.run.provenance import read_provenance
from lorascope.run.recipe import make_recipe, read_recipe_file, with_overrides
from lorascope.run.sections import Recipe
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end

Rows = Callable[..., list[dict[str, str]]]
Make = Callable[..., RunFolder]


def recipe_for(data: Path, base: Path, *settings: str) -> Recipe:
    return make_recipe(with_overrides({"base": str(base), "data": str(data)}, settings))


def report_of(run: RunFolder) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(run.prepare_report.read_text())
    return loaded


def dropped_of(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.path / "prepare" / "dropped.jsonl").read_text().splitlines()]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What it makes


def test_a_run_has_the_files_of_the_design(make_run: Make, alpaca_rows: Rows, alpaca_base: Path) -> None:
    run = make_run(alpaca_rows(30), alpaca_base)
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "prepare", "provenance.json"]
    assert {path.name for path in (run.path / "prepare").iterdir()} == {
        "MANIFEST.json",
        "dataset",
        "dropped.jsonl",
        "examples.parquet",
        "report.json",
        "template.json",
    }
    verify_folder(run.path / "prepare")


def test_the_dataset_is_read_by_plain_datasets(make_run: Make, alpaca_rows: Rows, alpaca_base: Path) -> None:
    import datasets

    run = make_run(alpaca_rows(30), alpaca_base)
    loaded = datasets.load_from_disk(str(run.dataset))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 27, "validation": 3}
    row = loaded["train"][0]
    assert set(row) == {"input_ids", "attention_mask", "labels", "example_id"}
    assert row["attention_mask"] == [1] * len(row["input_ids"])
    assert row["example_id"].startswith("run.json#")


@pytest.mark.parametrize("base", ["alpaca_base", "chat_base"])
def test_the_dataset_trains_under_transformers_own_collator(
    base: str, make_run: Make, alpaca_rows: Rows, request: pytest.FixtureRequest
) -> None:
    import datasets
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq

    folder = request.getfixturevalue(base)
    run = make_run(alpaca_rows(12), folder, "prepare.validation=0")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    rows = datasets.load_from_disk(str(run.dataset))["train"].remove_columns("example_id")
    batch = DataCollatorForSeq2Seq(tokenizer)([rows[index] for index in range(4)])
    model = AutoModelForCausalLM.from_pretrained(folder)
    loss = model(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    # What it trains are exactly our targets, shifted by one: the mean over them is the loss.
    examples, _ = load_examples(run.dataset, "train")
    assert int((batch["labels"][:, 1:] != IGNORE).sum()) == sum(one.num_target_tokens for one in examples[:4])


@pytest.mark.parametrize("base", ["alpaca_base", "chat_base"])
def test_every_row_is_its_prompt_and_its_answer(
    base: str, make_run: Make, alpaca_rows: Rows, request: pytest.FixtureRequest
) -> None:
    from lorascope.lm.load import load_tokenizer

    folder = request.getfixturevalue(base)
    rows = alpaca_rows(20)
    run = make_run(rows, folder)
    tokenizer = load_tokenizer(str(folder))
    stop = "<|im_end|>" if base == "chat_base" else "<|endoftext|>"
    seen = set()
    for split in ("train", "validation"):
        for example in load_examples(run.dataset, split)[0]:
            row = rows[int(example.example_id.partition("#")[2]) - 1]
            targets = example.labels[example.labels != IGNORE].tolist()
            prompt = example.input_ids[: (example.labels != IGNORE).argmax()].tolist()
            assert tokenizer.decode(targets) == row["output"] + stop
            assert row["instruction"] in tokenizer.decode(prompt)
            assert row["output"] not in tokenizer.decode(prompt)
            seen.add(example.example_id)
    assert len(seen) == 20


def test_the_texts_stand_beside_their_examples(make_run: Make, alpaca_base: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": f"{n}", "output": f"\u00e9{n}", "topic": "sums"} for n in range(3)
    ]
    run = make_run(rows, alpaca_base)
    texts = {text.example_id: text for text in read_texts(run.examples)}
    assert set(texts) == {"run.json#1", "run.json#2", "run.json#3"}
    text = texts["run.json#2"]
    assert text.messages == (
        Message(role="user", content="Add.", context="1"),
        Message(role="assistant", content="\u00e91"),
    )
    # Two characters, of which the first takes two bytes in UTF-8.
    assert (text.target_text, text.target_bytes, text.labels) == ("\u00e91", 3, {"topic": "sums"})


def test_a_row_that_spells_the_end_of_text_does_not_end(make_run: Make, alpaca_base: Path) -> None:
    rows = [
        {"instruction": "Say <|endoftext|>.", "output": f"<|endoftext|> is a token {n}"} for n in range(3)
    ]
    run = make_run(rows, alpaca_base)
    for example in load_examples(run.dataset, "train")[0]:
        assert example.input_ids.tolist().count(0) == 1  # 0 is <|endoftext|>: the one that closes the answer
        assert example.input_ids[-1] == example.labels[-1] == 0


def test_the_report_counts_as_by_hand(make_run: Make, alpaca_base: Path) -> None:
    rows: list[Any] = [{"instruction": f"Say {n}.", "input": "", "output": "ok"} for n in range(20)]
    rows += [rows[0], {**rows[1], "output": "other"}]  # one exact repetition, one more answer to a prompt
    rows += [{"instruction": "", "output": "x"}, 3, {"instruction": "a"}]  # three malformed
    rows += [{"instruction": "long", "output": "word " * 300}]  # one too long
    run = make_run(rows, alpaca_base, "prepare.max_length=200", "prepare.validation=4", "prepare.test=2")
    report = report_of(run)
    assert (report["rows_read"], report["kept"]) == (26, 22)
    assert report["dropped"] == {"malformed": 3, "over_length": 1}
    assert report["dropped_by_reason"] == {"empty_instruction": 1, "not_an_object": 1, "missing_output": 1}
    assert {split: facts["examples"] for split, facts in report["splits"].items()} == {
        "train": 16,
        "validation": 4,
        "test": 2,
    }
    assert report["duplicates"] == {"exact": 1, "prompt": 2, "conflicting": 1, "across_sources": {}}
    assert (report["shape"], report["template"], report["max_length"]) == ("alpaca", "alpaca", 200)
    assert report["stop_tokens"] == ["<|endoftext|>"]
    for split, facts in report["splits"].items():
        examples, _ = load_examples(run.dataset, split)
        assert facts["tokens"] == sum(one.num_tokens for one in examples)
        assert facts["target_tokens"] == sum(int((one.labels != IGNORE).sum()) for one in examples)
    assert report["lengths"]["num"] == 22


def test_every_dropped_row_is_listed_with_its_place(
    write_rows: Callable[..., Path], make_run: Make, alpaca_base: Path
) -> None:
    good = {"instruction": "a", "output": "b"}
    path = write_rows(
        [good, {"instruction": "c", "output": None}, {**good, "output": "x" * 900}, good], "r.jsonl"
    )
    path.write_text(path.read_text() + "\n\n{oops\n")
    run = make_run(path, alpaca_base, "prepare.max_length=300", "prepare.validation=0")
    assert [{key: one[key] for key in ("file", "line", "row", "reason")} for one in dropped_of(run)] == [
        {"file": "r.jsonl", "line": 2, "row": 2, "reason": "null_output"},
        {"file": "r.jsonl", "line": 6, "row": 5, "reason": "not_json"},
        {"file": "r.jsonl", "line": 3, "row": 3, "reason": "over_length"},
    ]
    assert report_of(run)["rows_read"] == 5


def test_what_is_left_out_of_a_row_is_counted(make_run: Make, chat_base: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    rows = [{"messages": turns, "id": 1}, {"messages": [*turns, turns[0]], "id": 2}]
    report = report_of(make_run(rows, chat_base))
    assert report["cut_after_last_answer"] == 1
    assert report["unused_columns"] == ["id"]


def test_auto_max_length_is_the_995th_percentile_within_the_context(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    rows = alpaca_rows(400)
    rows[7]["output"] = "x" * 300  # the longest, still below GPT-2's 512
    report = report_of(make_run(rows, alpaca_base))
    # 1 of 400 is above the 99.5th percentile (rank 397.005 of 0..399), which lies among the others.
    assert report["dropped"]["over_length"] == 1
    assert report["max_length"] < 200
    longer = report_of(
        make_run([{"instruction": "a", "output": "y" * 2000}, *rows], alpaca_base, name="longer")
    )
    assert longer["max_length"] < 512


def test_auto_max_length_never_passes_the_context(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    rows = [{"instruction": "a", "output": "y" * 900} for _ in range(5)] + alpaca_rows(20)
    report = report_of(make_run(rows, alpaca_base))
    assert (report["max_length"], report["dropped"]["over_length"]) == (512, 5)


def test_the_same_prompt_never_stands_on_two_sides(make_run: Make, alpaca_base: Path) -> None:
    # 50 prompts, each twice: once with a blank behind it.
    rows = [{"instruction": f"Say {n % 50}{' ' * (n // 50)}", "output": str(n)} for n in range(100)]
    run = make_run(rows, alpaca_base, "prepare.validation=20", "prepare.test=20")
    report = report_of(run)
    assert {split: facts["examples"] for split, facts in report["splits"].items()} == {
        "train": 60,
        "validation": 20,
        "test": 20,
    }
    sides: dict[str, set[str]] = {}
    for text in read_texts(run.examples):
        sides.setdefault(text.messages[0].content.strip(), set()).add(text.split)
    assert all(len(where) == 1 for where in sides.values())
    for split in ("validation", "test"):
        assert report["overlap"][split]["same_prompt"] == 0
        assert report["overlap"][split]["same_both"] == 0


@pytest.mark.parametrize(("setting", "count"), [("auto", 2), ("0.5", 10), ("7", 7), ("0", 0), ("5e-1", 10)])
def test_the_validation_split_has_the_size_asked_for(
    setting: str, count: int, make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    report = report_of(make_run(alpaca_rows(20), alpaca_base, f"prepare.validation={setting}"))
    assert report["splits"].get("validation", {"examples": 0})["examples"] == count
    assert report["splits"]["train"]["examples"] == 20 - count


# A validation file of one's own


def test_a_validation_file_of_ones_own_is_used_whole_and_its_leaks_are_counted(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    rows = alpaca_rows(20)
    held = [rows[3], {**rows[5], "output": "Another answer."}, {"instruction": "New.", "output": "Yes."}]
    held_path = write_rows(held, "held.json")
    run = make_run(rows, alpaca_base, f"prepare.validation={held_path}")
    report = report_of(run)
    assert {split: facts["examples"] for split, facts in report["splits"].items()} == {
        "train": 20,
        "validation": 3,
    }
    assert report["overlap"]["validation"] == {
        "num_examples": 3,
        "same_prompt": 2,
        "same_answer": 1,
        "same_both": 1,
        "near_prompt": 0,
        "near_both": 0,
        "pairs": [["held.json#1", "run.json#4"]],
    }
    assert report["held_out_file"] == {"file": "held.json", "rows_read": 3}
    assert (report["rows_read"], report["kept"]) == (23, 23)  # of both files


def test_rows_of_both_files_are_counted_where_some_are_dropped(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    bad = {"instruction": "", "output": "x"}
    held = write_rows([*alpaca_rows(4), bad], "held.json")
    report = report_of(make_run([*alpaca_rows(20), bad, bad], alpaca_base, f"prepare.validation={held}"))
    assert (report["rows_read"], report["kept"], report["dropped"]["malformed"]) == (27, 24, 3)
    assert summary(report)[0] == (
        "read run.json as Alpaca rows (instruction, input, output): 22 rows, and held.json for validation: 5 "
        "rows; 24 of 27 kept (train 20, validation 4)"
    )


def test_rows_of_one_file_are_counted_in_a_few_words(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    report = report_of(make_run(alpaca_rows(20), alpaca_base))
    assert summary(report)[0] == (
        "read run.json as Alpaca rows (instruction, input, output): 20 rows, 20 kept (train 18, validation 2)"
    )


def test_two_files_of_one_name_give_every_example_an_id_of_its_own(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    held = write_rows([{"instruction": "New.", "output": "Yes."}], "other/run.json")
    run = make_run(alpaca_rows(3), alpaca_base, f"prepare.validation={held}")
    ids = [text.example_id for text in read_texts(run.examples)]
    assert sorted(ids) == ["run.json#1", "run.json#2", "run.json#3", "validation/run.json#1"]


def test_a_validation_file_of_which_nothing_fits_is_refused(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    held = write_rows([{"instruction": "New.", "output": "y" * 900}], "held.json")
    with pytest.raises(DataError, match=r"all 1 examples are longer than") as caught:
        make_run(alpaca_rows(3), alpaca_base, f"prepare.validation={held}")
    assert str(held) in caught.value.message


# Repeatable, up to date, stale


def test_a_seed_gives_the_same_bytes_of_ids(make_run: Make, alpaca_rows: Rows, alpaca_base: Path) -> None:
    rows = alpaca_rows(60)
    one, two = (make_run(rows, alpaca_base, "seed=3", name=name) for name in ("run", "other/run"))
    other = make_run(rows, alpaca_base, "seed=4", name="third/run")
    hashes = [report_of(run)["dataset_sha256"] for run in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    for split in ("train", "validation"):
        pairs = zip(load_examples(one.dataset, split)[0], load_examples(two.dataset, split)[0], strict=True)
        assert all(a.input_ids.tobytes() == b.input_ids.tobytes() for a, b in pairs)


def test_the_same_again_is_up_to_date_and_changes_no_byte(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    path = write_rows(alpaca_rows(20))
    run = make_run(path, alpaca_base)
    before = tree(run.path)
    report = prepare_run(run, recipe_for(path, alpaca_base))
    assert tree(run.path) == before
    assert report == report_of(run)


@pytest.mark.parametrize("change", ["seed=1", "prepare.max_length=100", "prepare.template=alpaca_s1", "data"])
def test_with_other_inputs_it_is_stale_and_refuses(
    change: str, make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    path = write_rows(alpaca_rows(20))
    run = make_run(path, alpaca_base)
    before = tree(run.path)
    settings = [] if change == "data" else [change]
    if change == "data":
        write_rows(alpaca_rows(21))
    with pytest.raises(RunError, match="with other inputs") as caught:
        prepare_run(run, recipe_for(path, alpaca_base, *settings))
    assert change.partition("=")[0] in caught.value.message
    assert "--overwrite" in caught.value.message
    assert tree(run.path) == before
    if change != "prepare.max_length=100":  # at which nothing fits
        prepare_run(run, recipe_for(path, alpaca_base, *settings), overwrite=True)
        assert tree(run.path) != before
        prepare_run(run, recipe_for(path, alpaca_base, *settings))


def test_what_auto_came_to_may_be_written_out(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    path = write_rows(alpaca_rows(20))
    run = make_run(path, alpaca_base)
    resolved = report_of(run)["max_length"]
    before = tree(run.path)
    prepare_run(
        run, recipe_for(path, alpaca_base, "prepare.template=alpaca", f"prepare.max_length={resolved}")
    )
    assert tree(run.path) == before


def test_config_json_repeats_the_run(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path, tmp_path: Path
) -> None:
    run = make_run(alpaca_rows(20), alpaca_base, "seed=5")
    recipe = make_recipe(read_recipe_file(run.config))
    assert (recipe.seed, recipe.prepare.template) == (5, "alpaca")
    again = RunFolder(tmp_path / "again")
    assert prepare_run(again, recipe)["dataset_sha256"] == report_of(run)["dataset_sha256"]
    assert prepare_run(run, recipe) == report_of(run)


def test_a_run_may_be_used_from_any_working_directory(
    write_rows: Callable[..., Path],
    alpaca_rows: Rows,
    alpaca_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_rows(alpaca_rows(20))
    (tmp_path / "model").symlink_to(alpaca_base)
    monkeypatch.chdir(tmp_path)
    run = RunFolder(tmp_path / "run")
    write_rows([{"instruction": "New.", "output": "Yes."}], "held.json")
    prepare_run(run, recipe_for(Path("rows.json"), Path("model"), "prepare.validation=held.json"))
    monkeypatch.chdir("/")
    recipe = make_recipe(read_recipe_file(run.config))
    assert all(
        Path(path).is_absolute()
        for path in (recipe.data[0].path, recipe.base.id, str(recipe.prepare.validation))
    )
    prepare_run(run, recipe)  # up to date: neither refused nor made again


def test_provenance_says_where_the_numbers_come_from(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    run = make_run(alpaca_rows(20), alpaca_base)
    record = read_provenance(run)["stages"]["prepare"]
    assert set(record["inputs"]) == {"data", "tokenizer"}
    assert record["dataset_sha256"] == report_of(run)["dataset_sha256"]
    assert record["template_sha256"] == json.loads(run.template.read_text())["sha256"]


# Interrupted


@pytest.mark.parametrize("writer", ["write_examples", "report_of", "write_json", "record_stage"])
def test_an_interruption_anywhere_leaves_nothing_half_and_is_made_good(
    writer: str,
    write_rows: Callable[..., Path],
    alpaca_rows: Rows,
    alpaca_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = recipe_for(write_rows(alpaca_rows(20)), alpaca_base)
    run = RunFolder(tmp_path / "run")

    def interrupted(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stage, writer, interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_run(run, recipe)
    if writer == "record_stage":
        verify_folder(run.path / "prepare")  # whole, and made again below for want of its record
    else:
        assert tree(run.path) == {}
    prepare_run(run, recipe)
    assert {path.name for path in run.path.iterdir()} == {"config.json", "prepare", "provenance.json"}
    verify_folder(run.path / "prepare")


KILLED = """
import os, sys
from pathlib import Path
from lorascope.prepare import stage
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe
data, base, out = sys.argv[1:]
stage.write_examples = lambda *given: os._exit(9)
stage.prepare_run(RunFolder(Path(out)), make_recipe({"base": base, "data": data}))
"""


def test_what_a_kill_leaves_is_made_good_by_the_next(
    write_rows: Callable[..., Path],
    alpaca_rows: Rows,
    alpaca_base: Path,
    tmp_path: Path,
) -> None:
    path, out = write_rows(alpaca_rows(20)), tmp_path / "run"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    staged = out / f".tmp-prepare-{dead.pid}-0123abcd"
    (staged / "dataset").mkdir(parents=True)
    (staged / "dataset" / "dataset_dict.json").write_text("{")
    prepare_run(RunFolder(out), recipe_for(path, alpaca_base))
    assert {entry.name for entry in out.iterdir()} == {"config.json", "prepare", "provenance.json"}


@pytest.mark.slow
def test_a_killed_prepare_is_made_good_by_the_next(
    write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path, tmp_path: Path
) -> None:
    path, out = write_rows(alpaca_rows(20)), tmp_path / "run"
    given = [str(path), str(alpaca_base), str(out)]
    assert subprocess.run([sys.executable, "-c", KILLED, *given], check=False).returncode == 9
    assert [entry.name.startswith(".tmp-prepare-") for entry in out.iterdir()] == [True]
    prepare_run(RunFolder(out), recipe_for(path, alpaca_base))
    assert {entry.name for entry in out.iterdir()} == {"config.json", "prepare", "provenance.json"}
    verify_folder(out / "prepare")


def test_prepare_killed_before_its_config_is_made_good(
    write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path, tmp_path: Path
) -> None:
    path, run = write_rows(alpaca_rows(20)), RunFolder(tmp_path / "run")
    prepare_run(run, recipe_for(path, alpaca_base))
    run.config.unlink()
    run.provenance.unlink()
    prepare_run(run, recipe_for(path, alpaca_base))
    assert run.config.is_file()


# Refused


def test_a_folder_of_somebody_elses_is_never_touched(
    write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    (taken / "prepare").mkdir(parents=True)
    (taken / "prepare" / "thesis.txt").write_text("years of work")
    before = tree(taken)
    for overwrite in (False, True):
        with pytest.raises(RunError, match="taken by something that is no run"):
            prepare_run(
                RunFolder(taken), recipe_for(write_rows(alpaca_rows(20)), alpaca_base), overwrite=overwrite
            )
    assert tree(taken) == before
    (tmp_path / "empty").mkdir()
    prepare_run(RunFolder(tmp_path / "empty"), recipe_for(write_rows(alpaca_rows(20)), alpaca_base))


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        (["prepare.max_length=8"], DataError, "all 20 examples are longer than 8 tokens"),
        (["prepare.validation=20"], DataError, "20 held-out examples leave none of 20 to train on"),
        (["prepare.validation=15", "prepare.test=5"], DataError, "leave none of 20"),
        (["prepare.template=chat"], ConfigError, "needs a tokenizer with a chat template"),
        (["base=/nowhere/model"], ModelError, "/nowhere/model"),
    ],
)
def test_what_cannot_work_is_refused_and_writes_nothing(
    settings: list[str],
    error: type[Exception],
    said: str,
    write_rows: Callable[..., Path],
    alpaca_rows: Rows,
    alpaca_base: Path,
    tmp_path: Path,
) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(error, match=said):
        prepare_run(run, recipe_for(write_rows(alpaca_rows(20)), alpaca_base, *settings))
    assert not run.path.exists()


def test_too_many_malformed_rows_stop_it_unless_accepted_on_record(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    rows = [*alpaca_rows(50), *({"instruction": "a", "output": ""} for _ in range(11))]
    with pytest.raises(DataError, match="11 of 61 rows are malformed: empty_output 11"):
        make_run(rows, alpaca_base)
    run = make_run(rows, alpaca_base, "prepare.max_dropped=0.2")
    assert report_of(run)["dropped"] == {"malformed": 11, "over_length": 0}
    assert json.loads(run.config.read_text())["prepare"]["max_dropped"] == 0.2


def test_the_data_quality_score_is_the_loss_under_the_base(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path
) -> None:
    import numpy as np
    import pyarrow.parquet as pq
    import torch
    from transformers import AutoModelForCausalLM

    run = make_run(alpaca_rows(20), alpaca_base, "prepare.score=true", "prepare.validation=4")
    rows = pq.read_table(run.stage("prepare") / "scores.parquet").to_pylist()
    examples = [one for split in ("train", "validation") for one in load_examples(run.dataset, split)[0]]
    assert [row["example_id"] for row in rows] == [one.example_id for one in examples]
    model = AutoModelForCausalLM.from_pretrained(str(alpaca_base), dtype=torch.float32).eval()
    for row, one in zip(rows, examples, strict=True):  # an independent computation, row by row
        ids = torch.tensor(one.input_ids.tolist())[None]
        labels = torch.tensor(one.labels.tolist())[None]
        with torch.no_grad():
            assert row["loss"] == pytest.approx(model(ids, labels=labels).loss.item(), rel=1e-5)
    report = report_of(run)["scores"]
    by_loss = sorted(rows, key=lambda row: row["loss"])
    assert [one["example_id"] for one in report["trivial"]] == [row["example_id"] for row in by_loss[:10]]
    assert report["strangest"][0]["example_id"] == by_loss[-1]["example_id"]
    assert report["median"] == pytest.approx(float(np.median([row["loss"] for row in rows])))
    assert any(line.startswith("data-quality score") for line in summary(report_of(run)))
