"""Writes docs/settings.md and docs/commands.md from the code, so that they cannot drift from it.

Run by `make docs`; with --check it writes nothing and fails where a page is stale.
"""

import sys
import typing
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

from lorascope.cli.app import app
from lorascope.run.sections import Recipe

HERE = Path(__file__).parent


def settings_page() -> str:
    """Every setting of the recipe with its default and its reason."""
    lines = [
        "# Settings",
        "",
        "Every setting of a recipe, as the code has it (this page is written by `make docs`). Change one on",
        "the command line with `--set section.name=value`. What other tools call them is recognised in error",
        "messages, with the translation.",
        "",
        "```yaml",
        "base: gpt2",
        "data: my_rows.jsonl",
        "lora: {rank: 32}",
        "```",
        "",
    ]
    top = {
        name: field
        for name, field in Recipe.model_fields.items()
        if _section(field) is None or name == "base"
    }
    lines += _table("The recipe itself", top, prefix="")
    for name, field in Recipe.model_fields.items():
        section = _section(field)
        if section is not None:
            lines += _table(
                f"`{name}`: {(section.__doc__ or '').strip()}", section.model_fields, prefix=f"{name}."
            )
    return "\n".join(lines).rstrip() + "\n"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _table(title: str, fields: typing.Mapping[str, FieldInfo], prefix: str) -> list[str]:
    lines = [f"## {title}", "", "| setting | default | meaning |", "| --- | --- | --- |"]
    for name, field in fields.items():
        default = "required" if field.is_required() else f"`{_shown(field.default)}`"
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{prefix}{name}` | {default} | {meaning} |")
    return [*lines, ""]


def _shown(value: object) -> str:
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "[]" if value == () else str(value)


def commands_page() -> str:
    """The help of every command."""
    group = get_command(app)
    lines = [
        "# Commands",
        "",
        "The help of every command, as the code has it (this page is written by `make docs`).",
        "",
    ]
    lines += ["## lorascope", "", "```text", _help(group, "lorascope"), "```", ""]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        lines += [f"## lorascope {name}", "", "```text", _help(command, f"lorascope {name}"), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _help(command: typing.Any, name: str) -> str:
    context = command.make_context(
        name, [], resilient_parsing=True, max_content_width=100, terminal_width=100
    )
    return command.get_help(context).rstrip()


def main() -> None:
    """Write the pages, or with --check compare them."""
    stale = []
    for name, text in (("settings.md", settings_page()), ("commands.md", commands_page())):
        path = HERE / name
        if "--check" in sys.argv[1:]:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run make docs")


if __name__ == "__main__":
    main()
