"""Every real public file: what it is read as, and how much of it; expected from MANIFEST.json or by hand.

The files are parsed here by plain json, csv and pyarrow, so that nothing depends on our own reader.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import DataError
from lorascope.prepare.read import BadRow, SourceRow
from lorascope.prepare.shapes.conversation import Conversation, conversations_of
from lorascope.prepare.shapes.detect import detect, find_shape
from lorascope.prepare.shapes.shape import NotChosen
from lorascope.run.data_sections import ColumnsSection


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a file comes to. `kept` None: every row that the manifest counts, one conversation each."""

    shape: str
    described: str
    kept: int | None = None
    bad: dict[str, int] = field(default_factory=dict)
    not_chosen: int = 0
    num_rejected: int = 0
    num_unanswered: int = 0
    odd: dict[str, int] | None = field(default_factory=dict)  # None: counted in a test of its own
    columns: ColumnsSection | None = None


ALPACA = "Alpaca rows (instruction, input, output)"
SHAREGPT = "ShareGPT conversations (from/value)"
MESSAGES = "OpenAI messages (role/content)"
PREFERENCE = "preference pairs ({}): only the chosen answers are learnt"
FILES = {
    # Eight inputs say that there is none: the manifest's three, and "No input", "No Input", "No input.",
    # "< noinput >" and "`<noinput>`", found by looking at all inputs shorter than fourteen characters.
    "llamafactory_alpaca_en.json": Expected(shape="alpaca", described=ALPACA, odd={"no_input": 8}),
    "llamafactory_alpaca_zh.json": Expected(shape="alpaca", described=ALPACA),
    # The manifest: two empty outputs; one output is the word "undefined" and is right. One input is
    # "No input"; two outputs are pages for Vue and Angular, whose {{ user.name }} is meant so.
    "codealpaca_2k.json": Expected(
        shape="alpaca",
        described=ALPACA,
        kept=2015,
        bad={"empty_output": 2},
        odd={"null_like_answer": 1, "no_input": 1, "placeholder": 2},
    ),
    # Counting "{{" in the raw rows gives 85, to be filled in by the user; six rows have none.
    "llamafactory_identity.json": Expected(shape="alpaca", described=ALPACA, odd={"placeholder": 85}),
    "nexus_broken_line.jsonl": Expected(shape="alpaca", described=ALPACA),  # 22: line 8 is the reader's
    "torchtune_alpaca_text.json": Expected(
        shape="alpaca", described=f"{ALPACA}; text repeats them and is not read"
    ),
    "dolly_fixture.json": Expected(shape="alpaca", described="Dolly rows (instruction, context, response)"),
    "wwdc25_poems_train.jsonl": Expected(shape="pairs", described="prompts and answers (prompt, completion)"),
    "wwdc25_poems_valid.jsonl": Expected(shape="pairs", described="prompts and answers (prompt, completion)"),
    "longform_val.json": Expected(
        shape="pairs", described="prompts and answers (input, output)", odd={"html_entities": 1}
    ),
    # Web pages made of templates: their {{...}} are counted against the raw text below.
    "snappy_parquet_html.parquet": Expected(
        shape="pairs", described="prompts and answers (input, output)", odd=None
    ),
    "nexus_translation.jsonl": Expected(
        shape="pairs", described="prompts and answers (source_text, translated_text)"
    ),
    "rag_japanese_qa.csv": Expected(
        shape="pairs", described="prompts and answers (\u8cea\u554f, \u56de\u7b54)"
    ),
    # "cypher" is a name that nobody could know: refused at first, with the setting used here as the guess.
    "text2cypher_parquet.parquet": Expected(
        shape="pairs",
        described="prompts and answers, columns as named (question, schema, cypher)",
        columns=ColumnsSection(prompt="question", context="schema", answer="cypher"),
    ),
    "fastchat_sharegpt.json": Expected(shape="sharegpt", described=SHAREGPT),
    # The manifest counts the 12 turns of its one object; the first answer of them is empty.
    "axolotl_missingturns.json": Expected(
        shape="sharegpt", described=SHAREGPT, kept=0, bad={"empty_content": 1}
    ),
    # The manifest: in two talks gpt speaks and an observation follows, though no function was called.
    "llamafactory_glaive_tools_zh.json": Expected(
        shape="sharegpt", described=f"{SHAREGPT} with tools", odd={"result_without_call": 2}
    ),
    "vigogne_oasst_fr.jsonl": Expected(shape="messages", described=MESSAGES),
    "turkish_dialogues_jsonl.jsonl": Expected(shape="messages", described=MESSAGES),
    "tinker_conversations.jsonl": Expected(shape="messages", described=MESSAGES),
    "llamafactory_tool_parts.jsonl": Expected(shape="messages", described=f"{MESSAGES} with tools"),
    # {{name}} and {{author}} again, counted against the raw text below.
    "llamafactory_v1_sft_parts.jsonl": Expected(shape="messages", described=MESSAGES, odd=None),
    "llamafactory_multimodal_parts.jsonl": Expected(
        shape="messages", described=MESSAGES, kept=0, bad={"image_content": 24}
    ),
    # The manifest: 150 labels are true, 150 false. Two talks hold ${{ ... }}, of workflows: no placeholder.
    "llamafactory_kto_en.json": Expected(
        shape="preference",
        described="judged answers (messages, label): only rows whose label is true are learnt",
        kept=150,
        not_chosen=150,
        odd={"html_entities": 1},
    ),
    "llamafactory_dpo_zh.json": Expected(
        shape="preference",
        described=PREFERENCE.format("conversations, chosen, rejected"),
        num_rejected=300,
        odd={"replacement_characters": 6},  # U+FFFD, counted over the raw rows without the rejected side
    ),
    "nexus_preference.jsonl": Expected(
        shape="preference", described=PREFERENCE.format("prompt, chosen, rejected"), num_rejected=14
    ),
    "stackexchange_paired.json": Expected(
        shape="preference", described=PREFERENCE.format("question, response_j, response_k"), num_rejected=25
    ),
    "chinese_vicuna_chat_lists.jsonl": Expected(
        shape="turn_lists", described="lists of turns (input: the user's, output: the assistant's)"
    ),
    # The manifest: 673 of 1,000 dialogues have an odd number of turns, so the last has no answer.
    "cdial_splits_in_one.json": Expected(
        shape="turn_lists", described="lists of turns, the user's first", num_unanswered=673, odd=None
    ),
    "llamafactory_c4_text.jsonl": Expected(
        shape="text",
        described="plain text (text), all of it learnt",
        odd={"replacement_characters": 4, "html_entities": 3},
    ),
    "mlx_lora_sql_text.jsonl": Expected(shape="text", described="plain text (text), all of it learnt"),
    # Each of the 175 tasks has one instance: counting instances over the raw file gives 175, too.
    "stanford_seed_tasks.jsonl": Expected(
        shape="seed_tasks", described="seed tasks (instruction, instances: input, output)"
    ),
    # The manifest: 1,190 questions in 48 articles; 39 patterns in 7 intents.
    "xquad_ar.json": Expected(
        shape="squad",
        described="SQuAD articles (paragraphs: context, qas): a question's first answer is learnt",
        kept=1190,
        odd={"replacement_characters": 5, "mojibake": 45},  # "Yes\u00c3\u00bcn Tem\u00c3\u00bcr"
    ),
    "intents_ecommerce.json": Expected(
        shape="intents",
        described="intents (patterns, responses): of n responses, number i modulo n answers pattern i",
        kept=39,
    ),
}
NOT_ROWS = {"ccks_not_json.jsonl": "no line of it is JSON, so there is no row to have a shape"}


