"""Does the tokenizer suit the data, and does the base know the tokens? N examples, T tokens."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lorascope.check.labels import Failure, each, failure
from lorascope.check.notices import Notice, notice
from lorascope.check.tokens import known_ids_decoder
from lorascope.lm.vocabulary import Vocabulary
from lorascope.metrics.words import WORD
from lorascope.run.dataset import IGNORE, Example
from lorascope.run.texts import ExampleText

MANY_TOKENS_PER_BYTE = 0.45
"""English in GPT-2's tokens is 0.21 to 0.25, German 0.35, code 0.3 to 0.4; measured in docs/check.md."""
_SAMPLE = 2000
_MANY_BYTE_TOKENS = 0.01
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")
_Splits = Mapping[str, Sequence[Example]]


def fit_notices(
    splits: _Splits,
    texts: Mapping[str, ExampleText],
    tokenizer: Any,
    vocabulary: Vocabulary | None,
    stop_ids: Sequence[int],
) -> tuple[list[Notice], dict[str, Any]]:
    """Look at how tokenizer, base and data go together.

    Args:
        splits: The dataset.
        texts: What examples say, by example id; empty where that is not known.
        tokenizer: The base model's.
        vocabulary: What the base knows; None where it was not found.
        stop_ids: Tokens that may end an answer.

    Returns:
        Notices, and the figures behind them.
    """
    figures = _figures(splits, texts, tokenizer)
    found = [
        _many_tokens(figures),
        _unknown(splits, tokenizer),
        _byte_tokens(splits, tokenizer),
        _lost_characters(texts, tokenizer),
        _without_bos(splits, tokenizer),
    ]
    if vocabulary is not None:
        found += [_untrained(splits, tokenizer, vocabulary), _served(splits, tokenizer, vocabulary, stop_ids)]
    return [one for one in found if one is not None], figures


def _figures(splits: _Splits, texts: Mapping[str, ExampleText], tokenizer: Any) -> dict[str, Any]:
    """Tokens per byte and per word of a sample of what the examples say."""
    num_tokens = num_bytes = num_words = 0
    for text in _sampled_texts(splits, texts, tokenizer):
        num_tokens += len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        num_bytes += len(text.encode("utf-8", errors="replace"))
        num_words += len(WORD.findall(text))
    return {
        "tokens_per_byte": num_tokens / num_bytes if num_bytes else None,
        "tokens_per_word": num_tokens / num_words if num_words else None,
        "sampled_bytes": num_bytes,
    }


def _sampled_texts(splits: _Splits, texts: Mapping[str, ExampleText], tokenizer: Any) -> Iterator[str]:
    """Texts as they came; of a dataset made elsewhere, what its tokens say."""
    if texts:
        for text in _spread(list(texts.values())):
            yield from (message.content for message in text.messages if message.content)
        return
    decode = known_ids_decoder(tokenizer, skip_special=True)
    for _, example in _spread(list(each(splits))):
        yield decode(example.input_ids)


