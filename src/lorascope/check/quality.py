"""Signals of quality in the texts: what is likely to be a mistake, counted and shown, never dropped."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lorascope.check.notices import Notice, notice
from lorascope.metrics.words import normalised
from lorascope.run.texts import ExampleText

_SHORT_ANSWER = 2
_SHORT_LABEL = 40
_MOST_LABELS = 20
_FEW_ROWS = 20
_LOPSIDED = 0.9
_MANY = 0.01
_MANY_LEFT_OUT = 0.05


def quality_notices(texts: Mapping[str, ExampleText], prepared: Mapping[str, Any] | None) -> list[Notice]:
    """Look through what the examples say.

    Args:
        texts: By example id; empty where they are not known.
        prepared: prepare/report.json; None where the dataset was made elsewhere.
    """
    answers = {name: normalised(_answered(text)) for name, text in texts.items()}
    found = [
        _repeated_prompts(texts, answers),
        _same_answer(texts, answers),
        _lopsided_labels(answers),
        _very_short(texts),
        _conflicting(texts, answers),
        _duplicates(texts, answers, prepared),
        _left_out(prepared),
        _cut(texts),
        _odd(prepared),
    ]
    return [one for one in found if one is not None]


def _row(text: ExampleText, what: str) -> dict[str, Any]:
    return {"example_id": text.example_id, "split": text.split, "what": what}


def _asked(text: ExampleText) -> str:
    return "\n".join(message.content for message in text.messages[:-1] if message.role == "user")


def _answered(text: ExampleText) -> str:
    return text.messages[-1].content if text.has_prompt else ""


def _repeated_prompts(texts: Mapping[str, ExampleText], answers: Mapping[str, str]) -> Notice | None:
    """Answers that are the prompt, or begin with all of it."""
    rows = []
    for name, text in texts.items():
        asked, answered = normalised(_asked(text)), answers[name]
        if len(asked) > _SHORT_LABEL and answered.startswith(asked):
            rows.append(_row(text, f"the answer begins with the prompt: {answered[:60]!r}"))
    if not rows:
        return None
    return notice(
        "repeats_prompt",
        "warn",
        f"{len(rows):,} answers repeat their prompt word for word",
        rows,
        fix="take the prompt out of the answer: the model would learn to echo",
    )


def _same_answer(texts: Mapping[str, ExampleText], answers: Mapping[str, str]) -> Notice | None:
    """One long answer to many questions: a refusal, a signature, a fault of the export."""
    long = Counter(answer for answer in answers.values() if len(answer) > _SHORT_LABEL)
    (answer, count), *_ = long.most_common(1) or [("", 0)]
    if count < _FEW_ROWS or count < _MANY * len(texts):
        return None
    rows = [_row(text, repr(answer[:60])) for name, text in texts.items() if answers[name] == answer]
    return notice(
        "one_answer",
        "warn",
        f"{count:,} of {len(texts):,} rows have the same answer: {answer[:60]!r}",
        rows,
        fix="is it meant? Otherwise the model learns to say it whatever it is asked",
        num_rows=count,
    )


def _lopsided_labels(answers: Mapping[str, str]) -> Notice | None:
    """Short answers from a small set are labels; where nearly all are one, saying it is nearly right."""
    labels = Counter(answer for answer in answers.values() if answer and len(answer) <= _SHORT_LABEL)
    num = labels.total()
    if num < max(_FEW_ROWS, len(answers) / 2) or not 2 <= len(labels) <= _MOST_LABELS:
        return None
    (label, count), *_ = labels.most_common(1)
    told = ", ".join(f"{name!r} {share / num:.0%}" for name, share in labels.most_common(4))
    if count < _LOPSIDED * num:
        return notice(
            "labels", "info", f"the answers are {len(labels)} labels: {told}", [], fix="", num_rows=num
        )
    return notice(
        "lopsided_labels",
        "warn",
        f"{count / num:.0%} of the answers are {label!r} ({told})",
        [],
        fix="always saying that is right as often: balance the labels, or measure by label (eval.group_by)",
        num_rows=count,
    )


def _very_short(texts: Mapping[str, ExampleText]) -> Notice | None:
    """A few answers of a character or two, where most are longer."""
    answers = {name: _answered(text).strip() for name, text in texts.items() if text.has_prompt}
    short = [
        name for name, answer in answers.items() if len(answer) <= _SHORT_ANSWER and not answer.isdigit()
    ]
    if not short or len(short) > len(answers) / 10:
        return None
    return notice(
        "very_short",
        "info",
        f"{len(short):,} of {len(answers):,} answers have at most {_SHORT_ANSWER} characters",
        [_row(texts[name], repr(answers[name])) for name in short],
        fix="are they whole?",
    )


def _conflicting(texts: Mapping[str, ExampleText], answers: Mapping[str, str]) -> Notice | None:
    """The same prompt with short answers that differ: at most one of them can be right."""
    by_prompt: dict[str, dict[str, ExampleText]] = {}
    for name, text in texts.items():
        answer = answers[name]
        if answer and len(answer) <= _SHORT_LABEL:
            prompt = "\n".join(
                f"{m.role} {normalised(m.content)} {normalised(m.context)}" for m in text.messages[:-1]
            )
            by_prompt.setdefault(prompt, {})[answer] = text
    rows = [
        _row(
            next(iter(own.values())), "its prompt is answered by " + " and by ".join(map(repr, list(own)[:3]))
        )
        for own in by_prompt.values()
        if len(own) > 1
    ]
    if not rows:
        return None
    num_labels = len({answer for own in by_prompt.values() for answer in own})
    return notice(
        "conflicting_answers",
        "warn" if num_labels <= _MOST_LABELS else "info",  # of many short answers several may be right
        f"{len(rows):,} prompts have short answers that contradict each other",
        rows,
        fix="decide for one; of two answers the model learns neither",
    )


def _left_out(prepared: Mapping[str, Any] | None) -> Notice | None:
    """Many rows left out for their length: what is left is another kind of data, short answers above all."""
    if prepared is None:
        return None
    too_long, num = prepared["dropped"]["over_length"], prepared["dropped"]["over_length"] + prepared["kept"]
    if too_long <= _MANY_LEFT_OUT * num:
        return None
    return notice(
        "left_out",
        "warn",
        f"{too_long:,} of {num:,} examples were left out as longer than {prepared['max_length']:,} tokens",
        [],
        fix="raise prepare.max_length, or cut them on record: prepare.truncation: cut_prompt or cut_response",
        num_rows=too_long,
    )


def _cut(texts: Mapping[str, ExampleText]) -> Notice | None:
    """Answers that were cut: they do not teach to stop."""
    rows = [_row(text, "its answer was cut") for text in texts.values() if text.cut == "response"]
    if len(rows) <= _MANY * len(texts):
        return None
    return notice(
        "cut_answers",
        "warn",
        f"{len(rows):,} of {len(texts):,} rows never train the stop token, because their answers were cut",
        rows,
        fix="raise prepare.max_length, or leave them out with prepare.truncation: drop",
    )


def _exact_twins(texts: Mapping[str, ExampleText], answers: Mapping[str, str]) -> int:
    """Rows that say what another one says."""
    pairs = Counter((normalised(_asked(text)), answers[name]) for name, text in texts.items())
    return sum(count - 1 for count in pairs.values())


def _duplicates(
    texts: Mapping[str, ExampleText], answers: Mapping[str, str], prepared: Mapping[str, Any] | None
) -> Notice | None:
    if prepared is None:
        exact, kept = _exact_twins(texts, answers), max(len(texts), 1)
    else:
        exact, kept = prepared["duplicates"]["exact"], max(prepared["kept"], 1)
    prepared = prepared or {}
    near = (prepared.get("near_duplicates") or {}).get("both", {}).get("rows", 0)
    if exact + near <= _MANY * kept:
        return None
    return notice(
        "duplicates",
        "warn" if exact + near > max(0.05 * kept, _FEW_ROWS) else "info",
        _counted(exact, near, kept),
        [],
        fix="what stands more often is learnt more often: is it meant?",
        num_rows=exact + near,
    )


def _counted(exact: int, near: int, kept: int) -> str:
    if not exact:
        return f"{near:,} of {kept:,} rows nearly repeat another"
    return f"{exact:,} of {kept:,} rows repeat another exactly" + (f", {near:,} nearly" if near else "")


def _odd(prepared: Mapping[str, Any] | None) -> Notice | None:
    odd = dict((prepared or {}).get("odd") or {})
    odd.pop("no_input", None)  # read as what it says
    if not odd:
        return None
    told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in odd.items())
    kept = max((prepared or {})["kept"], 1)
    return notice(
        "odd_texts",
        "warn" if max(odd.values()) > _MANY * kept else "info",
        f"texts that are odd: {told} (of all rows read)",
        [],
        fix="they are learnt as they stand; prepare/examples.parquet names them in its column odd",
        num_rows=sum(odd.values()),
    )