def rows_of(path: Path) -> list[Any]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        rows: list[Any] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".jsonl":
        return [row for line in text.splitlines() if line.strip() for row in parsed(line)]
    value = json.loads(text)
    wrapped = next((key for key in ("data", "intents", "train") if key in value), None)
    return value if isinstance(value, list) else value[wrapped] if wrapped else [value]


def parsed(line: str) -> Iterator[Any]:
    try:
        yield json.loads(line)
    except ValueError:
        return


@pytest.fixture(scope="session")
def manifest(data_folder: Path) -> dict[str, Any]:
    entries = json.loads((data_folder / "datasets" / "MANIFEST.json").read_text(encoding="utf-8"))
    return {entry["file"]: entry for entry in entries}


def read(data_folder: Path, name: str) -> tuple[list[Any], list[Conversation | BadRow | NotChosen]]:
    rows = rows_of(data_folder / "datasets" / name)
    shape = find_shape(rows[:50], name, columns=FILES[name].columns)
    found = [conversations_of(SourceRow(n, row), shape, name, n) for n, row in enumerate(rows, start=1)]
    return rows, [one for several in found for one in several]


def kept(data_folder: Path, name: str) -> list[Conversation]:
    return [one for one in read(data_folder, name)[1] if isinstance(one, Conversation)]


