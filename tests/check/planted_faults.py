"""Faults that ruin fine-tunes silently, each planted in data of its own: the table of docs/check.md."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorascope.check.stage import check_dataset, check_run
from lorascope.errors import LorascopeError
from lorascope.prepare.stage import prepare_run
from lorascope.run.commit import committed_folder
from lorascope.run.current import recipe_of
from lorascope.run.dataset import IGNORE
from lorascope.run.folder import RunFolder
from lorascope.run.recipe import make_recipe
from lorascope.starter import base_folder

NUM = 40
CHAT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ '[S]' + m['content'] + '<|endoftext|>' }}"
    "{% elif m['role'] == 'user' %}{{ '[U]' + m['content'] }}"
    "{% else %}{{ '[A]' + m['content'] + '<|endoftext|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[A]' }}{% endif %}"
)
FORGETFUL = CHAT.replace("'[A]' + m['content']", "'[A]' + (m['content'] if loop.last else '')")


@dataclass(frozen=True)
class Fault:
    """A fault, what other tools do with it, and how it is planted.

    Attributes:
        name: In a few words.
        elsewhere: What happens elsewhere, with where that is told.
        plant: Builds it in a folder; returns what `prepare` or `check` says, the line that names it.
        says: A part of that line.
    """

    name: str
    elsewhere: str
    plant: Callable[[Path], str] = field(repr=False)
    says: str


def rows(num: int = NUM) -> list[dict[str, str]]:
    return [
        {
            "instruction": f"Where does number {n} of the old harbour street live?",
            "output": f"In house {n} by the sea.",
        }
        for n in range(num)
    ]


def base_with(folder: Path, **config: Any) -> Path:
    """The starter's base with another tokenizer configuration."""
    base = folder / "base"
    shutil.copytree(base_folder(), base)
    path = base / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    return base


def prepared(
    folder: Path, data: Any, *, base: Path | None = None, name: str = "rows.json", **prepare: Any
) -> Any:
    path = folder / name
    path.write_bytes(data) if isinstance(data, bytes) else path.write_text(json.dumps(data))
    recipe = make_recipe({"base": str(base or base_folder()), "data": str(path), "prepare": prepare})
    run = RunFolder(folder / "run")
    return run, prepare_run(run, recipe)


def said_by_check(report: dict[str, Any]) -> str:
    """The first line, and each notice."""
    return "\n".join([report["first_line"], *(one["sentence"] for one in report["notices"])])


def said_by_prepare(report: dict[str, Any]) -> str:
    from lorascope.cli.prepare import summary

    return "\n".join(summary(report))


def checked(folder: Path, data: Any, **more: Any) -> str:
    run, _ = prepared(folder, data, **more)
    return said_by_check(check_run(run, recipe_of(run)))


def reported(folder: Path, data: Any, **more: Any) -> str:
    return said_by_prepare(prepared(folder, data, **more)[1])


def refused(folder: Path, data: Any, **more: Any) -> str:
    try:
        return reported(folder, data, **more)
    except LorascopeError as error:
        return error.message


def foreign(
    change: Callable[[dict[str, list[Any]]], None], *, base: Path | None = None, held: bool = False
) -> Any:
    """A tokenised dataset made elsewhere, with a change to it."""

    def plant(folder: Path) -> str:
        import datasets

        run, _ = prepared(folder, rows(), validation=4 if held else 0)
        loaded = datasets.load_from_disk(str(run.dataset))
        splits = {name: {key: list(one[key]) for key in one.column_names} for name, one in loaded.items()}
        change(splits if held else splits["train"])
        made = datasets.DatasetDict({name: datasets.Dataset.from_dict(one) for name, one in splits.items()})
        made.save_to_disk(str(folder / "foreign"))
        own = base or (folder / "base" if (folder / "base").is_dir() else base_folder())
        return said_by_check(check_dataset(folder / "foreign", str(own)))

    return plant


def each_row(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, list[Any]]], None]:
    def apply(columns: dict[str, list[Any]]) -> None:
        for n in range(len(columns["input_ids"])):
            row = {key: list(columns[key][n]) for key in ("input_ids", "labels", "attention_mask")}
            change(row)
            for key, value in row.items():
                columns[key][n] = value

    return apply


def unlabel_end(row: dict[str, Any]) -> None:
    row["labels"][-1] = IGNORE


def cut_answer(row: dict[str, Any]) -> None:
    keep = next(n for n, label in enumerate(row["labels"]) if label != IGNORE) + 2
    for key in row:
        row[key] = row[key][:keep]


