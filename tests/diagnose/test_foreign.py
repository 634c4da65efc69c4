"""`lorascope diagnose LOG`: what the command says of other trainers' logs, made here and real."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lorascope.cli.app import main
from lorascope.diagnose.logs.open_log import open_log
from lorascope.diagnose.stage import diagnose_log

pytestmark = pytest.mark.end_to_end

RUNS = Path(os.environ.get("LORASCOPE_DATA", Path(__file__).parents[3] / "shared" / "data")) / "runs"


def status(words: list[str]) -> int:
    """Exit status of the command."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    return int(stopped.value.code or 0)


def written_state(folder: Path, *, nll: str = "loss") -> Path:
    """A trainer_state.json whose evaluation turns after step 40."""
    history: list[dict[str, Any]] = []
    for step in range(1, 101):
        history.append({"step": step, "epoch": step / 50, nll: 2.0 * 0.98**step, "learning_rate": 1e-4})
        if step % 20 == 0:
            history.append({"step": step, "epoch": step / 50, "eval_loss": 1.0 + abs(step - 40) / 100})
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"log_history": history, "max_steps": 100, "global_step": 100}))
    return path


def test_the_command_says_what_it_read_and_what_it_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["diagnose", str(written_state(tmp_path))]) == 0
    shown = capsys.readouterr().out
    assert "trainer_state.json of transformers, 100 training points and 5 evaluations" in shown
    assert "columns: step, epoch, loss, eval_loss, learning_rate" in shown
    assert "evidence: curve only" in shown and "verdict: overfitting - overfitting since step 40" in shown
    assert not (tmp_path / "diagnose").exists()


def test_a_checkpoint_folder_and_its_parent_are_logs_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "out" / "checkpoint-40"
    checkpoint.mkdir(parents=True)
    (checkpoint / "config.json").write_text("{}")  # of the model: no run of ours
    written_state(checkpoint)
    for path in (checkpoint, checkpoint.parent):
        assert status(["diagnose", str(path)]) == 0
        assert "to ship: checkpoint-40: it has the lowest evaluation loss" in capsys.readouterr().out


def test_a_column_that_is_not_guessed_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written_state(tmp_path, nll="surprise")
    assert status(["diagnose", str(path), "--column", "loss=surprise"]) == 0
    assert "loss = surprise" in capsys.readouterr().out
    assert status(["diagnose", str(path), "--column", "surprise"]) == 1
    assert "QUANTITY=NAME" in capsys.readouterr().err


