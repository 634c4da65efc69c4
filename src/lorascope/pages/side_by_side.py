"""One prompt and the answers to it -> columns to compare, stacked on a phone."""

from collections.abc import Sequence

from lorascope.pages.markup import Html, tag


def side_by_side(
    prompt: str | Html,
    answers: Sequence[tuple[str | Html, str | Html, str | Html | None]],
    *,
    label: str | Html | None = None,
) -> Html:
    """Show what different models answered to the same prompt.

    Args:
        prompt: The prompt, shown with its line breaks.
        answers: (name, text, note) in order, such as base and adapter; the note is small print or None.
        label: Which example it is.

    Returns:
        The prompt over its answers. Each text takes its own reading direction, and an empty one says so.
    """
    columns = [
        tag(
            "section",
            tag("h4", name),
            _text(text, "(empty answer)"),
            tag("p", note, class_="ls-answer-note") if note else "",
            class_="ls-answer",
        )
        for name, text, note in answers
    ]
    return tag(
        "article",
        tag("p", label, class_="ls-strip-head") if label else "",
        tag("div", tag("h4", "Prompt"), _text(prompt, "(empty prompt)"), class_="ls-prompt"),
        tag("div", *columns, class_="ls-answers"),
        class_="ls-side",
    )


def _text(text: str | Html, when_empty: str) -> Html:
    if not text.strip():
        return tag("p", when_empty, class_="ls-broken")
    return tag("div", text, class_="ls-text", dir="auto")
