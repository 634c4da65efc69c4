"""The sections of a recipe. Every default of lorascope lives here, once, with its reason.

Attribute docstrings become `--help` and the settings page, so they are written for whoever edits a recipe.
"""

import contextlib
import os
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Auto = Literal["auto"]
CheckName = Literal[
    "targets",
    "stop_token",
    "padding",
    "attention_mask",
    "labels",
    "prompt_masked",
    "prompt_prefix",
    "overlap",
]
CHECKS: tuple[CheckName, ...] = get_args(CheckName)
"""The checks between data and training, in the order in which they are reported."""
PositiveInt = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the recipe: frozen, no unknown keys, no infinities, and a switch is never a number."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
        hide_input_in_errors=False,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _switches_are_not_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `rank: yes`: YAML makes it True, and pydantic would take True for 1."""
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and not _takes_bool(field.annotation):
            raise ValueError(f"a switch ({str(value).lower()}) stands where a number or name is expected")
        return value


def _takes_bool(annotation: Any) -> bool:
    return annotation is bool or any(_takes_bool(part) for part in get_args(annotation))


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


class ColumnsSection(Section):
    """What the columns of a file stand for; prompt and answer, or messages, or text must be named.

    Their names may be of any language; a dot goes into an object.
    """

    prompt: str | None = None
    """What is asked."""

    answer: str | None = None
    """What is learnt."""

    context: str | None = None
    """What the prompt is about: Alpaca's input."""

    system: str | None = None
    """A system prompt."""

    history: str | None = None
    """Earlier questions and answers, as a list of pairs."""

    reasoning: str | None = None
    """What is thought before the answer."""

    messages: str | None = None
    """A list of turns."""

    tools: str | None = None
    """Tools that the assistant may call, beside messages."""

    text: str | None = None
    """Plain text for continued pre-training."""

    label: str | None = None
    """Whether people liked the answer; rows where they did not are left out."""

    @property
    def named(self) -> dict[str, str]:
        """What is named: part to column."""
        return {part: column for part, column in self.model_dump().items() if column}


class PrepareSection(Section):
    """Rows to token ids and labels."""

    template: Literal["auto", "alpaca", "alpaca_s1", "chat"] = "auto"
    """How rows become text. `auto` is the tokenizer's chat template where it has one, else `alpaca`."""

    format: str = "auto"
    """What the rows are: `auto` finds out and says so; a name such as `alpaca` or `sharegpt` decides."""

    columns: ColumnsSection | None = None
    """Which columns hold what, where their names do not say, as in {prompt: question, answer: cypher}."""

    targets: Literal["all", "last"] = "all"
    """Which assistant turns are learnt; a message's own `train: false` decides before it."""

    max_length: Auto | Annotated[int, Field(ge=8)] = "auto"
    """Longest example in tokens; longer ones are left out and counted. `auto` is the 99.5th percentile of the
    data, never more than the base model's context."""

    validation: Auto | Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(ge=0)] | str = "auto"
    """Examples held out: a whole number, a share below 1, or a file of your own. `auto` is 10 %, at most
    1,000; 0 is none. Rows with the same prompt always stay on the same side."""

    test: Annotated[int, Field(ge=0)] = 0
    """Examples held out a second time and never looked at in training."""

    max_dropped: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of malformed rows that is accepted; up to 10 of them are, unless more than half."""

    @field_validator("validation", mode="before")
    @classmethod
    def _share_count_or_file(cls, value: Any) -> Any:
        """Tell a share from a count: 0.1 is a tenth, 10 is ten examples, and 1.0 might be either."""
        if isinstance(value, str):
            value = _number_in(value)
        if isinstance(value, str):
            return os.path.expanduser(value)
        is_count = isinstance(value, int) and value >= 0
        if not is_count and not (isinstance(value, float) and 0 <= value < 1):
            raise ValueError(
                "a share is below 1, as in 0.1; a count is a whole number from 1, as in 50; 0 holds out none"
            )
        return value


def _number_in(text: str) -> str | int | float:
    """Take `1e-1` for the number it is: YAML hands it over as text, which would be a file name here."""
    with contextlib.suppress(ValueError):
        number = float(text)
        return int(number) if number.is_integer() and "." not in text else number
    return text


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
    """Token budget of one forward and backward pass, padding included. `auto` is 4,096, or 16,384 on an
    accelerator; an example longer than the budget gets a pass of its own."""

    learning_rate: Annotated[float, Field(gt=0, le=1e30)] = 2e-4
    """Peak learning rate of AdamW."""

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

    checkpoint_activations: bool = False
    """Recompute activations in the backward pass: about a third slower, far less memory."""

    eval_steps: Auto | PositiveInt = "auto"
    """Steps between evaluations of the train probe and the validation split. `auto` is about 20 evaluations,
    fewer where they would pass 10 % of training time, never fewer than 5."""

    eval_examples: PositiveInt = 200
    """Examples of each set in an evaluation during training; the last one uses all."""

    save_steps: Auto | PositiveInt = "auto"
    """Steps between checkpoints; `auto` saves before every evaluation."""

    keep_checkpoints: PositiveInt = 2
    """Checkpoints kept; older ones go once a newer one is safely on disk."""


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


class Recipe(Section):
    """A whole run: what to train, on what, and how."""

    base: BaseSection
    """The base model; a plain name is short for {id: name}."""

    data: str = Field(min_length=1)
    """Instruction data: a JSON, JSON Lines, CSV or Parquet file."""

    @field_validator("data")
    @classmethod
    def _at_home(cls, value: str) -> str:
        return os.path.expanduser(value)

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
