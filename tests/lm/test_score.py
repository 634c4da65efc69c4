"""Losses against a plain transformers + peft computation, and against themselves in other layouts."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.errors import DataError
from lorascope.lm.batches import collate, cut_examples, rows_within
from lorascope.lm.load import load_base
from lorascope.lm.pair import load_pair
from lorascope.lm.passes import padded_losses
from lorascope.lm.score import score_examples
from lorascope.run.dataset import IGNORE, Example

END = 0  # the end-of-text token of both models, which rows are padded with too


def make_examples(count: int, *, seed: int = 0, longest: int = 48) -> list[Example]:
    """Random rows of 6 to `longest` tokens, closed by the end-of-text token, which stands in prompts too."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(rng.integers(6, longest + 1))
        ids = rng.integers(1, 300, length)
        ids[int(rng.integers(0, 3))] = END
        ids[-1] = END
        labels = ids.copy()
        labels[: int(rng.integers(3, length - 1))] = IGNORE
        made.append(Example(example_id=str(number), input_ids=ids, labels=labels))
    return made


def save_adapter_with_b(base: Path, folder: Path, targets: list[str]) -> Path:
    """A LoRA adapter made by PEFT alone, its B drawn at random so that it changes every number."""
    import peft
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=targets, fan_in_fan_out="c_attn" in targets, task_type="CAUSAL_LM"
    )
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside peft
        adapted = peft.get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.2)
    adapted.save_pretrained(folder)
    return folder


def plain_nll_sums(base: Path, adapter: Path | None, rows: list[tuple[list[int], list[int]]]) -> list[float]:
    """The oracle: transformers and peft alone, one row at a time, no padding, no mask."""
    import peft
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # inside peft
            model = peft.PeftModel.from_pretrained(model, adapter)
    model.eval()
    sums = []
    for ids, labels in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0].double()
        logprobs = torch.log_softmax(logits, dim=-1)
        sums.append(-sum(float(logprobs[t - 1, labels[t]]) for t in range(1, len(ids)) if labels[t] != -100))
    return sums


