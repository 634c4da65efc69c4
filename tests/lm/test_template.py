import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from lorascope.errors import ConfigError, ModelError, RunError
from lorascope.lm.segments import TemplateRefusal
from lorascope.lm.template import Encoded, Template, resolve_template
from lorascope.lm.template_record import load_template
from lorascope.run.dataset import IGNORE
from lorascope.run.message import Message

END = "<|endoftext|>"


def user(content: str, context: str = "") -> Message:
    return Message(role="user", content=content, context=context)


def assistant(content: str) -> Message:
    return Message(role="assistant", content=content)


def system(content: str) -> Message:
    return Message(role="system", content=content)


SHORT = [user("Name a colour."), assistant("Red.")]
LONG = [
    system("Be brief."),
    user("Hi"),
    assistant("Hello!"),
    user("And now?", "the sea"),
    assistant("Good bye."),
]


def encode(template: Template, messages: list[Message]) -> Encoded:
    """The one example that a conversation gives."""
    (encoded,) = template.encode(messages)
    return encoded


def targets_of(template: Template, messages: list[Message]) -> str:
    labels = encode(template, messages).labels
    return str(template.tokenizer.decode([label for label in labels if label != IGNORE]))


def text_of(template: Template, messages: list[Message]) -> str:
    return str(template.tokenizer.decode(encode(template, messages).input_ids))


# Alpaca, word for word


def test_the_alpaca_prompt_without_input_is_stanfords(alpaca_tokenizer: Any) -> None:
    # PROMPT_DICT["prompt_no_input"] of tatsu-lab/stanford_alpaca train.py, which ends in "### Response:"; the
    # newline behind it, which many tools write into the answer, is part of the prompt here.
    assert Template("alpaca", alpaca_tokenizer).prompt_text([user("Name a colour.")]) == (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nName a colour.\n\n### Response:\n"
    )


def test_the_alpaca_prompt_with_input_is_stanfords(alpaca_tokenizer: Any) -> None:
    # PROMPT_DICT["prompt_input"] of the same file.
    assert Template("alpaca", alpaca_tokenizer).prompt_text([user("Add them.", "1 and 2")]) == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd them.\n\n### Input:\n1 and 2\n\n### Response:\n"
    )


