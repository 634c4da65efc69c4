"""The sections of a recipe. Every default of lorascope lives here, once, with its reason.

Attribute docstrings become `--help` and the settings page, so they are written for whoever edits a recipe.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_serializer, field_validator, model_validator

from lorascope.run.data_sections import DataSection, PrepareSection
from lorascope.run.section import Auto, PositiveInt, Section

CheckName = Literal[
    "targets",
    "stop_token",
    "padding",
    "attention_mask",
    "labels",
    "prompt_masked",
    "prompt_prefix",
    "bos",
    "vocabulary",
    "overlap",
]
CHECKS: tuple[CheckName, ...] = get_args(CheckName)
"""The checks between data and training, in the order in which they are reported."""


class BaseSection(Section):
    """The base model: its weights stay frozen."""

    id: str = Field(min_length=1)
    """A model on the Hub (`gpt2`, `meta-llama/Llama-3.1-8B`) or a local folder."""

    revision: str | None = None
    """Branch, tag or commit on the Hub; null is the Hub's default branch."""

    @field_validator("id")
    @classmethod
    def _at_home(cls, value: str) -> str:
        return os.path.expanduser(value)

    dropout: Literal["keep"] | Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability for the base's own dropout layers in training. 0, because exact shared computation needs it
    and LoRA rarely gains by it; `keep` leaves what the model was trained with."""


class CheckSection(Section):
    """The gate between data and training."""

    allow: tuple[CheckName, ...] = ()
    """Names of checks that may fail, on record, for example [overlap]."""


class LoraSection(Section):
    """Low-rank adapter, W + (alpha / rank) B A. Hu et al. 2021, arXiv:2106.09685."""

    rank: PositiveInt = 16
    """Width of A and B; trainable parameters grow linearly with it. 16 is a start, not a finding."""

    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Numerator of the factor alpha / rank, so raising rank alone weakens the update."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout on the adapter's input in training."""

    target_modules: Auto | Annotated[tuple[str, ...], Field(min_length=1)] = "auto"
    """Layers that get an adapter, by the end of their name. `auto` is every linear layer but the head."""


class TrainSection(Section):
    """One pass from dataset and base model to adapter."""

    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Passes over the training split; fractions are allowed."""

    batch_size: PositiveInt = 16
    """Examples in one optimizer step, over all processes. How they are laid out in passes is `row_tokens`'
    affair and never changes the numbers."""

    row_tokens: Auto | PositiveInt = "auto"
    """Token budget of one forward and backward pass, padding included. `auto` is 1,024, or 16,384 on an
    accelerator, less where memory is short; an example longer than the budget gets a pass of its own."""

    packing: Auto | Literal[False] = "auto"
    """Lay the examples of a step side by side without padding, each for itself. `auto` does wherever the
    model's first losses agree with the padded ones; false pads. It never changes the numbers."""

    shared_prefix: Auto | Literal[False] = "auto"
    """Compute what packed examples begin with in common once, gradients exact. `auto` does where it saves at
    least 3 % of the tokens and no LoRA dropout is on."""

    learning_rate: Annotated[float, Field(gt=0, le=1e30)] = 2e-4
    """Peak learning rate of AdamW."""

    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"] = "adamw"
    """AdamW in float32, or bitsandbytes' with moments in 8 bits, in pages that may leave the GPU, or both.
    Moments of an adapter are small: it pays where its rank is high."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Shape of the learning rate after warmup; cosine and linear end at 0."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03
    """Share of all steps in which the learning rate rises from 0 to its peak."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """AdamW's decoupled decay of the adapter weights. 0, because an adapter starts at no change at all."""

    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients longer than this are scaled down to it; null does not clip."""

    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    """Of the frozen weights and the forward pass; the adapter itself is always float32. `auto` is bf16 where
    the hardware has it, else float32; fp16 (with loss scaling) only on CUDA and only when asked for."""

    checkpoint_activations: Auto | bool = "auto"
    """Recompute activations in the backward pass: about a third slower, far less memory. `auto` does only
    where rows cannot be made short enough for the memory that is left."""

    eval_steps: Auto | PositiveInt = "auto"
    """Steps between evaluations of the train probe and the validation split. `auto` is about 20 evaluations,
    fewer where they would pass 10 % of training time, never fewer than 5."""

    eval_examples: Auto | PositiveInt = "auto"
    """Examples of each set in an evaluation during training; the last one uses all. `auto` is 200, and fewer,
    down to 64, where `eval_steps` is `auto` too and five evaluations would pass 10 % of training time."""

    stop_on: tuple[Literal["non_finite", "diverging", "overfitting"], ...] = ("non_finite",)
    """Signals that end training before its last step, looked for after each evaluation: `diverging`, and
    `overfitting` once it is shown twice in a row. A number that is not finite always does."""

    sample_prompts: tuple[str, ...] = ()
    """Prompts answered greedily at every evaluation, so that you see the answers change."""

    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Experiment trackers that get every step, evaluation, verdict and sample, beside the run's own files."""

    save_steps: Auto | PositiveInt = "auto"
    """Steps between checkpoints; each evaluation has one before it in any case, and `auto` adds none."""

    keep_checkpoints: PositiveInt = 2
    """Checkpoints kept; older ones go once so many newer ones are on disk, whole."""


