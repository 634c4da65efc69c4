"""A transformers model over packed rows: the engine's attention and head in place of its own.

Attention is registered with transformers, so that it serves every architecture that asks the registry. What a
model's configuration tells against packing is refused here; `lm.passes` compares the rest on real examples.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from lorascope.engine.attention import (
    Attention,
    AttentionPlan,
    bucketed_attention,
    dense_attention,
    varlen_attention,
)
from lorascope.engine.frozen_head import frozen_head_nll
from lorascope.engine.packing import PackedRow

ATTENTION = "lorascope"
FORMS: dict[str, Attention] = {
    "dense": dense_attention,
    "bucketed": bucketed_attention,
    "varlen": varlen_attention,
}

_HARMLESS = {
    "position_ids",
    "use_cache",
    "cache_position",
    "is_causal",
    "output_attentions",
    "sliding_window",
}
_SCALED_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
_LAYERS = {"full_attention", "sliding_attention"}


class CannotPack(Exception):
    """This model cannot run packed rows; says why. Caught in `lm`, which pads instead."""


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    plan: AttentionPlan | None = None,
    form: str = "bucketed",
    **more: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers calls it: over packed rows where a plan came along, SDPA otherwise.

    Raises:
        CannotPack: The layer asks for something that packed attention does not do.
    """
    if plan is None:
        found: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **more
        )
        return found
    if dropout:
        raise CannotPack("its attention drops values, which packed rows do not")
    unknown = sorted(name for name, given in more.items() if given is not None and name not in _HARMLESS)
    if unknown:
        raise CannotPack(f"its attention takes {', '.join(unknown)}")
    window = more.get("sliding_window")
    assert window is None or window >= plan.longest, "longer examples are padded"
    plan.calls[0] += 1
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query_THK, key_TGK, value_TGK = (one[0].transpose(0, 1) for one in (query, key, value))
    return FORMS[form](query_THK, key_TGK, value_TGK, plan, scale=scale).unsqueeze(0), None


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)  # for passes without a plan: padded rows, generation


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedModel:
    """A model that runs packed rows.

    Attributes:
        backbone: Token ids to hidden states.
        head: Hidden states to logits; frozen.
        num_layers: Attention calls in one pass.
        form: Key of `FORMS`.
        longest: Most tokens of an example, where layers see a window only; None for no limit.
    """

    backbone: Any
    head: torch.nn.Linear
    num_layers: int
    form: str
    longest: int | None = None

    def hidden(self, row: PackedRow) -> Tensor:
        """Hidden states that predict the row's targets, [S, D]."""
        device = self.head.weight.device
        plan = AttentionPlan(
            segments=row.segments,
            num_tokens=row.num_tokens,
            device=device,
            padded=self.form != "varlen",
        )
        out_1TD = self.backbone(
            input_ids=torch.from_numpy(row.input_ids_T).to(device).unsqueeze(0),
            position_ids=torch.from_numpy(row.position_ids_T).to(device).unsqueeze(0),
            attention_mask=torch.zeros(1, 1, 1, 1, device=device),  # with four axes it is taken as it is
            use_cache=False,
            plan=plan,
            form=self.form,
        ).last_hidden_state
        if plan.calls[0] != self.num_layers:
            raise CannotPack(f"{plan.calls[0]} of its {self.num_layers} layers ask for attention")
        hidden_SD: Tensor = out_1TD[0].index_select(0, torch.from_numpy(row.predict_S).to(device))
        return hidden_SD

    def nll(self, row: PackedRow) -> tuple[Tensor, Tensor]:
        """Nats of each target of a row, and whether it was the most likely token, [S] each."""
        target_S = torch.from_numpy(row.target_S).to(self.head.weight.device)
        return frozen_head_nll(self.hidden(row), self.head.weight, self.head.bias, target_S)


def unwrapped(model: Any) -> Any:
    """The transformers model below an adapter; the model itself where there is none."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def build_packed(model: Any, *, form: str | None = None) -> PackedModel:
    """Make a model ready for packed rows.

    Args:
        model: A PEFT model or a base model.
        form: Key of `FORMS`; None chooses by device and type of the weights.

    Raises:
        CannotPack: It cannot be, as far as its configuration tells.
    """
    causal = unwrapped(model)
    config = causal.config.get_text_config()
    backbone, head = causal.base_model, causal.get_output_embeddings()
    if backbone is causal or type(head) is not torch.nn.Linear:
        raise CannotPack("its head is no plain linear layer")
    if head.weight.requires_grad or (head.bias is not None and head.bias.requires_grad):
        raise CannotPack("its head is trained")
    for name in _SCALED_HEADS:
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise CannotPack(f"its logits are changed after the head ({name})")
    if set(getattr(config, "layer_types", None) or ()) - _LAYERS:
        raise CannotPack("some of its layers are no attention")
    if not type(causal)._supports_attention_backend:
        raise CannotPack("its attention cannot be exchanged")
    if causal.config._attn_implementation != ATTENTION:
        causal.set_attn_implementation(ATTENTION)
    if causal.config._attn_implementation != ATTENTION:
        raise CannotPack("its attention cannot be exchanged")
    if form is None:
        half = head.weight.dtype in (torch.bfloat16, torch.float16)
        form = "varlen" if head.weight.device.type == "cuda" and half else "bucketed"
    return PackedModel(
        backbone=backbone,
        head=head,
        num_layers=config.num_hidden_layers,
        form=form,
        longest=_window(config),
    )


def _window(config: Any) -> int | None:
    """The window that layers attend within; None where all see everything before them."""
    layers = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    return window if window and (layers is None or "sliding_attention" in layers) else None


def drops_values(model: Any) -> bool:
    """Whether the base model's own dropouts are on: what they drop would be shared with a prefix."""
    return model.training and any(
        module.p > 0
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.modules.dropout._DropoutNd) and "lora_" not in name
    )