def plain_rows(examples: list[Example]) -> list[tuple[list[int], list[int]]]:
    return [(one.input_ids.tolist(), one.labels.tolist()) for one in examples]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base model and an adapter with B drawn at random, made without lorascope."""
    base: Path = request.getfixturevalue(f"{request.param}_folder")
    targets = {"gpt2": ["c_attn", "c_proj"], "llama": ["q_proj", "v_proj", "down_proj"]}[request.param]
    return base, save_adapter_with_b(base, tmp_path_factory.mktemp("adapter"), targets)


def test_the_loss_of_an_adapter_is_that_of_plain_transformers_and_peft(shape: tuple[Path, Path]) -> None:
    base, adapter = shape
    examples = make_examples(12)
    expected = plain_nll_sums(base, adapter, plain_rows(examples))
    pair = load_pair(str(base), adapter, device="cpu")
    scores = score_examples(pair.model, examples, pad_id=pair.pad_id, batch_size=5)
    np.testing.assert_allclose(scores.nll_sum_N, expected, rtol=1e-5)
    assert scores.num_tokens_N.tolist() == [
        sum(label != -100 for label in one.labels[1:]) for one in examples
    ]


def test_the_loss_of_the_base_is_that_of_plain_transformers_though_an_adapter_is_loaded(
    shape: tuple[Path, Path],
) -> None:
    base, adapter = shape
    examples = make_examples(6)
    pair = load_pair(str(base), adapter, device="cpu")
    with pair.base() as model:
        scores = score_examples(model, examples, pad_id=pair.pad_id)
    np.testing.assert_allclose(scores.nll_sum_N, plain_nll_sums(base, None, plain_rows(examples)), rtol=1e-5)
    adapted = score_examples(pair.model, examples, pad_id=pair.pad_id)
    assert np.abs(adapted.nll_sum_N - scores.nll_sum_N).min() > 1e-3  # it is applied, to every example


def test_the_loss_depends_on_no_layout(shape: tuple[Path, Path]) -> None:
    base, adapter = shape
    examples = make_examples(32)
    pair = load_pair(str(base), adapter, device="cpu")
    layouts: list[dict[str, Any]] = [
        {"route": "padded", "batch_size": batch_size, "side": side}
        for batch_size in (1, 3, 8, 32)
        for side in ("right", "left")
    ]
    layouts += [{"row_tokens": row_tokens} for row_tokens in (1, 100, 4096)]
    losses = []
    for layout in layouts:
        scores = score_examples(pair.model, examples, pad_id=pair.pad_id, **layout)
        losses.append(float(scores.nll_sum_N.sum() / scores.num_tokens_N.sum()))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


def test_the_gradient_depends_on_no_padding_side(shape: tuple[Path, Path]) -> None:
    base, adapter = shape
    examples = make_examples(8)
    pair = load_pair(str(base), adapter, device="cpu")
    weights = [p for name, p in pair.model.named_parameters() if "lora_" in name]
    for weight in weights:
        weight.requires_grad_(True)
    gradients = []
    for side in ("right", "left"):
        losses = padded_losses(pair.model, examples, pad_id=END, side=side)  # type: ignore[arg-type]
        parts = torch.autograd.grad(losses.nll_S.mean(), weights)
        gradients.append(torch.cat([part.reshape(-1) for part in parts]))
    right, left = gradients
    assert float((right - left).norm() / right.norm()) < 1e-6


def test_the_mask_comes_from_lengths_though_the_pad_token_stands_in_the_text(gpt2_folder: Path) -> None:
    # The fault: attention_mask = input_ids != pad_id hides every end-of-text token of the text as well.
    examples = make_examples(4)
    model = load_base(str(gpt2_folder))
    batch = collate(examples, pad_id=END)
    assert batch.attention_mask_BT.sum(dim=1).tolist() == [one.num_tokens for one in examples]
    truth = score_examples(model, examples, pad_id=END)
    np.testing.assert_allclose(
        truth.nll_sum_N, plain_nll_sums(gpt2_folder, None, plain_rows(examples)), rtol=1e-5
    )
    with torch.no_grad():
        faulty = model(input_ids=batch.input_ids_BT, attention_mask=(batch.input_ids_BT != END).long())
        right = model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT)
    assert not torch.allclose(faulty.logits[0, -1], right.logits[0, -1])  # so it would have shown


def test_the_pad_token_changes_nothing(gpt2_folder: Path) -> None:
    examples, model = make_examples(6), load_base(str(gpt2_folder))
    one, other = (score_examples(model, examples, pad_id=pad_id, batch_size=6) for pad_id in (END, 77))
    np.testing.assert_array_equal(one.nll_sum_N, other.nll_sum_N)


def test_the_end_of_text_token_counts_as_a_target_and_the_first_token_never_does(gpt2_folder: Path) -> None:
    ids = np.array([5, 6, 7, END])
    example = Example(example_id="a", input_ids=ids, labels=ids.copy())
    scores = score_examples(load_base(str(gpt2_folder)), [example], pad_id=END)
    assert scores.num_tokens_N.tolist() == [3]  # 6, 7 and END; nothing stands before 5 to predict it from


def test_an_example_without_targets_scores_nothing_and_changes_nothing(gpt2_folder: Path) -> None:
    model, examples = load_base(str(gpt2_folder)), make_examples(3)
    silent = Example(example_id="silent", input_ids=np.array([4, 5]), labels=np.array([IGNORE, IGNORE]))
    alone = score_examples(model, examples, pad_id=END)
    mixed = score_examples(model, [examples[0], silent, *examples[1:]], pad_id=END)
    assert (mixed.nll_sum_N[1], mixed.num_tokens_N[1], mixed.num_correct_N[1]) == (0.0, 0, 0)
    np.testing.assert_allclose(np.delete(mixed.nll_sum_N, 1), alone.nll_sum_N, rtol=1e-6)


def test_correct_targets_are_those_the_model_ranks_first(gpt2_folder: Path) -> None:
    model = load_base(str(gpt2_folder))
    start = [9, 8]
    with torch.no_grad():
        best = int(model(input_ids=torch.tensor([start])).logits[0, -1].argmax())
    hit = Example(
        example_id="hit", input_ids=np.array([*start, best]), labels=np.array([IGNORE, IGNORE, best])
    )
    other = (best + 1) % 300
    miss = Example(
        example_id="miss", input_ids=np.array([*start, other]), labels=np.array([IGNORE, IGNORE, other])
    )
    assert score_examples(model, [hit, miss], pad_id=END).num_correct_N.tolist() == [1, 0]


def test_scoring_uses_evaluation_mode_and_gives_the_mode_back(gpt2_folder: Path) -> None:
    model = load_base(str(gpt2_folder), dropout=0.5)
    model.train()
    first, second = (score_examples(model, make_examples(3), pad_id=END).nll_sum_N for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.training


def test_losses_are_float32_and_one_per_target_in_a_half_precision_model(gpt2_folder: Path) -> None:
    # The fault: a loss that is a vector, or one rounded to bf16 (three digits), is averaged like a number.
    examples = make_examples(3)
    losses = padded_losses(load_base(str(gpt2_folder), dtype=torch.bfloat16), examples, pad_id=END)
    assert losses.nll_S.dtype == torch.float32
    assert losses.nll_S.shape == (sum(one.num_target_tokens for one in examples),)
    counts = torch.bincount(losses.example_S, minlength=3).tolist()
    assert counts == [one.num_target_tokens for one in examples]


@pytest.mark.parametrize(
    ("ids", "labels", "problem"),
    [
        ([3] * 65, [3] * 65, "65 tokens, and the model reads 64"),
        ([3, 300], [IGNORE, 300], "token id 300, and the model has 300 tokens"),
        ([3, 4, 5], [4, 5, IGNORE], "a label that is not its own token"),
    ],
)
def test_an_example_that_does_not_fit_the_model_is_refused_by_name(
    gpt2_folder: Path, ids: list[int], labels: list[int], problem: str
) -> None:
    example = Example(example_id="row 7", input_ids=np.array(ids), labels=np.array(labels))
    with pytest.raises(DataError, match=f"example row 7 has {problem}"):
        score_examples(load_base(str(gpt2_folder)), [example], pad_id=END)


def test_cutting_keeps_the_first_tokens_and_counts_the_cut() -> None:
    ids = np.arange(10)
    example = Example(example_id="a", input_ids=ids, labels=ids)
    short = Example(example_id="b", input_ids=ids[:4], labels=ids[:4])
    (cut, whole), num_cut = cut_examples([example, short], 4)
    assert (cut.input_ids.tolist(), whole.input_ids.tolist(), num_cut) == ([0, 1, 2, 3], [0, 1, 2, 3], 1)


def test_passes_cover_every_example_once_within_their_budget() -> None:
    lengths = [3, 50, 7, 7, 20, 64, 1]
    groups = rows_within(lengths, row_tokens=40, most=3)
    assert sorted(index for group in groups for index in group) == list(range(7))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert len(group) == 1 or (len(group) * longest <= 40 and len(group) <= 3)


def test_scoring_that_runs_out_of_memory_goes_on_in_shorter_rows_and_says_so(
    gpt2_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples = make_examples(9)
    wanted = score_examples(load_base(str(gpt2_folder)), examples, pad_id=END)
    small = load_base(str(gpt2_folder))
    told: list[int] = []

    def refuse(_: Any, given: tuple[Any, ...]) -> None:
        if given[0].shape[0] * given[0].shape[1] > 90:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    small.transformer.h[-1].register_forward_pre_hook(refuse)
    found = score_examples(small, examples, pad_id=END, row_tokens=120, advance=told.append)
    np.testing.assert_allclose(found.nll_sum_N, wanted.nll_sum_N, rtol=1e-5)
    np.testing.assert_array_equal(found.num_tokens_N, wanted.num_tokens_N)
    assert sum(told) == 9  # every example is counted once, also those done before memory ran out
    assert "goes on with rows of 60 tokens" in caplog.text


def test_an_example_that_fits_in_no_memory_is_an_error(gpt2_folder: Path) -> None:
    model = load_base(str(gpt2_folder))

    def refuse(_: Any, given: tuple[Any, ...]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.transformer.h[-1].register_forward_pre_hook(refuse)
    with pytest.raises(torch.OutOfMemoryError):
        score_examples(model, make_examples(3), pad_id=END)
