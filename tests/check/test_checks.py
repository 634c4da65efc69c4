"""Each check by itself, on examples made by hand: what it finds, and what it lets pass."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lorascope.check.labels import (
    default_collator,
    labels_repeat_ids,
    padding_is_no_target,
    rows_end_with_stop,
    rows_have_targets,
)
from lorascope.check.prompts import held_out_is_new, prompt_is_no_target, prompt_is_prefix
from lorascope.check.show import marked_tokens
from lorascope.lm.batches import Batch, collate
from lorascope.lm.template import Template
from lorascope.run.dataset import IGNORE, Example, SplitNotes
from lorascope.run.message import Message
from lorascope.run.texts import ExampleText

END, PAD = 0, 9


def example(name: str, ids: Sequence[int], labels: Sequence[int]) -> Example:
    return Example(example_id=name, input_ids=np.array(ids), labels=np.array(labels))


GOOD = example("good", [5, 6, 7, END], [IGNORE, IGNORE, 7, END])
NOTES = {"train": SplitNotes(num_trimmed=0, has_attention_mask=True)}


def decode(ids: Sequence[int]) -> str:
    return "".join({END: "<end>", 1: "\n"}.get(int(token), chr(97 + int(token))) for token in ids)


def whats(check: Any) -> dict[str, str]:
    return {row["example_id"]: row["what"] for row in check.worst}


def test_a_row_without_targets_is_named() -> None:
    masked = example("masked", [5, 6], [IGNORE, IGNORE])
    first_only = example(
        "first", [5, 6], [5, IGNORE]
    )  # nothing stands before the first token to predict it from
    check = rows_have_targets({"train": [GOOD, masked], "validation": [first_only]})
    assert (check.passed, check.num_failed, check.num_rows) == (False, 2, 3)
    assert whats(check) == {"masked": "2 tokens, none is a target", "first": "2 tokens, none is a target"}
    assert [row["split"] for row in check.worst] == ["train", "validation"]
    assert rows_have_targets({"train": [GOOD]}).passed


def test_a_row_that_does_not_end_with_a_stop_token_is_named() -> None:
    unlabelled = example("unlabelled", [5, 6, END], [IGNORE, 6, IGNORE])
    without = example("without", [5, 6], [IGNORE, 6])
    check = rows_end_with_stop({"train": [GOOD, unlabelled, without]}, [END], decode)
    assert (check.passed, check.num_failed) == (False, 2)
    assert whats(check) == {"unlabelled": "the last target is 'g'", "without": "the last target is 'g'"}


def test_white_space_of_a_template_may_follow_the_stop_token() -> None:
    followed = example("followed", [5, 7, END, 1], [IGNORE, 7, END, 1])
    assert rows_end_with_stop({"train": [followed]}, [END], decode).passed
    only_space = example("space", [5, 1], [IGNORE, 1])
    assert not rows_end_with_stop({"train": [only_space]}, [END], decode).passed


def test_rows_that_were_cut_are_counted_apart() -> None:
    cut = example("cut", [5, 6, 7, 8], [IGNORE, 6, 7, 8])
    short = example("short", [5, 6, 7], [IGNORE, 6, 7])
    check = rows_end_with_stop({"train": [GOOD, cut, short]}, [END], decode, cut_length=4)
    assert (check.num_failed, whats(check)) == (1, {"short": "the last target is 'h'"})
    assert check.note == "1 rows were cut at 4 tokens and do not teach stopping"


def padding(splits: dict[str, list[Example]], notes: Any = NOTES, collator: Any = None) -> tuple[Any, Any]:
    return padding_is_no_target(splits, notes, collator or default_collator(PAD), {END, PAD})


def test_our_own_batches_pad_nothing_into_the_targets_or_the_mask() -> None:
    rows = [
        GOOD,
        example("b", [5, END], [IGNORE, END]),
        example("c", [PAD, PAD, 7, END], [IGNORE, PAD, 7, END]),
    ]
    targets, masks = padding({"train": rows * 20})  # more than one batch
    assert (targets.passed, masks.passed, targets.num_rows) == (True, True, 60)


def test_a_collator_that_trains_on_padding_is_found() -> None:
    def unmasked(rows: Sequence[Example]) -> Batch:
        batch = collate(rows, PAD)
        batch.labels_BT[batch.attention_mask_BT == 0] = PAD
        return batch

    short = example("short", [5, END], [IGNORE, END])
    targets, masks = padding({"train": [GOOD, short]}, collator=unmasked)
    assert whats(targets) == {"short": "padding is a target"}
    assert masks.passed


def test_a_collator_that_reads_the_mask_off_the_ids_is_found() -> None:
    def by_ids(rows: Sequence[Example]) -> Batch:
        batch = collate(rows, END)  # the end of text pads, as GPT-2 has no pad token
        batch.attention_mask_BT[batch.input_ids_BT == END] = 0
        return batch

    short = example("short", [5, END], [IGNORE, END])
    targets, masks = padding({"train": [GOOD, short]}, collator=by_ids)
    assert whats(masks) == {"good": "3 of 4 tokens attended to", "short": "1 of 2 tokens attended to"}
    assert not targets.passed


def test_targets_in_stored_padding_and_holes_in_the_mask_are_found() -> None:
    notes = {
        "train": SplitNotes(
            num_trimmed=1, has_attention_mask=True, padding_targets={"good": 508}, mask_holes={"good": 2}
        )
    }
    targets, masks = padding({"train": [GOOD]}, notes)
    assert whats(targets) == {"good": "508 tokens of padding are targets"}
    assert whats(masks) == {"good": "2 tokens of the row are not attended to"}


def test_padding_that_no_mask_gives_away_is_found_by_its_repetition() -> None:
    # The answer, its end, and three more of it: padded with the end of text and labelled with its own ids.
    padded = example("padded", [5, 7, END, END, END, END], [IGNORE, 7, END, END, END, END])
    targets, _ = padding({"train": [GOOD, padded]})
    assert whats(targets) == {"padded": "3 tokens of padding are targets"}
    laughing = example("laughing", [5, 7, 7, 7], [IGNORE, 7, 7, 7])
    assert padding({"train": [laughing]})[0].passed


def test_shifted_labels_are_named() -> None:
    shifted = example("shifted", [5, 6, 7, END], [IGNORE, 7, END, IGNORE])
    check = labels_repeat_ids({"train": [GOOD, shifted]})
    assert (check.num_failed, whats(check)) == (1, {"shifted": "2 labels are not their own token"})


def test_a_supervised_prompt_is_named_where_the_prompt_is_known() -> None:
    supervised = example("supervised", [5, 6, 7, END], [IGNORE, 6, 7, END])
    prompts = {"good": [5, 6], "supervised": [5, 6]}
    check = prompt_is_no_target({"train": [GOOD, supervised]}, prompts)
    assert (check.num_failed, check.num_rows) == (1, 2)
    assert whats(check) == {"supervised": "1 prompt tokens are targets"}


def test_a_row_of_nothing_but_targets_is_named_where_the_prompt_is_not_known() -> None:
    whole = example("whole", [5, 6, 7, END], [5, 6, 7, END])
    check = prompt_is_no_target({"train": [GOOD, whole]}, {})
    assert (check.num_failed, list(whats(check))) == (1, ["whole"])
    assert "labels alone" in check.note
    assert "allow" not in check.fix  # another row masks its prompt, so this is no dataset of plain text


@pytest.mark.parametrize(
    ("rows", "passed"),
    [
        # A first token is never scored.
        ([([5, 6, 7, END], [5, 6, 7, END]), ([8, END], [IGNORE, END])], None),
        ([([5, 6, 7, END], [5, 6, 7, END]), ([8, 7, END], [IGNORE, IGNORE, END])], False),
        ([([5, 6, 7, END], [IGNORE, IGNORE, 7, END])], True),
    ],
)
def test_rows_that_may_be_plain_text_are_judged_where_one_of_them_masks_something(
    rows: Any, passed: bool | None
) -> None:
    splits = {"train": [example(str(n), *row) for n, row in enumerate(rows)]}
    assert prompt_is_no_target(splits, {}, may_be_plain=True).passed is passed
    assert prompt_is_no_target(splits, {}).passed is bool(passed)


def test_a_held_out_row_that_is_in_training_is_named_with_its_twin() -> None:
    twin = example("twin", GOOD.input_ids.tolist(), [IGNORE] * 4)
    other = example("other", [5, 6, 8, END], [IGNORE, IGNORE, 8, END])
    check = held_out_is_new({"train": [other, GOOD], "validation": [twin, other], "test": [twin]})
    assert (check.passed, check.num_failed, check.num_rows) == (False, 3, 3)
    assert whats(check) == {
        "twin": "the same as training row good",
        "other": "the same as training row other",
    }
    assert held_out_is_new({"train": [GOOD], "validation": [other]}).passed


@pytest.mark.parametrize("splits", [{"train": [GOOD]}, {"validation": [GOOD], "test": [GOOD]}])
def test_without_a_training_and_a_held_out_split_overlap_is_not_checked(splits: Any) -> None:
    check = held_out_is_new(splits)
    assert (check.passed, check.note) == (None, "there is no second split")


def encoded(template: Template, name: str, messages: Sequence[Message]) -> Example:
    (made,) = template.encode(messages)
    return example(name, made.input_ids, made.labels)


def said(name: str, messages: Sequence[Message]) -> dict[str, ExampleText]:
    turns = [turn for turn, message in enumerate(messages) if message.role == "assistant"]
    text = ExampleText(
        example_id=name,
        split="train",
        messages=tuple(messages),
        tools="",
        learnt=tuple(turns),
        target_text="",
        target_bytes=0,
        labels={},
    )
    return {name: text}


QUESTION, ANSWER = (
    Message(role="user", content="Name a sea."),
    Message(role="assistant", content="The North."),
)


def test_the_prompt_of_generation_is_a_prefix_under_the_same_template(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca", alpaca_tokenizer)
    rows = {
        "train": [encoded(template, "a", [QUESTION, ANSWER]), encoded(template, "b", [QUESTION, ANSWER] * 2)]
    }
    texts = said("a", [QUESTION, ANSWER]) | said("b", [QUESTION, ANSWER] * 2)
    check, prompts = prompt_is_prefix(rows, texts, template, alpaca_tokenizer.decode)
    assert (check.passed, check.num_rows) == (True, 2)
    assert prompts["a"] == prompts["b"] == template.encode_prompt([QUESTION])


def test_rows_made_under_another_template_are_named_with_the_first_difference(alpaca_tokenizer: Any) -> None:
    trained, asked = Template("alpaca_s1", alpaca_tokenizer), Template("alpaca", alpaca_tokenizer)
    rows = {"train": [encoded(trained, "a", [QUESTION, ANSWER])]}
    check, _ = prompt_is_prefix(rows, said("a", [QUESTION, ANSWER]), asked, alpaca_tokenizer.decode)
    # Both begin "...describes a task." and go on with a newline or with " Write".
    place = len(alpaca_tokenizer("Below is an instruction that describes a task.")["input_ids"])
    assert whats(check)["a"].startswith(f"differs at token {place}: ' ")


def test_a_later_turn_that_differs_is_found_too(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca", alpaca_tokenizer)
    turns = [QUESTION, ANSWER, QUESTION, ANSWER]
    rows = {"train": [encoded(template, "a", turns)]}
    other = [*turns[:2], Message(role="user", content="Name a lake."), ANSWER]
    check, _ = prompt_is_prefix(rows, said("a", other), template, alpaca_tokenizer.decode)
    assert (check.passed, list(whats(check))) == (False, ["a"])


def test_without_texts_the_prefix_is_not_checked(alpaca_tokenizer: Any) -> None:
    check, prompts = prompt_is_prefix({"train": [GOOD]}, {}, None, decode)
    assert (check.passed, prompts) == (None, {})
    check, _ = prompt_is_prefix({"train": [GOOD]}, {}, Template("alpaca", alpaca_tokenizer), decode)
    assert check.passed is None


def test_only_five_rows_are_shown_and_all_are_counted() -> None:
    rows = [example(str(n), [5, 6], [IGNORE, IGNORE]) for n in range(9)]
    check = rows_have_targets({"train": rows})
    assert (check.num_failed, [row["example_id"] for row in check.worst]) == (9, ["0", "1", "2", "3", "4"])


def test_tokens_are_shown_in_runs_of_targets(alpaca_tokenizer: Any) -> None:
    ids = alpaca_tokenizer("caf\u00e9 \U0001f600")["input_ids"]
    labels = [IGNORE] * 2 + ids[2:]
    pieces = marked_tokens(example("a", ids, labels), alpaca_tokenizer)
    assert [is_target for _, is_target in pieces] == [False, True]
    assert "".join(text for text, _ in pieces) == "caf\u00e9 \U0001f600"
