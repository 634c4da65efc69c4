"""The sections about data: what is read, and how rows become examples."""

import contextlib
import os
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from lorascope.run.section import Auto, PositiveInt, Section


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


class DataSection(Section):
    """A source of rows. A recipe's `data` is one or a list of them; a plain path is short for {path: ...}."""

    path: str = Field(min_length=1)
    """A file, a folder, a folder that `datasets` saved, or the name of a dataset on the Hub."""

    name: str | None = Field(default=None, min_length=1)
    """What it is called in counts and metrics; the last part of its path where not given."""

    format: str | None = None
    """As `prepare.format`, for this source."""

    columns: ColumnsSection | None = None
    """As `prepare.columns`, for this source."""

    split: str | None = None
    """The split of it to read, whose rows are then dealt as any others. Without it, its own validation and
    test splits are kept as they are."""

    key: str | None = None
    """Where a file is one JSON object: the list in it that holds the rows."""

    header: bool | None = None
    """Whether the first row of a table names its columns; null tells by its looks."""

    config: str | None = None
    """The configuration of a dataset on the Hub."""

    revision: str | None = None
    """Branch, tag or commit of a dataset on the Hub."""

    weight: Annotated[float, Field(gt=0)] | None = None
    """Its share of the mixture, relative to the other weights. Rows are only ever left out for it, never
    repeated: the source that is scarcest for its weight is used whole."""

    rows: PositiveInt | None = None
    """So many of its examples, chosen at random; all where it has no more."""

    @field_validator("path")
    @classmethod
    def _at_home(cls, value: str) -> str:
        return os.path.expanduser(value)

    @model_validator(mode="after")
    def _one_way_to_say_how_much(self) -> "DataSection":
        if self.weight is not None and self.rows is not None:
            raise ValueError("weight and rows both say how much of the source is used: leave one out")
        return self

    @property
    def called(self) -> str:
        """Its name, given or taken from its path."""
        return self.name or self.path.rstrip("/").rpartition("/")[2]


TEMPLATES = ("auto", "alpaca", "alpaca_s1", "chat")
"""Templates by name; anything else that `prepare.template` says is a file."""


class PrepareSection(Section):
    """Rows to token ids and labels."""

    template: str = "auto"
    """How rows become text: `alpaca`, `alpaca_s1`, `chat` (the tokenizer's own chat template), or a file of
    your own with a chat template in Jinja. `auto` is the tokenizer's chat template where it has one, else
    `alpaca`."""

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

    truncation: Literal["drop", "cut_prompt", "cut_response"] = "drop"
    """What becomes of longer examples: left out; or the longest text of their prompt is shortened; or the end
    of the answer is cut off, and such an example does not teach to stop."""

    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = 0.8
    """Least similarity of near duplicates: Jaccard over 3-word shingles, template wording aside. They stay on
    one side of the split; null looks for exact repetitions only."""

    score: bool = False
    """Score every example by its loss under the base, and list the strangest and the most trivial ones."""

    max_dropped: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of malformed rows that is accepted; up to 10 of them are, unless more than half."""

    @field_validator("template")
    @classmethod
    def _name_or_file(cls, value: str) -> str:
        if value not in TEMPLATES and "." not in value and "/" not in value:
            named = ", ".join(f"'{name}'" for name in TEMPLATES)
            raise ValueError(f"it must be one of {named}, or a file with a chat template in Jinja")
        return os.path.expanduser(value)

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
