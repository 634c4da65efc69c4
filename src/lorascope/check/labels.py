"""Checks on labels and masks of real batches: what is a target, what must not be. B rows, T tokens."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from lorascope.check.findings import CheckResult, result
from lorascope.lm.batches import collate
from lorascope.run.dataset import IGNORE, Example, SplitNotes

Failure = dict[str, Any]
_ROWS = 32


def failure(example: Example, split: str, what: str) -> Failure:
    """Name one row and what is wrong with it."""
    return {"example_id": example.example_id, "split": split, "what": what}


def each(splits: Mapping[str, Sequence[Example]]) -> Iterator[tuple[str, Example]]:
    """All examples with their split."""
    return ((split, example) for split, examples in splits.items() for example in examples)


def rows_have_targets(splits: Mapping[str, Sequence[Example]]) -> CheckResult:
    """Every row trains at least one token."""
    failures = [
        failure(example, split, f"{example.num_tokens} tokens, none is a target")
        for split, example in each(splits)
        if example.num_target_tokens == 0
    ]
    return result(
        "targets",
        "every row has targets",
        failures,
        _count(splits),
        fix="the answer was cut off or masked: raise prepare.max_length, or look at the labels of these rows",
    )


def rows_end_with_stop(
    splits: Mapping[str, Sequence[Example]],
    stop_ids: Sequence[int],
    decode: Callable[[Sequence[int]], str],
    *,
    cut_length: int | None = None,
    cut_ids: Collection[str] = (),
) -> CheckResult:
    """The last target of every row is a stop token; white space of a template may follow it.

    Args:
        splits: The dataset.
        stop_ids: Tokens that end an answer.
        decode: Ids to text.
        cut_length: Length at which rows were cut, None where that is not known.
        cut_ids: Examples that are known to be cut. Cut rows are counted, not failed.
    """
    failures: list[Failure] = []
    cut: list[Failure] = []
    for split, example in each(splits):
        targets = example.labels[example.labels != IGNORE]
        if not len(targets) or _last_ink(targets, decode) in stop_ids:
            continue
        at_limit = cut_length is not None and example.num_tokens >= cut_length
        if at_limit or example.example_id in cut_ids:
            cut.append(failure(example, split, "it was cut, and its answer does not end"))
            continue
        failures.append(failure(example, split, f"the last target is {decode(targets[-1:])!r}"))
    num_cut, num_rows = len(cut), _count(splits)
    if cut and not failures and num_cut == sum(one.num_target_tokens > 0 for _, one in each(splits)):
        failures, cut = cut, []  # nothing is left that could teach to stop
    at = f" at {cut_length} tokens" if cut_length is not None else ""
    note = f"{len(cut):,} rows were cut{at} and do not teach stopping" if cut else ""
    return result(
        "stop_token",
        "the last target is a stop token",
        failures,
        num_rows,
        note=note,
        fix="raise prepare.max_length, or leave these rows out with prepare.truncation: drop"
        if num_cut and not cut
        else "append the end-of-text token to each answer, with its label: else the model never stops",
    )


def _last_ink(targets: Any, decode: Callable[[Sequence[int]], str]) -> int:
    """The last target that is not mere white space."""
    for token in reversed(targets.tolist()):
        if decode([token]).strip():
            return int(token)
    return int(targets[-1])


def padding_is_no_target(
    splits: Mapping[str, Sequence[Example]],
    notes: Mapping[str, SplitNotes],
    collator: Callable[[Sequence[Example]], Any],
    end_ids: Collection[int],
) -> tuple[CheckResult, CheckResult]:
    """No padding is a target and the attention mask equals the lengths: as stored, and in real batches.

    Args:
        splits: The dataset.
        notes: What was cut off when it was read.
        collator: Examples to a batch, as training does it.
        end_ids: Tokens that rows are padded with: the pad token and those that end an answer.
    """
    targets, masks = [], []
    for split, examples in splits.items():
        for example in examples:
            if extra := notes[split].padding_targets.get(example.example_id) or _repeated_end(
                example, end_ids
            ):
                targets.append(failure(example, split, f"{extra} tokens of padding are targets"))
            if holes := notes[split].mask_holes.get(example.example_id):
                masks.append(failure(example, split, f"{holes} tokens of the row are not attended to"))
        for start in range(0, len(examples), _ROWS):
            rows = examples[start : start + _ROWS]
            batch = collator(rows)
            for row, example in enumerate(rows):
                own = batch.attention_mask_BT[row].bool()
                if int(own.sum()) != example.num_tokens or batch.input_ids_BT[row][own].tolist() != (
                    example.input_ids.tolist()
                ):
                    masks.append(
                        failure(
                            example, split, f"{int(own.sum())} of {example.num_tokens} tokens attended to"
                        )
                    )
                if bool((batch.labels_BT[row][~own] != IGNORE).any()):
                    targets.append(failure(example, split, "padding is a target"))
    num = _count(splits)
    return (
        result("padding", "no pad is a target", targets, num, fix="labels of padding must be -100"),
        result(
            "attention_mask",
            "the attention mask equals the lengths",
            masks,
            num,
            fix="make the mask from lengths, never by comparing ids with the pad id",
        ),
    )


def _repeated_end(example: Example, end_ids: Collection[int]) -> int:
    """How many targets stand behind the one that ends the row: padding that no mask gives away."""
    targets = example.labels[example.labels != IGNORE].tolist()
    run = 0
    while run < len(targets) and targets[-1 - run] == targets[-1]:
        run += 1
    return run - 1 if run > 1 and targets[-1] in end_ids else 0


def labels_repeat_ids(splits: Mapping[str, Sequence[Example]]) -> CheckResult:
    """Every label is -100 or the token it stands under: unshifted, as transformers expects."""
    failures = []
    for split, example in each(splits):
        used = example.labels != IGNORE
        wrong = int((example.labels[used] != example.input_ids[used]).sum())
        if wrong:
            failures.append(failure(example, split, f"{wrong} labels are not their own token"))
    return result(
        "labels",
        "every label is -100 or its own token",
        failures,
        _count(splits),
        fix="do not shift labels: models shift them themselves",
    )


def _count(splits: Mapping[str, Sequence[Example]]) -> int:
    return sum(len(examples) for examples in splits.values())


def default_collator(pad_id: int) -> Callable[[Sequence[Example]], Any]:
    """The collator training uses."""
    return lambda rows: collate(rows, pad_id)
