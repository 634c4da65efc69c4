import json
from pathlib import Path

import pytest

from lorascope.errors import RunError
from lorascope.run.commit import committed_folder
from lorascope.run.folder import RunFolder
from lorascope.run.provenance import (
    StageClock,
    StageInputs,
    is_up_to_date,
    machine,
    read_provenance,
    record_stage,
    versions,
)

SETTINGS = {"seed": 0, "prepare": {"template": "auto", "max_length": "auto"}}
RESOLVED = {"seed": 0, "prepare": {"template": "alpaca", "max_length": 512}}


def inputs(
    seed: int = 0, template: str = "auto", max_length: str | int = "auto", data: str = "aa"
) -> StageInputs:
    return StageInputs(
        stage="prepare",
        settings={"seed": seed, "prepare": {"template": template, "max_length": max_length}},
        hashes={"data": data},
    )


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run whose prepare is finished."""
    run = RunFolder(tmp_path / "run")
    with committed_folder(run.stage("prepare")) as folder:
        (folder / "report.json").write_text("{}")
    record_stage(run, inputs(), resolved=RESOLVED, clock=StageClock(), facts={"note": 3})
    return run


def test_a_record_holds_what_made_the_stage(run: RunFolder) -> None:
    record = read_provenance(run)["stages"]["prepare"]
    assert (record["settings"], record["resolved"]) == (SETTINGS, RESOLVED)
    assert (record["inputs"], record["note"]) == ({"data": "aa"}, 3)
    assert record["versions"]["lorascope"] == versions()["lorascope"]
    assert record["seconds"] >= 0
    assert record["finished"].endswith("+00:00")


def test_the_same_inputs_are_up_to_date(run: RunFolder) -> None:
    assert is_up_to_date(run, inputs())


@pytest.mark.parametrize(
    ("template", "max_length"), [("alpaca", 512), ("alpaca", "auto"), ("auto", 512), ("auto", "auto")]
)
def test_what_auto_came_to_is_no_change(template: str, max_length: str | int, run: RunFolder) -> None:
    assert is_up_to_date(run, inputs(template=template, max_length=max_length))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (inputs(seed=1), "seed was 0, now 1"),
        (inputs(max_length=64), 'prepare.max_length was "auto", now 64'),
        (inputs(template="chat"), 'prepare.template was "auto", now "chat"'),
        (inputs(data="bb"), "data has changed"),
        (
            StageInputs(stage="prepare", settings=SETTINGS, hashes={"validation": "x"}),
            "validation has changed",
        ),
    ],
)
def test_other_inputs_are_refused_with_what_changed(changed: StageInputs, said: str, run: RunFolder) -> None:
    with pytest.raises(RunError) as caught:
        is_up_to_date(run, changed)
    assert f'"prepare" is finished, but with other inputs: {said}' in caught.value.message
    assert "--overwrite" in caught.value.message


def test_every_change_is_named(run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"seed was 0, now 1; prepare.max_length .*; data has changed"):
        is_up_to_date(run, inputs(seed=1, max_length=64, data="bb"))


def test_overwrite_makes_a_finished_stage_again(run: RunFolder) -> None:
    assert not is_up_to_date(run, inputs(), overwrite=True)
    assert not is_up_to_date(run, inputs(seed=1), overwrite=True)


def test_a_stage_that_never_ran_has_to_run(run: RunFolder) -> None:
    assert not is_up_to_date(run, StageInputs(stage="train", settings={}, hashes={}))
    assert not is_up_to_date(RunFolder(run.path / "other"), inputs())


def test_a_stage_whose_folder_is_gone_has_to_run(run: RunFolder) -> None:
    run.stage("prepare").rename(run.path / "moved")
    assert not is_up_to_date(run, inputs())


def test_a_folder_committed_after_its_record_has_to_be_made_again(run: RunFolder) -> None:
    # As when a kill falls between the commit of a newer folder and the record of it.
    with committed_folder(run.stage("prepare"), replace=True) as folder:
        (folder / "report.json").write_text('{"newer": true}')
    assert not is_up_to_date(run, inputs())


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_damaged_record_is_our_error(text: str, run: RunFolder) -> None:
    run.provenance.write_text(text)
    with pytest.raises(RunError, match=r"provenance\.json cannot be read"):
        is_up_to_date(run, inputs())


def test_stages_are_recorded_beside_each_other(run: RunFolder) -> None:
    check = StageInputs(stage="check", settings={"allow": []}, hashes={"dataset": "cc"})
    record_stage(run, check, resolved={}, clock=StageClock(), facts={})
    assert set(read_provenance(run)["stages"]) == {"prepare", "check"}
    assert is_up_to_date(run, inputs())


def test_a_record_names_no_person_and_no_home(run: RunFolder) -> None:
    text = json.dumps(machine())
    assert set(machine()) == {"system", "processor", "cores", "byteorder"}
    assert str(Path.home()) not in text
    assert machine()["cores"] >= 1


def test_a_package_that_is_not_installed_has_no_version() -> None:
    found = versions()
    assert found["python"]
    assert all(value is None or value[0].isdigit() for value in found.values())
