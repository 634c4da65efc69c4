import math
from pathlib import Path

import pytest

from lorascope.run.recipe import make_recipe, read_recipe_file
from lorascope.starter import data_file, make, recipe_file, unrelated_file
from lorascope.starter.documents import documents, unseen_passages
from lorascope.starter.files import UNRELATED, copy_files

pytestmark = pytest.mark.end_to_end

PASSAGES = unrelated_file().read_text(encoding="ascii").strip().split("\n\n")


def test_the_file_is_what_the_generator_makes_from_seed_0(tmp_path: Path) -> None:
    assert unseen_passages(0, make.NUM_UNRELATED) == PASSAGES
    make.write_unrelated(tmp_path / "made.txt", 0)
    assert (tmp_path / "made.txt").read_bytes() == unrelated_file().read_bytes()
    assert unseen_passages(1, 3) != PASSAGES[:3]


def test_forty_passages_are_enough_for_an_interval_and_each_is_prose() -> None:
    assert len(PASSAGES) == len(set(PASSAGES)) == 40
    assert all(len(passage.split()) >= 30 for passage in PASSAGES)


def test_the_base_has_read_none_of_them_and_no_row_says_them() -> None:
    read = set(documents(0, 60_200))
    assert not read & set(PASSAGES)
    rows = data_file().read_text(encoding="ascii")
    assert not any(passage in rows for passage in PASSAGES)


def test_the_recipe_names_it_and_the_files_to_try_hold_it(tmp_path: Path) -> None:
    recipe = make_recipe(read_recipe_file(recipe_file()))
    assert recipe.compare.unrelated == str(unrelated_file())
    copy_files(tmp_path / "try")
    assert (tmp_path / "try" / UNRELATED).read_bytes() == unrelated_file().read_bytes()


def test_the_base_reads_its_own_world_and_no_other_english() -> None:
    from lorascope.compare.passages import read_passages
    from lorascope.compare.unrelated import passage_examples
    from lorascope.lm.pair import load_pair
    from lorascope.lm.score import score_examples
    from lorascope.metrics.likelihood import can_read, mean_nll
    from lorascope.starter import base_folder

    pair = load_pair(str(base_folder()), None, device="cpu")
    losses = {}
    for name in ("auto", str(unrelated_file())):
        found = read_passages(name)
        assert found is not None
        examples = passage_examples(found.texts[:20], pair.tokenizer, 512)
        scores = score_examples(pair.model, examples, pad_id=pair.pad_id)
        losses[name] = mean_nll(scores.nll_sum_N, scores.num_tokens_N)
    vocabulary = pair.model.config.vocab_size
    assert losses["auto"] > math.log(vocabulary) and not can_read(losses["auto"], vocabulary)
    assert losses[str(unrelated_file())] < 1 and can_read(losses[str(unrelated_file())], vocabulary)
