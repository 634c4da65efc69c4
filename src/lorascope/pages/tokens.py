"""One tokenised example -> its tokens, the learned ones coloured, with nothing invisible left in them."""

import re
from collections.abc import Collection, Sequence

from lorascope.pages.markup import Html, join, tag

# Characters that take no space or steer the line; a token made of them would look empty.
_HIDDEN = re.compile(
    "[\u00a0\u00ad\u061c\u180e\u200b-\u200f\u2028\u2029\u2060-\u2064\u3000\ufe00-\ufe0f\ufeff]"
)


def token_strip(
    tokens: Sequence[str],
    *,
    is_target: Sequence[bool],
    ids: Sequence[int],
    label: str | None = None,
    stop_ids: Collection[int] = (),
    legend: bool = True,
) -> Html:
    """Show what the model reads and what it learns, token by token.

    Args:
        tokens: Text of each token, decoded alone.
        is_target: Whether the loss counts it.
        ids: Its id, shown on hover with its position.
        label: Which example it is.
        stop_ids: Ids that end a text, such as `eos_token_id`; they are outlined, so that a missing or
            unlearned one is seen.
        legend: Whether to explain the marks below it.

    Returns:
        The strip with its counts and legend.
    """
    if not len(tokens) == len(is_target) == len(ids):
        raise ValueError(f"{len(tokens)} tokens, {len(is_target)} target marks, {len(ids)} ids")
    pieces = [
        _token(text, index, id_, target, id_ in stop_ids)
        for index, (text, target, id_) in enumerate(zip(tokens, is_target, ids, strict=True))
    ]
    num_targets = sum(map(bool, is_target))
    counts = f"{len(tokens):,} tokens, {num_targets:,} of them learned"
    marks = [
        tag("li", tag("span", "abc", class_="ls-token ls-target"), "learned: counts in the loss"),
        tag("li", tag("span", "abc", class_="ls-token"), "read, not learned"),
        tag("li", tag("span", "end", class_="ls-token ls-stop"), "stop token") if stop_ids else "",
        tag("li", "\u00b7 space  \u21b5 new line  \u21e5 tab"),
    ]
    head = tag(
        "p", tag("strong", label) if label else "", " " if label else "", counts, class_="ls-strip-head"
    )
    name = f"{label}: {counts}" if label else counts
    return tag(
        "div",
        head,
        tag("div", join(pieces), class_="ls-tokens", role="group", tabindex=0, aria_label=name),
        tag("ul", join(marks), class_="ls-legend ls-token-legend") if legend else "",
        class_="ls-strip",
    )


def visible(text: str) -> Html:
    """Give every invisible character a mark.

    Args:
        text: Any text.

    Returns:
        Markup in which a space is a raised dot, a tab an arrow, a new line an arrow followed by the new line,
        and zero-width or direction marks are code points. What `escape` shows (NUL, ANSI, bidi) is shown here
        too.
    """
    marked = _HIDDEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    return join([marked.replace(" ", "\u00b7").replace("\t", "\u21e5").replace("\n", "\u21b5\n")])


def _token(text: str, index: int, id_: int, target: bool, stop: bool) -> Html:
    kind = "ls-token" + (" ls-target" if target else "") + (" ls-stop" if stop else "")
    role = ("learned" if target else "read, not learned") + (", stop token" if stop else "")
    # An empty string is shown too: the id is there and costs a position.
    return tag("span", visible(text) or "\u2205", class_=kind, title=f"id {id_}, position {index}, {role}")
