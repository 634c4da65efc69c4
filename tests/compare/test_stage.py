import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lorascope.compare.answers import answer_all, refuse_too_long
from lorascope.compare.divergences import MEASURES
from lorascope.compare.prompts import Prompt
from lorascope.compare.stage import Work, compare_pair, compare_run
from lorascope.errors import DataError, RunError
from lorascope.lm.generate import Decoding
from lorascope.lm.template_record import load_template
from lorascope.run.commit import verify_folder
from lorascope.run.current import recipe_of
from lorascope.run.dataset import load_examples
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end

SMALL = ("compare.prompts=3", "compare.examples=22", "compare.max_new_tokens=6", "compare.unrelated=false")


def compared(run: Any, *settings: str, **options: Any) -> dict[str, Any]:
    return compare_run(run, recipe_of(run, (*SMALL, *settings)), **options)


def test_an_adapter_with_b_at_zero_is_said_to_change_nothing(base: Path, run_with_adapter: Any) -> None:
    report = compared(run_with_adapter(base, b_std=0))
    assert report["verdict"]["kind"] == "changes_nothing"
    assert report["verdict"]["sentence"].startswith("this adapter changes nothing: B.A is 0 in all")
    assert report["presence"]["num_modules"] > 0  # it is there, all the same
    assert report["divergences"]["targets"]["largest_logit_difference"] == 0
    assert report["divergences"]["targets"]["kl_base_adapter"]["mean"] == 0
    assert all(one["num_same"] == one["num_prompts"] for one in report["answers"])


def test_an_adapter_that_is_silently_not_applied_is_found_out(
    alpaca_base: Path, run_with_adapter: Any, pair_of: Any
) -> None:
    run = run_with_adapter(alpaca_base)
    pair = pair_of(alpaca_base, b_std=0.5)
    pair.model.base_model.disable_adapter_layers()  # loaded whole, and yet no part of the forward pass
    found = compare_pair(pair, work_of(run, pair), base="tiny").report
    assert found["presence"]["norm"] > 0
    assert found["verdict"]["kind"] == "changes_nothing"
    assert "it is not applied" in found["verdict"]["sentence"]


def work_of(run: Any, pair: Any, **changes: Any) -> Work:
    examples, _ = load_examples(run.dataset, "validation")
    recipe = recipe_of(run, SMALL)
    values = {
        "examples": examples,
        "texts": {text.example_id: text for text in read_texts(run.examples)},
        "template": load_template(run.template, pair.tokenizer),
        "template_from": "the run's",
        "prompts_file": None,
        "section": recipe.compare,
        "seed": recipe.seed,
    }
    return Work(**{**values, **changes})


def test_an_adapter_that_is_applied_stands_out_from_rounding(base: Path, run_with_adapter: Any) -> None:
    report = compared(run_with_adapter(base))
    divergences = report["divergences"]
    assert report["verdict"]["kind"] == "changes"
    noise = divergences["base_against_itself"]["largest_logit_difference"]
    # Logits of a few units in float32, summed in another order: some 2^-22 of them.
    assert noise < 1e-4
    assert divergences["targets"]["largest_logit_difference"] > 100 * noise
    assert divergences["targets"]["kl_base_adapter"]["interval"]["low"] > 0


@pytest.mark.parametrize(
    ("b_std", "kind"), [(1e-9, "within_rounding"), (1e-8, "within_rounding"), (1e-6, "changes")]
)
def test_a_difference_is_shown_only_where_it_stands_out_from_rounding(
    base: Path, run_with_adapter: Any, b_std: float, kind: str
) -> None:
    # Logits of these models move by about 10 times b_std; near 0.5 their last place is 2^-24 = 6e-8.
    report = compared(run_with_adapter(base, b_std=b_std))
    assert report["presence"]["norm"] > 0
    assert report["verdict"]["kind"] == kind
    assert 1e-7 < report["verdict"]["rounding"] < 1e-5


