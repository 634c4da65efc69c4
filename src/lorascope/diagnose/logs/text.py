"""What a training printed (output.log, nohup.out, a console saved to a file) -> `LoggedRun`."""

import functools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lorascope.diagnose.logs import names
from lorascope.diagnose.logs.curve import LoggedRun
from lorascope.diagnose.logs.numbers import as_number
from lorascope.diagnose.logs.points import logged_run

FORM = "text"

_NUMBER = (
    r"(?P<{}>[-+]?(?:\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+,\d+(?:e[-+]?\d+)?(?!,\d)|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?"
    r"|nan|inf(?:inity)?))(?!\w|\.\d)"
)
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[^\n\r]\x08")
_CONTROL = re.compile(r"[\x08\x1b]")
_TELLS = re.compile(r"loss|nll|ppl|perplexity|epoch|eval_", re.IGNORECASE)

# {'loss': 1.2, 'grad_norm': '0.5', 'reward': tensor(0.1)} as Python or JSON prints it
_BRACES = re.compile(r"\{[^{}]*\}")
_PAIR = re.compile(
    r"['\"](?P<name>[^'\"]{1,60})['\"]\s*:\s*(?:['\"]|\w[\w.]*\()?\s*" + _NUMBER.format("value"),
    re.IGNORECASE,
)

# "loss: 1.2", "train_loss=1.2", "val loss 1.2", "Training Loss (nats) is 1.2", "loss/train: 1.2"
_LOSS = re.compile(
    r"(?<![\w/])(?P<name>(?:[a-z]+[ _/.-]){0,3}?(?:loss|nll|ppl|perplexity)(?:[_/][a-z]+)?)(?![\w/])"
    r"\s*(?:\([^)]*\)|\[[^\]]*\])?['\"]?\s*(?:[:=]|->|is\b|of\b)?\s*" + _NUMBER.format("value"),
    re.IGNORECASE,
)
_NOT_NOW = re.compile(
    r"\b(best|min|minimum|lowest|final|target|previous|prev|last|init|initial|improved|early)\b"
)
_STEP = re.compile(
    r"(?<![\w/])(?P<name>global[_ ]step|step|iter(?:ation)?|update|batch|it)s?\b\s*[:=#]?\s*\[?\s*"
    r"(?P<value>\d[\d,]*)(?![\w.%])(?:\s*(?:/|of)\s*(?P<total>\d+))?",
    re.IGNORECASE,
)
_EPOCH = re.compile(
    r"(?<![\w/])epochs?\b\s*[:=#]?\s*\[?\s*(?P<value>\d+(?:\.\d+)?)(?:\s*(?:/|of)\s*(?P<total>\d+))?",
    re.IGNORECASE,
)
_RATE = re.compile(r"(?<![\w/])(?:lr|learning[ _]rate)\b\s*[:=]?\s*" + _NUMBER.format("value"), re.IGNORECASE)
_NORM = re.compile(
    r"(?<![\w/])(?:grad(?:ient)?[ _]?norm|gnorm)\b\s*[:=]?\s*" + _NUMBER.format("value"), re.IGNORECASE
)
_METRIC = re.compile(
    r"(?<![\w/])(?P<name>(?:"
    + "|".join(names.EVAL_WORDS)
    + r")[ _/][a-z][\w/]*)\s*[:=]\s*"
    + _NUMBER.format("value"),
    re.IGNORECASE,
)
_UNFINISHED = re.compile(r"\bETA\b")  # Keras overwrites its running mean until the epoch is over


def text_run(
    text: str, path: Path, given: Mapping[str, str] | None = None, *, problems: list[str]
) -> LoggedRun | None:
    """Read what was printed.

    Lines with a mapping, as transformers prints them, are read where there are any and where they hold as
    many points as the other lines; mixing both would count most points twice.

    Args:
        text: The file, decoded.
        path: Its name, for messages.
        given: Quantity -> name where it is not to be guessed.
        problems: What was noteworthy so far.

    Returns:
        None where no line holds a loss.
    """
    braces: list[dict[str, Any]] = []
    worded: list[dict[str, Any]] = []
    place: dict[str, Any] = {}
    for line in _segments(text):
        found = list(_mappings(line))
        braces += found
        if not found:
            entry = _worded(line, place)
            if entry is not None:
                worded.append(entry)
    fewer, more = sorted((worded, braces), key=lambda entries: sum(map(_has_loss, entries)))
    if not more:
        return None
    passed_over = [entry for entry in fewer if _has_loss(entry)]
    if passed_over:
        what = "of another form" if fewer is worded else "with a mapping in braces"
        problem = f"lines {what} that tell a loss, passed over: {len(passed_over):,}"
        num_bad = sum(map(_has_bad_loss, passed_over))
        problems = [*problems, problem + (f", not finite: {num_bad:,}" if num_bad else "")]
    return logged_run(more, path=path, form=FORM, given=given, problems=problems)


def _segments(text: str) -> Iterator[str]:
    """Lines that may tell something, without colours; a progress bar's states are lines of their own."""
    for line in re.split(r"[\n\r]+", text):
        if "loss" in line or _TELLS.search(line) or _STEP.search(line):
            yield _COLOURS.sub("", line) if _CONTROL.search(line) else line


def _mappings(line: str) -> Iterator[dict[str, Any]]:
    for found in _BRACES.finditer(line):
        entry = {pair["name"]: pair["value"] for pair in _PAIR.finditer(found[0])}
        if _has_loss(entry) or any(names.eval_metric(name) for name in entry) or "train_runtime" in entry:
            yield entry


def _worded(line: str, place: dict[str, Any]) -> dict[str, Any] | None:
    """Read one line.

    Args:
        line: Without a mapping.
        place: Epoch and step that were told last; a line that tells one changes it.

    Returns:
        The line's entry; None where it tells no loss.
    """
    for name, pattern in (("epoch", _EPOCH), ("step", _STEP)):
        told = pattern.search(line)
        if told:
            if name == "epoch" and place.get("epoch") != told["value"]:
                place.pop("step", None)
            place[name] = told["value"].replace(",", "")
    if _UNFINISHED.search(line):
        return None
    entry: dict[str, Any] = {}
    for told in _LOSS.finditer(line):
        name = re.sub(r"\s+", " ", told["name"]).strip()
        if not _NOT_NOW.search(name.lower().replace("_", " ")):
            entry.setdefault(_shortened(name), told["value"])
    if not entry:
        return None
    for name, pattern in (("lr", _RATE), ("grad_norm", _NORM)):
        told = pattern.search(line)
        if told:
            entry[name] = told["value"]
    for told in _METRIC.finditer(line):
        entry.setdefault(told["name"], told["value"])
    return {**place, **entry}


def _shortened(name: str) -> str:
    """A name without the words that chance put before it, as in "INFO loss"."""
    words = re.split(r"[ _/.-]", name)
    while len(words) > 1 and names.plain("_".join(words)) not in names.LOSS_NAMES:
        if {"loss", "nll", "ppl", "perplexity"} & {words[0].lower()}:
            break
        words = words[1:]
        name = name[len(name) - len("_".join(words)) :]
    return name


def _has_loss(entry: Mapping[str, Any]) -> bool:
    return any(map(_names_loss, entry))


@functools.cache
def _names_loss(name: str) -> bool:
    return re.search(r"loss|nll|ppl|perplexity", name, re.IGNORECASE) is not None


def _has_bad_loss(entry: Mapping[str, Any]) -> bool:
    losses = (as_number(value) for name, value in entry.items() if "loss" in name.lower())
    return any(loss is not None and not math.isfinite(loss) for loss in losses)