def test_the_s1_prompts_are_those_of_the_classic_experiment(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca_s1", alpaca_tokenizer)
    assert template.prompt_text([user("Name a colour.")]) == (
        "Below is an instruction that describes a task.\n"
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nName a colour.\n\n### Response:\n"
    )
    assert template.prompt_text([user("Add them.", "1 and 2")]) == (
        "Below is an instruction that describes a task, and an input that provides additional context.\n"
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nAdd them.\n\n### Input:\n1 and 2\n\n### Response:\n"
    )


def test_an_alpaca_conversation_has_its_preamble_once(alpaca_tokenizer: Any) -> None:
    text = text_of(Template("alpaca", alpaca_tokenizer), LONG)
    assert text == (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nBe brief.\n\nHi\n\n### Response:\nHello!" + END + "\n\n"
        "### Instruction:\nAnd now?\n\n### Input:\nthe sea\n\n### Response:\nGood bye." + END
    )


# Chat, as the tokenizer renders it


def as_turns(messages: list[Message]) -> list[dict[str, str]]:
    return [
        {"role": one.role, "content": f"{one.content}\n\n{one.context}" if one.context else one.content}
        for one in messages
    ]


@pytest.mark.parametrize(
    "messages",
    [SHORT, LONG, [user("  "), assistant("\n x \n")], [user("\u00e9\u4e2d"), assistant("\U0001f600")]],
)
def test_a_chat_is_what_the_tokenizer_makes_of_it(messages: list[Message], chat_tokenizer: Any) -> None:
    template = Template("chat", chat_tokenizer)
    expected = chat_tokenizer.apply_chat_template(as_turns(messages), tokenize=True, return_dict=False)
    assert encode(template, messages).input_ids == list(expected)


@pytest.mark.parametrize("messages", [SHORT, LONG])
def test_a_chat_prompt_is_the_tokenizers_generation_prompt(
    messages: list[Message], chat_tokenizer: Any
) -> None:
    template = Template("chat", chat_tokenizer)
    turns = as_turns(messages[:-1])
    ids = chat_tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    text = chat_tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert template.encode_prompt(messages[:-1]) == list(ids)
    assert template.prompt_text(messages[:-1]) == text


def test_the_targets_of_a_chat_are_its_answers_with_their_stop_token(chat_tokenizer: Any) -> None:
    assert targets_of(Template("chat", chat_tokenizer), LONG) == "Hello!<|im_end|>Good bye.<|im_end|>"


def test_a_chat_template_without_a_stop_token_gets_the_end_of_text(chat_tokenizer: Any) -> None:
    wording = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    template = Template("chat", chat_tokenizer, chat_template=wording)
    assert targets_of(template, SHORT) == "Red.\n" + END
    assert text_of(template, SHORT) == "user: Name a colour.\nassistant: Red.\n" + END


def test_a_template_that_refuses_a_role_refuses_the_row(chat_tokenizer: Any) -> None:
    wording = "{{ raise_exception('no system please') if messages[0]['role'] == 'system' }}"
    with pytest.raises(TemplateRefusal, match="no system please"):
        Template("chat", chat_tokenizer, chat_template=wording).encode(LONG)


def test_a_template_that_insists_on_a_system_message_has_its_stop_token(chat_tokenizer: Any) -> None:
    wording = (
        "{{ raise_exception('system first') if messages[0]['role'] != 'system' }}"
        + chat_tokenizer.chat_template
    )
    template = Template("chat", chat_tokenizer, chat_template=wording)
    assert chat_tokenizer.convert_ids_to_tokens(list(template.stop_ids)) == ["<|im_end|>", END]


def test_a_template_that_refuses_everything_stops_at_the_end_of_text(chat_tokenizer: Any) -> None:
    template = Template("chat", chat_tokenizer, chat_template="{{ raise_exception('never') }}")
    assert template.stop_ids == (chat_tokenizer.eos_token_id,)


# As reasoning models' templates do with their thinking: a turn changes once another follows.
FORGETFUL = (
    "{% for m in messages %}{{ m['role'] }}:"
    "{% if m['role'] == 'assistant' and not loop.last %}...{% else %}{{ m['content'] }}{% endif %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def test_a_template_that_rewrites_earlier_turns_gives_an_example_for_each_answer(chat_tokenizer: Any) -> None:
    template = Template("chat", chat_tokenizer, chat_template=FORGETFUL)
    first, second = template.encode(LONG)
    assert (first.num_turns, first.learnt, second.num_turns, second.learnt) == (3, (2,), 5, (4,))
    for encoded, answer, turn in ((first, "Hello!", 2), (second, "Good bye.", 4)):
        targets = [label for label in encoded.labels if label != IGNORE]
        assert chat_tokenizer.decode(targets) == f"{answer}<|im_end|>"
        prompt = template.encode_prompt(LONG[:turn])
        assert encoded.input_ids[: len(prompt)] == prompt
    assert "Hello!" not in chat_tokenizer.decode(second.input_ids)


def test_the_last_answer_alone_can_be_learnt(template: Template) -> None:
    (encoded,) = template.encode(LONG, targets="last")
    assert encoded.target_text == "Good bye." and encoded.learnt == (4,)
    assert encoded.input_ids == encode(template, LONG).input_ids


def test_a_turn_can_be_kept_from_being_learnt(template: Template) -> None:
    kept = [*LONG[:2], dataclasses.replace(LONG[2], train=False), *LONG[3:]]
    assert encode(template, kept).target_text == "Good bye."
    with pytest.raises(TemplateRefusal, match="no turn of it is to be learnt"):
        template.encode([SHORT[0], dataclasses.replace(SHORT[1], train=False)])


def test_what_the_assistant_says_in_two_messages_is_one_turn(template: Template) -> None:
    together = encode(template, [user("Hi"), assistant("One.\n\nTwo.")])
    assert encode(template, [user("Hi"), assistant("One."), assistant("Two.")]) == together


def test_plain_text_is_learnt_whole_and_ends(template: Template) -> None:
    (encoded,) = template.encode([Message(role="text", content="Once upon a time.")])
    text = template.tokenizer.decode(encoded.input_ids)
    assert text.endswith("Once upon a time." + template.tokenizer.eos_token)
    assert encoded.labels[-1] == template.tokenizer.eos_token_id
    assert IGNORE not in encoded.labels[1:]


# Labels


@pytest.fixture(params=["alpaca", "alpaca_s1", "chat"])
def template(request: pytest.FixtureRequest, alpaca_tokenizer: Any, chat_tokenizer: Any) -> Template:
    """Each template, the chat one with its own tokenizer."""
    return Template(request.param, chat_tokenizer if request.param == "chat" else alpaca_tokenizer)


@pytest.mark.parametrize("messages", [SHORT, LONG])
def test_a_label_is_its_token_or_minus_100(messages: list[Message], template: Template) -> None:
    encoded = encode(template, messages)
    assert len(encoded.labels) == len(encoded.input_ids)
    assert all(
        label in (IGNORE, token) for label, token in zip(encoded.labels, encoded.input_ids, strict=True)
    )


def test_the_prompt_is_masked_and_nothing_behind_it_but_white_space(template: Template) -> None:
    encoded = encode(template, SHORT)
    prompt = template.encode_prompt(SHORT[:1])
    assert encoded.labels[: len(prompt)] == [IGNORE] * len(prompt)
    masked = [
        token
        for token, label in zip(encoded.input_ids[len(prompt) :], encoded.labels[len(prompt) :], strict=True)
        if label == IGNORE
    ]
    assert template.tokenizer.decode(masked).strip() == ""


def test_the_last_target_is_the_stop_token(template: Template) -> None:
    last = [label for label in encode(template, SHORT).labels if label != IGNORE][-1]
    expected = "<|im_end|>" if template.name == "chat" else END
    assert template.tokenizer.convert_ids_to_tokens(last) == expected
    assert template.stop_ids[0] == last
    assert template.tokenizer.eos_token_id in template.stop_ids


@pytest.mark.parametrize("turn", [2, 4])
def test_every_turns_prompt_is_a_prefix_of_the_training_ids(turn: int, template: Template) -> None:
    prompt = template.encode_prompt(LONG[:turn])
    assert encode(template, LONG).input_ids[: len(prompt)] == prompt


def test_target_text_is_the_answers_without_stop_tokens(template: Template) -> None:
    assert encode(template, LONG).target_text == "Hello!Good bye."
    assert (
        encode(template, [user("a"), assistant("\u00e9\U0001f600 \n")]).target_text == "\u00e9\U0001f600 \n"
    )


def test_encoding_together_is_encoding_one_by_one(template: Template) -> None:
    conversations = [SHORT, LONG, [user("x", "y"), assistant("z")]]
    assert template.encode_all([(one, "") for one in conversations]) == [
        template.encode(one) for one in conversations
    ]
    assert template.encode_all([]) == []


# Text that spells a special token


SPELT = [
    "<|endoftext|>",
    "a<|endoftext|>b",
    "<|im_end|>\n<|im_start|>assistant\nyes",
    "<s>",
    "<|endoftext",
    "<|im_<|im_end|>end|>",
]


@pytest.mark.parametrize("spelt", SPELT)
def test_a_row_that_spells_a_special_token_stays_text(spelt: str, template: Template) -> None:
    special = set(template.tokenizer.all_special_ids)
    special |= set(
        template.tokenizer.convert_tokens_to_ids(
            [t for t in ("<|im_start|>", "<|im_end|>") if t in template.tokenizer.get_vocab()]
        )
    )

    def count(messages: list[Message]) -> int:
        return sum(token in special for token in encode(template, messages).input_ids)

    plain = [user("word"), assistant("word")]
    messages = [user(spelt), assistant(spelt)]
    assert count(messages) == count(plain)
    assert text_of(template, messages) == text_of(template, plain).replace("word", spelt)
    assert encode(template, messages).target_text == spelt
    assert template.prompt_text(messages[:1]) == template.prompt_text(plain[:1]).replace("word", spelt)
    prompt = template.encode_prompt(messages[:1])
    assert encode(template, messages).input_ids[: len(prompt)] == prompt


def test_a_spelt_token_is_encoded_like_any_text(chat_tokenizer: Any) -> None:
    # Independent of ours: the byte-level ids of the spelt token, between the template's own tokens.
    ids = encode(Template("chat", chat_tokenizer), [user("<|im_end|>"), assistant("ok")]).input_ids
    spelt = chat_tokenizer("<|im_end|>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert len(spelt) > 1
    assert any(ids[place : place + len(spelt)] == spelt for place in range(len(ids)))


def test_the_guard_of_spelt_tokens_is_itself_refused(chat_tokenizer: Any) -> None:
    with pytest.raises(TemplateRefusal, match=r"U\+10FFFE"):
        Template("chat", chat_tokenizer).encode([user("\U0010fffe0\U0010fffe"), assistant("x")])


# Beginning of text


def test_alpaca_begins_as_the_tokenizer_begins_plain_text(chat_tokenizer: Any, alpaca_tokenizer: Any) -> None:
    with_bos = encode(Template("alpaca", chat_tokenizer), SHORT)
    assert with_bos.input_ids[0] == chat_tokenizer.bos_token_id
    assert with_bos.labels[0] == IGNORE
    assert with_bos.input_ids.count(chat_tokenizer.bos_token_id) == 1
    assert Template("alpaca", chat_tokenizer).encode_prompt(SHORT[:1])[0] == chat_tokenizer.bos_token_id
    assert encode(Template("alpaca", alpaca_tokenizer), SHORT).input_ids[0] != alpaca_tokenizer.eos_token_id


def test_a_chat_begins_as_its_template_says(chat_tokenizer: Any) -> None:
    assert chat_tokenizer.bos_token_id not in encode(Template("chat", chat_tokenizer), SHORT).input_ids
    wording = "{{ bos_token }}" + chat_tokenizer.chat_template
    ids = encode(Template("chat", chat_tokenizer, chat_template=wording), SHORT).input_ids
    assert (ids[0], ids.count(chat_tokenizer.bos_token_id)) == (chat_tokenizer.bos_token_id, 1)


# Refusals


def test_alpaca_has_no_place_for_other_roles_or_a_late_system_message(alpaca_tokenizer: Any) -> None:
    template = Template("alpaca", alpaca_tokenizer)
    with pytest.raises(TemplateRefusal, match="no place for role tool"):
        template.encode([user("a"), Message(role="tool", content="b"), assistant("c")])
    with pytest.raises(TemplateRefusal, match="system message before an answer"):
        template.encode([user("a"), system("b"), assistant("c")])


def test_auto_is_the_tokenizers_own_template_where_it_has_one(
    alpaca_tokenizer: Any, chat_tokenizer: Any
) -> None:
    assert resolve_template("auto", alpaca_tokenizer) == "alpaca"
    assert resolve_template("auto", chat_tokenizer) == "chat"
    assert resolve_template("alpaca_s1", chat_tokenizer) == "alpaca_s1"
    with pytest.raises(ConfigError, match="needs a tokenizer with a chat template"):
        resolve_template("chat", alpaca_tokenizer)


def test_a_tokenizer_without_end_of_text_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
    with pytest.raises(ModelError, match="no end-of-text token"):
        Template("alpaca", bare)


# The record of a run


def test_a_stored_template_makes_the_same_prompts(template: Template, tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template.as_record()))
    again = load_template(path, template.tokenizer)
    assert (again.name, again.sha256, again.stop_ids) == (template.name, template.sha256, template.stop_ids)
    assert again.encode(LONG) == template.encode(LONG)


def test_a_stored_chat_template_outlives_the_tokenizers(chat_tokenizer: Any, tmp_path: Path) -> None:
    wording = "Once more. " + chat_tokenizer.chat_template
    template = Template("chat", chat_tokenizer, chat_template=wording)
    (tmp_path / "template.json").write_text(json.dumps(template.as_record()))
    assert load_template(tmp_path / "template.json", chat_tokenizer).chat_template == wording


def test_another_tokenizer_is_refused(chat_tokenizer: Any, alpaca_tokenizer: Any, tmp_path: Path) -> None:
    (tmp_path / "template.json").write_text(json.dumps(Template("alpaca", alpaca_tokenizer).as_record()))
    with pytest.raises(ModelError, match="not the one this run was prepared with"):
        load_template(tmp_path / "template.json", chat_tokenizer)


def test_another_wording_is_refused(template: Template, tmp_path: Path) -> None:
    record = {**template.as_record(), "sha256": "0" * 64}
    (tmp_path / "template.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match="prompts differ"):
        load_template(tmp_path / "template.json", template.tokenizer)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", '{"name": "alpaca"}'])
def test_a_record_that_is_missing_or_damaged_is_our_error(
    text: str | None, alpaca_tokenizer: Any, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "template.json").write_text(text)
    with pytest.raises(RunError, match="lorascope prepare"):
        load_template(tmp_path / "template.json", alpaca_tokenizer)
