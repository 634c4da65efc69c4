import pytest

from lorascope.engine.compute_capability import has_bf16, runs_on, tuple_of, why_not

# torch.cuda.get_arch_list() of published wheels.
TORCH_2_4_CU121 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
TORCH_2_9_CU128 = ["sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
TORCH_2_9_CU130 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_110", "sm_120", "compute_120"]


@pytest.mark.parametrize(
    ("build", "capability", "runs"),
    [
        (TORCH_2_4_CU121, (12, 0), False),  # RTX 5090 on an older build
        (TORCH_2_4_CU121, (10, 0), False),  # B200 on an older build
        (TORCH_2_4_CU121, (9, 0), True),  # H100
        (TORCH_2_4_CU121, (8, 9), True),  # RTX 4090 runs sm_86 code
        (TORCH_2_4_CU121, (6, 1), True),  # GTX 1080 runs sm_60 code
        (TORCH_2_9_CU128, (6, 1), False),  # GTX 1080 on a new build
        (TORCH_2_9_CU128, (5, 2), False),  # GTX 980 on a new build
        (TORCH_2_9_CU128, (7, 0), True),  # V100
        (TORCH_2_9_CU130, (7, 0), False),  # V100 after CUDA 13 dropped it
        (TORCH_2_9_CU128, (12, 1), True),  # GB10 runs sm_120 code
        (TORCH_2_9_CU128, (10, 3), True),  # B300 runs sm_100 code
        (TORCH_2_9_CU130, (13, 0), True),  # a later GPU, through compute_120
        (TORCH_2_9_CU128, (13, 0), False),
        (["sm_90a"], (9, 0), True),
        (["sm_90a", "sm_100f"], (10, 3), True),
        (["sm_100a"], (10, 3), False),
        ([], (9, 0), False),
        (["gfx942"], (9, 4), False),
    ],
)
def test_a_build_runs_where_cuda_s_rules_say(
    build: list[str], capability: tuple[int, int], runs: bool
) -> None:
    assert runs_on(build, capability) is runs
    assert (why_not(build, capability) is None) is runs


def test_the_reason_says_whether_the_gpu_is_too_new_or_too_old() -> None:
    assert "sm_120, newer than" in str(why_not(TORCH_2_4_CU121, (12, 0)))
    assert "sm_61, older than" in str(why_not(TORCH_2_9_CU128, (6, 1)))
    assert "sm_90, missing from" in str(why_not(["sm_80", "sm_100"], (9, 0)))
    assert "no CUDA code" in str(why_not([], (9, 0)))


def test_bf16_came_with_ampere() -> None:
    assert [has_bf16(capability) for capability in ((7, 5), (8, 0), (8, 9), (12, 0))] == [
        False,
        True,
        True,
        True,
    ]


def test_a_name_of_another_maker_is_no_cuda_architecture() -> None:
    assert tuple_of("sm_120") == (12, 0)
    with pytest.raises(ValueError, match="gfx942"):
        tuple_of("gfx942")