class EvalSection(Section):
    """Exact loss of base and adapter on one split."""

    precision: Literal["float32", "bf16", "fp16"] = "float32"
    """Of the forward pass. Losses are summed in float32 and above whatever this says."""

    split: str = "validation"
    """The split to score."""

    batch_size: PositiveInt = 8
    """Examples in one forward pass; it never changes the loss."""

    generate: Annotated[int, Field(ge=0)] = 0
    """Validation examples to answer by greedy decoding and match against their references; 0 is none."""

    max_new_tokens: PositiveInt = 128
    """Longest free answer, in tokens."""

    group_by: tuple[str, ...] = ()
    """Columns of the data to break losses and answers down by, as in `family` or `[kind, family]`."""

    @field_validator("group_by", mode="before")
    @classmethod
    def _one_column_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class CompareSection(Section):
    """Base beside adapter on the same work."""

    split: str = "validation"
    """The split to compare on. Where a run holds nothing out there is only `train`, rows that were learnt."""

    prompts: Annotated[int, Field(ge=0)] = 8
    """Prompts of that split to answer, beside those of a --prompts file."""

    examples: PositiveInt = 200
    """Examples of that split whose target tokens enter the divergences."""

    max_new_tokens: PositiveInt = 128
    """Longest generation, in tokens."""

    temperature: Annotated[float, Field(gt=0)] = 0.8
    """Of the seeded sampling generations, beside the greedy ones."""

    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Nucleus of the seeded sampling generations."""

    unrelated: Annotated[str, Field(min_length=1)] | Literal[False] = "auto"
    """Text that has nothing to do with the data, to see what the adapter has forgotten: `auto` is 48 bundled
    passages of everyday English; a file of passages with blank lines between them, or JSON Lines with `text`,
    is your own; false measures nothing."""

    @field_validator("unrelated")
    @classmethod
    def _at_home(cls, value: str | Literal[False]) -> str | Literal[False]:
        return os.path.expanduser(value) if value else value


class Recipe(Section):
    """A whole run: what to train, on what, and how."""

    base: BaseSection
    """The base model; a plain name is short for {id: name}."""

    data: tuple[DataSection, ...]
    """Instruction data: a file, a folder or the name of a dataset on the Hub; or a list of sources."""

    @field_validator("data", mode="before")
    @classmethod
    def _one_source_or_several(cls, value: Any) -> Any:
        if isinstance(value, str | Mapping):
            value = [value]
        if isinstance(value, bool):
            return value  # a switch is refused like any other
        if not isinstance(value, list | tuple) or not value:
            raise ValueError("data is a path, or a list of sources as in [{path: rows.jsonl, weight: 2}]")
        return tuple({"path": one} if isinstance(one, str) else one for one in value)

    @field_validator("data")
    @classmethod
    def _told_apart(cls, value: tuple[DataSection, ...]) -> tuple[DataSection, ...]:
        names = [one.called for one in value]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f'two sources are called "{twice}": give each a name of its own')
        return value

    @field_serializer("data")
    def _short(self, value: tuple[DataSection, ...]) -> Any:
        """A single path as it is usually written, and of others only what is set."""
        told = [one.model_dump(mode="json", exclude_none=True) for one in value]
        return told[0]["path"] if len(told) == 1 and told[0].keys() == {"path"} else told

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """One seed for the split, the adapter's initial weights, the order of examples and sampling."""

    prepare: PrepareSection = PrepareSection()
    check: CheckSection = CheckSection()
    lora: LoraSection = LoraSection()
    train: TrainSection = TrainSection()
    eval: EvalSection = EvalSection()
    compare: CompareSection = CompareSection()

    @model_validator(mode="before")
    @classmethod
    def _plain_base_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("base"), str):
            return {**values, "base": {"id": values["base"]}}
        return values
