"""check on whole datasets: a planted fault is found and named, and nothing else is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.check.stage import CHECKS, check_dataset, check_run, load_all, stop_ids_of
from lorascope.errors import ConfigError, DataError, ModelError, RunError
from lorascope.run.commit import committed_folder, verify_folder
from lorascope.run.current import recipe_of
from lorascope.run.dataset import IGNORE
from lorascope.run.folder import RunFolder
from lorascope.run.provenance import read_provenance

pytestmark = pytest.mark.end_to_end

Rows = Callable[..., list[dict[str, str]]]
Make = Callable[..., RunFolder]
Columns = dict[str, dict[str, list[Any]]]


def failed(report: dict[str, Any]) -> dict[str, list[str]]:
    """Name of each failed check to the ids of the rows it shows."""
    return {
        check["name"]: [row["example_id"] for row in check["worst"]]
        for check in report["checks"]
        if check["passed"] is False
    }


def columns_of(dataset: Path) -> Columns:
    import datasets

    return {split: rows.to_dict() for split, rows in datasets.load_from_disk(str(dataset)).items()}


def save(folder: Path, splits: Columns) -> Path:
    import datasets

    datasets.disable_progress_bars()
    made = {split: datasets.Dataset.from_dict(columns) for split, columns in splits.items()}
    datasets.DatasetDict(made).save_to_disk(str(folder))
    return folder


def plant(run: RunFolder, change: Callable[[Columns], None]) -> None:
    """Commit a prepare folder whose dataset is changed, as a prepare with that bug would."""
    splits = columns_of(run.dataset)
    change(splits)
    with committed_folder(run.stage("prepare"), replace=True) as folder:
        for path in run.stage("prepare").iterdir():
            if path.name in ("report.json", "template.json", "examples.parquet", "dropped.jsonl"):
                shutil.copy(path, folder)
        save(folder / "dataset", splits)


@pytest.fixture(params=["alpaca_base", "chat_base"])
def run(request: pytest.FixtureRequest, make_run: Make, alpaca_rows: Rows) -> RunFolder:
    """A healthy run under either template: 27 training rows and 3 validation rows."""
    return make_run(alpaca_rows(30), request.getfixturevalue(request.param))


def check(run: RunFolder, *settings: str) -> dict[str, Any]:
    return check_run(run, recipe_of(run, settings))


def test_a_healthy_run_passes_every_check(run: RunFolder) -> None:
    report = check(run)
    assert (report["passed"], report["failed"], report["allowed"]) == (True, [], [])
    assert [one["name"] for one in report["checks"]] == list(CHECKS)
    rows = {one["name"]: one["num_rows"] for one in report["checks"]}
    has_bos = next(one["passed"] for one in report["checks"] if one["name"] == "bos")
    assert rows == dict.fromkeys(CHECKS, 30) | {"overlap": 3} | ({} if has_bos else {"bos": 0})
    assert report["first_line"].startswith(f"all {10 if has_bos else 9} checks passed on 30 rows")
    assert json.loads(run.check_report.read_text()) == report
    verify_folder(run.stage("check"))
    record = read_provenance(run)["stages"]["check"]
    assert (record["passed"], record["inputs"]["dataset"]) == (True, report["dataset_sha256"])


def test_its_dataset_hash_is_the_one_that_prepare_wrote(run: RunFolder) -> None:
    assert check(run)["dataset_sha256"] == json.loads(run.prepare_report.read_text())["dataset_sha256"]


def mask_all(splits: Columns) -> None:
    row = splits["train"]["labels"][2]
    splits["train"]["labels"][2] = [IGNORE] * len(row)


def unlabel_end(splits: Columns) -> None:
    labels = splits["train"]["labels"][2]
    last = max(place for place, label in enumerate(labels) if label != IGNORE)
    labels[last] = IGNORE


def shift(splits: Columns) -> None:
    labels = splits["train"]["labels"][2]
    splits["train"]["labels"][2] = [*labels[1:], IGNORE]


def supervise_prompt(splits: Columns) -> None:
    splits["train"]["labels"][2] = list(splits["train"]["input_ids"][2])


def drop_prompt(splits: Columns) -> None:
    for name in ("input_ids", "labels", "attention_mask"):
        splits["train"][name][2] = splits["train"][name][2][10:]


def leak(splits: Columns) -> None:
    for name in ("input_ids", "labels", "attention_mask"):
        splits["train"][name][2] = splits["validation"][name][1]


def train_on_padding(splits: Columns) -> None:
    train = splits["train"]
    train["input_ids"][2] = [*train["input_ids"][2], 7, 7]
    train["labels"][2] = [*train["labels"][2], 7, 7]
    train["attention_mask"][2] = [*train["attention_mask"][2], 0, 0]


def pierce_mask(splits: Columns) -> None:
    splits["train"]["attention_mask"][2][5] = 0


FAULTS = [
    (mask_all, {"targets"}),
    (unlabel_end, {"stop_token"}),
    (shift, {"labels", "prompt_masked"}),
    (supervise_prompt, {"prompt_masked"}),
    (drop_prompt, {"prompt_prefix", "prompt_masked"}),
    (leak, {"overlap", "prompt_prefix"}),
    (train_on_padding, {"padding"}),
    (pierce_mask, {"attention_mask"}),
]


@pytest.mark.parametrize(("fault", "names"), FAULTS)
def test_a_planted_fault_is_found_and_named(
    fault: Callable[[Columns], None], names: set[str], run: RunFolder
) -> None:
    plant(run, fault)
    row = columns_of(run.dataset)["train"]["example_id"][2]
    held = columns_of(run.dataset)["validation"]["example_id"][1]
    report = check(run)
    assert not report["passed"]
    assert failed(report) == {name: [held if name == "overlap" else row] for name in names}
    first = "1 of 3 rows that are held out stand in training" if "overlap" in names else "1 of 30 rows "
    assert report["first_line"].startswith(("1 of 30 rows ", first))


def test_a_failed_check_may_be_allowed_on_record(run: RunFolder) -> None:
    plant(run, unlabel_end)
    report = check(run, "check.allow=[stop_token]")
    assert (report["passed"], report["failed"], report["allowed"]) == (True, ["stop_token"], ["stop_token"])
    assert read_provenance(run)["stages"]["check"]["settings"] == {"allow": ["stop_token"]}
    assert not check(run, "check.allow=[overlap]")["passed"]


def test_an_unknown_check_cannot_be_allowed(run: RunFolder) -> None:
    with pytest.raises(ConfigError, match='did you mean "overlap"'):
        check(run, "check.allow=[overlaps]")
    assert not run.stage("check").exists()


def test_a_leaking_validation_file_of_ones_own_is_found(
    make_run: Make, write_rows: Callable[..., Path], alpaca_rows: Rows, alpaca_base: Path
) -> None:
    rows = alpaca_rows(20)
    held = write_rows([rows[7], {"instruction": "New.", "output": "Yes."}], "held.json")
    run = make_run(rows, alpaca_base, f"prepare.validation={held}")
    report = check(run)
    assert failed(report) == {"overlap": ["held.json#1"]}
    (worst,) = next(one for one in report["checks"] if one["name"] == "overlap")["worst"]
    assert worst == {
        "example_id": "held.json#1",
        "split": "validation",
        "what": "the same as training row run.json#8",
    }


@pytest.mark.parametrize(
    "name", ["dataset/train/data-00000-of-00001.arrow", "examples.parquet", "template.json"]
)
def test_a_prepared_file_that_was_damaged_is_found_before_anything_is_checked(
    name: str, run: RunFolder
) -> None:
    path = run.stage("prepare") / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RunError, match=f"damaged: {name}"):
        check(run)
    assert not run.stage("check").exists()


def test_a_run_that_is_not_prepared_names_the_command(run: RunFolder) -> None:
    shutil.rmtree(run.dataset)
    with pytest.raises(RunError, match="lorascope prepare"):
        check(run)


def test_a_tokenizer_that_changed_since_prepare_stops_it(
    make_run: Make, alpaca_rows: Rows, alpaca_base: Path, tmp_path: Path
) -> None:
    shutil.copytree(alpaca_base, tmp_path / "model")
    run = make_run(alpaca_rows(20), tmp_path / "model")
    path = tmp_path / "model" / "tokenizer.json"
    rules = json.loads(path.read_text())
    rules["model"]["merges"].pop()
    path.write_text(json.dumps(rules))
    with pytest.raises(ModelError, match="not the one this run was prepared with"):
        check(run)


# Datasets made elsewhere


def foreign(rows: list[tuple[list[int], list[int]]], *, length: int | None = None, pad: int = 0) -> Columns:
    """A dataset without example_id; with `length` cut and padded on the right, with a mask from lengths."""
    columns: dict[str, list[Any]] = {"input_ids": [], "labels": [], "attention_mask": []}
    for whole_ids, whole_labels in rows:
        ids, labels = whole_ids[:length], whole_labels[:length]
        filling = (length or len(ids)) - len(ids)
        columns["input_ids"].append(ids + [pad] * filling)
        columns["labels"].append(labels + [IGNORE] * filling)
        columns["attention_mask"].append([1] * len(ids) + [0] * filling)
    return {"train": columns}


@pytest.fixture
def rows(alpaca_tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """Twelve rows of prompt, answer and end of text, by a script of somebody else's."""
    made = []
    for number in range(12):
        prompt = alpaca_tokenizer(f"Question: Say number {number}.\nAnswer:")["input_ids"]
        answer = alpaca_tokenizer(f" The number is {'very ' * number}{number}.")["input_ids"]
        end = [alpaca_tokenizer.eos_token_id]
        made.append((prompt + answer + end, [IGNORE] * len(prompt) + answer + end))
    return made


