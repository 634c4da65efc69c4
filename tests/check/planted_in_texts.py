"""Faults in what rows say and in how their answers are marked, planted as those of planted_faults."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
from planted_faults import (
    CHAT,
    NUM,
    Fault,
    base_with,
    checked,
    each_row,
    foreign,
    prepared,
    reported,
    rows,
    said_by_check,
    turns,
)

from lorascope.check.stage import check_dataset, check_run
from lorascope.run.current import recipe_of
from lorascope.run.dataset import IGNORE

WORDS = "street market sea wall stone house boat rope sail wind rain tide gull net crab pier".split()  # noqa: SIM905


def own_validation(change: Callable[[str], str]) -> Callable[[Path], str]:
    """A validation file of the user's: 20 training rows, their answers changed."""

    def plant(folder: Path) -> str:
        data = [
            {"instruction": f"Tell me of {n}", "output": f"{' '.join(f'{word}{n}' for word in WORDS)}."}
            for n in range(NUM)
        ]
        held = [{**row, "output": change(row["output"])} for row in data[:20]]
        (folder / "held.json").write_text(json.dumps(held))
        run, _ = prepared(folder, data, validation=str(folder / "held.json"))
        return said_by_check(check_run(run, recipe_of(run)))

    return plant


def foreign_chat(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], str]:
    """A dataset of chats of two answers, tokenised by the base's chat template, with a change to each row."""

    def plant(folder: Path) -> str:
        base = base_with(folder, chat_template=CHAT)
        data = [turns(f"Hello {n}", f"Good day {n}.", "And then?", f"Then {n} went.") for n in range(NUM)]
        run, _ = prepared(folder, data, base=base, validation=0)
        loaded = datasets.load_from_disk(str(run.dataset))["train"]
        columns = {key: list(loaded[key]) for key in loaded.column_names}
        each_row(change)(columns)
        datasets.Dataset.from_dict(columns).save_to_disk(str(folder / "foreign"))
        return said_by_check(check_dataset(folder / "foreign", str(base)))

    return plant


def _answers(row: dict[str, Any]) -> list[tuple[int, int]]:
    """Start and end of each stretch of targets."""
    labels, found = row["labels"], []
    for at, label in enumerate(labels):
        if label != IGNORE and (at == 0 or labels[at - 1] == IGNORE):
            end = next((n for n in range(at, len(labels)) if labels[n] == IGNORE), len(labels))
            found.append((at, end))
    return found


def learn_questions(row: dict[str, Any]) -> None:
    targets = {at for start, end in _answers(row) for at in range(start, end)}
    row["labels"] = [IGNORE if at in targets else one for at, one in enumerate(row["input_ids"])]
    row["labels"][0] = IGNORE
    row["labels"][-1] = row["input_ids"][-1]


def mask_first(row: dict[str, Any]) -> None:
    for start, _ in _answers(row):
        row["labels"][start] = IGNORE


def mask_earlier_stop(row: dict[str, Any]) -> None:
    (_, end), *_ = _answers(row)
    row["labels"][end - 1] = IGNORE


def stop_alone(row: dict[str, Any]) -> None:
    row["labels"] = [IGNORE] * (len(row["labels"]) - 1) + row["labels"][-1:]


def hide_prompt(row: dict[str, Any]) -> None:
    row["attention_mask"] = [0 if label == IGNORE else 1 for label in row["labels"]]
    row["attention_mask"][0] = 1


def repeat_first(columns: dict[str, list[Any]]) -> None:
    for name in ("input_ids", "labels", "attention_mask"):
        columns[name][20:] = [columns[name][0]] * (len(columns[name]) - 20)


def judged(label: Any) -> list[dict[str, Any]]:
    return [
        {"prompt": f"Where is {n}?", "completion": f"It is in house {n}.", "label": label(n % 2)}
        for n in range(NUM)
    ]


TEXT_FAULTS = [
    Fault(
        "a validation file that says what training says, in other letters",
        "not looked for",
        own_validation(str.upper),
        "20 of 20 rows that are held out stand in training",
    ),
    Fault(
        "a validation file that is training but for a word",
        "not looked for",
        own_validation(lambda text: f"{text} Indeed."),
        "20 of 20 held-out rows stand in training but for a few words",
    ),
    Fault(
        "turned-down answers told by 0 and 1",
        "learnt like the others where the label is not read",
        lambda folder: reported(folder, judged(int)),
        "left out: 20 rows whose answer was turned down",
    ),
    Fault(
        "test rows told by a column",
        "trained on with the others",
        lambda folder: reported(
            folder, [{**row, "split": "test" if n < 8 else "train"} for n, row in enumerate(rows())]
        ),
        "train, test are its own",
    ),
    Fault(
        "texts that are worded by a template already",
        "worded twice; marks learnt letter by letter",
        lambda folder: checked(
            folder, [{**row, "output": f"### Response:\n{row['output']}</s>"} for row in rows()]
        ),
        "40 rows hold the marks of a template",
    ),
    Fault(
        "chats given as plain text",
        "the prompts are learnt with the answers",
        lambda folder: checked(
            folder, [{"text": f"### Human: Where is {n}?\n### Assistant: In house {n}."} for n in range(NUM)]
        ),
        "40 plain texts hold turns of a chat",
    ),
    Fault(
        "answers that begin with the speaker's name",
        "learnt; said twice when served",
        lambda folder: checked(folder, [{**row, "output": f"Assistant: {row['output']}"} for row in rows()]),
        "40 of 40 answers begin with the name of who speaks",
    ),
    Fault(
        "letters garbled by a wrong encoding",
        "trained on as they are",
        lambda folder: checked(
            folder, [{**row, "output": f"Caf\u00c3\u00a9 {n} is open."} for n, row in enumerate(rows())]
        ),
        "mojibake 40",
    ),
    Fault(
        "most rows are too long and left out",
        "cut, or left out without a word",
        lambda folder: checked(
            folder,
            rows() + [{**row, "output": row["output"] * 60} for row in rows()[:20]],
            max_length=128,
        ),
        "20 of 60 examples were left out as longer than 128 tokens",
    ),
    Fault(
        "questions are learnt, answers are masked",
        "trains; answers like a user",
        foreign_chat(learn_questions),
        "40 of 40 rows train on their prompt",
    ),
    Fault(
        "the first token of every answer is masked",
        "trains; the model does not know how to begin",
        foreign_chat(mask_first),
        "40 rows have answers with masked tokens in them",
    ),
    Fault(
        "earlier answers are learnt without their end",
        "runs on after them when served",
        foreign_chat(mask_earlier_stop),
        "40 rows have answers that are learnt without their stop token",
    ),
    Fault(
        "answers are empty",
        "the model learns to say nothing",
        foreign(each_row(stop_alone)),
        "40 rows learn nothing but to stop",
    ),
    Fault(
        "the attention mask hides the prompt",
        "trains on answers to nothing",
        foreign(each_row(hide_prompt)),
        "have an attention mask that does not fit them",
    ),
    Fault(
        "the same row many times, in tokens",
        "trained on so many times",
        foreign(repeat_first),
        "20 of 40 rows repeat another exactly",
    ),
]
