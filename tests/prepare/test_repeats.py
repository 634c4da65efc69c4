"""Near duplicates are found in prompts, answers and both, and stay on one side of the split."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lorascope.prepare.stage import prepare_run
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("ak", "el", "im", "or", "un", "ath", "isk")]


def sentence(rng: random.Random, num: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(num))


def changed(text: str) -> str:
    """The same with its last word exchanged: of 28 shingles of 30 words, 27 stay, and 29 are in either."""
    return f"{text.rpartition(' ')[0]} changed"


@pytest.fixture
def prepared(tmp_path: Path, alpaca_base: Path) -> Any:
    def run(rows: list[dict[str, Any]], **prepare: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        recipe = make_recipe(
            {
                "base": str(alpaca_base),
                "data": str(tmp_path / "rows.json"),
                "prepare": {"max_length": 512, **prepare},
            }
        )
        folder = RunFolder(tmp_path / "run")
        report = prepare_run(folder, recipe, overwrite=True)
        return report, {text.example_id: text for text in read_texts(folder.examples)}

    return run


def unrelated(rng: random.Random, count: int) -> list[dict[str, Any]]:
    return [{"instruction": sentence(rng, 30), "output": sentence(rng, 30)} for _ in range(count)]


def test_groups_of_near_duplicates_stay_on_one_side(prepared: Any) -> None:
    rng = random.Random(0)
    rows = unrelated(rng, 60)
    rows += [{"instruction": changed(row["instruction"]), "output": sentence(rng, 30)} for row in rows[:30]]
    report, texts = prepared(rows, validation=30)
    assert report["near_duplicates"]["prompt"] == {"pairs": 30, "clusters": 30, "rows": 60}
    assert report["near_duplicates"]["both"]["rows"] == 0
    for n in range(30):
        assert texts[f"rows.json#{n + 1}"].split == texts[f"rows.json#{n + 61}"].split
    assert report["splits"]["validation"]["examples"] == 30
    assert report["overlap"]["validation"]["near_prompt"] == 0
    # Without looking for them, some of the 30 pairs would stand on both sides.
    blind, texts = prepared(rows, validation=30, near_duplicates=None)
    apart = [n for n in range(30) if texts[f"rows.json#{n + 1}"].split != texts[f"rows.json#{n + 61}"].split]
    assert len(apart) > 5
    assert (blind["near_duplicates"], blind["overlap"]["validation"]["near_both"]) == (None, None)


def test_a_leaking_validation_file_is_reported_with_its_pairs(prepared: Any, tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = unrelated(rng, 50)
    held = unrelated(rng, 10)
    held[2] = rows[7]  # exactly
    held[4] = {name: changed(text) for name, text in rows[8].items()}  # nearly
    held[6] = {"instruction": rows[9]["instruction"], "output": sentence(rng, 30)}  # its prompt
    held[8] = {"instruction": changed(rows[10]["instruction"]), "output": sentence(rng, 30)}
    (tmp_path / "held.json").write_text(json.dumps(held))
    report, texts = prepared(rows, validation=str(tmp_path / "held.json"))
    assert report["overlap"]["validation"] == {
        "num_examples": 10,
        "same_prompt": 2,
        "same_answer": 1,
        "same_both": 1,
        "near_prompt": 1,
        "near_both": 1,
        "pairs": [["held.json#3", "rows.json#8"], ["held.json#5", "rows.json#9"]],
    }
    flags = {name: text.overlap for name, text in texts.items() if text.overlap}
    assert flags == {
        "held.json#3": "same",
        "held.json#5": "near",
        "held.json#7": "prompt",
        "held.json#9": "near_prompt",
    }


def test_prompts_of_one_template_are_no_near_duplicates_of_each_other(prepared: Any) -> None:
    # 20 words of every prompt are the same, five are its own: Jaccard similarity about 18 / 28 as they stand,
    # and with a longer template it would be anything.
    rng = random.Random(2)
    lead = (
        "You are a careful reviewer of products and say in one word what the following customer thinks " * 3
    )
    rows = [{"instruction": f"{lead}: {sentence(rng, 6)}", "output": "good"} for _ in range(100)]
    report, _ = prepared(rows, validation=20)
    assert report["near_duplicates"]["prompt"]["rows"] == 0
    assert report["splits"]["validation"]["examples"] == 20


def test_a_cluster_too_large_to_stay_whole_is_parted_and_said_to_be(prepared: Any) -> None:
    # Each row shares all but the last of its words with the one before: a chain that joins all of them.
    rng = random.Random(3)
    words = [f"w{n}" for n in range(40)]
    rows = []
    for n in range(19):  # fewer than 20, so that no wording counts as a template
        words[n % 40] = f"x{n}"
        rows.append({"instruction": " ".join(words), "output": sentence(rng, 30)})
    report, _ = prepared(rows, validation=5)
    assert report["parted_group"] >= 15
    assert report["splits"]["validation"]["examples"] == 5
