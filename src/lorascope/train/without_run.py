"""Trains on a tokenised dataset made anywhere: a dataset folder in, a plain PEFT adapter folder out."""

import shutil
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain
from lorascope.lm.adapter import WEIGHTS
from lorascope.lm.batches import cut_examples
from lorascope.lm.load import base_context_length
from lorascope.run.commit import MANIFEST, committed_folder, remove_leftovers, sha256_of, write_json
from lorascope.run.dataset import Example, load_examples, load_splits
from lorascope.run.folder import RunFolder
from lorascope.run.progress import SILENT, Observer
from lorascope.run.recipe import recipe_values
from lorascope.run.sections import Recipe
from lorascope.train.ranks import join_ranks
from lorascope.train.stage import is_finished, train_splits, training_inputs


def train_without_run(
    recipe: Recipe,
    adapter: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer = SILENT,
) -> dict[str, Any]:
    """Train an adapter on a tokenised dataset, which the caller has checked.

    The adapter's folder holds what PEFT writes and nothing else. What a run's train/ holds - step log,
    evaluations, checkpoints - goes into a folder beside it, see `log_folder`.

    Args:
        recipe: `data` is the dataset folder; its sections base, seed, lora and train decide.
        adapter: Where the adapter goes.
        overwrite: Whether an adapter and an earlier training there may be discarded.
        resume: Continue from the newest whole checkpoint, or start where there is none.
        observer: Told about steps and evaluations, on the process that writes.

    Returns:
        The summary of the training.

    Raises:
        DataError: The dataset cannot be trained on.
        RunError: Something that is not this training is in the way.
        NumericsError, Interrupted: As in `train_run`.
    """
    ranks = join_ranks()
    observer = observer if ranks.writes else SILENT
    run = log_folder(adapter)
    context = base_context_length(recipe.base.id, revision=recipe.base.revision)
    splits = read_splits(Path(recipe.data[0].path), context, observer)
    inputs = training_inputs(recipe, splits)
    finished = is_finished(run, inputs, overwrite=overwrite)
    in_place = finished and _is_copy(adapter, run.adapter)
    if not in_place:
        _refuse_foreign(adapter, overwrite=overwrite)
    ranks.wait()  # every process has looked before one of them writes
    if ranks.writes:
        remove_leftovers(adapter.parent)
    if ranks.writes and not finished:
        write_json(run.config, recipe_values(recipe))
    summary = train_splits(run, recipe, splits, inputs, overwrite=overwrite, resume=resume, observer=observer)
    if ranks.writes and not in_place:
        with committed_folder(adapter, replace=True, manifest=False) as staged:
            shutil.copytree(run.adapter, staged, ignore=shutil.ignore_patterns(MANIFEST), dirs_exist_ok=True)
    ranks.wait()
    return summary


def log_folder(adapter: Path) -> RunFolder:
    """The run folder beside an adapter's folder: outputs/lora_adapter-run for outputs/lora_adapter."""
    return RunFolder(adapter.with_name(f"{adapter.name}-run"))


def read_splits(dataset: Path, context: int | None, observer: Observer) -> dict[str, list[Example]]:
    """Read what to train and evaluate on, with what would spoil it taken out and counted.

    Args:
        dataset: The folder.
        context: Tokens that the base model reads at once; longer rows are cut.
        observer: Told what was cut or left out.

    Returns:
        "train" without rows of "validation", and "validation" where there is one.
    """
    splits = {"train": load_examples(dataset, "train")[0]}
    if "validation" in load_splits(dataset):
        splits["validation"] = load_examples(dataset, "validation")[0]
    for name, examples in splits.items():
        splits[name], num_cut = (examples, 0) if context is None else cut_examples(examples, context)
        if num_cut:
            observer.note(
                f"note: {num_cut:,} {name} rows are cut to the {context:,} tokens that the model reads"
            )
    held_out = {one.input_ids.tobytes() for one in splits.get("validation", ())}
    leaked = [one.example_id for one in splits["train"] if one.input_ids.tobytes() in held_out]
    if leaked:
        shown = ", ".join(leaked[:3]) + (", ..." if len(leaked) > 3 else "")
        observer.note(f"note: training rows that are also in validation: {len(leaked):,}, left out ({shown})")
        splits["train"] = [one for one in splits["train"] if one.input_ids.tobytes() not in held_out]
    return splits


def _is_copy(adapter: Path, original: Path) -> bool:
    ours, theirs = adapter / WEIGHTS, original / WEIGHTS
    return ours.is_file() and theirs.is_file() and sha256_of(ours) == sha256_of(theirs)


def _refuse_foreign(adapter: Path, *, overwrite: bool) -> None:
    """Leave alone what is no adapter, and an adapter unless it may be replaced."""
    found = [path.name for path in adapter.iterdir()] if adapter.is_dir() else []
    is_adapter = "adapter_config.json" in found
    if adapter.is_file() or (found and not (is_adapter and overwrite)):
        raise RunError(
            explain(
                f'"{adapter}" exists already',
                where=str(adapter),
                why="it holds an adapter" if is_adapter else "it holds something that is no adapter",
                fix="choose another folder" + (", or add --overwrite to replace it" if is_adapter else ""),
            )
        )
