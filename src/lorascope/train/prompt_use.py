"""What the right prompt is worth: answers scored behind their own prompt and behind another row's."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from lorascope.lm.load import context_length
from lorascope.lm.score import score_examples
from lorascope.run.commit import write_json
from lorascope.run.dataset import IGNORE, Example
from lorascope.train.training import Training

_MOST = 128
_LEAST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUse:
    """The first answer of some rows, scored twice with the trained adapter, as train/prompt_use.json.

    Attributes:
        split: "validation", or "training" where there are too few of those.
        example_ids: Of the rows.
        prompt_ids: Of the rows whose prompts were put before their answers instead.
        num_tokens: Target tokens of each first answer.
        own_nll: Its summed nats behind its own prompt.
        other_nll: The same behind the other prompt.
    """

    split: str
    example_ids: tuple[str, ...]
    prompt_ids: tuple[str, ...]
    num_tokens: tuple[int, ...]
    own_nll: tuple[float, ...]
    other_nll: tuple[float, ...]


def measure_prompt_use(training: Training) -> None:
    """Write train/prompt_use.json.

    Its lists are empty where fewer than 20 rows have different prompts, or where a loss is not finite.
    """
    few = len(training.sets.validation) < _LEAST
    rows: Sequence[Example] = training.train if few else training.sets.validation
    pairs = swap_prompts(rows[:_MOST], longest=context_length(training.trainee.model.config))
    if len(pairs) < _LEAST:
        pairs = []
    own = _scores(training, [own for own, _ in pairs])
    other = _scores(training, [other for _, other in pairs])
    if not np.isfinite([*own, *other]).all():  # a prompt that nobody wrote may overflow in half precision
        pairs, own, other = [], (), ()
    found = PromptUse(
        split="training" if few else "validation",
        example_ids=tuple(own.example_id for own, _ in pairs),
        prompt_ids=tuple(other.example_id for _, other in pairs),
        num_tokens=tuple(own.num_target_tokens for own, _ in pairs),
        own_nll=own,
        other_nll=other,
    )
    write_json(training.run.prompt_use, asdict(found))


def swap_prompts(examples: Sequence[Example], *, longest: int | None) -> list[tuple[Example, Example]]:
    """Put another row's prompt before each first answer.

    A row's partner is the next one, from half the rows further on, whose prompt is another: so no prompt
    serves twice more often than it has to, and nothing is drawn.

    Args:
        examples: Rows of one split.
        longest: Tokens a model can read; None for no limit.

    Returns:
        Of each row that has an answer behind a prompt: itself up to the end of its first answer, and the
        same answer behind the other prompt, under the id of the prompt's row.
    """
    parts = [part for part in (_first_turn(one) for one in examples) if part is not None]
    pairs = []
    for index, (row, start) in enumerate(parts):
        for shift in range(len(parts)):
            other, end = parts[(index + len(parts) // 2 + shift) % len(parts)]
            if np.array_equal(other.input_ids[:end], row.input_ids[:start]):
                continue
            if longest is None or end + row.num_tokens - start <= longest:
                pairs.append((row, _behind(other, end, row, start)))
            break
    return pairs


def _first_turn(example: Example) -> tuple[Example, int] | None:
    """An example up to the end of its first answer, and where that begins; None without one."""
    targets = np.flatnonzero(example.labels != IGNORE)
    if not len(targets) or targets[0] == 0:
        return None
    start = int(targets[0])
    gaps = np.flatnonzero(example.labels[start:] == IGNORE)
    end = start + int(gaps[0]) if len(gaps) else example.num_tokens
    return Example(
        example_id=example.example_id, input_ids=example.input_ids[:end], labels=example.labels[:end]
    ), start


def _behind(prompt: Example, end: int, answer: Example, start: int) -> Example:
    return Example(
        example_id=prompt.example_id,
        input_ids=np.concatenate([prompt.input_ids[:end], answer.input_ids[start:]]),
        labels=np.concatenate([np.full(end, IGNORE), answer.labels[start:]]),
    )


def _scores(training: Training, examples: Sequence[Example]) -> tuple[float, ...]:
    """Summed nats of each example's targets."""
    if not examples:
        return ()
    trainee = training.trainee
    scores = score_examples(
        trainee.model, examples, pad_id=trainee.pad_id, row_tokens=trainee.row_tokens, route=trainee.route
    )
    return tuple(float(one) for one in scores.nll_sum_N)