def mask_all(row: dict[str, Any]) -> None:
    row["labels"] = [IGNORE] * len(row["labels"])


def begin_twice(row: dict[str, Any]) -> None:
    for key, value in (("input_ids", 0), ("labels", IGNORE), ("attention_mask", 1)):
        row[key] = [value, value, *row[key]]


def pad(row: dict[str, Any], *, learned: bool) -> None:
    extra = 128 - len(row["input_ids"])
    row["labels"] += [0 if learned else IGNORE] * extra
    row["input_ids"] += [0] * extra
    row["attention_mask"] += [0] * extra


def lose_end_to_pad(row: dict[str, Any]) -> None:
    pad(row, learned=False)
    row["attention_mask"] = [int(one != 0) for one in row["input_ids"]]
    row["labels"] = [
        IGNORE if one == 0 else label for one, label in zip(row["input_ids"], row["labels"], strict=True)
    ]


def pierce(row: dict[str, Any]) -> None:
    row["attention_mask"][3] = 0


def shift(row: dict[str, Any]) -> None:
    row["labels"] = [*row["labels"][1:], IGNORE]


def learn_prompt(row: dict[str, Any]) -> None:
    row["labels"] = list(row["input_ids"])


def beyond(row: dict[str, Any]) -> None:
    row["input_ids"][2] = 1_000_000


def join_two(columns: dict[str, list[Any]]) -> None:
    for key in ("input_ids", "labels", "attention_mask"):
        pairs = zip(columns[key][::2], columns[key][1::2], strict=True)
        columns[key] = [[*one, *other] for one, other in pairs]
    columns["example_id"] = columns["example_id"][::2]


def leak(splits: dict[str, dict[str, list[Any]]]) -> None:
    for key in ("input_ids", "labels", "attention_mask"):
        splits["validation"][key][0] = splits["train"][key][5]


def other_prompt(folder: Path) -> str:
    """A prepare folder as a prepare with that bug would commit it."""
    import datasets

    run, _ = prepared(folder, rows())
    loaded = datasets.load_from_disk(str(run.dataset))
    changed = loaded.map(
        lambda row: {"input_ids": [9, *row["input_ids"][1:]]},
        load_from_cache_file=False,
    )
    with committed_folder(run.stage("prepare"), replace=True) as staged:
        for name in ("report.json", "template.json", "examples.parquet", "dropped.jsonl"):
            shutil.copy(run.stage("prepare") / name, staged)
        changed.save_to_disk(str(staged / "dataset"))
    return said_by_check(check_run(run, recipe_of(run)))


def untrained_token(folder: Path) -> str:
    import torch
    from safetensors.torch import load_file, save_file

    base = base_with(folder)
    weights = load_file(base / "model.safetensors")
    weights["transformer.wte.weight"][0] = torch.zeros_like(weights["transformer.wte.weight"][0])
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    return checked(folder, rows(), base=base)


def served_elsewhere(folder: Path) -> str:
    base = base_with(folder)
    path = base / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": 7}))
    return checked(folder, rows(), base=base)


def near_leak(folder: Path) -> str:
    lead = "Tell me in a few words and without any haste where the keeper of lighthouse"
    data = [
        {
            "instruction": f"{lead} {n} of the {n}th coast keeps his {n} lamps, oil and wicks",
            "output": f"a{n}",
        }
        for n in range(10)
    ]
    held = [{**data[3], "instruction": data[3]["instruction"] + " please"}]
    (folder / "held.json").write_text(json.dumps(held))
    return reported(folder, data, validation=str(folder / "held.json"))


def lower_case(folder: Path) -> str:
    base = base_with(folder)
    path = base / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "normalizer": {"type": "Lowercase"}}))
    return checked(folder, rows(), base=base)


def turns(*said: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]}


def rewritten(folder: Path) -> str:
    base = base_with(folder, chat_template=FORGETFUL)
    return reported(folder, [turns(f"Hi {n}", "Ho", "And?", f"So {n}.") for n in range(NUM)], base=base)


def tool_calls(folder: Path) -> str:
    call = {"type": "function", "function": {"name": "look", "arguments": "{}"}}
    said = {
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]
    }
    data = [turns(f"Hi {n}", f"Ho {n}") for n in range(NUM)] + [said] * 5
    return reported(folder, data, base=base_with(folder, chat_template=CHAT))