def test_the_means_are_token_weighted_sums_over_the_rows_of_by_example(
    alpaca_base: Path, run_with_adapter: Any
) -> None:
    run = run_with_adapter(alpaca_base)
    report = compared(run)
    rows = pq.read_table(run.stage("compare") / "by_example.parquet").to_pandas()
    targets = report["divergences"]["targets"]
    examples, _ = load_examples(run.dataset, "validation")
    by_id = {example.example_id: example.num_target_tokens for example in examples}
    assert len(rows) == targets["num_examples"] == 22
    assert list(rows["num_positions"]) == [by_id[name] for name in rows["example_id"]]
    assert targets["num_positions"] == rows["num_positions"].sum()
    for name in MEASURES:
        expected = (rows[name] * rows["num_positions"]).sum() / rows["num_positions"].sum()
        assert targets[name]["mean"] == pytest.approx(expected, rel=1e-12)
        interval = targets[name]["interval"]
        assert interval["num"] == 22
        assert interval["low"] <= targets[name]["mean"] <= interval["high"]


def test_places_cover_every_target_token_once(alpaca_base: Path, run_with_adapter: Any) -> None:
    targets = compared(run_with_adapter(alpaca_base))["divergences"]["targets"]
    places = targets["by_place"]
    assert [(one["first"], one["last"]) for one in places[:5]] == [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]
    assert places[0]["num_positions"] == 22
    assert sum(one["num_positions"] for one in places) == targets["num_positions"]
    mean = sum(one["kl_base_adapter"] * one["num_positions"] for one in places) / targets["num_positions"]
    assert mean == pytest.approx(targets["kl_base_adapter"]["mean"], rel=1e-12)


def test_the_folder_holds_what_programs_and_people_read(base: Path, run_with_adapter: Any) -> None:
    run = run_with_adapter(base)
    report = compared(run)
    folder = run.stage("compare")
    verify_folder(folder)
    stored = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (folder / "generations.jsonl").read_text("utf-8").splitlines()]
    assert {**stored, "generations": lines} == report
    template = json.loads(run.template.read_text(encoding="utf-8"))
    assert (stored["template"]["name"], stored["template"]["sha256"]) == (
        template["name"],
        template["sha256"],
    )
    assert stored["precision"] == "float32"
    assert len(lines) == 3 * 2  # prompts times decodings
    for line in lines:
        assert line["reference"].startswith("The number is")
        assert line["base"]["num_tokens"] <= line["max_new_tokens"] == 6
        assert {"text", "num_tokens", "stopped"} == set(line["adapter"])
    page = (folder / "compare.html").read_text(encoding="utf-8")
    assert "Base beside adapter" in page
    assert "http://" not in page and "https://" not in page


def test_the_same_seed_gives_the_same_answers_and_another_seed_others(
    alpaca_base: Path, run_with_adapter: Any
) -> None:
    run = run_with_adapter(alpaca_base)
    first = compared(run)["generations"]
    again = compared(run, overwrite=True)["generations"]
    assert first == again
    other = compared(run, "seed=1", overwrite=True)["generations"]
    sampled = [row["base"]["text"] for row in first if row["decoding"] != "greedy"]
    assert sampled != [row["base"]["text"] for row in other if row["decoding"] != "greedy"]


def test_a_finished_comparison_is_skipped_and_another_prompts_file_is_refused(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path
) -> None:
    run = run_with_adapter(alpaca_base)
    report = compared(run)
    before = (run.stage("compare") / "MANIFEST.json").stat().st_mtime_ns
    assert compared(run) == report
    assert (run.stage("compare") / "MANIFEST.json").stat().st_mtime_ns == before
    path = tmp_path / "prompts.txt"
    path.write_text("Name a sea.\n", encoding="utf-8")
    with pytest.raises(RunError, match="prompts file has changed"):
        compared(run, prompts=path)
    report = compared(run, prompts=path, overwrite=True)
    assert report["prompts"][0]["prompt_id"] == "prompts.txt:1"
    assert report["prompts"][0]["reference_tokens"] is None
    assert report["prompts"][1]["reference_tokens"]["num_positions"] > 0


def test_a_finished_comparison_is_read_back_whatever_separates_lines_in_its_texts(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path
) -> None:
    run = run_with_adapter(alpaca_base)
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"instruction": "Name a sea.\\u2028Name a lake.\\u0085"}\n', encoding="utf-8")
    report = compared(run, prompts=path)
    assert any("\u2028" in row["prompt"] for row in report["generations"])
    assert compared(run, prompts=path) == report


def test_wrong_prompts_are_told_before_anything_is_loaded(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with_adapter(alpaca_base)
    stage = importlib.import_module("lorascope.compare.stage")  # the package's name is the function's
    monkeypatch.setattr(stage, "pair_of", lambda *a, **k: pytest.fail("loaded"))
    for content in (None, "", "{broken"):
        path = tmp_path / f"prompts-{content and len(content)}.jsonl"
        if content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match="prompts"):
            compared(run, prompts=path)
    assert not run.stage("compare").exists()


