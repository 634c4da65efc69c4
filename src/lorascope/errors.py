"""The failures lorascope expects, and how their messages are laid out.

    LorascopeError                       caught once, in cli/app.py: printed without a traceback, exit code 1
      ConfigError      (ValueError)      the recipe is wrong: key, type, range, combination
      DataError        (ValueError)      the dataset is wrong: format, empty, leaking splits
      ModelError       (ValueError)      base model, tokenizer and adapter do not fit together
      RunError         (RuntimeError)    the run folder is missing, unfinished, damaged or already taken
        NothingLogged                    the training has logged nothing yet: waiting may help
      NumericsError    (ArithmeticError) a loss, gradient or weight is not finite
      UndefinedMetric  (ValueError)      the metric has no value for these inputs
        NoTargetTokens                   the loss mask selects no token

Anything else that escapes is a bug and keeps its traceback.
"""

import difflib
import re
import shlex
from collections.abc import Iterable


class LorascopeError(Exception):
    """A failure that lorascope expects and explains. Takes one finished message, see `explain`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConfigError(LorascopeError, ValueError):
    """The recipe is wrong: a key, a type, a range or a combination."""


class DataError(LorascopeError, ValueError):
    """The dataset is wrong: its format, its emptiness, its splits."""


class ModelError(LorascopeError, ValueError):
    """Base model, tokenizer and adapter do not fit together, or one of them cannot be loaded."""


class RunError(LorascopeError, RuntimeError):
    """The run folder is missing, unfinished, damaged or already taken."""


class NothingLogged(RunError):
    """A run or a log holds no step and no evaluation yet: diagnose refuses it, watch waits for it."""


class NumericsError(LorascopeError, ArithmeticError):
    """A loss, a gradient or a weight is not finite."""


class UndefinedMetric(LorascopeError, ValueError):
    """The metric has no value for these inputs."""


class NoTargetTokens(UndefinedMetric):
    """The loss mask selects no token."""


def explain(problem: str, *, where: str, why: str, fix: str) -> str:
    """Lay out an error message in the four parts every lorascope error has.

    Args:
        problem: What is wrong, with the offending value.
        where: The file and line, recipe key, flag or model that holds it.
        why: Why that cannot work.
        fix: What to do, with the nearest valid name where there is one (see `nearest`).

    Returns:
        Four lines; `cli` puts "error: " before the first.
    """
    return f"{problem}\n  where: {where}\n  why:   {why}\n  fix:   {fix}"


def nearest(wanted: str, available: Iterable[str], *, most: int = 12) -> str:
    """Suggest the valid name closest to a wrong one, and list what is available.

    Args:
        wanted: The name that was given.
        available: The valid names.
        most: How many of them to list, >= 1.

    Returns:
        'did you mean "v_proj"? available: k_proj, q_proj, v_proj', or the list alone when nothing is close.
    """
    names = sorted(set(available))
    listed = ", ".join(names[:most]) + (f", ... ({len(names) - most} more)" if len(names) > most else "")
    listing = f"available: {listed}" if names else "nothing is available here"
    by_folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(wanted.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f'did you mean "{by_folded[close[0]]}"? {listing}' if close else listing


def command(*words: object) -> str:
    """Write a lorascope command that a shell takes as it stands.

    Args:
        words: Stage, paths and options, as in `command("check", run.path)`.

    Returns:
        "lorascope check 'my runs/first'": a word with spaces or characters that shells read is quoted.
    """
    return shlex.join(["lorascope", *(str(word) for word in words)])


def together(messages: Iterable[str]) -> str:
    """Join several explained messages into one; `apart` undoes it."""
    return "\n\n".join(messages)


def apart(message: str) -> list[str]:
    """Split a message made by `together` into its explained messages."""
    return re.split(r"\n\n(?=[^\n]+\n  where:)", message)


def parts(message: str) -> dict[str, str]:
    """Split a message made by `explain` into its named parts, for `--json`.

    Args:
        message: Any error message.

    Returns:
        "problem" always; "where", "why" and "fix" where the message has them.
    """
    found: dict[str, str] = {}
    name = "problem"
    for line in message.split("\n"):
        for label in ("where", "why", "fix"):
            if line.startswith(f"  {label}:"):
                name, line = label, line[len(label) + 3 :].strip()
                break
        found[name] = f"{found[name]}\n{line}" if name in found else line
    return found
