"""prepare/template.json -> the template a run was prepared with, or a refusal where it is another by now."""

import json
from pathlib import Path
from typing import Any

from lorascope.errors import ModelError, RunError, explain
from lorascope.lm.fingerprint import tokenizer_fingerprint
from lorascope.lm.template import Template


def load_template(path: Path, tokenizer: Any) -> Template:
    """Rebuild the template a run was prepared with, and insist on the same tokenizer.

    Raises:
        RunError: The record cannot be read.
        ModelError: The tokenizer is not the one the data was tokenised with.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        name, wording, expected = record["name"], record["wording"], record["tokenizer_sha256"]
        template_sha256, options = record["sha256"], record.get("options", {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            explain(
                "the run's template cannot be read",
                where=str(path),
                why=f"the file is missing or damaged ({error.__class__.__name__})",
                fix="run lorascope prepare again with --overwrite",
            )
        ) from error
    found = tokenizer_fingerprint(tokenizer)
    if found != expected:
        raise ModelError(
            explain(
                "the tokenizer is not the one this run was prepared with",
                where=f"tokenizer {tokenizer.name_or_path}; {path}",
                why=f"its hash is {found[:12]}, the run's {expected[:12]}: prompts would differ",
                fix="use the base model of the run, or prepare the data again for this one",
            )
        )
    template = Template(name, tokenizer, chat_template=wording if name == "chat" else None, options=options)
    if template.sha256 != template_sha256:
        raise ModelError(
            explain(
                f"the template {name} is not the one this run was prepared with",
                where=str(path),
                why=f"its hash is {template.sha256[:12]}, the run's {template_sha256[:12]}: prompts differ",
                fix="use the version of lorascope named in provenance.json, or prepare the data again",
            )
        )
    return template
