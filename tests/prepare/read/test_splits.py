import pytest

from lorascope.prepare.read.splits import canonical_split, split_in_path


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00002.parquet", "train"),
        ("my_VALID_01.csv", "validation"),
        ("dev.json", "validation"),
        ("test/part-3.parquet", "test"),
        ("train/eval.json", "test"),  # the file's own name before its folder's
        ("latest.jsonl", None),
        ("training_data.json", "train"),
        ("attestation.csv", None),
        ("rows.json", None),
    ],
)
def test_a_split_is_told_by_a_word_of_the_path(path: str, split: str | None) -> None:
    assert split_in_path(path) == split


def test_a_name_alone_is_a_split_or_it_is_not() -> None:
    assert [canonical_split(name) for name in ("Train", "valid", "eval", "train_sft")] == [
        "train",
        "validation",
        "test",
        None,
    ]