def lines(*more: bytes) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows()) + b"".join(more)


FAULTS = [
    Fault(
        "the end-of-text token is never a target",
        "trains; the model never stops (trl#1623, unsloth#416)",
        foreign(each_row(unlabel_end)),
        "40 of 40 rows never train the stop token",
    ),
    Fault(
        "every label is -100",
        "trains on nothing, loss 0 or nan (unsloth#2095, #2364)",
        foreign(each_row(mask_all)),
        "40 of 40 rows train nothing at all",
    ),
    Fault(
        "answers are cut off by truncation",
        "silent (transformers#30998, trl#3927)",
        foreign(each_row(cut_answer)),
        "never train the stop token",
    ),
    Fault(
        "pad is end-of-text, and the mask is made by comparing ids with it",
        "the end of every answer is lost (alignment-handbook#127)",
        foreign(each_row(lose_end_to_pad)),
        "never train the stop token",
    ),
    Fault(
        "padding is a target",
        "loss falls on padding alone",
        foreign(each_row(lambda row: pad(row, learned=True))),
        "40 of 40 rows train on padding",
    ),
    Fault(
        "the attention mask has holes",
        "tokens are not seen, silently",
        foreign(each_row(pierce)),
        "have an attention mask that does not fit them",
    ),
    Fault(
        "labels are shifted by one",
        "the model learns to repeat its input",
        foreign(each_row(shift)),
        "have labels that are not their own token",
    ),
    Fault(
        "the prompt is trained on",
        "the option that masks it is ignored beside another (trl#3781)",
        foreign(each_row(learn_prompt)),
        "40 of 40 rows mask nothing: their prompts, if they have any, are trained on",
    ),
    Fault(
        "ids of another tokenizer",
        "an index error on the GPU, or nonsense",
        foreign(each_row(beyond)),
        "hold tokens that the base does not have",
    ),
    Fault(
        "several texts packed into one row",
        "they see each other (trl#805, unsloth#126)",
        foreign(join_two),
        "20 rows go on after their end-of-text token",
    ),
    Fault(
        "validation rows in a tokenised training set",
        "a flattering loss (datasets#4261)",
        foreign(leak, held=True),
        "1 of 4 rows that are held out stand in training",
    ),
    Fault(
        "the beginning-of-text token stands twice",
        "worse answers, silently (OpenRLHF#393, Soup#890)",
        lambda folder: [base_with(folder, bos_token="<|endoftext|>"), foreign(each_row(begin_twice))(folder)][
            1
        ],
        "40 of 40 rows begin twice",
    ),
    Fault(
        "generation prompts otherwise than training did",
        "26 % for 57 % accuracy (LLaMA-Factory#2509)",
        other_prompt,
        "begin otherwise than generation will",
    ),
    Fault(
        "rows not worded by the chat template that servers use",
        "answers differ when served (LLaMA-Factory#8720)",
        lambda folder: [base_with(folder, chat_template=CHAT), foreign(lambda columns: None)(folder)][1],
        "are not worded by the tokenizer's chat template",
    ),
    Fault(
        "the trained stop token is not the served one",
        "the served model runs on (unsloth#3899)",
        served_elsewhere,
        "served with it, the model runs on",
    ),
    Fault(
        "a special token whose embedding was never trained",
        "trained on; one tool refuses, naming the ids (unsloth#1056)",
        untrained_token,
        "were never trained in the base: <|endoftext|> (its embedding is 0 long",
    ),
    Fault(
        "a language that the tokenizer does not know",
        "slow, and poor results",
        lambda folder: checked(
            folder,
            [
                {
                    "instruction": f"\u4f60\u597d {n} \u4eca\u5929\u5929\u6c14\u600e\u4e48\u6837",
                    "output": f"\u5f88\u597d\uff0c\u8c22\u8c22 {n}",
                }
                for n in range(NUM)
            ],
        ),
        "the tokenizer hardly knows this kind of text",
    ),
    Fault(
        "characters that tokens cannot give back",
        "not looked for",
        lower_case,
        "come back changed when their tokens are decoded",
    ),
    Fault(
        "the same prompt on both sides of the split",
        "a plain random split (most trainers)",
        lambda folder: str(not set.intersection(*_prompts_by_split(folder).values())),
        "True",
    ),
    Fault(
        "a validation file that nearly repeats training rows",
        "not looked for",
        near_leak,
        "1 are nearly in training",
    ),
    Fault(
        "the same row many times",
        "trained on so many times",
        lambda folder: checked(folder, rows() + [rows()[0]] * 30),
        "30 of 70 rows repeat another exactly",
    ),
    Fault(
        "one prompt, contradicting labels",
        "trained on as they are",
        lambda folder: checked(
            folder,
            [
                {"instruction": f"Is ship {n // 2} at sea?", "output": ("yes", "no")[n % 2]}
                for n in range(NUM)
            ],
        ),
        "20 prompts have short answers that contradict each other",
    ),
    Fault(
        "nearly all labels are one",
        "trained on as they are; a flattering loss",
        lambda folder: checked(
            folder,
            [
                {"instruction": f"Is ship number {n} at sea?", "output": "no" if n else "yes"}
                for n in range(NUM)
            ],
        ),
        "98% of the answers are 'no'",
    ),
    Fault(
        "answers that repeat the prompt",
        "trained on as they are",
        lambda folder: checked(
            folder, [{**row, "output": f"{row['instruction']} {row['output']}"} for row in rows()]
        ),
        "40 answers repeat their prompt word for word",
    ),
    Fault(
        "one answer to everything",
        "trained on as it is",
        lambda folder: checked(
            folder,
            [
                {**row, "output": "I am sorry, but I cannot help with that today, or on any other day."}
                for row in rows()
            ],
        ),
        "40 of 40 rows have the same answer",
    ),
    Fault(
        "placeholders that nobody filled in",
        "trained on as they stand",
        lambda folder: checked(
            folder,
            [{"instruction": f"Who are you, {n}?", "output": f"I am {{{{name}}}} {n}."} for n in range(NUM)],
        ),
        "texts that are odd: placeholder 40",
    ),
    Fault(
        "empty answers",
        "trained on as an immediate stop",
        lambda folder: reported(folder, [*rows(), {"instruction": "And?", "output": ""}]),
        "1 malformed (empty_output 1)",
    ),
    Fault(
        "rejected answers in a preference file",
        "learnt like the chosen ones when read as prompt and completion",
        lambda folder: reported(
            folder,
            [{"prompt": f"How is {n}?", "chosen": f"Well {n}.", "rejected": f"Bad {n}."} for n in range(NUM)],
        ),
        "left out: 40 rejected answers beside the chosen ones",
    ),
    Fault(
        "two objects on a line",
        "the whole file is refused (datasets#4107)",
        lambda folder: reported(
            folder,
            lines(b'{"instruction": "a", "output": "b"} {"instruction": "c", "output": "d"}\n'),
            name="rows.jsonl",
        ),
        "two_values_on_a_line 1",
    ),
    Fault(
        "a last line cut off by a broken download",
        "the whole file fails (datasets#2838)",
        lambda folder: reported(folder, lines(b'{"instruction": "a", "outp'), name="rows.jsonl"),
        "1 malformed (not_json 1)",
    ),
    Fault(
        "bytes that are no UTF-8",
        "replaced by question marks, or a crash",
        lambda folder: reported(
            folder, lines(b'{"instruction": "a", "output": "caf\xe9"}\n'), name="rows.jsonl"
        ),
        "1 malformed (bad_utf8 1)",
    ),
    Fault(
        "a chat template that rewrites earlier turns",
        "earlier answers are trained in a form no server sends (ms-swift#9829, LLaMA-Factory#10336)",
        rewritten,
        "rewrites earlier turns: 40 conversations became one example per answer",
    ),
    Fault("tool calls that the template drops", "trained as empty answers", tool_calls, "template_refuses"),
]


def _prompts_by_split(folder: Path) -> dict[str, set[str]]:
    from lorascope.run.texts import read_texts

    twice = [{**row, "output": f"{row['output']} {n}"} for n in range(3) for row in rows()]
    run, _ = prepared(folder, twice, validation=30)
    found: dict[str, set[str]] = {"train": set(), "validation": set()}
    for text in read_texts(run.examples):
        found[text.split].add(text.messages[0].content)
    return found


def table_lines(told: Iterator[tuple[Fault, str]]) -> list[str]:
    """The table as Markdown."""
    head = ["| fault | elsewhere | here |", "| --- | --- | --- |"]
    return [*head, *(f"| {fault.name} | {fault.elsewhere} | {_cell(line)} |" for fault, line in told)]


def _cell(line: str) -> str:
    return line.partition("worth a look: ")[2].replace("|", "\\|") or line.replace("|", "\\|")
