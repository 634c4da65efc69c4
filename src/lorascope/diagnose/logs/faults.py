"""What can be wrong with a log -> the error that says so."""

from collections.abc import Iterable
from pathlib import Path

from lorascope.errors import NothingLogged, RunError, explain, nearest

READ = (
    "trainer_state.json or a checkpoint folder of transformers, trainer_log.jsonl of LLaMA-Factory, "
    "TensorBoard event files, run folders of W&B, CSV, TSV, JSONL or JSON tables, and text with lines such "
    'as "loss: 1.23"'
)
"""Everything that can be read, for messages."""

AS_HISTORY = (
    "for the whole history run `wandb sync` on the folder and export it as CSV, or give the "
    "trainer_state.json or TensorBoard files that the training wrote"
)
"""How what W&B keeps becomes a log that can be read, for messages."""

_NUM_SHOWN = 3


def no_loss(path: Path, form: str, names: list[str], taken: Iterable[str] = ()) -> RunError:
    """The error for a log without a loss.

    Args:
        path: The file.
        form: What it was read as.
        names: Every name in it.
        taken: Those that mean a loss, none of whose values is a number.
    """
    empty = " and ".join(f'"{name}"' for name in taken)
    if empty:
        return RunError(
            explain(
                f"no value of {empty} is a number",
                where=f"{path}, read as {form}",
                why="a name in the log means a loss, and nothing beneath it can be read as one",
                fix="log the loss as a number, or name another column: --column loss=NAME; "
                f"{nearest('', names)}",
            )
        )
    if not names:
        return nothing_logged(
            path,
            "the log holds no point: nothing has been logged",
            "training was stopped before it logged for the first time, or logging was switched off",
            "let training go on, or log at least every few steps",
            form=form,
        )
    return RunError(
        explain(
            "no loss was found in the log",
            where=f"{path}, read as {form}",
            why='no name in it means a loss: "loss", "train/loss", "Training Loss", "val_loss", ...',
            fix=f"name the column: --column loss=NAME; {nearest('loss', names)}",
        )
    )


def nothing_logged(
    path: Path,
    problem: str,
    why: str,
    fix: str = "let training go on, or give another file of the run",
    *,
    form: str | None = None,
) -> NothingLogged:
    """The error for a log that may yet be written to: there is no point in it.

    Args:
        path: The file.
        problem: What is in it instead.
        why: How that comes.
        fix: What to do.
        form: What it was read as, where that is known.
    """
    where = f"{path}, read as {form}" if form else str(path)
    return NothingLogged(explain(problem, where=where, why=why, fix=fix))


def unreadable(path: Path, problem: str, why: str, fix: str) -> RunError:
    """The error for a file that is damaged or cannot be opened."""
    return RunError(explain(problem, where=str(path), why=why, fix=fix))


def not_a_log(path: Path, lines: Iterable[str]) -> RunError:
    """The error for a file in which nothing was recognised.

    Args:
        path: The file.
        lines: Its first lines, of which a few are shown.
    """
    shown = [repr(line.strip()[:70]) for line in lines if line.strip()][:_NUM_SHOWN]
    return RunError(
        explain(
            "no training log was recognised",
            where=f"{path}, which begins with {', '.join(shown) or 'nothing'}",
            why=f"what is read: {READ}",
            fix="give the file that the losses were logged to, or a CSV export with columns step and loss",
        )
    )


def missing(path: Path) -> RunError:
    """The error for a path that is not there, with the nearest that is."""
    there = next(one for one in (*path.absolute().parents, Path("/")) if one.is_dir())
    beside = [one.name for one in there.iterdir() if not one.name.startswith(".")]
    wanted = path.absolute().relative_to(there).parts[0]
    return RunError(
        explain(
            f'there is no "{path}"',
            where=f"{path.absolute()}; the nearest folder that is there: {there}",
            why=f"a run folder of lorascope is taken, or the log of another trainer: {READ}",
            fix=nearest(wanted, beside),
        )
    )


def nothing_in_folder(folder: Path, beside: list[str]) -> RunError:
    """The error for a folder without a log.

    Args:
        folder: The folder.
        beside: The names of what is in it.
    """
    return RunError(
        explain(
            "the folder holds no training log",
            where=str(folder),
            why=f"what is read: {READ}",
            fix=f"give the file itself; {nearest('trainer_state.json', beside)}",
        )
    )


def wandb_folder(folder: Path) -> RunError:
    """The error for a run folder of W&B without its history, of which what was printed tells no loss."""
    return RunError(
        explain(
            "this is a run folder of W&B, and nothing in it can be read as a log",
            where=str(folder),
            why="its history (run-ID.wandb) is not in it, and what was printed tells no loss",
            fix=AS_HISTORY,
        )
    )


def several_in_folder(folder: Path, files: list[str]) -> RunError:
    """The error for a folder with several logs of which none is more likely than another."""
    return RunError(
        explain(
            f"the folder holds {len(files)} files that may be logs",
            where=str(folder),
            why="they may be of different runs, and one is read at a time",
            fix=f"give one of them; {nearest('log', files)}",
        )
    )