def test_json_and_the_gate_work_on_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written_state(tmp_path)
    assert status(["diagnose", str(path), "--json", "--fail-on", "critical"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "overfitting" and told["evidence"] == "curve_only"
    assert told["log"]["columns"]["eval_loss"] == "eval_loss"


def test_the_gate_holds_for_each_of_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    sound, overfit = tmp_path / "a" / "trainer_state.json", written_state(tmp_path / "b")
    history = [{"step": step, "loss": 2.0 * 0.98**step} for step in range(1, 101)]
    sound.write_text(json.dumps({"log_history": history}))
    both = ["diagnose", str(sound), str(overfit)]
    assert status([*both, "--fail-on", "critical"]) == 1
    assert status(both) == status([both[0], str(sound), str(sound), "--fail-on", "critical"]) == 0


def test_a_part_that_a_log_cannot_show_is_unknown_and_no_100(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("loss: 1.2\n")
    told = diagnose_log(open_log(log), "log.txt")["health"]
    assert told["score"] is None and told["told"].startswith("unknown; not measured: data, fit")
    told = diagnose_log(open_log(written_state(tmp_path)), "log")["health"]
    assert told["score"] is not None and told["unknown"] == ["data", "generation"]


def test_a_folder_without_a_log_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.md").write_text("# nothing\n")
    assert status(["diagnose", str(tmp_path)]) == 1
    assert "trainer_state.json" in capsys.readouterr().err


MEANT = {
    "divergence": "diverging",
    "zero_loss": "non_finite",
    "nonfinite": "non_finite",
    "spiky": "unstable",
    "too_short": "not_enough_evidence",
    "no_eval": "not_enough_evidence",
    "no_learning": "not_learning",
}
VERDICTS = ("healthy", "plateau", "overfitting", "still_improving")

ARGUED = {
    "memasp_llama2_b": "70 steps with noise of 18 %: tenths of it differ by 25 % by chance",
    "coral_whisper_tiny": "2.3 % in the last quarter at a constant rate, ten times the noise: it improves",
    "gguan_qwen_k8s": "no evaluation: flat training rows say nothing about others",
    "laziest_sumlora": "no evaluation: flat training rows say nothing about others",
    "meldashti_arol_tb": "12 % where an epoch begins, 2 % inside: stairs, as in others that are read so",
    "aichatbot_tb": "28 % where an epoch begins, none inside: stairs, as in others that are read so",
    "jackok_nanogpt_log": "its step lines hold 21 validation losses, which rise from 2.1 to 4.9",
}
"""Real logs that we read otherwise than the readings beside them, and why."""


def meant_by(reading: str, also: list[str]) -> set[str]:
    """The verdicts that agree with a reading."""
    if reading == "staircase":
        return {"overfitting", "plateau", "healthy"}
    names = [reading, *(also if reading == "no_eval" else [tag for tag in also if tag == "no_learning"])]
    return {MEANT.get(name, name) for name in names} & {*MEANT.values(), *VERDICTS}


@pytest.mark.skipif(not RUNS.is_dir(), reason="real public logs are not here; set LORASCOPE_DATA")
def test_verdicts_on_real_public_logs_agree_with_their_readings() -> None:
    manifest = json.loads((RUNS / "MANIFEST.json").read_text())
    judged, disagreed = 0, {}
    for entry in manifest:
        verdict = diagnose_log(open_log(RUNS / entry["file"]), entry["id"])["verdict"]
        if entry["your_reading"] == "mixed":
            continue
        judged += 1
        if verdict not in meant_by(entry["your_reading"], entry["also"]):
            disagreed[entry["id"]] = verdict
    assert judged == 81 and disagreed.keys() <= ARGUED.keys()
    assert 1 - len(disagreed) / judged >= 0.90


@pytest.mark.skipif(not RUNS.is_dir(), reason="real public logs are not here; set LORASCOPE_DATA")
def test_no_training_on_rewards_is_called_broken() -> None:
    for name in ("joshsalako_grpo", "srinath_grpo"):
        report = diagnose_log(open_log(RUNS / name), name)
        assert report["verdict"] == "not_enough_evidence" and "rewards are logged" in report["verdict_reason"]
        assert not [one for one in report["findings"] if one["severity"] == "critical"]


def test_a_path_that_is_given_twice_is_named_by_its_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(written_state(tmp_path))
    assert status(["diagnose", path, path]) == 0
    assert "not compared (A and B)" in capsys.readouterr().out


def test_a_perplexity_that_stands_in_for_the_loss_is_no_metric(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,train_ppl,val_ppl,val_f1\n1,7.5,8.5,0.5\n2,7.0,8.0,0.6\n")
    assert status(["diagnose", str(log)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "eval_perplexity = val_ppl, metrics of evaluations: val_f1" in shown


def test_a_log_whose_loss_is_no_number_is_told_how_to_name_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.jsonl"
    for line, told in (
        ('{"step": 1, "loss": "b"}', 'no value of "loss" is a number'),
        ('{"step": 1, "objective": 2.5}', "no loss was found in the log"),
    ):
        log.write_text(f"{line}\n")
        assert status(["diagnose", str(log)]) == 1
        shown = capsys.readouterr().err
        assert told in shown and "--column loss=NAME" in shown and "columns={" not in shown
        assert "did you mean" not in shown