def test_every_file_of_the_folder_is_expected(manifest: dict[str, Any]) -> None:
    assert set(manifest) == {*FILES, *NOT_ROWS}


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_read_as_what_it_is(name: str, data_folder: Path, manifest: dict[str, Any]) -> None:
    expected = FILES[name]
    rows, found = read(data_folder, name)
    shape = find_shape(rows[:50], name, columns=expected.columns)
    assert (shape.name, shape.described) == (expected.shape, expected.described)
    good = [one for one in found if isinstance(one, Conversation)]
    assert len(good) == (manifest[name]["num_rows"] if expected.kept is None else expected.kept)
    assert Counter(one.reason for one in found if isinstance(one, BadRow)) == expected.bad
    assert sum(isinstance(one, NotChosen) for one in found) == expected.not_chosen
    assert sum(one.num_rejected for one in good) == expected.num_rejected
    assert sum(one.num_unanswered > 0 for one in good) == expected.num_unanswered
    if expected.odd is not None:
        assert Counter(signal for one in good for signal in one.odd) == expected.odd
    assert len({one.example_id for one in good}) == len(good)


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings_in(one)


@pytest.mark.parametrize("name", FILES)
def test_every_text_of_a_real_file_stands_in_its_row_letter_by_letter(name: str, data_folder: Path) -> None:
    rows, found = read(data_folder, name)
    for one in found:
        if isinstance(one, Conversation):
            there = {"", *strings_in(rows[one.row - 1])}
            for message in one.messages:
                assert {message.content, message.context, message.reasoning} <= there


def test_columns_that_nobody_could_know_are_guessed_right(data_folder: Path) -> None:
    rows = rows_of(data_folder / "datasets" / "text2cypher_parquet.parquet")[:50]
    with pytest.raises(DataError) as caught:
        detect(rows, "text2cypher_parquet.parquet")
    assert "{prompt: question, context: schema, answer: cypher}" in caught.value.message
    assert 'question ("' in caught.value.message


def roles(conversations: list[Conversation]) -> Counter[str]:
    return Counter(message.role for one in conversations for message in one.messages)


