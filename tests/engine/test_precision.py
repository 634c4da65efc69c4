import pickle

import pytest
import torch

from lorascope.engine import precision
from lorascope.engine.precision import choose_device, choose_precision, cpu_bf16_instructions
from lorascope.errors import ConfigError, ModelError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("instructions", "name"), [(None, "float32"), ("avx512_bf16", "bf16"), ("amx", "bf16")]
)
def test_auto_is_bf16_only_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, instructions: str | None, name: str
) -> None:
    monkeypatch.setattr(precision, "cpu_bf16_instructions", lambda: instructions)
    chosen = choose_precision("auto", CPU)
    assert chosen.name == name
    assert chosen.weight_dtype is {"float32": torch.float32, "bf16": torch.bfloat16}[name]
    assert (instructions or "neither avx512_bf16 nor amx") in chosen.reason


def test_this_machine_gets_what_its_flags_say() -> None:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = file.read().split()
    has_it = "avx512_bf16" in flags or "amx_bf16" in flags
    assert (cpu_bf16_instructions() is not None) is has_it


def test_bf16_asked_for_is_given_with_a_warning_where_it_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_bf16_instructions", lambda: None)
    chosen = choose_precision("bf16", CPU)
    assert chosen.weight_dtype is torch.bfloat16
    assert "slower than float32" in chosen.reason


def test_fp16_off_cuda_falls_back_and_says_to_what_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for instructions, name in ((None, "float32"), ("amx", "bf16")):
        monkeypatch.setattr(precision, "cpu_bf16_instructions", lambda found=instructions: found)
        chosen = choose_precision("fp16", CPU)
        assert (chosen.name, chosen.scale_loss) == (name, False)
        assert chosen.reason.startswith("fp16 was asked for, but it trains on CUDA only and this is cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_fp16_on_cuda_scales_the_loss() -> None:
    chosen = choose_precision("fp16", torch.device("cuda:0"))
    assert (chosen.weight_dtype, chosen.scale_loss) == (torch.float16, True)


def test_mps_is_float32_until_it_is_measured() -> None:
    assert choose_precision("auto", torch.device("mps")).name == "float32"


def test_an_unknown_precision_gets_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r'did you mean "bf16"'):
        choose_precision("bfl16", CPU)


def test_a_precision_pickles() -> None:
    chosen = choose_precision("auto", CPU)
    assert pickle.loads(pickle.dumps(chosen)) == chosen


def test_the_cpu_can_always_be_asked_for() -> None:
    assert choose_device("cpu") == CPU


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused_when_asked_for_and_passed_over_when_not() -> None:
    with pytest.raises(ModelError, match="cannot run on"):
        choose_device("cuda")
    assert choose_device() == choose_device("auto")
    assert choose_device().type in ("cpu", "mps")


def test_a_device_that_torch_does_not_know_is_refused() -> None:
    with pytest.raises(ModelError, match='cannot run on "gpu"'):
        choose_device("gpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_is_chosen_where_one_works() -> None:
    device = choose_device()
    assert device.type == "cuda"
    name = choose_precision("auto", device).name
    assert name == ("bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32")
    with pytest.raises(ModelError, match="there is no GPU 99"):
        choose_device("cuda:99")
