"""One optimizer step: its loss and gradient in any layout, and what stops it before the update."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lorascope.lm.adapter import attach_adapter, trainable_parameters
from lorascope.lm.load import load_base
from lorascope.run.dataset import IGNORE, Example
from lorascope.train.ranks import Ranks
from lorascope.train.schedule import learning_rate
from lorascope.train.step import NonFiniteStep, optimizer_step
from lorascope.train.trainee import Trainee

END = 0
CLIP = 0.05  # shorter than the gradients of these models, so that clipping takes part
TARGETS = {"alpaca_base": ("c_attn", "c_proj"), "chat_base": ("q_proj", "v_proj", "down_proj")}


def make_examples(count: int, *, seed: int = 0) -> list[Example]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = int(rng.integers(6, 60))
        ids = rng.integers(1, 250, length)
        ids[-1] = END
        labels = ids.copy()
        labels[: int(rng.integers(2, length - 1))] = IGNORE
        made.append(Example(example_id=f"rows#{number}", input_ids=ids, labels=labels))
    return made


def make_trainee(base: Path, targets: tuple[str, ...], **changes: Any) -> Trainee:
    """An adapter whose B is drawn at random, so that the gradient reaches A as well."""
    model = attach_adapter(load_base(str(base)), rank=4, alpha=8, dropout=0.0, target_modules=targets, seed=0)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    model.train()
    parameters = trainable_parameters(model)
    settings: dict[str, Any] = {
        "model": model,
        "parameters": parameters,
        "optimizer": torch.optim.AdamW(parameters, weight_decay=0.01),
        "scaler": torch.amp.GradScaler("cpu", enabled=False),
        "pad_id": END,
        "row_tokens": 4096,
        "max_grad_norm": 1.0,
        "ranks": Ranks(rank=0, world=1),
    }
    return Trainee(**{**settings, **changes})


def plain_losses(
    base: Path,
    targets: tuple[str, ...],
    steps: list[list[tuple[list[int], list[int]]]],
    rates: list[float],
    start: dict[str, torch.Tensor],
) -> tuple[list[float], list[float], dict[str, torch.Tensor]]:
    """The oracle: a plain torch loop over transformers and peft, one row at a time, no padding."""
    import warnings

    import peft
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=list(targets),
        fan_in_fan_out="c_attn" in targets,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # inside peft
        model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert weights.keys() == start.keys()
    for name, weight in weights.items():
        weight.data.copy_(start[name])
    model.eval()  # no dropout anywhere: lora's is 0, the base's own are off
    optimizer = torch.optim.AdamW(weights.values(), weight_decay=0.01)
    losses, norms = [], []
    for rows, rate in zip(steps, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        total = torch.zeros((), dtype=torch.float64)
        count = 0
        for ids, labels in rows:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            target = torch.tensor(labels[1:])
            total = total + torch.nn.functional.cross_entropy(
                logits, target, ignore_index=-100, reduction="sum"
            )
            count += sum(label != -100 for label in labels[1:])
        loss = total / count
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(weights.values(), CLIP)))
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, norms, {name: weight.detach() for name, weight in weights.items()}


@pytest.mark.parametrize("base", ["alpaca_base", "chat_base"])
def test_the_training_loop_is_that_of_plain_torch(base: str, request: pytest.FixtureRequest) -> None:
    folder, targets = request.getfixturevalue(base), TARGETS[base]
    examples = make_examples(40)
    batches = [examples[start : start + 8] for start in range(0, 40, 8)] * 2
    rates = [
        learning_rate(step, num_steps=10, peak=1e-2, warmup=0.2, schedule="linear") for step in range(1, 11)
    ]
    trainee = make_trainee(folder, targets, row_tokens=128, max_grad_norm=CLIP)
    start = {name: p.detach().clone() for name, p in trainee.model.named_parameters() if p.requires_grad}
    results = [
        optimizer_step(trainee, batch, rate=rate, seed=0) for batch, rate in zip(batches, rates, strict=True)
    ]
    plain = [[(one.input_ids.tolist(), one.labels.tolist()) for one in batch] for batch in batches]
    losses, norms, weights = plain_losses(folder, targets, plain, rates, start)
    assert [one.loss for one in results] == pytest.approx(losses, rel=1e-5)
    assert [one.grad_norm for one in results] == pytest.approx(norms, rel=1e-4)  # a norm of differences
    assert min(norms) > CLIP
    for name, parameter in trainee.model.named_parameters():
        if parameter.requires_grad:
            moved = float((weights[name] - start[name]).norm())
            assert float((parameter.detach() - weights[name]).norm()) < 1e-3 * moved


@pytest.mark.parametrize("base", ["alpaca_base", "chat_base"])
def test_loss_and_gradient_depend_on_no_split_of_the_step(base: str, request: pytest.FixtureRequest) -> None:
    folder, targets, examples = request.getfixturevalue(base), TARGETS[base], make_examples(16)
    found = []
    for row_tokens in (1, 64, 200, 4096):  # one example a pass, two to four, about eight, all at once
        trainee = make_trainee(folder, targets, row_tokens=row_tokens, max_grad_norm=None)
        result = optimizer_step(trainee, examples, rate=0.0, seed=0)
        found.append((result.loss, torch.cat([p.grad.reshape(-1) for p in trainee.parameters])))  # type: ignore[union-attr]
    loss, gradient = found[0]
    for other_loss, other in found[1:]:
        assert other_loss == pytest.approx(loss, rel=1e-6)
        assert float((other - gradient).norm() / gradient.norm()) < 1e-6


def test_the_gradient_depends_on_no_order_of_the_examples(alpaca_base: Path) -> None:
    examples, gradients = make_examples(12), []
    for rows in (examples, examples[::-1]):
        trainee = make_trainee(alpaca_base, TARGETS["alpaca_base"], row_tokens=100, max_grad_norm=None)
        optimizer_step(trainee, rows, rate=0.0, seed=0)
        gradients.append(torch.cat([p.grad.reshape(-1) for p in trainee.parameters]))  # type: ignore[union-attr]
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-6


def test_a_step_weighs_every_token_once_not_every_row_or_pass(alpaca_base: Path) -> None:
    # The fault: the mean of batch means. Rows of 2 and of 40 targets weigh 2:40, in any pass.
    short = Example(example_id="s", input_ids=np.arange(1, 6), labels=np.array([IGNORE] * 3 + [4, 5]))
    long_labels = np.array([IGNORE] * 3 + list(range(13, 53)))
    long = Example(example_id="l", input_ids=np.arange(10, 53), labels=long_labels)

    def loss(rows: list[Example], row_tokens: int) -> float:
        trainee = make_trainee(alpaca_base, TARGETS["alpaca_base"], row_tokens=row_tokens)
        return optimizer_step(trainee, rows, rate=0.0, seed=0).loss

    of_short, of_long = loss([short], 4096), loss([long], 4096)
    expected = (2 * of_short + 40 * of_long) / 42
    assert loss([short, long], 4096) == pytest.approx(expected, rel=1e-6)
    assert loss([short, long], 1) == pytest.approx(expected, rel=1e-6)
    assert abs(expected - (of_short + of_long) / 2) > 1e-3  # the fault would have shown


def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_its_rows(chat_base: Path) -> None:
    trainee = make_trainee(chat_base, TARGETS["chat_base"], row_tokens=1)
    examples = make_examples(4)
    optimizer_step(trainee, examples, rate=1e-3, seed=0)
    embedding = trainee.model.get_input_embeddings().weight
    poison = int(examples[2].input_ids[0])  # a token that no other of the four has
    assert not any(poison in one.input_ids for one in examples if one is not examples[2])
    embedding.data[poison] = math.nan
    before = snapshot(trainee)
    with pytest.raises(NonFiniteStep, match=r"the loss is not finite(.|\n)*examples rows#2") as stopped:
        optimizer_step(trainee, examples, rate=1e-3, seed=0)
    assert stopped.value.example_ids == ["rows#2"]
    assert_same(snapshot(trainee), before)


def test_a_gradient_that_is_not_finite_stops_before_the_update_and_names_the_step(alpaca_base: Path) -> None:
    trainee = make_trainee(alpaca_base, TARGETS["alpaca_base"])
    examples = make_examples(4)
    optimizer_step(trainee, examples, rate=1e-3, seed=0)
    before = snapshot(trainee)
    trainee.parameters[3].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(NonFiniteStep, match="the gradient is not finite") as stopped:
        optimizer_step(trainee, examples, rate=1e-3, seed=0)
    assert stopped.value.example_ids == [one.example_id for one in examples]
    assert_same(snapshot(trainee), before)


def snapshot(trainee: Trainee) -> list[torch.Tensor]:
    moments = [
        trainee.optimizer.state[p][key] for p in trainee.parameters for key in ("exp_avg", "exp_avg_sq")
    ]
    return [tensor.detach().clone() for tensor in [*trainee.parameters, *moments]]


def assert_same(now: list[torch.Tensor], before: list[torch.Tensor]) -> None:
    assert all(torch.equal(one, other) for one, other in zip(now, before, strict=True))


def test_the_dropout_of_a_step_is_decided_by_its_seed(alpaca_base: Path) -> None:
    def loss(seed: int) -> float:
        model = attach_adapter(
            load_base(str(alpaca_base)), rank=4, alpha=64, dropout=0.5, target_modules=("c_attn",), seed=0
        )
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_()
        trainee = make_trainee(alpaca_base, ("c_attn",))
        trainee.model, trainee.parameters = model.train(), trainable_parameters(model)
        trainee.optimizer = torch.optim.AdamW(trainee.parameters)
        return optimizer_step(trainee, make_examples(4), rate=0.0, seed=seed).loss

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)
