"""Several trainings beside each other: what is compared, and what is refused."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorascope.diagnose.beside import Identity, Side, beside
from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.rules import diagnose

sys.path.insert(0, str(Path(__file__).parent))
from made_logs import made_log
from synthetic import make_evidence

IDS = tuple(f"rows.json#{number}" for number in range(200))
SAME = Identity(tokenizer="t1", template="alpaca", validation={one: 10 for one in IDS})
FALL = [0.0, -0.2, -0.3, -0.35, -0.36]


def side(name: str, evidence: Evidence, identity: Identity = SAME) -> Side:
    evidence = dataclasses.replace(evidence, validation_ids=IDS if evidence.log is None else ())
    return Side(name=name, evidence=evidence, report=diagnose(evidence), identity=identity)


def better_by(nats: float) -> Evidence:
    """The same rows, each so much lower per token at the last evaluation."""
    evidence = make_evidence(FALL, FALL)
    *earlier, last = evidence.evals
    score = last.validation
    assert score is not None
    lower = np.array(score.nll_sums) - nats * np.array(score.num_tokens)
    changed = dataclasses.replace(score, nll_sums=tuple(lower.tolist()))
    return dataclasses.replace(evidence, evals=(*earlier, dataclasses.replace(last, validation=changed)))


def pair_of(a: Side, b: Side) -> dict[str, Any]:
    told: dict[str, Any] = beside([a, b])["pairs"][0]
    return told


def test_runs_on_the_same_rows_get_a_difference_paired_by_row() -> None:
    pair = pair_of(side("a", make_evidence(FALL, FALL)), side("b", better_by(0.05)))
    assert pair["comparable"] == ["loss", "perplexity", "bits_per_byte"] and pair["why_not"] is None
    # Every row is better by exactly 0.05 nats per token, so the interval has no width but rounding.
    assert pair["difference"]["estimate"] == pytest.approx(-0.05)
    assert pair["difference"]["low"] == pytest.approx(pair["difference"]["high"], abs=1e-9)
    assert pair["difference"]["sentence"].endswith("b is better")


def test_no_winner_is_named_where_none_is_shown() -> None:
    pair = pair_of(side("a", make_evidence(FALL, FALL)), side("b", make_evidence(FALL, FALL)))
    assert pair["difference"]["sentence"].endswith("no difference is shown")


@pytest.mark.parametrize(
    ("change", "said"), [({"tokenizer": "t2"}, "tokenizers"), ({"template": "chatml"}, "templates")]
)
def test_perplexities_are_refused_where_tokens_or_prompts_differ_and_bits_per_byte_stand(
    change: dict[str, str], said: str
) -> None:
    other = dataclasses.replace(SAME, **change)
    pair = pair_of(side("a", make_evidence(FALL, FALL)), side("b", better_by(0.05), other))
    assert said in pair["why_not"] and pair["difference"] is None
    assert pair["comparable"] == ["bits_per_byte"]


def test_other_validation_rows_are_refused_altogether() -> None:
    other = dataclasses.replace(SAME, validation={**SAME.validation, IDS[0]: 11})
    pair = pair_of(side("a", make_evidence(FALL, FALL)), side("b", better_by(0.05), other))
    assert "rows differ" in pair["why_not"] and pair["comparable"] == []


def test_logs_of_other_trainers_stand_beside_and_nothing_is_concluded() -> None:
    log = made_log(2.0 * np.exp(-np.arange(100) / 40), {25: 1.8, 50: 1.6, 75: 1.5, 100: 1.45})
    told = beside([side("a", make_evidence(FALL, FALL)), side("log", log, Identity())])
    assert "does not say which rows" in told["pairs"][0]["why_not"]
    row = told["runs"][1]
    assert (row["best_step"], row["best_loss"], row["last_loss"]) == (100, 1.45, 1.45)
    assert row["perplexity"] == pytest.approx(np.exp(1.45)) and row["bits_per_byte"] is None


def test_bits_per_byte_are_the_nats_over_the_bytes() -> None:
    evidence = make_evidence(FALL, FALL)
    row = beside([side("a", evidence), side("b", evidence)])["runs"][0]
    score = evidence.evals[-1].validation
    assert score is not None
    assert row["bits_per_byte"] == pytest.approx(sum(score.nll_sums) / np.log(2) / (200 * 10))


def test_many_points_are_drawn_as_medians_of_neighbours() -> None:
    log = made_log(np.linspace(2.0, 1.0, 4000))
    curve = beside([side("a", log, Identity()), side("b", log, Identity())])["curves"][0]
    assert len(curve["train"]) == 400 and curve["train"][-1][0] == 4000


def test_the_command_prints_table_curves_and_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from lorascope.cli.app import main

    paths = []
    for name, rate in (("a", 0.99), ("b", 0.98)):
        lines = [{"step": step, "loss": 2.0 * rate**step} for step in range(1, 61)]
        lines += [{"step": step, "eval_loss": 2.1 * rate**step} for step in range(10, 61, 10)]
        paths.append(tmp_path / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SystemExit) as stopped:
        main(["diagnose", *map(str, paths)])
    shown = capsys.readouterr().out
    assert not stopped.value.code and "verdict" in shown and "evaluation loss by step" in shown
    assert "not compared (A and B): a log of another trainer" in " ".join(shown.split())
