"""Checks on prompts: they are never trained on, and they are what generation will see."""

from collections.abc import Callable, Mapping, Sequence

from lorascope.check.elsewhere import Spans, is_plain, nothing_is_masked
from lorascope.check.findings import CheckResult, not_made, result
from lorascope.check.labels import Failure, each, failure
from lorascope.check.notices import Notice, notice
from lorascope.lm.template import Template
from lorascope.run.dataset import IGNORE, Example
from lorascope.run.texts import ExampleText

_PROMPT = "prompt text is not supervised"
_PREFIX = "the prompt that generation will use is a prefix of the training text"
_SPLITS = "no validation row is in training"


def prompt_is_no_target(
    splits: Mapping[str, Sequence[Example]],
    prompt_ids: Mapping[str, Sequence[int]],
    spans: Spans | None = None,
    *,
    may_be_plain: bool = False,
) -> CheckResult:
    """No token of the prompt is a target.

    Args:
        splits: The dataset.
        prompt_ids: Example id to the ids of the prompt before its first answer; empty where texts are not
            known.
        spans: Answers as the chat template marks them, where texts are not known.
        may_be_plain: Do not judge rows of which nothing is masked, unless the chat template shows answers in
            them: all of a plain text is to be learnt.
    """
    if may_be_plain and is_plain(splits, spans):
        return not_made("prompt_masked", _PROMPT, "nothing is masked in any row, as is right for plain text")
    rows = [(split, example) for split, example in each(splits) if example.example_id in prompt_ids]
    if not rows:
        return _prompt_by_shape(splits) if spans is None or not spans.num_rows else _prompt_by_spans(spans)
    failures = []
    for split, example in rows:
        length = len(prompt_ids[example.example_id])
        supervised = int((example.labels[:length] != IGNORE).sum())
        if supervised:
            failures.append(failure(example, split, f"{supervised} prompt tokens are targets"))
    return result(
        "prompt_masked",
        _PROMPT,
        failures,
        len(rows),
        fix="set the labels of the prompt to -100; it is not to be learnt",
    )


def _prompt_by_spans(spans: Spans) -> CheckResult:
    """Targets stand in answers alone, as the chat template marks them."""
    return result(
        "prompt_masked",
        _PROMPT,
        spans.prompt,
        spans.num_rows,
        note="answers are told by the tokenizer's chat template",
        fix="set the labels of all that is no answer to -100",
    )


def _prompt_by_shape(splits: Mapping[str, Sequence[Example]]) -> CheckResult:
    """Without texts, a row whose every token is a target has no masked prompt; nor has a plain text."""
    failures: list[Failure] = [
        failure(example, split, "every token is a target: the prompt, if there is one, is trained on")
        for split, example in each(splits)
        if example.num_tokens > 1 and example.num_target_tokens == example.num_tokens - 1
    ]
    num = sum(len(examples) for examples in splits.values())
    note = "seen from labels alone: the texts of this dataset are not known here"
    plain = "; all of a plain text is to be learnt: accept it on record, --set check.allow=[prompt_masked]"
    return result(
        "prompt_masked",
        _PROMPT,
        failures,
        num,
        note=note,
        fix="set the labels of the prompt to -100" + (plain if nothing_is_masked(splits) else ""),
        fault="mask nothing: their prompts, if they have any, are trained on",
    )


def prompt_is_prefix(
    splits: Mapping[str, Sequence[Example]],
    texts: Mapping[str, ExampleText],
    template: Template | None,
    decode: Callable[[Sequence[int]], str],
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[CheckResult, dict[str, list[int]]]:
    """Encode each row's prompt as generation would and compare it with the training ids.

    Args:
        splits: The dataset.
        texts: What examples say, by example id; empty where that is not known.
        template: The run's template.
        decode: Ids to text.
        advance: Told how many rows were just looked at; this check takes longer than all others together.

    Returns:
        The check, and example id to the ids of the prompt before its first answer.
    """
    if template is None or not texts:
        return not_made(
            "prompt_prefix", _PREFIX, "the texts and template of this dataset are not known here"
        ), {}
    failures, num, prompts = [], 0, {}
    for split, example in each(splits):
        text = texts.get(example.example_id)
        advance(1)
        if text is None:
            continue
        num += 1
        for turn in text.learnt:
            ids = (
                []
                if text.messages[turn].role == "text"
                else template.encode_prompt(text.messages[:turn], text.tools)
            )
            if turn == text.learnt[0]:
                prompts[example.example_id] = ids
            own = example.input_ids[: len(ids)].tolist()
            if own != ids:
                where = next((i for i, (a, b) in enumerate(zip(own, ids, strict=False)) if a != b), len(own))
                failures.append(
                    failure(example, split, f"differs at token {where}: {decode(ids[where : where + 5])!r}")
                )
                break
    fix = "prepare and generate with the same template and tokenizer"
    return result("prompt_prefix", _PREFIX, failures, num, fix=fix), prompts


def nearly_held_out(texts: Mapping[str, ExampleText]) -> list[Notice]:
    """Held-out rows that training has seen in part: nearly the whole row, or its prompt."""
    held = [text for text in texts.values() if text.split != "train"]
    found = []
    kinds = {
        "near": ("warn", "stand in training but for a few words", "their loss is in part a memory"),
        "prompt": ("info", "have a prompt of training, with another answer", "overlap, and no leak"),
        "near_prompt": ("info", "have nearly a prompt of training", "overlap, and no leak"),
    }
    for kind, (severity, what, why) in kinds.items():
        rows = [
            {"example_id": one.example_id, "split": one.split, "what": why}
            for one in held
            if one.overlap == kind
        ]
        if rows:
            sentence = f"{len(rows):,} of {len(held):,} held-out rows {what}"
            fix = "prepare/report.json names the pairs; eval tells what they are worth"
            found.append(notice(f"overlap_{kind}", severity, sentence, rows, fix=fix))
    return found


def held_out_is_new(
    splits: Mapping[str, Sequence[Example]], texts: Mapping[str, ExampleText] | None = None
) -> CheckResult:
    """No held-out row has the token ids of a training row, or says the same in other letters.

    Args:
        splits: The dataset.
        texts: By example id, with what prepare found of their overlap; None where that is not known.
    """
    if "train" not in splits or len(splits) < 2:
        return not_made("overlap", _SPLITS, "there is no second split")
    train = {example.input_ids.tobytes(): example.example_id for example in splits["train"]}
    failures, num = [], 0
    for split, example in each({name: rows for name, rows in splits.items() if name != "train"}):
        num += 1
        twin = train.get(example.input_ids.tobytes())
        text = (texts or {}).get(example.example_id) or (texts or {}).get(f"{split}/{example.example_id}")
        if twin is not None:
            failures.append(failure(example, split, f"the same as training row {twin}"))
        elif text is not None and text.overlap == "same":
            what = "a training row says the same, case, spaces and Unicode form aside"
            failures.append(failure(example, split, what))
    fix = "remove these rows from one side, or accept it on record: --set check.allow=[overlap]"
    return result("overlap", _SPLITS, failures, num, fix=fix)