@pytest.mark.parametrize("length", [None, 512])
def test_a_healthy_dataset_made_elsewhere_passes_padded_or_not(
    length: int | None, rows: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    report = check_dataset(save(tmp_path / "d", foreign(rows, length=length)), str(alpaca_base))
    assert (report["passed"], failed(report)) == (True, {})
    assert report["trimmed_rows"] == (12 if length else 0)
    made = {one["name"]: one["passed"] for one in report["checks"]}
    assert made == dict.fromkeys(CHECKS, True) | dict.fromkeys(("prompt_prefix", "bos", "overlap"))
    assert report["first_line"].startswith("all 7 checks passed on 12 rows")


def test_padding_and_unpadded_come_to_the_same_examples(rows: Any, tmp_path: Path) -> None:
    plain, _ = load_all(save(tmp_path / "plain", foreign(rows)))
    padded, _ = load_all(save(tmp_path / "padded", foreign(rows, length=512)))
    for one, other in zip(plain["train"], padded["train"], strict=True):
        assert (one.input_ids.tolist(), one.labels.tolist()) == (
            other.input_ids.tolist(),
            other.labels.tolist(),
        )


def test_an_end_that_was_lost_to_a_mask_made_from_the_pad_id_is_found(
    rows: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    # pad == end of text, and both mask and labels made by comparing ids with it: no row teaches stopping.
    columns = foreign(rows, length=512)
    for row, ids in enumerate(columns["train"]["input_ids"]):
        columns["train"]["attention_mask"][row] = [int(token != 0) for token in ids]
        labels = columns["train"]["labels"][row]
        columns["train"]["labels"][row] = [
            IGNORE if token == 0 else label for token, label in zip(ids, labels, strict=True)
        ]
    report = check_dataset(save(tmp_path / "d", columns), str(alpaca_base))
    assert failed(report) == {"stop_token": ["0", "1", "2", "3", "4"]}
    assert report["first_line"] == "12 of 12 rows never train the stop token; here are three: 0, 1, 2"


@pytest.mark.parametrize("has_mask", [True, False])
def test_padding_that_is_labelled_is_found(
    has_mask: bool, rows: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    # labels = input_ids, padding and all: the padding's end of text drowns the answers.
    columns = foreign(rows, length=512)
    columns["train"]["labels"] = [list(ids) for ids in columns["train"]["input_ids"]]
    if not has_mask:
        del columns["train"]["attention_mask"]
    report = check_dataset(save(tmp_path / "d", columns), str(alpaca_base))
    assert set(failed(report)) == {"padding", "prompt_masked"}
    (padding,) = [one for one in report["checks"] if one["name"] == "padding"]
    assert padding["num_failed"] == 12
    num_padding = 512 - len(rows[0][0])
    assert padding["worst"][0]["what"] == f"{num_padding} tokens of padding are targets"


def test_labels_that_were_shifted_are_found(rows: Any, alpaca_base: Path, tmp_path: Path) -> None:
    shifted = [(ids, [*labels[1:], IGNORE]) for ids, labels in rows]
    report = check_dataset(save(tmp_path / "d", foreign(shifted)), str(alpaca_base))
    assert "labels" in failed(report)
    assert report["checks"][4]["num_failed"] == 12


def test_rows_cut_at_the_padded_length_are_counted_and_not_failed(
    rows: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    length = sorted(len(ids) for ids, _ in rows)[8]  # three rows are longer
    num_longer = sum(len(ids) > length for ids, _ in rows)
    report = check_dataset(save(tmp_path / "d", foreign(rows, length=length)), str(alpaca_base))
    assert report["passed"]
    assert (
        report["checks"][1]["note"]
        == f"{num_longer} rows were cut at {length} tokens and do not teach stopping"
    )


def test_prompts_that_are_trained_on_are_found(rows: Any, alpaca_base: Path, tmp_path: Path) -> None:
    supervised = [(ids, list(ids)) for ids, _ in rows]
    report = check_dataset(save(tmp_path / "d", foreign(supervised)), str(alpaca_base))
    assert set(failed(report)) == {"prompt_masked"}
    # The rows may as well be plain text: nothing is claimed of a prompt, and the way to say so is named.
    assert report["first_line"].startswith("12 of 12 rows mask nothing: their prompts, if they have any, are")
    assert "check.allow=[prompt_masked]" in next(one["fix"] for one in report["checks"] if not one["passed"])
    assert check_dataset(tmp_path / "d", str(alpaca_base), allow=["prompt_masked"])["passed"]


def test_a_leak_between_foreign_splits_is_found(rows: Any, alpaca_base: Path, tmp_path: Path) -> None:
    splits = {"train": foreign(rows[:10])["train"], "test": foreign([rows[3], rows[11]])["train"]}
    report = check_dataset(save(tmp_path / "d", splits), str(alpaca_base))
    assert failed(report) == {"overlap": ["0"]}


def test_a_split_that_differs_in_its_padding_alone_still_leaks(
    rows: Any, alpaca_base: Path, tmp_path: Path
) -> None:
    splits = {"train": foreign(rows[:10])["train"], "test": foreign(rows[3:4], length=512)["train"]}
    assert failed(check_dataset(save(tmp_path / "d", splits), str(alpaca_base))) == {"overlap": ["0"]}


def test_one_fault_may_be_allowed_in_a_dataset_too(rows: Any, alpaca_base: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "d", foreign([(ids[:-1], labels[:-1]) for ids, labels in rows]))
    assert not check_dataset(folder, str(alpaca_base))["passed"]
    assert check_dataset(folder, str(alpaca_base), allow=["stop_token"])["passed"]


def test_the_usual_end_of_turn_tokens_are_stop_tokens_where_the_tokenizer_has_them(
    alpaca_tokenizer: Any, chat_tokenizer: Any
) -> None:
    assert alpaca_tokenizer.convert_ids_to_tokens(list(stop_ids_of(alpaca_tokenizer))) == ["<|endoftext|>"]
    assert set(chat_tokenizer.convert_ids_to_tokens(list(stop_ids_of(chat_tokenizer)))) == {
        "<|endoftext|>",
        "<|im_end|>",
    }


def test_what_is_no_dataset_is_our_error(alpaca_base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a dataset"):
        check_dataset(tmp_path, str(alpaca_base))
