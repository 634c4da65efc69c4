import pytest

from lorascope.errors import ConfigError, apart
from lorascope.run.recipe import make_recipe, with_overrides
from lorascope.run.sections import Recipe
from lorascope.run.splits import refuse_unknown_splits


def recipe(*settings: str) -> Recipe:
    return make_recipe(with_overrides({"base": "gpt2", "data": "rows.json"}, settings))


@pytest.mark.parametrize("setting", ["eval.split", "compare.split"])
def test_a_split_that_no_run_has_is_refused_with_the_nearest(setting: str) -> None:
    with pytest.raises(ConfigError, match=f'{setting}: "valdation" is no split of a run') as caught:
        refuse_unknown_splits(recipe(f"{setting}=valdation"))
    assert 'did you mean "validation"? available: test, train, validation' in caught.value.message


def test_both_wrong_splits_are_named_together() -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_unknown_splits(recipe("eval.split=dev", "compare.split=tset"))
    assert len(apart(caught.value.message)) == 2


def test_the_test_split_must_be_held_out_to_be_named() -> None:
    refuse_unknown_splits(recipe("eval.split=test", "prepare.test=10"))
    with pytest.raises(ConfigError, match=r"prepare.test is 0(.|\n)*--set prepare.test="):
        refuse_unknown_splits(recipe("eval.split=test"))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_splits_of_every_run_pass(split: str) -> None:
    # A validation split that is not held out is said in a note when its time comes, and stops nothing.
    refuse_unknown_splits(recipe(f"eval.split={split}", f"compare.split={split}", "prepare.validation=0"))


def test_a_recipe_alone_may_name_any_split_for_a_dataset_made_elsewhere() -> None:
    assert recipe("eval.split=dev").eval.split == "dev"