def test_a_prompt_near_the_end_of_the_context_gets_the_room_there_is(
    alpaca_base: Path, run_with_adapter: Any, pair_of: Any
) -> None:
    pair = pair_of(alpaca_base)  # GPT-2 has 512 learnt positions and fails beyond them
    prompts = [
        Prompt(prompt_id=str(size), source="s", text="t", input_ids=tuple([5] * size), reference=None)
        for size in (508, 20, 511)
    ]
    refuse_too_long(prompts, 512)
    rows = answer_all(pair, prompts, [Decoding(max_new_tokens=16)], stop_ids=[0], context=512)
    assert [row["max_new_tokens"] for row in rows] == [4, 16, 1]
    assert all(row["base"]["num_tokens"] <= row["max_new_tokens"] for row in rows)
    too_long = Prompt(prompt_id="long", source="s", text="t", input_ids=(5,) * 512, reference=None)
    with pytest.raises(DataError, match="the prompt long has 512 tokens"):
        refuse_too_long([too_long], 512)


def test_prompts_alone_are_compared_at_their_last_position(
    alpaca_base: Path, run_with_adapter: Any, pair_of: Any, tmp_path: Path
) -> None:
    run = run_with_adapter(alpaca_base)
    path = tmp_path / "prompts.txt"
    path.write_text("Name a sea.\nName a wind.\n", encoding="utf-8")
    pair = pair_of(alpaca_base, b_std=0.5)
    found = compare_pair(pair, work_of(run, pair, examples=[], texts={}, prompts_file=path), base="tiny")
    targets = found.report["divergences"]["targets"]
    assert targets["kl_base_adapter"]["mean"] is None
    assert targets["why"]["mean"] == "there is no position to measure"
    assert found.report["divergences"]["last_prompt_position"]["num_positions"] == 2
    assert found.report["verdict"]["kind"] == "changes"
    assert found.rows == []
    pair = pair_of(alpaca_base, b_std=0.5)
    with pytest.raises(DataError, match="nothing to compare on"):
        compare_pair(pair, work_of(run, pair, examples=[], texts={}), base="tiny")


def test_agreement_of_all_prompts_keeps_the_width_of_its_interval(
    alpaca_base: Path, run_with_adapter: Any
) -> None:
    report = compared(run_with_adapter(alpaca_base, b_std=0))
    share = report["divergences"]["last_prompt_position"]["top1_agreement"]
    # Wilson at 3 of 3: low = n / (n + z^2) = 3 / (3 + 3.8415) = 0.4385.
    assert share["mean"] == 1
    assert share["interval"]["low"] == pytest.approx(3 / (3 + 1.959964**2), rel=1e-6)
    assert "fewer than 20 examples" in report["divergences"]["last_prompt_position"]["why"]["interval"]


def test_first_choices_of_a_prompt_are_those_of_plain_generation(
    alpaca_base: Path, run_with_adapter: Any
) -> None:
    report = compared(run_with_adapter(alpaca_base))
    greedy = {row["prompt_id"]: row for row in report["generations"] if row["decoding"] == "greedy"}
    for prompt in report["prompts"]:
        for which in ("base", "adapter"):
            answer, first = greedy[prompt["prompt_id"]][which], prompt["first_choice"][which]
            if answer["num_tokens"]:
                assert answer["text"].startswith(first["token"].rstrip("\ufffd"))
            assert 0 < first["probability"] <= 1
    assert np.isfinite([one["last_prompt_position"]["js"] for one in report["prompts"]]).all()


def test_the_page_shows_what_models_say_as_text_and_never_as_markup(
    alpaca_base: Path, run_with_adapter: Any, tmp_path: Path
) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("<script>alert(1)</script> & <b>bold</b>\n", encoding="utf-8")
    run = run_with_adapter(alpaca_base)
    report = compared(run, prompts=path)
    page = (run.stage("compare") / "compare.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;bold&lt;/b&gt;" in page
    assert "<script>alert" not in page
    assert report["verdict"]["sentence"][1:] in page
    for name in ("Greedy answers", "Sampled answers", "How far apart they are", "The adapter itself"):
        assert name in page
