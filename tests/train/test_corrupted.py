"""A damaged checkpoint is never loaded: it is passed over and named, and refused where it is asked for."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorascope.errors import LorascopeError, NumericsError, RunError
from lorascope.run.commit import MANIFEST, committed_folder, write_json
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_json
from lorascope.train.checkpoint import committed_steps, load_checkpoint, newest_checkpoint, step_of

pytestmark = pytest.mark.end_to_end

FILES = ("adapter.safetensors", "optimizer.safetensors", "state.json", MANIFEST)
FAULTS = ("cut", "flip", "empty", "delete", "swap")


def corrupt(checkpoint: Path, other: Path, file: str, fault: str, generator: random.Random) -> set[str]:
    """Do one thing to one file of a checkpoint.

    Returns:
        Names of the files that are no longer what they were.
    """
    path = checkpoint / file
    data = path.read_bytes()
    if fault == "delete":
        path.unlink()
    elif (
        fault == "swap"
    ):  # with another file of its folder, or with the file of its name in another checkpoint
        partner = generator.choice([checkpoint / name for name in FILES if name != file] + [other / file])
        path.write_bytes(partner.read_bytes())
        partner.write_bytes(data)
        return {file, partner.name} if MANIFEST not in (file, partner.name) else set(FILES)
    elif fault == "flip":
        place = generator.randrange(len(data))
        path.write_bytes(
            data[:place] + bytes([data[place] ^ (1 << generator.randrange(8))]) + data[place + 1 :]
        )
    else:
        path.write_bytes(data[: generator.randrange(len(data))] if fault == "cut" else b"")
    return set(FILES) if file == MANIFEST else {file}


def trial(straight: RunFolder, folder: Path, number: int) -> None:
    """Corrupt one of two checkpoints at random, and insist that it is found and nothing is loaded from it."""
    generator = random.Random(f"corruption {number}")
    shutil.rmtree(folder, ignore_errors=True)
    checkpoints = committed_steps(Path(shutil.copytree(straight.checkpoints, folder)))
    victim, other = generator.sample(checkpoints, 2)
    file, fault = generator.choice(FILES), FAULTS[number % len(FAULTS)]
    altered = corrupt(victim, other, file, fault, generator)
    newest, passed_over = newest_checkpoint(folder)
    assert newest != victim, (file, fault)
    if step_of(victim) > step_of(other):  # else the newest one is whole, and nobody looks at the victim
        assert passed_over[0].startswith(f"the checkpoint of step {step_of(victim)} is passed over")
        assert any(name in passed_over[0] for name in altered)
    with pytest.raises(RunError) as refused:
        load_into_nothing(victim)
    assert any(name in refused.value.message for name in altered)


def load_into_nothing(checkpoint: Path, tensors: dict[str, torch.Tensor] | None = None) -> None:
    """Load a checkpoint where every tensor is -1, and insist that a refusal has overwritten none."""
    values = tensors if tensors is not None else {"weight": torch.ones(2)}
    parameters = {name: torch.nn.Parameter(torch.full_like(t, -1)) for name, t in values.items()}
    optimizer = torch.optim.AdamW(parameters.values())
    try:
        load_checkpoint(checkpoint, parameters, optimizer, {})
    except LorascopeError:
        assert all(bool((parameter == -1).all()) for parameter in parameters.values())
        assert not optimizer.state
        raise


def test_no_corruption_of_fifty_loads(straight: RunFolder, tmp_path: Path) -> None:
    for number in range(50):
        trial(straight, tmp_path / "checkpoints", number)


@pytest.mark.slow
def test_no_corruption_of_a_thousand_loads(straight: RunFolder, tmp_path: Path) -> None:
    for number in range(1000):
        trial(straight, tmp_path / "checkpoints", number)


@pytest.mark.slow
def test_every_single_bit_of_a_manifest_counts(straight: RunFolder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(straight.checkpoints, tmp_path / "checkpoints"))
    newest = committed_steps(folder)[-1]
    data = (newest / MANIFEST).read_bytes()
    for bit in range(8 * len(data)):
        place = bit // 8
        flipped = data[:place] + bytes([data[place] ^ (1 << bit % 8)]) + data[place + 1 :]
        (newest / MANIFEST).write_bytes(flipped)
        assert newest_checkpoint(folder)[0] != newest, flipped[max(0, place - 20) : place + 20]


def test_two_checkpoints_under_each_others_name_are_both_passed_over(
    straight: RunFolder, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(straight.checkpoints, tmp_path / "checkpoints"))
    one, two = committed_steps(folder)
    one.rename(folder / "between")
    two.rename(one)
    (folder / "between").rename(two)
    newest, passed_over = newest_checkpoint(folder)
    assert newest is None
    assert passed_over == [
        "the checkpoint of step 12 is passed over: state.json is that of step 10",
        "the checkpoint of step 10 is passed over: state.json is that of step 12",
    ]


@pytest.fixture
def commit(tmp_path: Path) -> Callable[..., Path]:
    """Commit a checkpoint of step 3, as somebody else may have written it: hashes and all."""

    def make(
        adapter: dict[str, torch.Tensor] | None = None,
        optimizer: dict[str, torch.Tensor] | None = None,
        **changes: object,
    ) -> Path:
        numbers = {"step": 3, "best_loss": None, "best_step": None, "settings": {}, "scaler": {}}
        target = tmp_path / "step-00000003"
        with committed_folder(target, replace=True) as staged:
            save_file(adapter or {"weight": torch.ones(2)}, staged / "adapter.safetensors")
            own = {f"weight::{key}": torch.ones(2) for key in ("exp_avg", "exp_avg_sq")}
            save_file(optimizer or own, staged / "optimizer.safetensors")
            write_json(staged / "state.json", {**numbers, **changes})
        return target

    return make


def test_a_checkpoint_of_ours_is_loaded(commit: Callable[..., Path]) -> None:
    load_into_nothing(commit())


@pytest.mark.parametrize(
    "adapter",
    [
        {"other": torch.ones(2)},
        {"weight": torch.ones(2), "more": torch.ones(1)},
        {"weight": torch.ones(3)},
        {"weight": torch.ones(2, dtype=torch.float16)},
    ],
)
def test_a_whole_checkpoint_of_another_adapter_is_refused(
    commit: Callable[..., Path], adapter: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(RunError, match="its tensors are not those of this adapter"):
        load_into_nothing(commit(adapter))


def test_moments_of_another_tensor_are_refused(commit: Callable[..., Path]) -> None:
    with pytest.raises(RunError, match="other::exp_avg, which is no tensor of this adapter"):
        load_into_nothing(commit(optimizer={"other::exp_avg": torch.ones(2)}))


def test_moments_of_some_tensors_only_are_refused(commit: Callable[..., Path]) -> None:
    tensors = {"one": torch.ones(2), "two": torch.ones(2)}
    with pytest.raises(RunError, match="its optimizer lacks a part of some tensors"):
        load_into_nothing(commit(tensors, {"one::exp_avg": torch.ones(2)}), tensors)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", ["adapter", "optimizer"])
def test_a_whole_checkpoint_that_is_not_finite_is_refused(
    commit: Callable[..., Path], value: float, place: str
) -> None:
    name = "weight" if place == "adapter" else "weight::exp_avg_sq"
    with pytest.raises(NumericsError, match=f"1 of 2 values of {name} are not finite"):
        load_into_nothing(commit(**{place: {name: torch.tensor([1.0, value])}}))


@pytest.mark.parametrize("changes", [{"colour": "red"}, {"step": "three"}])
def test_a_state_that_is_not_ours_is_passed_over(
    commit: Callable[..., Path], changes: dict[str, object]
) -> None:
    path = commit(**changes)
    newest, passed_over = newest_checkpoint(path.parent)
    assert newest is None and "state.json" in passed_over[0]
    with pytest.raises(RunError, match="state.json"):
        load_into_nothing(path)


def test_names_that_are_not_ours_are_left_alone(commit: Callable[..., Path]) -> None:
    path = commit()
    for name in ("step-00000004.bak", "step-last", "step-7"):
        shutil.copytree(path, path.with_name(name))
    assert newest_checkpoint(path.parent) == (path, [])


def test_the_settings_of_a_checkpoint_must_be_the_trainings(straight: RunFolder) -> None:
    path = committed_steps(straight.checkpoints)[-1]
    tensors = load_file(path / "adapter.safetensors")
    assert read_json(path / "state.json")["settings"]
    with pytest.raises(RunError, match="not what it was started with"):
        load_into_nothing(path, tensors)
