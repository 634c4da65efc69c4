"""An adapter without its run -> the template it was trained on, as far as that can be known."""

import json
from pathlib import Path
from typing import Any

from lorascope.errors import ModelError, explain
from lorascope.lm.template import Template, open_template, resolve_template
from lorascope.lm.template_record import load_template


def find_template(asked: str, adapter: Path | None, tokenizer: Any) -> tuple[Template, str]:
    """Find the template to put prompts into.

    Args:
        asked: prepare.template; a name decides. "auto" looks at the run that the adapter lies in, then for a
            chat template saved beside the adapter, then at the base model's tokenizer.
        adapter: The adapter's folder.
        tokenizer: The base model's.

    Returns:
        The template, and in words where it comes from; both stand in the report.
    """
    if asked != "auto":
        return open_template(asked, tokenizer), f"prepare.template={asked}, as asked"
    if adapter is not None:
        record = adapter.resolve().parent.parent / "prepare" / "template.json"
        if record.is_file():
            return load_template(record, tokenizer), f"the run that the adapter was trained in: {record}"
        own = _chat_template_beside(adapter)
        if own and own != getattr(tokenizer, "chat_template", None):
            return Template("chat", tokenizer, chat_template=own), "the chat template saved with the adapter"
    name = resolve_template("auto", tokenizer)
    why = (
        "the base tokenizer's chat template" if name == "chat" else "the base tokenizer has no chat template"
    )
    return Template(
        name, tokenizer
    ), f"prepare.template=auto: {why}; an adapter does not say what it was trained on"


def _chat_template_beside(adapter: Path) -> str | None:
    """The chat template that a trainer saved with the adapter's tokenizer."""
    file = adapter / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    try:
        config = json.loads((adapter / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    own = config.get("chat_template") if isinstance(config, dict) else None
    return own if isinstance(own, str) else None


def insist_same(found: Template, prepared: Template, origin: str) -> None:
    """Insist that data was prepared with the template the adapter was trained on.

    Raises:
        ModelError: It was not: every prompt would be another than in training.
    """
    if found.sha256 != prepared.sha256:
        raise ModelError(
            explain(
                "the adapter was trained on another chat template than the base model's tokenizer has",
                where=origin,
                why="prompts made with the wrong template compare an adapter off the path it was trained on",
                fix="give --prompts FILE only, or decide for the base's: --set prepare.template=chat",
            )
        )
