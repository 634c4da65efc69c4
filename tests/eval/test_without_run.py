"""eval of any adapter on any data: a raw file, a run's dataset, a padded dataset made elsewhere."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.errors import ConfigError, DataError
from lorascope.eval.measures import by_group, split_measures
from lorascope.run.folder import RunFolder
from lorascope.without_run import eval_without_run


def save_foreign(folder: Path, rows: list[dict[str, Any]], **splits: list[int]) -> Path:
    """Save rows as classic scripts do: padded to 256 with the end-of-text token, which is unlabelled."""
    import datasets

    def padded(row: dict[str, Any]) -> dict[str, Any]:
        missing = 256 - len(row["input_ids"])
        labels = [label if label != 0 else -100 for label in row["labels"]]
        return {
            "input_ids": row["input_ids"] + [0] * missing,
            "attention_mask": [1] * len(row["input_ids"]) + [0] * missing,
            "labels": labels + [-100] * missing,
        }

    made = {
        name: datasets.Dataset.from_list([padded(rows[index]) for index in indices])
        for name, indices in splits.items()
    }
    datasets.disable_progress_bars()
    datasets.DatasetDict(made).save_to_disk(str(folder))
    return folder


@pytest.fixture(scope="module")
def rows(trained_run: RunFolder) -> list[dict[str, Any]]:
    import datasets

    return [dict(row) for row in datasets.load_from_disk(str(trained_run.dataset))["validation"]]


def test_a_runs_dataset_gives_the_runs_numbers(own_run: RunFolder, alpaca_base: Path, evaluate: Any) -> None:
    expected = evaluate(own_run)
    result = eval_without_run(
        base=str(alpaca_base), adapter=str(own_run.adapter), data=own_run.dataset, settings=()
    )
    for name in ("base", "adapter"):
        for key in ("eval_loss", "perplexity", "supervised_tokens", "num_batches", "token_accuracy"):
            assert result[name][key] == expected[name][key]


def test_a_padded_dataset_without_ids_gives_the_loss_of_its_labels(
    trained_run: RunFolder, alpaca_base: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    # The same rows, their end-of-text token unlabelled: one target less a row, the others' loss unchanged.
    from lorascope.lm.pair import load_pair
    from lorascope.lm.score import score_examples
    from lorascope.run.dataset import load_examples

    foreign = save_foreign(tmp_path / "foreign", rows, validation=list(range(8)))
    result = eval_without_run(
        base=str(alpaca_base), adapter=str(trained_run.adapter), data=foreign, settings=()
    )
    ours, _ = load_examples(trained_run.dataset, "validation")
    assert result["adapter"]["supervised_tokens"] == sum(one.num_target_tokens for one in ours) - 8
    pair = load_pair(str(alpaca_base), trained_run.adapter)
    theirs, _ = load_examples(foreign, "validation")
    assert [one.num_tokens for one in theirs] == [one.num_tokens for one in ours]  # trimmed by the mask
    scores = score_examples(pair.model, theirs, pad_id=0, batch_size=1)
    loss = float(scores.nll_sum_N.sum() / scores.num_tokens_N.sum())
    assert result["adapter"]["eval_loss"] == pytest.approx(loss, rel=1e-6)
    assert result["adapter"]["bytes_from"] == "decoded target tokens"


def test_the_only_split_of_a_dataset_is_taken(
    trained_run: RunFolder, alpaca_base: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    foreign = save_foreign(tmp_path / "foreign", rows, test=[0, 1, 2])
    result = eval_without_run(base=str(alpaca_base), adapter=None, data=foreign, settings=())
    assert (result["base"]["split"], result["base"]["num_examples"], result["adapter"]) == ("test", 3, None)


def test_a_raw_file_is_prepared_as_prepare_would(
    trained_run: RunFolder, alpaca_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads((trained_run.path.parent / "rows.json").read_text())
    (tmp_path / "some.json").write_text(json.dumps(rows[:10]))
    command = ["eval", "--base", str(alpaca_base), "--adapter", str(trained_run.adapter)]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--data", str(tmp_path / "some.json"), "--set", "prepare.max_length=200", "--json"])
    assert stopped.value.code == 0
    result = json.loads(capsys.readouterr().out)
    assert result["run"] is None
    assert result["adapter"]["num_examples"] == 10
    assert result["adapter"]["bytes_from"] == "the source text"
    num_bytes = sum(len(row["output"].encode()) for row in rows[:10])
    nats = result["adapter"]["eval_loss"] * result["adapter"]["supervised_tokens"]
    assert result["adapter"]["bits_per_byte"] == pytest.approx(nats / (math.log(2) * num_bytes), rel=1e-9)


def test_every_row_of_a_raw_file_is_measured_and_what_cannot_be_is_said(
    alpaca_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 39 short rows, one of about 300 tokens (training's "auto" would cut it off as the longest 0.5 %), one
    # beyond the base's 512 positions, one without an answer.
    rows = [{"instruction": f"Say {n}.", "input": "", "output": f"{n}"} for n in range(39)]
    rows.append({"instruction": "Count.", "input": "", "output": "1 2 " * 70})
    rows.append({"instruction": "Count on.", "input": "", "output": "1 2 " * 2000})
    rows.append({"instruction": "Say nothing.", "input": "", "output": None})
    (tmp_path / "some.json").write_text(json.dumps(rows))
    with pytest.raises(SystemExit) as stopped:
        main(["eval", "--base", str(alpaca_base), "--data", str(tmp_path / "some.json"), "--json"])
    assert stopped.value.code == 0
    out, err = capsys.readouterr()
    base = json.loads(out)["base"]
    assert (base["split"], base["num_examples"]) == ("whole file", 40)
    assert "measured: 40 of 42 rows; left out: 1 malformed, 1 longer than 512 tokens" in err


def test_a_data_file_has_no_splits_to_choose_from(alpaca_base: Path, tmp_path: Path) -> None:
    (tmp_path / "some.json").write_text(json.dumps([{"instruction": "Say 1.", "input": "", "output": "1"}]))
    with pytest.raises(ConfigError, match='no split "test" in a data file'):
        eval_without_run(
            base=str(alpaca_base), adapter=None, data=tmp_path / "some.json", settings=("eval.split=test",)
        )


def test_one_example_has_a_loss_and_no_interval_and_says_why(
    alpaca_base: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    foreign = save_foreign(tmp_path / "foreign", rows, validation=[0])
    result = eval_without_run(base=str(alpaca_base), adapter=None, data=foreign, settings=())["base"]
    assert result["eval_loss"] > 0
    assert result["eval_loss_interval"] is None
    assert "at least 2 examples" in result["why"]["eval_loss_interval"]


def test_a_split_without_targets_has_null_numbers_with_their_reason(
    trained_run: RunFolder, alpaca_base: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    silent = [{**row, "labels": [-100] * len(row["labels"])} for row in rows[:3]]
    foreign = save_foreign(tmp_path / "foreign", silent, validation=[0, 1, 2])
    result = eval_without_run(
        base=str(alpaca_base), adapter=str(trained_run.adapter), data=foreign, settings=()
    )
    for one in (result["base"], result["adapter"]):
        assert one["supervised_tokens"] == 0
        assert one["examples_without_targets"] == 3
        for key in ("eval_loss", "eval_loss_interval", "token_accuracy", "mean_of_batch_losses"):
            assert one[key] is None
            assert one["why"][key]
        assert one["perplexity"] is None
    difference = result["adapter"]["difference_from_base"]
    assert difference["loss"] is None and difference["why"]["loss"]
    json.dumps(result, allow_nan=False)


def test_rows_longer_than_the_context_are_refused_by_name(
    alpaca_base: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    long = {"input_ids": [3] * 600, "labels": [-100] * 300 + [3] * 300}
    foreign = save_foreign(tmp_path / "foreign", [rows[0], long], validation=[0, 1])
    with pytest.raises(DataError, match="example 1 has 600 tokens, and the model reads 512"):
        eval_without_run(base=str(alpaca_base), adapter=None, data=foreign, settings=())


def test_an_unknown_split_is_refused_with_the_near_name(
    alpaca_base: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    foreign = save_foreign(tmp_path / "foreign", rows, train=[0, 1], validation=[2])
    with pytest.raises(DataError, match=r'no split "valdation"(.|\n)*did you mean "validation"'):
        eval_without_run(
            base=str(alpaca_base), adapter=None, data=foreign, settings=("eval.split=valdation",)
        )


def test_a_group_whose_perplexity_has_no_value_says_why() -> None:
    import numpy as np

    from lorascope.lm.score import ExampleScores

    scores = ExampleScores(
        nll_sum_N=np.array([0.0, 8000.0, 4.0]),
        num_tokens_N=np.array([0, 4, 2]),
        num_correct_N=np.array([0, 0, 1]),
    )
    groups = by_group(scores, ["silent", "lost", "fine"])
    assert groups["silent"]["eval_loss"] is None and groups["silent"]["why"]["eval_loss"]
    assert (groups["lost"]["eval_loss"], groups["lost"]["perplexity"]) == (2000.0, None)  # exp(2000)
    assert "too large" in groups["lost"]["why"]["perplexity"]
    assert (groups["fine"]["eval_loss"], groups["fine"]["why"]) == (2.0, {})


def test_the_measures_of_a_split_by_hand() -> None:
    # Two examples of 2 and 4 targets with 2 and 8 nats: 10 / 6, not the mean of 1 and 2. Text of 5 bytes.
    import numpy as np

    from lorascope.lm.score import ExampleScores

    scores = ExampleScores(
        nll_sum_N=np.array([2.0, 8.0]), num_tokens_N=np.array([2, 4]), num_correct_N=np.array([2, 1])
    )
    measures = split_measures(scores, np.array([2, 3]), batch_size=1)
    assert measures["eval_loss"] == pytest.approx(10 / 6)
    assert measures["perplexity"] == pytest.approx(math.exp(10 / 6))
    assert measures["mean_of_batch_losses"] == pytest.approx(1.5)
    assert measures["token_accuracy"] == pytest.approx(3 / 6)
    assert measures["bits_per_byte"] == pytest.approx(10 / math.log(2) / 5)
    assert (measures["num_batches"], measures["supervised_tokens"]) == (2, 6)
