"""Whatever a user gets wrong ends in one message with where, why and fix, exit status 1, and nothing written.

Add a case for a new mistake to CASES: its name, the command, what the message must say, what to set up.
In a command {alpaca} and {chat} stand for the folders of the two tiny base models.
"""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import parts


def nothing(work: Path) -> None:
    pass


def file(name: str, content: str | bytes) -> Callable[[Path], None]:
    def write(work: Path) -> None:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def rows(name: str, count: int, row: dict[str, object]) -> Callable[[Path], None]:
    return file(name, json.dumps([row] * count))


def flip(name: str) -> Callable[[Path], None]:
    """Change one bit in the middle of a file."""

    def change(work: Path) -> None:
        data = bytearray((work / name).read_bytes())
        data[len(data) // 2] ^= 1
        (work / name).write_bytes(bytes(data))

    return change


def remove(name: str) -> Callable[[Path], None]:
    def delete(work: Path) -> None:
        shutil.rmtree(work / name) if (work / name).is_dir() else (work / name).unlink()

    return delete


def bare_model(work: Path) -> None:
    """A base model folder that has a config and no tokenizer."""
    (work / "model").mkdir()
    (work / "model" / "config.json").write_text('{"model_type": "gpt2"}')


@dataclass(frozen=True, slots=True)
class Wrong:
    """A mistake and what is to be said about it."""

    name: str
    command: str
    said: tuple[str, ...]
    before: Callable[[Path], None] = nothing


LOG = file("log.csv", "step,loss\n" + "".join(f"{step},2.5\n" for step in range(1, 41)))
PREPARE = "prepare rows.json --base {alpaca} --out runs/new"
CASES = [
    # The data
    Wrong("no_such_file", "prepare row.json --base {alpaca} --out runs/new", ('did you mean "rows.json"?',)),
    Wrong(
        "no_such_folder", "prepare no/rows.json --base {alpaca} --out runs/new", ("does not exist either",)
    ),
    Wrong("a_folder", "prepare runs --base {alpaca} --out runs/new", ("have no column in common",)),
    Wrong(
        "empty_file", "prepare a.json --base {alpaca} --out runs/new", ("it is empty",), file("a.json", "")
    ),
    Wrong(
        "no_rows", "prepare a.json --base {alpaca} --out runs/new", ("holds no rows",), file("a.json", "[]")
    ),
    Wrong(
        "no_json",
        "prepare a.json --base {alpaca} --out runs/new",
        ("not_json", "line 1: Once upon"),
        file("a.json", "Once upon a time\nthere was a file\n"),
    ),
    Wrong(
        "unknown_kind",
        "prepare a.xlsx --base {alpaca} --out runs/new",
        ('files of kind ".xlsx" are not read',),
        file("a.xlsx", "PK"),
    ),
    Wrong(
        "git_lfs_pointer",
        "prepare a.json --base {alpaca} --out runs/new",
        ("git-lfs pointer", "git lfs pull"),
        file("a.json", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"),
    ),
    Wrong(
        "latin1_csv",
        "prepare a.csv --base {alpaca} --out runs/new",
        ("(line 2) is not UTF-8",),
        file("a.csv", b"instruction,output\ncaf\xe9,b\n"),
    ),
    Wrong(
        "no_parquet",
        "prepare a.parquet --base {alpaca} --out runs/new",
        ("no whole Parquet file",),
        file("a.parquet", "PAR1"),
    ),
    Wrong(
        "wrong_columns",
        "prepare a.json --base {alpaca} --out runs/new",
        ("found colour", "size", "prepare.columns"),
        rows("a.json", 3, {"colour": "red", "size": "small"}),
    ),
    Wrong(
        "column_twice",
        "prepare a.csv --base {alpaca} --out runs/new",
        ('column "output" stands twice',),
        file("a.csv", "instruction,output,output\na,b,c\n"),
    ),
    Wrong(
        "all_malformed",
        "prepare a.json --base {alpaca} --out runs/new",
        ("3 of 3 rows are malformed: empty_output 3",),
        rows("a.json", 3, {"instruction": "a", "output": " "}),
    ),
    Wrong(
        "rejected_answers",
        "prepare a.json --base {chat} --out runs/new",
        ("none of 3 rows holds an answer to imitate",),
        rows(
            "a.json",
            3,
            {
                "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                "label": False,
            },
        ),
    ),
    Wrong(
        "all_too_long", f"{PREPARE} --set prepare.max_length=8", ("all 20 examples are longer than 8 tokens",)
    ),
    Wrong(
        "validation_too_large", f"{PREPARE} --set prepare.validation=20", ("leave none of 20 to train on",)
    ),
    Wrong(
        "no_validation_file",
        f"{PREPARE} --set prepare.validation=row.json",
        ("prepare.validation: ", 'did you mean "rows.json"?'),
    ),
    # The settings
    Wrong(
        "unknown_key", f"{PREPARE} --set lora.rnk=3", ('unknown setting "lora.rnk"', 'did you mean "rank"?')
    ),
    Wrong(
        "unknown_section", f"{PREPARE} --set lroa.rank=3", ('unknown setting "lroa"', 'did you mean "lora"?')
    ),
    Wrong("foreign_r", f"{PREPARE} --set r=8", ('unknown setting "r"', "here it is called lora.rank")),
    Wrong("foreign_lora_alpha", f"{PREPARE} --set lora.lora_alpha=8", ("here it is called lora.alpha",)),
    Wrong(
        "foreign_batch_size",
        f"{PREPARE} --set per_device_train_batch_size=8",
        ("here it is called train.batch_size: examples in one step over all processes",),
    ),
    Wrong("a_switch_for_a_number", f"{PREPARE} --set lora.rank=yes", ("lora.rank: True", "a switch (true)")),
    Wrong("text_for_a_number", f"{PREPARE} --set lora.rank=wide", ("lora.rank: 'wide' is not accepted",)),
    Wrong("no_number_at_all", f"{PREPARE} --set lora.alpha=.nan", ("lora.alpha: nan is not accepted",)),
    Wrong("set_without_value", f"{PREPARE} --set lora.rank", ('--set "lora.rank" is not key=value',)),
    Wrong("set_of_broken_yaml", f"{PREPARE} --set lora.target_modules=[q", ("--set lora.target_modules=[q",)),
    Wrong("two_mistakes", f"{PREPARE} --set lora.rank=0 --set seed=x", ("lora.rank: 0 is", "seed: 'x' is")),
    Wrong(
        "unknown_template",
        f"{PREPARE} --set prepare.template=vicuna",
        ("prepare.template: 'vicuna' is not accepted", "'alpaca_s1'"),
    ),
    Wrong(
        "no_chat_template",
        f"{PREPARE} --set prepare.template=chat",
        ("needs a tokenizer with a chat template",),
    ),
    Wrong("a_value_for_a_section", f"{PREPARE} --set lora=3", ("lora is a section", "as in lora.rank=16")),
    Wrong("a_number_for_the_base", f"{PREPARE} --set base=3", ("the base model is named by text",)),
    Wrong("all_as_validation", f"{PREPARE} --set prepare.validation=1.0", ("a share is below 1",)),
    Wrong("unknown_eval_split", f"{PREPARE} --set eval.split=valdation", ('did you mean "validation"?',)),
    Wrong(
        "unknown_compare_split", f"{PREPARE} --set compare.split=tarin", ("compare.split", 'mean "train"?')
    ),
    Wrong("no_test_split", f"{PREPARE} --set eval.split=test", ("prepare.test is 0",)),
    Wrong(
        "unknown_split_of_a_run",
        "run rows.json --base {alpaca} --out runs/new --set eval.split=valdation",
        ('did you mean "validation"?',),
    ),
    Wrong(
        "unknown_check_to_prepare", f"{PREPARE} --set check.allow=[overlaps]", ('did you mean "overlap"?',)
    ),
    Wrong(
        "a_learning_rate_beyond_float32",
        f"{PREPARE} --set train.learning_rate=3e38",
        ("less than or equal to 1e+30",),
    ),
    # The base model
    Wrong("no_base_folder", "prepare rows.json --base ./modle --out runs/new", ("./modle",)),
    Wrong("a_file_as_base", "prepare rows.json --base rows.json --out runs/new", ('"rows.json" is a file',)),
    Wrong("no_model_in_folder", "prepare rows.json --base runs --out runs/new", ("config.json",)),
    Wrong(
        "no_tokenizer",
        "prepare rows.json --base model --out runs/new",
        ("tokenizer",),
        bare_model,
    ),
    Wrong("a_hub_model_offline", "prepare rows.json --base no-such/model --out runs/new", ("no-such/model",)),
    # The run folder
    Wrong(
        "taken",
        "prepare rows.json --base {alpaca} --out mine",
        ('"mine" is taken by something that is no run',),
        file("mine/thesis.txt", "years of work"),
    ),
    Wrong(
        "taken_with_overwrite",
        "prepare rows.json --base {alpaca} --out mine --overwrite",
        ('"mine" is taken by something that is no run',),
        file("mine/thesis.txt", "years of work"),
    ),
    Wrong(
        "a_file_as_out",
        "prepare rows.json --base {alpaca} --out rows.json",
        ('"rows.json" is taken by something that is no run',),
    ),
    Wrong(
        "stale",
        "prepare rows.json --base {alpaca} --out runs/first --set seed=1",
        ("seed was 0, now 1", "--overwrite"),
    ),
    Wrong(
        "stale_data",
        "prepare rows.json --base {alpaca} --out runs/first",
        ("data has changed", "--overwrite"),
        rows("rows.json", 30, {"instruction": "a", "output": "b"}),
    ),
    # check
    Wrong("no_such_run", "check runs/frist", ('did you mean "first"?',)),
    Wrong("no_run", "check runs", ('"runs" is no run', "config.json")),
    Wrong("not_prepared", "check runs/first", ("prepare", "lorascope prepare"), remove("runs/first/prepare")),
    Wrong("unknown_check", "check runs/first --set check.allow=[overlaps]", ('did you mean "overlap"?',)),
    Wrong("check_unknown_key", "check runs/first --set lora.rnk=3", ('did you mean "rank"?',)),
    Wrong(
        "damaged_dataset",
        "check runs/first",
        ("is damaged: dataset/train/data-00000-of-00001.arrow was changed",),
        flip("runs/first/prepare/dataset/train/data-00000-of-00001.arrow"),
    ),
    Wrong(
        "damaged_template",
        "check runs/first",
        ("is damaged: template.json is missing",),
        remove("runs/first/prepare/template.json"),
    ),
    *(
        Wrong(
            f"broken_config_{command}",
            f"{command} runs/first",
            (
                "config.json",
                "prepare the run again with its settings: "
                "lorascope prepare DATA --base MODEL --out runs/first --overwrite",
            ),
            file("runs/first/config.json", '{"base": '),
        )
        for command in ("check", "train", "eval")
    ),
    Wrong("negative_show", "check runs/first --show -1", ("--show -1 is no number of examples",)),
    Wrong(
        "home_of_nobody",
        "check ~nobody-of-this-name/runs/first",
        ('"~nobody-of-this-name/runs/first" lies in the home folder of nobody',),
    ),
    Wrong(
        "config_of_something_else",
        "check runs/first",
        ("GPT2",),
        file("runs/first/config.json", '{"GPT2": 1}'),
    ),
    Wrong(
        "other_base",
        "check runs/first --set base.id={chat}",
        ("the tokenizer is not the one this run was prepared with",),
    ),
    Wrong("dataset_without_base", "check runs/first/prepare/dataset", ("--base MODEL",)),
    Wrong("no_dataset", "check rows.json --base {alpaca}", ("cannot be read as a dataset",)),
    Wrong("dataset_wrong_base", "check runs/first/prepare/dataset --base ./modle", ("./modle",)),
    Wrong(
        "dataset_unknown_check",
        "check runs/first/prepare/dataset --base {alpaca} --set check.allow=[ovrlap]",
        ('did you mean "overlap"?',),
    ),
    # diagnose and watch
    Wrong("restless", "watch log.csv --every 0", ("--every 0 is no time between looks",), LOG),
    Wrong("never", "watch log.csv --every inf --once", ("--every inf is no time between looks",), LOG),
    Wrong("column_without_a_name", "watch log.csv --once --column loss", ("names no column",), LOG),
    Wrong(
        "column_of_a_run",
        "diagnose runs/first --column loss=nll",
        ("--column loss=nll is of no use for a run of lorascope",),
    ),
    Wrong(
        "column_of_a_watched_run", "watch runs/first --once --column loss=nll", ("is of no use for a run",)
    ),
    *(
        Wrong(
            f"{words[0]}_{name}",
            f"{' '.join(words)} {path}",
            (f'there is no "{path}"', fix, "a run folder of lorascope is taken, or the log", "trainer_state"),
        )
        for words in (["diagnose"], ["watch", "--once"])
        for name, path, fix in (
            ("no_such_log", "row.json", 'did you mean "rows.json"?'),
            ("no_such_folder", "rnus/first", 'did you mean "runs"?'),
        )
    ),
    # The other commands
    *(
        Wrong(f"{command}_no_such_run", f"{command} runs/frist", ('did you mean "first"?',))
        for command in ("train", "eval", "report")
    ),
]


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(params=CASES, ids=[case.name for case in CASES])
def wrong(
    request: pytest.FixtureRequest, work: Path, alpaca_base: Path, chat_base: Path
) -> tuple[list[str], tuple[str, ...]]:
    """The arguments of a case, made ready in `work`, and what must be said."""
    case: Wrong = request.param
    case.before(work)
    arguments = case.command.split()
    return [
        one.format(alpaca=alpaca_base, chat=chat_base) if "{" in one else one for one in arguments
    ], case.said


def test_a_mistake_ends_in_one_clear_message_and_writes_nothing(
    wrong: tuple[list[str], tuple[str, ...]], call: Callable[..., Any], work: Path
) -> None:
    arguments, said = wrong
    before = tree(work)
    ended = call(*arguments)
    assert (ended.code, ended.out) == (1, "")
    message = ended.err
    assert message.startswith("error: ")
    assert "Traceback" not in message
    for part in ("  where: ", "  why:   ", "  fix:   "):
        assert part in message
    assert all(len(text) > 3 for text in parts(message.removeprefix("error: ")).values())
    for text in said:
        assert text in message
    assert tree(work) == before


def test_with_json_a_mistake_is_one_object_on_stdout(
    wrong: tuple[list[str], tuple[str, ...]], call: Callable[..., Any], work: Path
) -> None:
    arguments, said = wrong
    if arguments[0] == "watch":
        pytest.skip("watch has no --json")
    ended = call(*arguments, "--json")
    assert ended.code == 1
    error = json.loads(ended.out)["error"]
    assert error.pop("type") in ("ConfigError", "DataError", "ModelError", "RunError")
    errors = [error, *error.pop("more", [])]
    assert all(set(one) == {"problem", "where", "why", "fix"} for one in errors)
    texts = [value for one in errors for value in one.values()]
    assert all(any(text in value for value in texts) for text in said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepar"],
        ["prepare"],
        ["prepare", "rows.json"],
        ["prepare", "rows.json", "--base", "x"],
        ["prepare", "rows.json", "--base", "x", "--out", "y", "--rank", "3"],
        ["check"],
        ["check", "a", "b"],
        ["check", "runs/first", "--show", "many"],
        ["--colour"],
    ],
)
def test_an_unknown_command_or_flag_or_a_missing_argument_is_status_2(
    arguments: list[str], call: Callable[..., Any], work: Path
) -> None:
    before = tree(work)
    ended = call(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert tree(work) == before


def test_an_interruption_is_status_130_and_no_traceback(
    call: Callable[..., Any], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorascope.check import stage

    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "examine", interrupted)
    ended = call("check", "runs/first")
    assert (ended.code, ended.err.splitlines()[-1]) == (130, "interrupted")
    assert "Traceback" not in ended.err
    assert not (work / "runs" / "first" / "check").exists()


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    call: Callable[..., Any], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lorascope.check import stage

    def missing(*given: object, **named: object) -> None:
        raise ModuleNotFoundError("No module named 'peft'", name="peft.tuners")

    monkeypatch.setattr(stage, "examine", missing)
    ended = call("check", "runs/first")
    assert ended.code == 1
    assert 'pip install "lorascope[train]"' in ended.err


def test_a_bug_keeps_its_traceback(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lorascope.check import stage
    from lorascope.cli.app import main

    monkeypatch.setattr(stage, "examine", lambda *given, **named: {}["bug"])
    with pytest.raises(KeyError):
        main(["check", "runs/first"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_our_error(
    call: Callable[..., Any], work: Path, alpaca_base: Path
) -> None:
    (work / "locked").mkdir(mode=0o555)
    ended = call("prepare", "rows.json", "--base", alpaca_base, "--out", "locked/run")
    assert ended.code == 1
    assert "cannot be written: Permission denied" in ended.err
