"""A tokenizer saved with an adapter that is not its base's is told."""

from pathlib import Path
from typing import Any

from lorascope.lm.load import load_tokenizer
from lorascope.lm.tokenizer_difference import tokenizer_difference


def saved(tokenizer: Any, folder: Path) -> Path:
    tokenizer.save_pretrained(str(folder))
    return folder


def test_the_same_tokenizer_is_nothing_to_speak_of(alpaca_base: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(alpaca_base))
    assert tokenizer_difference(saved(tokenizer, tmp_path / "same"), tokenizer) is None
    assert tokenizer_difference(None, tokenizer) is None
    (tmp_path / "bare").mkdir()
    assert tokenizer_difference(tmp_path / "bare", tokenizer) is None


def test_added_tokens_another_end_and_another_template_are_named(alpaca_base: Path, tmp_path: Path) -> None:
    base, other = load_tokenizer(str(alpaca_base)), load_tokenizer(str(alpaca_base))
    other.add_special_tokens({"additional_special_tokens": ["<one>", "<two>"], "eos_token": "<one>"})
    other.chat_template = "{{ messages[0]['content'] }}"
    told = tokenizer_difference(saved(other, tmp_path / "other"), base)
    assert told is not None
    assert "2 tokens more (<one>, <two>)" in told
    assert f"eos_token is <one>, the base's {base.eos_token}" in told
    assert "its chat template is another" in told
