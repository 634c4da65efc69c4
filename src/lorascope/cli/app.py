"""The `lorascope` command: one function per file, in pipeline order; errors become exit codes.

Nothing heavy is imported here, so that --help answers at once: each command imports its stage when it is
called.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TextIO

import typer

from lorascope.cli.check import check
from lorascope.cli.compare import compare
from lorascope.cli.demo import demo
from lorascope.cli.diagnose import diagnose
from lorascope.cli.doctor import doctor
from lorascope.cli.eval import evaluate
from lorascope.cli.export import export
from lorascope.cli.prepare import prepare
from lorascope.cli.report import report
from lorascope.cli.run import run
from lorascope.cli.train import train
from lorascope.cli.watch import watch
from lorascope.errors import ConfigError, LorascopeError, apart, explain, parts

app = typer.Typer(
    name="lorascope",
    help="LoRA fine-tuning whose numbers you can trust.\n\n"
    "The pipeline: prepare -> check -> train -> diagnose -> eval -> compare -> export -> report. "
    "`run` does all of it; `demo` does it on the bundled starter.\n\n"
    "Start with: lorascope demo, or: lorascope run my_rows.jsonl --base gpt2 --out runs/first",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(run)
app.command()(demo)
app.command()(prepare)
app.command()(check)
app.command()(train)
app.command()(diagnose)
app.command()(watch)
app.command("eval")(evaluate)
app.command()(compare)
app.command()(export)
app.command()(report)
app.command()(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        import lorascope

        typer.echo(f"lorascope {lorascope.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_show_version, is_eager=True
    ),
) -> None:
    pass


_WRONG_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit.

    0 done, 1 an expected failure, 2 wrong usage, 130 interrupted, 141 nobody reads the output any more.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run_and_flush(given)
    except BrokenPipeError:
        _stop_writing()
    except OSError as error:
        if _can_be_written(sys.stdout):
            raise
        _show_error(_no_output(error), as_json=False)
        _stop_writing(1)
    except SystemExit as ended:
        # click and rich leave a closed pipe with status 1, as if a check had failed.
        if isinstance(ended.__context__, BrokenPipeError):
            _stop_writing()
        raise


def _run_and_flush(given: list[str]) -> None:
    """Run one command, and see what it has printed off: at Python's own exit it is too late to explain."""
    try:
        _run(given)
    except SystemExit as ended:
        if isinstance(getattr(ended.__context__, "__context__", None), KeyboardInterrupt):
            typer.echo("interrupted", err=True)  # typer leaves without a word
        told = getattr(ended.__context__, "format_message", None)  # click's own error
        if ended.code == _WRONG_USAGE and told is not None and "--json" in given:
            shown = {"type": "UsageError", "problem": told()}
            typer.echo(json.dumps({"error": shown}, ensure_ascii=False))  # people have read it on stderr
        if not isinstance(ended.__context__, BrokenPipeError) and sys.stdout is not None:
            sys.stdout.flush()
        raise


def _can_be_written(stream: TextIO | None) -> bool:
    """Whether a stream takes what is still buffered in it, and a line more: there may be no buffer."""
    try:
        if stream is not None:
            stream.write("\n")
            stream.flush()
    except OSError:
        return False
    return True


def _no_output(error: OSError) -> LorascopeError:
    return LorascopeError(
        explain(
            f"the output cannot be written: {error.strerror or error}",
            where="standard output, or the file or device that it is sent to",
            why="what was found could not be told to its end",
            fix="free space, or send the output elsewhere",
        )
    )


def _run(given: list[str]) -> None:
    try:
        app(args=[_at_home(argument) for argument in given], prog_name="lorascope")
    except LorascopeError as error:
        _show_error(error, as_json="--json" in given)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA_TRAIN:
            raise
        _show_error(_missing_extra(error.name or ""), as_json="--json" in given)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)


def _at_home(argument: str) -> str:
    """Expand "~" where the shell did not, as in --out "~/runs/first" and --out=~/runs/first."""
    found = _HOME.fullmatch(argument)
    if found is None:
        return argument
    path = os.path.expanduser(found[2])
    if path.startswith("~"):
        raise ConfigError(
            explain(
                f'"{found[2]}" lies in the home folder of nobody',
                where=f"command line, {argument}",
                why=f'there is no user "{found[2][1:].partition("/")[0]}" on this machine',
                fix=f'"~/..." is your own home folder; "./{found[2]}" is a file of that name here',
            )
        )
    return (found[1] or "") + path


_HOME = re.compile(r"(--[\w-]+=)?(~.*)", re.DOTALL)


def _stop_writing(code: int = 128 + 13) -> None:
    """Exit as `cat` does under `| head`: quietly, with 128 + SIGPIPE; or with another status.

    What is still buffered goes to nobody, or Python's flush at exit would complain about the pipe again.
    SIGPIPE itself stays off: it would also kill a training whose connection to the Hub breaks.
    """
    nobody = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a stream that is closed, or is no file
            os.dup2(nobody, stream.fileno())
    sys.exit(code)


_EXTRA_TRAIN = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "sacrebleu",
    "rensa",
)


def _missing_extra(package: str) -> LorascopeError:
    return LorascopeError(
        explain(
            f'"{package}" is not installed',
            where="this Python environment",
            why="training and measuring need torch, transformers and peft; the light install has none",
            fix='pip install "lorascope[train]"',
        )
    )


def _show_error(error: LorascopeError, *, as_json: bool) -> None:
    messages = apart(error.message)
    if as_json:
        first, *more = [parts(message) for message in messages]
        shown = {"type": type(error).__name__, **first, **({"more": more} if more else {})}
        typer.echo(json.dumps({"error": shown}, ensure_ascii=False))
    for message in messages:
        typer.echo(f"error: {message}", err=True)
