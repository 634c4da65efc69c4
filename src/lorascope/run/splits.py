"""The splits that a run can have, and the refusal of a setting that names another one."""

from lorascope.errors import ConfigError, explain, nearest, together
from lorascope.run.sections import Recipe

SPLITS = ("train", "validation", "test")
"""In the order in which they are stored."""

ANY_SIDE = -1
"""The side of rows that prepare deals to the splits itself; else a place in SPLITS."""


def refuse_unknown_splits(recipe: Recipe) -> None:
    """Insist, before a run begins, that eval.split and compare.split name splits that it will have.

    A dataset that was tokenised elsewhere has whatever splits its maker chose, so a recipe alone cannot tell.
    A missing validation split is no mistake: eval and compare are then left out, and a note says so.

    Raises:
        ConfigError: One of them names no split, or the test split of a run that holds out none.
    """
    asked = {"eval.split": recipe.eval.split, "compare.split": recipe.compare.split}
    wrong = [_no_split(setting, split) for setting, split in asked.items() if split not in SPLITS]
    wrong += [
        _no_test_split(setting)
        for setting, split in asked.items()
        if split == "test" and not recipe.prepare.test
    ]
    if wrong:
        raise ConfigError(together(wrong))


def _no_split(setting: str, split: str) -> str:
    return explain(
        f'{setting}: "{split}" is no split of a run',
        where=f'setting "{setting}"',
        why="prepare makes no split of that name, and the stage would find out only after the training",
        fix=nearest(split, SPLITS),
    )


def _no_test_split(setting: str) -> str:
    return explain(
        f'{setting}: there will be no split "test"',
        where=f'setting "{setting}"',
        why="prepare.test is 0, so no examples are held out for it",
        fix="hold some out, as in --set prepare.test=100",
    )