def test_no_turn_of_the_chats_is_lost(data_folder: Path, manifest: dict[str, Any]) -> None:
    def counted(name: str) -> dict[str, int]:
        return dict(manifest[name]["oddities"]["conversations"]["roles"])

    for name in ("vigogne_oasst_fr.jsonl", "turkish_dialogues_jsonl.jsonl", "tinker_conversations.jsonl"):
        assert roles(kept(data_folder, name)) == counted(name)
    assert roles(kept(data_folder, "llamafactory_tool_parts.jsonl")) == counted(
        "llamafactory_tool_parts.jsonl"
    )
    told = counted("llamafactory_glaive_tools_zh.json")
    assert roles(kept(data_folder, "llamafactory_glaive_tools_zh.json")) == {
        "user": told["human"],
        "assistant": told["gpt"] + told["function_call"],
        "tool": told["observation"],
    }
    # The 300 prompts, the 64 system prompts, and one chosen answer to each prompt.
    assert roles(kept(data_folder, "llamafactory_dpo_zh.json")) == {
        "user": 300,
        "system": 64,
        "assistant": 300,
    }


def test_calls_and_tools_of_real_files_are_those_of_the_raw_rows(data_folder: Path) -> None:
    for name in ("llamafactory_glaive_tools_zh.json", "llamafactory_tool_parts.jsonl"):
        rows, found = read(data_folder, name)
        for row, one in zip(rows, found, strict=True):
            assert isinstance(one, Conversation)
            raw = [json.loads(text) for text in strings_in(row) if text.startswith('{"name":')]
            raw = [value for value in raw if set(value) == {"name", "arguments"}]
            calls = [call for message in one.messages for call in message.tool_calls]
            assert [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls] == raw
            tools = [tool.get("function", tool) for tool in json.loads(row["tools"])]
            assert [tool["function"] for tool in json.loads(one.tools or "[]")] == tools


def test_reasoning_of_real_parts_is_kept(data_folder: Path) -> None:
    # Each of the 112 answers begins with a part of reasoning: counted by type over the raw file.
    answers = [
        message
        for one in kept(data_folder, "llamafactory_tool_parts.jsonl")
        for message in one.messages
        if message.role == "assistant"
    ]
    assert len([message for message in answers if message.reasoning]) == len(answers) == 112
    assert all(message.content or message.tool_calls for message in answers)


def test_weights_of_a_real_file_say_what_is_learnt(data_folder: Path) -> None:
    # loss_weight is 0.0 for each question and 1.0 for each answer.
    for one in kept(data_folder, "llamafactory_v1_sft_parts.jsonl"):
        assert [message.train for message in one.messages] == [None, True]


@pytest.mark.parametrize("name", ["llamafactory_v1_sft_parts.jsonl", "snappy_parquet_html.parquet"])
def test_placeholders_are_those_of_the_raw_texts(name: str, data_folder: Path) -> None:
    rows, found = read(data_folder, name)
    for row, one in zip(rows, found, strict=True):
        assert isinstance(one, Conversation)
        has_braces = any("{{" in text and "}}" in text for text in strings_in(row))
        assert has_braces or "placeholder" not in one.odd
        if name.startswith("llamafactory"):
            assert has_braces == ("placeholder" in one.odd)


def test_text_that_was_cut_into_characters_is_found(data_folder: Path) -> None:
    # Another way to say it: taking the spaces out and putting one between any two letters changes nothing.
    for one in kept(data_folder, "cdial_splits_in_one.json"):
        texts = [message.content for message in one.messages]
        spaced = [text for text in texts if len(text) >= 9 and " ".join(text.replace(" ", "")) == text]
        assert ("spaced_out" in one.odd) == any(
            sum(map(str.isascii, text[::2])) < 0.5 * len(text[::2]) for text in spaced
        )


def test_intents_are_paired_in_turn(data_folder: Path) -> None:
    found = kept(data_folder, "intents_ecommerce.json")
    # The first intent has six patterns and three responses.
    greetings = [one for one in found if one.labels == {"tag": "greeting"}]
    assert [one.example_id.partition("#")[2] for one in greetings] == [
        "1.1",
        "1.2",
        "1.3",
        "1.4",
        "1.5",
        "1.6",
    ]
    assert [one.messages[1].content for one in greetings[:3]] == [
        one.messages[1].content for one in greetings[3:]
    ]
