"""Fixed prompts answered at every evaluation -> train/samples.jsonl: how the answers change."""

from dataclasses import dataclass
from typing import Any

from lorascope.errors import ConfigError, explain
from lorascope.lm.generate import Decoding, generate
from lorascope.lm.template_record import load_template
from lorascope.run.folder import RunFolder
from lorascope.run.message import Message
from lorascope.run.records import append_line

_MAX_NEW_TOKENS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRecord:
    """One answer, as a line of train/samples.jsonl.

    Attributes:
        step: Optimizer steps done; 0 is the base model.
        prompt: As it was given in `train.sample_prompts`.
        text: The answer, decoded greedily.
        num_tokens: Its tokens, the stop token left out.
        stopped: Whether it ended by a stop token, not by length.
    """

    step: int
    prompt: str
    text: str
    num_tokens: int
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The prompts of one training, tokenised through the run's own template.

    Attributes:
        run: Where the answers go.
        prompts: As given.
        input_ids: Of each prompt.
        stop_ids: Tokens that end an answer.
        tokenizer: For decoding.
    """

    run: RunFolder
    prompts: tuple[str, ...]
    input_ids: tuple[tuple[int, ...], ...]
    stop_ids: tuple[int, ...]
    tokenizer: Any

    def answer(self, model: Any, step: int) -> list[SampleRecord]:
        """Answer every prompt with the model as it is now, and log the answers.

        The model's mode is restored, and greedy decoding draws no random number: training goes on as if
        nothing had been asked.
        """
        answers = generate(
            model,
            self.tokenizer,
            self.input_ids,
            Decoding(max_new_tokens=_MAX_NEW_TOKENS),
            stop_ids=self.stop_ids,
        )
        records = [
            SampleRecord(
                step=step,
                prompt=prompt,
                text=one.text,
                num_tokens=len(one.token_ids),
                stopped=one.stopped,
            )
            for prompt, one in zip(self.prompts, answers, strict=True)
        ]
        for record in records:
            append_line(self.run.samples, record)
        return records


def make_samples(run: RunFolder, prompts: tuple[str, ...], tokenizer: Any) -> Samples | None:
    """Tokenise the prompts of `train.sample_prompts`; None where there are none.

    Args:
        run: Prepared: its template makes the prompts, as it made those that are trained on.
        prompts: What a user asks.
        tokenizer: Of the base.

    Raises:
        ConfigError: The run has no template of its own.
    """
    if not prompts:
        return None
    if not run.template.is_file():
        raise ConfigError(
            explain(
                "train.sample_prompts needs the template that made the training data",
                where="train.sample_prompts",
                why="a dataset made elsewhere does not say how its prompts were made",
                fix="take it out, or prepare the rows here: lorascope prepare DATA --base MODEL --out RUN",
            )
        )
    template = load_template(run.template, tokenizer)
    ids = tuple(tuple(template.encode_prompt([Message(role="user", content=one)])) for one in prompts)
    return Samples(
        run=run,
        prompts=prompts,
        input_ids=ids,
        stop_ids=tuple(template.stop_ids),
        tokenizer=tokenizer,
    )
