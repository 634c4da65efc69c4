"""eval and compare of any base, adapter and data, where no run folder stands."""

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorascope.errors import ConfigError, explain
from lorascope.run.data_sections import TEMPLATES
from lorascope.run.folder import RunFolder
from lorascope.run.lineage import recorded_base
from lorascope.run.progress import SILENT, Observer
from lorascope.run.recipe import make_recipe, with_overrides

if TYPE_CHECKING:
    from lorascope.lm.pair import Pair
    from lorascope.lm.template import Template
    from lorascope.run.dataset import Example
    from lorascope.run.sections import Recipe
    from lorascope.run.texts import ExampleText

WHOLE_FILE = "whole file"
"""Name of the split where every row of a data file is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """The examples to measure, from a data file or from a dataset tokenised elsewhere.

    Attributes:
        examples: In stored order.
        texts: What they say, by example id; empty for a tokenised dataset.
        template: The one they are in; None for a tokenised dataset.
        split: Where they come from.
        max_length: Longest example that was kept; None where unknown.
        rows_read: Rows of the data file; None for a tokenised dataset.
        left_out: Why rows of it are not among the examples, with their number.
    """

    examples: list["Example"]
    texts: dict[str, "ExampleText"]
    template: "Template | None"
    split: str
    max_length: int | None
    rows_read: int | None
    left_out: dict[str, int]


def eval_without_run(
    *, base: str, adapter: str | None, data: Path, settings: Sequence[str], observer: Observer = SILENT
) -> dict[str, Any]:
    """Evaluate any adapter on any data, without a run folder.

    Args:
        base: A folder or Hub name.
        adapter: A folder or Hub name; None measures the base alone.
        data: A data file, of which every row that fits into the base's context is measured, or a tokenised
            dataset made elsewhere.
        settings: "section.key=value" changes to the defaults.
        observer: Told about progress, and about rows that could not be measured.

    Returns:
        {"base": ..., "adapter": ...} as of `eval.stage.eval_run`.
    """
    from lorascope.eval.stage import Work, evaluate_pair
    from lorascope.lm.pair import pair_of

    recipe = make_recipe(with_overrides({"base": base, "data": str(data)}, settings), "command line")
    measured = _measured(data, recipe, recipe.eval.split, observer)
    _say_what_is_left_out(measured, observer)
    pair = pair_of(recipe, adapter, expected_base=recorded_base(adapter))
    _say_how_tokenizers_differ(pair, observer)
    work = Work(
        examples=measured.examples,
        texts=measured.texts,
        template=measured.template,
        max_length=measured.max_length,
        section=recipe.eval.model_copy(update={"split": measured.split}),
    )
    evaluated = evaluate_pair(pair, work, observer=observer)
    return {"base": evaluated.base, "adapter": evaluated.adapter}


def compare_without_run(
    *,
    base: str,
    adapter: str,
    data: Path | None,
    prompts: Path | None,
    settings: Sequence[str],
    out: Path | None = None,
    overwrite: bool = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Compare any adapter with its base, without a run folder.

    Args:
        base: A folder or Hub name.
        adapter: A folder or Hub name.
        data: A data file, or a tokenised dataset made elsewhere; None compares at the last position of the
            prompts only.
        prompts: A prompts file.
        settings: "section.key=value" changes to the defaults.
        out: A folder for what a run would keep in compare/; None keeps nothing.
        overwrite: Whether that folder may be replaced.
        observer: Told about progress, and about rows that could not be measured.

    Returns:
        As of `compare.stage.compare_run`.
    """
    from lorascope.compare.find_template import find_template, insist_same
    from lorascope.compare.passages import read_passages
    from lorascope.compare.prompts import read_prompts
    from lorascope.compare.record import write_compared
    from lorascope.compare.stage import Work, compare_pair
    from lorascope.lm.pair import pair_of
    from lorascope.run.commit import committed_folder

    recipe = make_recipe(with_overrides({"base": base, "data": str(data or "-")}, settings), "command line")
    if prompts is not None:
        read_prompts(prompts)
    read_passages(recipe.compare.unrelated)  # a file that cannot be used is told before a model is loaded
    pair = pair_of(recipe, adapter, expected_base=recorded_base(adapter))
    _say_how_tokenizers_differ(pair, observer)
    template, origin = find_template(recipe.prepare.template, pair.adapter, pair.tokenizer)
    section = recipe.compare
    measured = None
    if data is not None:
        asked = recipe.prepare.template
        same = recipe.prepare.model_copy(update={"template": template.name if asked in TEMPLATES else asked})
        measured = _measured(data, recipe.model_copy(update={"prepare": same}), section.split, observer)
        _say_what_is_left_out(measured, observer)
        section = section.model_copy(update={"split": measured.split})
        if measured.template is not None:
            insist_same(template, measured.template, origin)
    work = Work(
        examples=measured.examples if measured else [],
        texts=measured.texts if measured else {},
        template=template,
        template_from=origin,
        prompts_file=prompts,
        section=section,
        seed=recipe.seed,
    )
    compared = compare_pair(pair, work, base=base, observer=observer)
    if out is not None:
        with committed_folder(out, replace=overwrite) as staged:
            write_compared(staged, compared)
    return {**compared.report, "generations": compared.generations}


