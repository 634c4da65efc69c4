"""The Python API: ten names, records that read like attributes, a run that loads and renders."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lorascope
from lorascope.errors import ConfigError, RunError

pytestmark = pytest.mark.end_to_end


def test_the_public_names_are_these_ten() -> None:
    assert lorascope.__all__ == [
        "Run",
        "check",
        "compare",
        "diagnose",
        "eval",
        "export",
        "prepare",
        "report",
        "run",
        "train",
    ]
    assert all(callable(getattr(lorascope, name)) for name in lorascope.__all__)


def test_importing_a_stage_package_does_not_shadow_its_function() -> None:
    code = (
        "import lorascope.train.plan, lorascope.run.folder, lorascope as ls\n"
        "assert callable(ls.train) and callable(ls.run), (ls.train, ls.run)\n"
        "from lorascope.run.folder import RunFolder\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_lorascope_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pydantic", "typer")
    code = f"import sys, lorascope; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_run_shows_its_numbers_as_attributes(finished_run: Any) -> None:
    run = lorascope.Run(finished_run.path)
    assert run.eval.adapter.perplexity == pytest.approx(math.exp(run.eval.adapter.eval_loss))
    assert run.eval["base"]["num_examples"] == 24
    assert run.prepare.kept == 60
    assert run.train.steps == 12  # 36 training rows in steps of 6, twice
    assert run.config.lora.rank == 4
    with pytest.raises(AttributeError, match="perplexity"):
        _ = run.eval.adapter.perplexitty


def test_a_stage_that_has_not_run_names_its_command(
    make_run: Any, alpaca_base: Path, alpaca_rows: Any
) -> None:
    run = lorascope.Run(make_run(alpaca_rows(20), alpaca_base).path)
    with pytest.raises(RunError, match="lorascope eval"):
        _ = run.eval


def test_the_loaded_model_is_the_one_that_was_measured(finished_run: Any) -> None:
    from lorascope.run.dataset import load_examples

    run = lorascope.Run(finished_run.path)
    model = run.load()
    nll, count = 0.0, 0
    for example in load_examples(finished_run.dataset, "validation")[0]:
        ids = torch.from_numpy(example.input_ids)[None]
        with torch.no_grad():
            logp = torch.log_softmax(model(input_ids=ids).logits[0].double(), dim=-1)
        for place in np.flatnonzero(example.labels[1:] != -100):
            nll -= float(logp[place, example.labels[place + 1]])
            count += 1
    assert run.eval.adapter.eval_loss == pytest.approx(nll / count, rel=1e-5)


def test_examples_become_a_data_frame(finished_run: Any) -> None:
    frame = lorascope.Run(finished_run.path).examples().to_pandas()
    assert len(frame) == 60
    assert set(frame["split"]) == {"train", "validation"}
    assert frame["target_text"].str.startswith("The number is").all()


def test_a_run_renders_in_a_notebook(finished_run: Any) -> None:
    run = lorascope.Run(finished_run.path)
    markup = run._repr_html_()
    assert "LoRA adapter" in markup
    assert "<script" not in run.eval.adapter._repr_html_()
    assert "prepare" in repr(run)


def test_stages_run_from_python_one_by_one(
    tmp_path: Path, alpaca_base: Path, alpaca_rows: Any, write_rows: Any
) -> None:
    data = write_rows(alpaca_rows(40))
    run = lorascope.prepare(
        data=data, base=str(alpaca_base), out=tmp_path / "r", settings={"prepare.validation": 10}
    )
    assert lorascope.check(run).passed is True
    summary = lorascope.train(run, settings={"train.epochs": 1, "lora.rank": 2})
    assert summary.steps == 2  # 30 rows in steps of 16
    measured = lorascope.eval(run)
    assert measured.base.num_examples == 10
    assert lorascope.report(run).is_file()


def test_a_base_that_is_not_given_is_named(tmp_path: Path, alpaca_rows: Any, write_rows: Any) -> None:
    with pytest.raises(ConfigError, match="base"):
        lorascope.prepare(data=write_rows(alpaca_rows(3)), base=None, out=tmp_path / "r")  # type: ignore[arg-type]


def test_checks_render_in_a_notebook_with_what_failed_and_what_is_worth_a_look(finished_run: Any) -> None:
    shown = lorascope.Run(finished_run.path).check._repr_html_()
    assert "every row has targets" in shown and "passed" in shown
    assert "<script" not in shown
