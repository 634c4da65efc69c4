"""A run folder: every path in it, and nothing else."""

import os
from dataclasses import dataclass
from pathlib import Path

from lorascope.errors import RunError, command, explain, nearest

STAGES = ("prepare", "check", "train", "diagnose", "eval", "compare", "export", "report")
"""The stages in pipeline order."""

_ALWAYS_MADE_AGAIN = ("check", "diagnose", "report")  # cheap and derived: their commands take no --overwrite


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run. Stages meet here: each reads earlier folders and writes its own."""

    path: Path

    def __post_init__(self) -> None:
        """Take "~" for the home folder: a folder of that name would be a trap."""
        object.__setattr__(self, "path", Path(os.path.expanduser(self.path)))

    @property
    def name(self) -> str:
        """The folder's own name, which is the run's."""
        return self.path.resolve().name

    @property
    def config(self) -> Path:
        """The whole resolved recipe."""
        return self.path / "config.json"

    @property
    def provenance(self) -> Path:
        """Versions, hashes, seed and durations, by stage."""
        return self.path / "provenance.json"

    def stage(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.path / stage

    @property
    def dataset(self) -> Path:
        """The tokenised dataset, a Hugging Face DatasetDict."""
        return self.path / "prepare" / "dataset"

    @property
    def examples(self) -> Path:
        """The text of every example beside its id: messages, reference answer, source file and line."""
        return self.path / "prepare" / "examples.parquet"

    @property
    def template(self) -> Path:
        """The template that made the prompts; every later stage reads it here."""
        return self.path / "prepare" / "template.json"

    @property
    def prepare_report(self) -> Path:
        """Rows read, kept and dropped; splits; overlap; lengths."""
        return self.path / "prepare" / "report.json"

    @property
    def check_report(self) -> Path:
        """Every check: passed or not, count, worst examples."""
        return self.path / "check" / "report.json"

    @property
    def steps(self) -> Path:
        """One line per optimizer step."""
        return self.path / "train" / "steps.jsonl"

    @property
    def evals(self) -> Path:
        """One line per evaluation during training."""
        return self.path / "train" / "evals.jsonl"

    @property
    def eval_sets(self) -> Path:
        """Ids of the examples that evaluations during training score, in the order of their losses."""
        return self.path / "train" / "eval_sets.json"

    @property
    def prompt_use(self) -> Path:
        """What answers lose behind another row's prompt, after the last step."""
        return self.path / "train" / "prompt_use.json"

    @property
    def samples(self) -> Path:
        """Answers to `train.sample_prompts` at each evaluation."""
        return self.path / "train" / "samples.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Committed training states."""
        return self.path / "train" / "checkpoints"

    @property
    def adapter(self) -> Path:
        """The last step's adapter, in PEFT's format."""
        return self.path / "train" / "adapter"

    @property
    def adapter_best(self) -> Path:
        """The adapter with the lowest validation loss seen in training."""
        return self.path / "train" / "adapter-best"

    @property
    def train_summary(self) -> Path:
        """What training came to: steps, durations, first and last losses."""
        return self.path / "train" / "summary.json"

    @property
    def train_failure(self) -> Path:
        """Why training stopped, when it stopped at a number that is not finite."""
        return self.path / "train" / "failure.json"

    @property
    def cache(self) -> Path:
        """What need not be computed twice; deleting it costs time and nothing else."""
        return self.path / "cache"

    @property
    def report(self) -> Path:
        """The page people read."""
        return self.path / "report.html"


def is_run(path: Path) -> bool:
    """Whether a folder is a run: a config.json alone may be that of a model in a checkpoint folder."""
    return (path / "config.json").is_file() and any(
        (path / name).exists() for name in ("provenance.json", "prepare", "train")
    )


def open_run(path: Path | str) -> RunFolder:
    """Open an existing run folder.

    Raises:
        RunError: There is no such folder, or it is no run.
    """
    folder = RunFolder(Path(path))
    if folder.config.is_file():
        return folder
    parent = folder.path.parent
    runs = (
        [entry.name for entry in parent.iterdir() if (entry / "config.json").is_file()]
        if parent.is_dir()
        else []
    )
    exists = folder.path.exists()
    raise RunError(
        explain(
            f'"{path}" is no run' if exists else f'run "{path}" does not exist',
            where=str(folder.path),
            why="it has no config.json, which every run starts with" if exists else "there is no such folder",
            fix=f"{nearest(folder.path.name, runs)}; or start one: {command_for(folder, 'prepare')}",
        )
    )


def adapter_of(run: RunFolder, which: str) -> Path:
    """Find the adapter that a command's --adapter means.

    Args:
        run: A trained run.
        which: "last", "best", or a path.

    Raises:
        RunError: The run has no such adapter.
    """
    if which == "last":
        return require(run.adapter, stage="train", run=run)
    if which == "best":
        require(run.adapter, stage="train", run=run)
        return require(run.adapter_best, stage="train", run=run)
    return Path(which)


def require(path: Path, *, stage: str, run: RunFolder) -> Path:
    """Insist that an earlier stage has left a file or folder.

    Raises:
        RunError: It is not there; the message names the command that makes it.
    """
    if path.exists():
        return path
    raise RunError(
        explain(
            f'the run has not been through "{stage}" yet',
            where=str(path),
            why="this stage reads what that one writes",
            fix=command_for(run, stage),
        )
    )


def command_for(run: RunFolder, stage: str, *, overwrite: bool = False) -> str:
    """The command that makes a stage of a run.

    Args:
        run: The run.
        stage: Of `STAGES`.
        overwrite: Whether the stage is there already and shall be made again.

    Returns:
        As a shell takes it; what the run does not know stands in capitals.
    """
    given: dict[str, tuple[object, ...]] = {
        "prepare": ("DATA", "--base", "MODEL", "--out", run.path),
        "export": (run.path, "--merged", "DIR"),
    }
    again = ("--overwrite",) if overwrite and stage not in _ALWAYS_MADE_AGAIN else ()
    return command(stage, *given.get(stage, (run.path,)), *again)


def how_to_mend(path: Path) -> str:
    """What to do about a damaged record of a run.

    Args:
        path: config.json or provenance.json of a run, or a record in a stage's folder.
    """
    if path.name == "config.json":
        again = command_for(RunFolder(path.parent), "prepare", overwrite=True)
        return f"restore it from a copy, or prepare the run again with its settings: {again}"
    if path.parent.name in STAGES:
        again = command_for(RunFolder(path.parent.parent), path.parent.name, overwrite=True)
        return f"restore it from a copy, or run its stage again: {again}"
    return "restore it from a copy"