def _say_how_tokenizers_differ(pair: "Pair", observer: Observer) -> None:
    from lorascope.lm.tokenizer_difference import tokenizer_difference

    different = tokenizer_difference(pair.adapter, pair.tokenizer)
    if different:
        observer.note(f"note: {different}")


def _measured(data: Path, recipe: "Recipe", split: str, observer: Observer) -> _Measured:
    if data.is_file() or not data.exists():
        _refuse_split(data, split)
        return _of_data_file(recipe, observer)
    return _of_dataset(data, split)


def _refuse_split(data: Path, split: str) -> None:
    if split != "validation":  # the setting's default, which nobody needs to have meant
        raise ConfigError(
            explain(
                f'there is no split "{split}" in a data file',
                where=str(data),
                why="without a run every row of the file is measured; splits are made by prepare",
                fix="leave the setting out, or measure a run",
            )
        )


class _TasksOnly(Observer):
    """Passes progress on, but not what prepare says about a run that will not be trained."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    @contextlib.contextmanager
    def task(self, what: str, total: int, unit: str, *, already: int = 0) -> Iterator[Callable[[int], None]]:
        with self.observer.task(what, total, unit, already=already) as advance:
            yield advance


def _say_what_is_left_out(measured: _Measured, observer: Observer) -> None:
    gone = [f"{number:,} {why}" for why, number in measured.left_out.items() if number]
    if gone:
        share = f"{len(measured.examples):,} of {measured.rows_read:,} rows"
        observer.note(f"measured: {share}; left out: {', '.join(gone)}")


def _of_data_file(recipe: "Recipe", observer: Observer) -> _Measured:
    """Every row of a data file, as `prepare` would write it into a run without a split.

    A length limit protects training; here it would leave out the longest rows, often the hardest, so that
    only the base's context limits the length unless a limit is asked for.
    """
    from lorascope.lm.load import load_tokenizer
    from lorascope.lm.template_record import load_template
    from lorascope.prepare.stage import prepare_run
    from lorascope.run.dataset import load_examples
    from lorascope.run.texts import read_texts

    limit = recipe.prepare.max_length
    whole: dict[str, Any] = {
        "validation": 0,
        "test": 0,
        "max_length": sys.maxsize if limit == "auto" else limit,
    }
    recipe = recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update=whole)})
    with tempfile.TemporaryDirectory(prefix="lorascope-") as folder:
        run = RunFolder(Path(folder) / "run")
        report = prepare_run(run, recipe, observer=_TasksOnly(observer))
        tokenizer = load_tokenizer(recipe.base.id, revision=recipe.base.revision)
        return _Measured(
            examples=load_examples(run.dataset, "train")[0],
            texts={text.example_id: text for text in read_texts(run.examples)},
            template=load_template(run.template, tokenizer),
            split=WHOLE_FILE,
            max_length=report["max_length"],
            rows_read=report["rows_read"],
            left_out={
                "malformed": report["dropped"]["malformed"],
                f"longer than {report['max_length']:,} tokens": report["dropped"]["over_length"],
            },
        )


def _of_dataset(data: Path, split: str) -> _Measured:
    """One split of a tokenised dataset; its only one, whatever it is called."""
    from lorascope.run.dataset import load_examples, load_splits

    splits = load_splits(data)
    if split not in splits and len(splits) == 1:
        split = next(iter(splits))
    return _Measured(
        examples=load_examples(data, split)[0],
        texts={},
        template=None,
        split=split,
        max_length=None,
        rows_read=None,
        left_out={},
    )
