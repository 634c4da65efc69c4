from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorascope.compare.find_template import find_template, insist_same
from lorascope.compare.prompts import encode_asked, prompt_of, read_prompts, seeded_order
from lorascope.errors import DataError, ModelError
from lorascope.lm.template import Template
from lorascope.lm.template_record import load_template
from lorascope.run.dataset import IGNORE, load_examples
from lorascope.run.message import Message
from lorascope.run.texts import read_texts


def loaded(run: Any, tokenizer: Any) -> tuple[list[Any], dict[str, Any], Template]:
    examples, _ = load_examples(run.dataset, "validation")
    texts = {text.example_id: text for text in read_texts(run.examples)}
    return examples, texts, load_template(run.template, tokenizer)


def test_an_adapter_is_never_compared_on_a_bare_prompt(base: Path, run_with_adapter: Any) -> None:
    from lorascope.lm.load import load_tokenizer

    tokenizer = load_tokenizer(str(base))
    examples, texts, template = loaded(run_with_adapter(base), tokenizer)
    assert len(examples) == 24
    for example in examples:
        text = texts[example.example_id]
        start = int((example.labels != IGNORE).argmax())  # the first target ends the prompt
        prompt = prompt_of(example, text, template, split="validation", tokenizer=tokenizer)
        assert list(prompt.input_ids) == example.input_ids[:start].tolist()
        assert text.messages[0].content in prompt.text
        assert len(prompt.text) > len(text.messages[0].content)  # the template's own words are around it
        assert prompt.reference == text.messages[-1].content


def test_the_prompt_of_a_dataset_made_elsewhere_is_read_back_from_its_tokens(
    base: Path, run_with_adapter: Any
) -> None:
    from lorascope.lm.load import load_tokenizer

    tokenizer = load_tokenizer(str(base))
    examples, texts, template = loaded(run_with_adapter(base), tokenizer)
    for example in examples[:5]:
        known = prompt_of(
            example, texts[example.example_id], template, split="validation", tokenizer=tokenizer
        )
        read_back = prompt_of(example, None, template, split="validation", tokenizer=tokenizer)
        assert read_back.input_ids == known.input_ids
        assert read_back.reference == known.reference


def test_another_template_than_that_of_the_data_is_refused(
    alpaca_base: Path, alpaca_tokenizer: Any, run_with_adapter: Any
) -> None:
    examples, texts, _ = loaded(run_with_adapter(alpaca_base), alpaca_tokenizer)
    other = Template("alpaca_s1", alpaca_tokenizer)
    with pytest.raises(ModelError, match="not the one that was trained on"):
        prompt_of(
            examples[0], texts[examples[0].example_id], other, split="validation", tokenizer=alpaca_tokenizer
        )


def test_prompts_of_a_file_go_through_the_template_too(tmp_path: Path, alpaca_tokenizer: Any) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("Name a sea.\n\n  Name a wind.  \r\n", encoding="utf-8")
    template = Template("alpaca", alpaca_tokenizer)
    prompts = encode_asked(read_prompts(path), template, path)
    assert [one.prompt_id for one in prompts] == ["prompts.txt:1", "prompts.txt:3"]
    for prompt, words in zip(prompts, ("Name a sea.", "Name a wind."), strict=True):
        asked = [Message(role="user", content=words)]
        assert prompt.text == template.prompt_text(asked)
        assert list(prompt.input_ids) == template.encode_prompt(asked)


def test_json_lines_give_instruction_input_and_reference_or_messages(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"instruction": "Add.", "input": "1 and 2", "output": "3"}\n'
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'
        '{"instruction": "Say \\u0041.", "input": " "}\n',
        encoding="utf-8-sig",  # a byte order mark, as some editors write, is no part of the first line
    )
    asked = read_prompts(path)
    assert asked[0].messages == (Message(role="user", content="Add.", context="1 and 2"),)
    assert [one.reference for one in asked] == ["3", "Hello", None]
    assert asked[1].messages == (Message(role="user", content="Hi"),)
    assert asked[2].messages == (Message(role="user", content="Say A."),)


def test_a_missing_prompts_file_names_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(DataError, match=r'did you mean "prompts\.txt"'):
        read_prompts(tmp_path / "promts.txt")


def test_an_empty_prompts_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n  \n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no prompt"):
        read_prompts(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_prompts(path)


def test_all_bad_lines_are_named_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    lines = [
        '{"instruction": "fine"}',
        "{broken",
        '["a list"]',
        '{"prompt": "x"}',
        '{"instruction": 3}',
        '{"messages": [{"role": "robot", "content": "x"}]}',
        '{"messages": [{"role": "assistant", "content": "x"}]}',
        '{"instruction": " "}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_prompts(path)
    message = caught.value.message
    assert message.startswith("7 line(s)")
    for line, reason in (
        (2, "no JSON"),
        (3, "a list, not an object"),
        (4, "neither instruction nor messages; it has prompt"),
        (5, "instruction is no text"),
        (6, "a turn needs role"),
    ):
        assert f"line {line}: {reason}" in message
    assert "2 more" in message  # the first five are spelt out


def test_a_turn_that_the_template_cannot_express_names_its_line(tmp_path: Path, chat_tokenizer: Any) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("fine\nnot a character: \U0010fffe0\U0010fffe\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: the text holds"):
        encode_asked(read_prompts(path), Template("chat", chat_tokenizer), path)


def test_the_order_of_examples_depends_on_the_seed_alone(
    alpaca_base: Path, alpaca_tokenizer: Any, run_with_adapter: Any
) -> None:
    examples, _, _ = loaded(run_with_adapter(alpaca_base), alpaca_tokenizer)
    assert seeded_order(examples, 3) == seeded_order(examples, 3)
    assert seeded_order(examples, 3) != seeded_order(examples, 4)
    assert sorted(seeded_order(examples, 3)) == list(range(24))


def test_without_a_run_the_template_is_found_where_the_adapter_was_trained(
    alpaca_base: Path, alpaca_tokenizer: Any, run_with_adapter: Callable[..., Any]
) -> None:
    run = run_with_adapter(alpaca_base, "prepare.template=alpaca_s1")
    template, origin = find_template("auto", run.adapter, alpaca_tokenizer)
    assert template.name == "alpaca_s1"  # auto would have been alpaca for this tokenizer
    assert str(run.template) in origin


def test_a_chat_template_saved_with_a_foreign_adapter_is_used_and_named(
    tmp_path: Path, chat_tokenizer: Any
) -> None:
    own = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] "
    (tmp_path / "chat_template.jinja").write_text(own, encoding="utf-8")
    template, origin = find_template("auto", tmp_path, chat_tokenizer)
    assert template.prompt_text([Message(role="user", content="Hi")]) == "[user] Hi\n[assistant] "
    assert origin == "the chat template saved with the adapter"
    with pytest.raises(ModelError, match="another chat template"):
        insist_same(template, Template("chat", chat_tokenizer), origin)


def test_an_adapter_that_says_nothing_leaves_the_template_to_the_tokenizer_and_says_so(
    tmp_path: Path, alpaca_tokenizer: Any, chat_tokenizer: Any
) -> None:
    for tokenizer, name in ((alpaca_tokenizer, "alpaca"), (chat_tokenizer, "chat")):
        template, origin = find_template("auto", tmp_path, tokenizer)
        assert template.name == name
        assert origin.startswith("prepare.template=auto")
    asked, origin = find_template("alpaca_s1", tmp_path, chat_tokenizer)
    assert (asked.name, origin) == ("alpaca_s1", "prepare.template=alpaca_s1, as asked")
