"""Texts that hold the marks of a template already: wrapped twice, and learnt letter by letter."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lorascope.check.labels import Failure
from lorascope.check.notices import Notice, notice
from lorascope.run.texts import ExampleText

_MARKS = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|end|user|assistant|system|start_header_id|begin_of_text)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</s>(?=\s*$)"
    r"|^### (?:Instruction|Response|Input|Human|Assistant|User):",
    re.MULTILINE,
)
_SPEAKER = re.compile(r"\s*(?:assistant|ai|bot|gpt|chatgpt|response|answer)\s*:", re.IGNORECASE)
_MOST_SPEAKERS, _FEW_ROWS = 0.5, 20


def wording_notices(texts: Mapping[str, ExampleText], tokenizer: Any) -> list[Notice]:
    """Look for marks of templates in what examples say.

    Args:
        texts: By example id.
        tokenizer: Its special tokens are marks too, when a text spells them.
    """
    own = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    own = {token for token in own if len(token) > 3}  # "<s>" may be said of a text that is struck out
    chats: list[Failure] = []
    plain: list[Failure] = []
    marks: Counter[str] = Counter()
    for text in texts.values():
        found = next((mark for message in text.messages if (mark := _mark(message.content, own))), None)
        if found is not None:
            marks[found] += 1
            row = {"example_id": text.example_id, "split": text.split, "what": f"it holds {found!r}"}
            (chats if text.has_prompt else plain).append(row)
    told = ", ".join(f"{mark!r} {count:,}" for mark, count in marks.most_common(3))
    notices = []
    if chats:
        sentence = f"{len(chats):,} rows hold the marks of a template in their texts ({told})"
        fix = "take them out: the template puts its own, and these are learnt letter by letter"
        notices.append(notice("template_in_text", "warn", sentence, chats, fix=fix))
    if plain:
        sentence = (
            f"{len(plain):,} plain texts hold turns of a chat ({told}): their prompts are learnt as well"
        )
        fix = "give the turns as messages, or prompt and completion, so that answers alone are learnt"
        notices.append(notice("chat_in_text", "warn", sentence, plain, fix=fix))
    return [*notices, *_speakers(texts)]


def _mark(text: str, own: set[str]) -> str | None:
    if "<" not in text and "[" not in text and "###" not in text:
        return None
    spelt = next((token for token in own if token in text), None)
    found = _MARKS.search(text)
    return spelt or (found.group() if found else None)


def _speakers(texts: Mapping[str, ExampleText]) -> list[Notice]:
    """Answers that begin by naming the speaker, as the template does already."""
    answered = [text for text in texts.values() if text.has_prompt]
    rows = [
        {"example_id": text.example_id, "split": text.split, "what": repr(text.messages[-1].content[:40])}
        for text in answered
        if _SPEAKER.match(text.messages[-1].content)
    ]
    if len(rows) < _FEW_ROWS or len(rows) < _MOST_SPEAKERS * len(answered):
        return []
    sentence = f"{len(rows):,} of {len(answered):,} answers begin with the name of who speaks"
    fix = "take it out: the template says who speaks, and the model would say it again"
    return [notice("speaker_in_answer", "warn", sentence, rows, fix=fix)]
