"""The Python API: the stages as functions, and a run as an object to look into.

    import lorascope as ls
    run = ls.run(data="my_rows.jsonl", base="gpt2", out="runs/first")
    run.eval.adapter.perplexity
    run.examples().to_pandas()
    run.load()  # a PeftModel

Settings are given as a mapping, `settings={"lora.rank": 32}`; the names are those of the recipe.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.errors import RunError, explain, nearest
from lorascope.run.current import later_sections, recipe_of, unsettled
from lorascope.run.folder import RunFolder, adapter_of, command_for, open_run
from lorascope.run.progress import SILENT, Observer
from lorascope.run.recipe import make_recipe, with_overrides
from lorascope.run.records import read_json
from lorascope.run.sections import Recipe

Settings = Mapping[str, Any]
_NONE: Settings = {}


class Record(Mapping[str, Any]):
    """A JSON record whose keys are attributes too: record.perplexity is record["perplexity"]."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self._values, self._name = values, name

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        return Record(value, f"{self._name}.{key}") if isinstance(value, dict) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_") or key not in self._values:
            raise AttributeError(f'{self._name} has no "{key}"; {nearest(key, self._values)}')
        return self[key]

    def __dir__(self) -> list[str]:
        return sorted(self._values)

    def __repr__(self) -> str:
        return f"{self._name}: {json.dumps(self._values, indent=2, ensure_ascii=False)}"

    def _repr_html_(self) -> str:
        from lorascope.pages.document import fragment
        from lorascope.pages.table import key_values

        plain = [
            (key, str(value)) for key, value in self._values.items() if not isinstance(value, dict | list)
        ]
        return str(fragment([key_values(plain)]))


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of a run as a table."""

    path: Path

    def to_pandas(self) -> Any:
        """As a pandas DataFrame: ids, splits, messages, target texts, lengths and origins."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path).to_pandas()

    def to_arrow(self) -> Any:
        """As an Arrow table."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path)


class Run:
    """A run folder.

    Args:
        path: An existing run.

    Raises:
        RunError: There is no run.
    """

    def __init__(self, path: Path | str) -> None:
        self.folder = open_run(path)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder.path

    @property
    def config(self) -> Record:
        """The whole resolved recipe."""
        return Record(read_json(self.folder.config), "config")

    @property
    def provenance(self) -> Record:
        """Versions, hashes and durations."""
        return Record(read_json(self.folder.provenance), "provenance")

    @property
    def prepare(self) -> Record:
        """What prepare read, kept and dropped."""
        return self._one("prepare", "report.json")

    @property
    def check(self) -> Record:
        """What the checks came to."""
        return CheckRecord(self._one("check", "report.json")._values, "check")

    @property
    def train(self) -> Record:
        """What training came to."""
        return self._one("train", "summary.json")

    @property
    def eval(self) -> Record:
        """Measures of `base` and `adapter`."""
        return self._of("eval", {"base": "base.json", "adapter": "adapter.json"})

    @property
    def compare(self) -> Record:
        """Base beside adapter."""
        return self._one("compare", "report.json")

    @property
    def diagnose(self) -> Record:
        """The verdict and its findings."""
        return self._one("diagnose", "report.json")

    @property
    def export(self) -> Record:
        """The merged model and its proof."""
        return self._one("export", "report.json")

    def _one(self, stage: str, file: str) -> Record:
        return Record(self._of(stage, {"only": file})._values["only"], stage)

    def _of(self, stage: str, files: Mapping[str, str]) -> Record:
        folder = self.folder.stage(stage)
        if not all((folder / file).is_file() for file in files.values()):
            raise RunError(
                explain(
                    f'the run has not been through "{stage}" yet',
                    where=str(folder),
                    why="its results are read from there",
                    fix=f"ls.{stage}({str(self.path)!r}), or: {command_for(self.folder, stage)}",
                )
            )
        return Record({name: read_json(folder / file) for name, file in files.items()}, stage)

    def examples(self) -> Examples:
        """The examples with their texts and origins."""
        return Examples(self.folder.examples)

    def load(self, adapter: str = "last") -> Any:
        """The base model with the adapter on it: a `peft.PeftModel` in evaluation mode, float32.

        Args:
            adapter: "last", "best" or a path.
        """
        from lorascope.lm.pair import load_pair

        recipe = recipe_of(self.folder)
        return load_pair(
            recipe.base.id, adapter_of(self.folder, adapter), revision=recipe.base.revision
        ).model

    def __repr__(self) -> str:
        done = (
            [stage for stage in read_json(self.folder.provenance)["stages"]]
            if self.folder.provenance.is_file()
            else []
        )
        return f"Run({str(self.path)!r}): {', '.join(done) or 'empty'}"

    def _repr_html_(self) -> str:
        from lorascope.report.summary import summary_fragment

        return str(summary_fragment(self.folder))


def _path_text(value: Any) -> Any:
    """A path as the recipe writes it; anything else is left to the recipe to refuse."""
    return str(value) if isinstance(value, Path) else value


def _overrides(settings: Settings) -> list[str]:
    return [f"{key}={json.dumps(value, default=str)}" for key, value in settings.items()]


def _recipe(run: Run | Path | str, settings: Settings) -> tuple[RunFolder, Recipe]:
    folder = run.folder if isinstance(run, Run) else open_run(run)
    return folder, recipe_of(folder, _overrides(settings))


def run(
    *,
    data: Path | str,
    base: Path | str,
    out: Path | str,
    settings: Settings = _NONE,
    skip: tuple[str, ...] = (),
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer = SILENT,
) -> Run:
    """Do everything: prepare, check, train, eval, compare, export, diagnose, report.

    Args:
        data: A data file.
        base: A Hub id or folder.
        out: The run folder.
        settings: As in {"lora.rank": 32}.
        skip: Of eval, compare, export, what to leave out.
        overwrite: Make finished stages again.
        resume: Continue an interrupted training.
        observer: Told about progress.

    Returns:
        The run.
    """
    from lorascope.pipeline import run_all

    values = with_overrides({"base": _path_text(base), "data": _path_text(data)}, _overrides(settings))
    recipe = make_recipe(values, "arguments")
    run_all(RunFolder(Path(out)), recipe, skip=skip, overwrite=overwrite, resume=resume, observer=observer)
    return Run(out)


def prepare(
    *,
    data: Path | str,
    base: Path | str,
    out: Path | str,
    settings: Settings = _NONE,
    overwrite: bool = False,
    observer: Observer = SILENT,
) -> Run:
    """Turn instruction data into a tokenised dataset; see `run` for the arguments."""
    from lorascope.prepare.stage import prepare_run

    folder = RunFolder(Path(out))
    given = {**later_sections(folder), "base": _path_text(base), "data": _path_text(data)}
    recipe = make_recipe(with_overrides(given, _overrides(settings)), "arguments")
    prepare_run(folder, recipe, overwrite=overwrite, observer=observer)
    return Run(out)


class CheckRecord(Record):
    """What the checks came to; in a notebook a table of checks and what is worth a look."""

    def _repr_html_(self) -> str:
        from lorascope.check.page import check_fragment

        return str(check_fragment(self._values))


def check(run: Run | Path | str, *, settings: Settings = _NONE) -> Record:
    """Check a prepared run's batches; the record's `passed` says how it went."""
    from lorascope.check.stage import check_run

    return CheckRecord(check_run(*_recipe(run, settings)), "check")


def train(
    run: Run | Path | str,
    *,
    settings: Settings = _NONE,
    overwrite: bool = False,
    resume: bool = False,
    observer: Observer = SILENT,
) -> Record:
    """Train a prepared run, after checking it; returns the summary."""
    from lorascope.pipeline import train_checked

    folder, recipe = _recipe(run, settings)
    recipe = unsettled(folder, recipe, "train") if overwrite else recipe
    return Record(
        train_checked(folder, recipe, overwrite=overwrite, resume=resume, observer=observer), "train"
    )


def evaluate(
    run: Run | Path | str, *, adapter: str = "last", settings: Settings = _NONE, overwrite: bool = False
) -> Record:
    """Measure base and adapter exactly; returns both. `ls.eval` is this function."""
    from lorascope.eval.stage import eval_run

    folder, recipe = _recipe(run, settings)
    return Record(eval_run(folder, recipe, adapter=adapter, overwrite=overwrite), "eval")


def compare(
    run: Run | Path | str, *, adapter: str = "last", settings: Settings = _NONE, overwrite: bool = False
) -> Record:
    """Put base beside adapter: generations and divergences; returns the report."""
    from lorascope.compare.stage import compare_run

    folder, recipe = _recipe(run, settings)
    return Record(compare_run(folder, recipe, adapter=adapter, overwrite=overwrite), "compare")


def diagnose(run: Run | Path | str) -> Record:
    """Read the signals of a run, or of any other trainer's log; returns the verdict and its findings."""
    from lorascope.diagnose.stage import diagnose_path, diagnose_run

    if isinstance(run, Run):
        return Record(diagnose_run(run.folder), "diagnose")
    return Record(diagnose_path(Path(run).expanduser()), "diagnose")


def export(
    run: Run | Path | str, *, merged: Path | str, adapter: str = "last", overwrite: bool = False
) -> Record:
    """Merge the adapter in float32 and prove the merged model equal; returns the proof."""
    from lorascope.export.stage import export_run

    folder, recipe = _recipe(run, _NONE)
    return Record(
        export_run(folder, recipe, merged=Path(merged), adapter=adapter, overwrite=overwrite), "export"
    )


def report(run: Run | Path | str) -> Path:
    """Write the run's page; returns its path."""
    from lorascope.pipeline import report_current

    return report_current(run.folder if isinstance(run, Run) else open_run(run))
