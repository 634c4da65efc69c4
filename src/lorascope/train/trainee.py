"""What a training moves: a base model, its adapter and its optimizer, laid out for the memory left."""

from dataclasses import dataclass
from typing import Any

import torch

from lorascope.engine.precision import Precision
from lorascope.lm.adapter import attach_adapter, resolve_target_modules, trainable_parameters
from lorascope.lm.load import load_base
from lorascope.lm.packed import drops_values
from lorascope.lm.passes import Route, settle
from lorascope.lm.recompute import recompute_activations
from lorascope.run.dataset import Example
from lorascope.run.sections import Recipe, TrainSection
from lorascope.train.memory import MemoryPlan, kept_per_token, memory_left, plan_memory
from lorascope.train.optimizers import make_optimizer, moment_bytes
from lorascope.train.plan import StepPlan
from lorascope.train.ranks import Ranks

_TRIED = 64


@dataclass(slots=True, kw_only=True)
class Trainee:
    """What is being trained.

    Attributes:
        model: The PEFT model, in training mode.
        parameters: Its trainable parameters.
        optimizer: Over them.
        scaler: Scales the loss in fp16; disabled otherwise.
        pad_id: To pad with.
        row_tokens: Token budget of one forward and backward pass.
        max_grad_norm: Clip to this length; None does not.
        ranks: The processes that train together.
        route: "auto" for packed rows where the model runs them, "padded" for the plain path.
        share: Whether prefixes that examples have in common may be computed once.
        recompute: Whether activations are computed again in the backward pass; None: not yet, and they may be
            where memory runs out.
    """

    model: Any
    parameters: list[torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    pad_id: int
    row_tokens: int
    max_grad_norm: float | None
    ranks: Ranks
    route: Route = "auto"
    share: bool = True
    recompute: bool | None = False

    def lay_out(self, row_tokens: int | None, recompute: bool) -> None:
        """Take over the rows of the training that is gone on with."""
        self.row_tokens = row_tokens or self.row_tokens
        if recompute and not self.recompute:
            recompute_activations(self.model)
            self.recompute = True


def engine_told(section: TrainSection, model: Any, train: list[Example], pad_id: int) -> str:
    """Say how examples will run through a model; the first of them are tried.

    Args:
        section: As asked for.
        model: With its adapter, in training mode.
        train: The training split.
        pad_id: To pad with.
    """
    if section.packing is False:
        return "padded batches, as asked"
    if drops_values(model):
        return "padded batches, because the base's own dropout is on"
    return settle(model, train[:_TRIED], pad_id=pad_id).told


def build_trainee(
    recipe: Recipe,
    model: Any,
    precision: Precision,
    train: list[Example],
    plan: StepPlan,
    pad_id: int,
    ranks: Ranks,
) -> tuple[Trainee, MemoryPlan]:
    """Give a model its optimizer, and lay its passes out for the memory that is left.

    Args:
        recipe: As asked for.
        model: With its adapter, in training mode.
        precision: Of its weights.
        train: The training split.
        plan: Which examples each step sees.
        pad_id: To pad with.
        ranks: The processes that train together.

    Raises:
        ConfigError: The optimizer asked for is not installed.
    """
    asked, device = recipe.train, next(model.parameters()).device
    parameters = trainable_parameters(model)
    route: Route = "padded" if asked.packing is False else "auto"
    share = asked.shared_prefix is not False
    memory = plan_memory(
        kept=kept_per_token(model, train, pad_id=pad_id, route=route, share=share),
        num_layers=model.config.get_text_config().num_hidden_layers,
        longest=max(example.num_tokens for example in train),
        step_tokens=int(plan.sums([example.num_tokens for example in train]).max()),
        optimizer_bytes=moment_bytes(asked.optimizer, parameters),
        available=memory_left(device),
        row_tokens=None if asked.row_tokens == "auto" else asked.row_tokens,
        recompute=None if asked.checkpoint_activations == "auto" else asked.checkpoint_activations,
        device=device.type,
    )
    if memory.recompute:
        recompute_activations(model)
    trainee = Trainee(
        model=model,
        parameters=parameters,
        optimizer=make_optimizer(
            asked.optimizer, parameters, rate=asked.learning_rate, weight_decay=asked.weight_decay
        ),
        scaler=torch.amp.GradScaler(device.type, enabled=precision.scale_loss),
        pad_id=pad_id,
        row_tokens=memory.row_tokens,
        max_grad_norm=asked.max_grad_norm,
        ranks=ranks,
        route=route,
        share=share,
        recompute=True if memory.recompute else None if asked.checkpoint_activations == "auto" else False,
    )
    return trainee, memory


def build_model(recipe: Recipe, precision: Precision, device: torch.device) -> tuple[Any, tuple[str, ...]]:
    """Load the base model and put a fresh adapter on it.

    Args:
        recipe: As asked for.
        precision: Of the weights.
        device: Where they go.

    Returns:
        The PEFT model, in training mode, and the last parts of the names of the layers that got an adapter.

    Raises:
        ModelError: The base cannot be loaded, or has no such layers.
    """
    base = load_base(
        recipe.base.id,
        revision=recipe.base.revision,
        dtype=precision.weight_dtype,
        device=device,
        dropout=recipe.base.dropout,
    )
    targets = resolve_target_modules(recipe.lora.target_modules, base, recipe.base.id)
    model = attach_adapter(
        base,
        rank=recipe.lora.rank,
        alpha=recipe.lora.alpha,
        dropout=recipe.lora.dropout,
        target_modules=targets,
        seed=recipe.seed,
    )
    model.train()
    return model, targets