def _spread(items: Sequence[Any]) -> Sequence[Any]:
    return items[:: max(1, len(items) // _SAMPLE)]


def _many_tokens(figures: Mapping[str, Any]) -> Notice | None:
    per_byte, per_word = figures["tokens_per_byte"], figures["tokens_per_word"]
    if per_byte is None or per_byte <= MANY_TOKENS_PER_BYTE:
        return None
    words = f"{per_word:.1f} tokens per word, " if per_word is not None else ""
    return notice(
        "tokens_per_word",
        "warn",
        f"{words}{per_byte:.2f} per byte: the tokenizer hardly knows this kind of text; expect poor results",
        [],
        fix="choose a base whose tokenizer knows the language: 0.2 to 0.35 tokens per byte are usual",
    )


def _unknown(splits: _Splits, tokenizer: Any) -> Notice | None:
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id):
        return None
    rows = _rows_with(splits, np.array([unknown]), "unknown tokens")
    if not rows:
        return None
    return notice(
        "unknown_tokens",
        "warn",
        f"{len(rows):,} rows hold characters that the tokenizer does not know; they became "
        f"{tokenizer.unk_token}",
        rows,
        fix="choose a base whose tokenizer covers them, or spell them otherwise",
    )


def _byte_tokens(splits: _Splits, tokenizer: Any) -> Notice | None:
    byte_ids = [one for token, one in tokenizer.get_vocab().items() if _BYTE_TOKEN.fullmatch(token)]
    if not byte_ids:
        return None
    rows = _rows_with(splits, np.array(byte_ids), "tokens that are single bytes")
    num = sum(int(row["count"]) for row in rows)
    total = sum(example.num_tokens for _, example in each(splits))
    if num <= _MANY_BYTE_TOKENS * total:
        return None
    return notice(
        "byte_tokens",
        "warn",
        f"{num:,} of {total:,} tokens are single bytes: characters that the vocabulary lacks",
        rows,
        fix="choose a base whose vocabulary has these characters",
    )


def _rows_with(splits: _Splits, ids: np.ndarray, what: str) -> list[Failure]:
    rows = []
    for split, example in each(splits):
        count = int(np.isin(example.input_ids, ids).sum())
        if count:
            rows.append({**failure(example, split, f"{count} {what}"), "count": count})
    return sorted(rows, key=lambda row: -row["count"])


def _lost_characters(texts: Mapping[str, ExampleText], tokenizer: Any) -> Notice | None:
    """Texts that are not the same after they were tokenised and decoded."""
    rows = []
    for text in _spread(list(texts.values())):
        for message in text.messages:
            ids = tokenizer(message.content, add_special_tokens=False, verbose=False)["input_ids"]
            back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
            if back.strip() != message.content.strip():
                what = _difference(message.content.strip(), back.strip())
                rows.append({"example_id": text.example_id, "split": text.split, "what": what})
                break
    if not rows:
        return None
    of = f"of {min(len(texts), len(_spread(list(texts.values())))):,} looked at"
    return notice(
        "lost_characters",
        "warn",
        f"{len(rows):,} rows {of} come back changed when their tokens are decoded; {rows[0]['what']}",
        rows,
        fix="the model can never say what its tokens cannot: choose another base, or accept the change",
    )


def _difference(said: str, back: str) -> str:
    at = next(
        (n for n, (a, b) in enumerate(zip(said, back, strict=False)) if a != b), min(len(said), len(back))
    )
    return f"{said[at : at + 12]!r} becomes {back[at : at + 12]!r}"


def _without_bos(splits: _Splits, tokenizer: Any) -> Notice | None:
    """Rows without the beginning-of-text token, where the tokenizer puts one before every text."""
    bos = tokenizer.bos_token_id
    if bos is None or tokenizer("a")["input_ids"][:1] != [bos]:
        return None
    rows = [
        failure(e, s, "no beginning-of-text token") for s, e in each(splits) if bos not in e.input_ids[:2]
    ]
    if not rows:
        return None
    return notice(
        "without_bos",
        "warn",
        f"{len(rows):,} rows begin without {tokenizer.bos_token}, which the tokenizer puts before every text",
        rows,
        fix="the base was trained with it; put it first",
    )


def _untrained(splits: _Splits, tokenizer: Any, vocabulary: Vocabulary) -> Notice | None:
    """Special tokens of the rows that the base never learnt: frozen as they are, they carry nothing."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(tokenizer.all_special_ids)
    counts: Counter[int] = Counter()
    for _, example in each(splits):
        own = np.unique(example.input_ids)
        counts.update(int(one) for one in own[np.isin(own, list(special))])
    found = vocabulary.untrained(sorted(counts))
    if not found:
        return None
    names = ", ".join(f"{tokenizer.convert_ids_to_tokens(one)} ({why})" for one, why in found.items())
    return notice(
        "untrained_tokens",
        "warn",
        f"tokens of these rows were never trained in the base: {names}",
        [],
        fix="use the base's chat variant, or a template without these tokens: LoRA trains no embeddings",
        num_rows=max(counts[one] for one in found),
    )


def _served(
    splits: _Splits, tokenizer: Any, vocabulary: Vocabulary, stop_ids: Sequence[int]
) -> Notice | None:
    """The tokens that answers are trained to end with, against those at which a server stops."""
    if not vocabulary.stop_ids:
        return None
    ends: Counter[int] = Counter()
    for _, example in each(splits):
        targets = example.labels[example.labels != IGNORE]
        ends.update(int(one) for one in targets[-2:] if int(one) in stop_ids)
    unserved = {one: count for one, count in ends.items() if one not in vocabulary.stop_ids}
    if not unserved:
        return None
    names = " and ".join(str(tokenizer.convert_ids_to_tokens(one)) for one in unserved)
    served = " and ".join(str(tokenizer.convert_ids_to_tokens(one)) for one in vocabulary.stop_ids)
    return notice(
        "served_stop",
        "warn",
        f"answers learn to end with {names}, and the base's generation_config.json stops at {served}: "
        "served with it, the model runs on",
        [],
        fix=f"serve what lorascope export writes, which stops at both, or have your server stop at {names}",
        num_rows=max(unserved.values()),
    )
