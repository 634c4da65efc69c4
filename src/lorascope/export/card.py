"""What an export knows -> the model card: README.md beside the weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.lm.template import Template
from lorascope.run.message import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What the card tells.

    Attributes:
        name: Of the run.
        base: The base model as the recipe names it, with its fingerprint.
        base_sha256: Of the base model.
        data: "file" and "sha256" of the data, and "splits".
        lora: Rank, alpha and layers of the adapter.
        train: The resolved train section, empty where unknown.
        template: The run's.
        report: export/report.json.
        measured: eval/base.json and eval/adapter.json as "base" and "adapter"; None where this very adapter
        was
            not evaluated.
        version: Of lorascope.
    """

    name: str
    base: str
    base_sha256: str
    data: Mapping[str, Any]
    lora: Mapping[str, Any]
    train: Mapping[str, Any]
    template: Template
    report: Mapping[str, Any]
    measured: Mapping[str, Any] | None
    version: str


def card_text(facts: CardFacts) -> str:
    """Lay out the card."""
    sections = [
        _head(facts),
        "## Prompt\n\n" + _prompt(facts.template),
        "## Load it\n\n" + _loading(facts.template, facts.name),
        "## Losses\n\n" + _losses(facts.measured),
        "## Proof that the merge is right\n\n" + _proof(facts.report),
        "## Where it comes from\n\n" + _origin(facts),
    ]
    return "\n".join(sections)


def shown_base(base: str) -> str:
    """A base model's name as it may be published: a local folder by its last part alone."""
    path = Path(base).expanduser()
    return path.resolve().name if path.is_dir() else base


def _head(facts: CardFacts) -> str:
    front = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [lora, merged, lorascope]",
    ]
    if not Path(facts.base).expanduser().is_dir():
        front.append(f"base_model: {json.dumps(facts.base)}")
    nothing = (
        "\n**The adapter changes nothing: this is the base model.**\n"
        if facts.report["changes_nothing"]
        else ""
    )
    return "\n".join(
        [
            *front,
            "---",
            "",
            f"# {facts.name}",
            "",
            f"`{shown_base(facts.base)}` with a LoRA adapter merged into its weights "
            f"({facts.report['dtype']}). Made by lorascope, which proved it equal to base and adapter.",
            nothing,
        ]
    )


def _prompt(template: Template) -> str:
    """The exact wording, with and without a context where the template knows both."""
    plain = template.prompt_text([Message(role="user", content="{instruction}")])
    stops = ", ".join(f"`{template.tokenizer.convert_ids_to_tokens(i)}` (id {i})" for i in template.stop_ids)
    lines = [
        f"Template `{template.name}`, sha256 `{template.sha256}`. Any other wording is not what was trained.",
        "",
        _fenced(plain),
    ]
    if not template.chat_template:
        with_input = [Message(role="user", content="{instruction}", context="{input}")]
        lines += ["", "With an input:", "", _fenced(template.prompt_text(with_input))]
        if template.tokenizer.chat_template:
            lines += [
                "",
                "The tokenizer's own chat template was not trained: do not use `apply_chat_template`.",
            ]
    return "\n".join([*lines, "", f"An answer ends with {stops}; `generation_config.json` says so.", ""])


def _loading(template: Template, name: str) -> str:
    lines = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(name)})",
        f"model = AutoModelForCausalLM.from_pretrained({json.dumps(name)})",
    ]
    question = "List three colours."
    if template.chat_template:
        lines += [
            f'messages = [{{"role": "user", "content": "{question}"}}]',
            'options = {"add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}',
            "inputs = tokenizer.apply_chat_template(messages, **options)",
        ]
    else:
        prompt = template.prompt_text([Message(role="user", content=question)])
        lines += [f"prompt = {json.dumps(prompt)}", 'inputs = tokenizer(prompt, return_tensors="pt")']
    lines += [
        "answer = model.generate(**inputs, max_new_tokens=128, do_sample=False)",
        'print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
    ]
    return _fenced("\n".join(lines), "python") + f'\n\n`"{name}"` is this folder.\n'


def _losses(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return "Not measured: `lorascope eval` has not been run on this adapter.\n"
    lines = ["| | base | adapter |", "|---|---|---|"]
    base, adapter = measured["base"], measured["adapter"]
    for label, key in (("loss, nats per token", "eval_loss"), ("perplexity", "perplexity")):
        lines.append(f"| {label} | {_cell(base, key)} | {_cell(adapter, key)} |")
    lines.append(
        f"| bits per byte | {_number(base['bits_per_byte'])} | {_number(adapter['bits_per_byte'])} |"
    )
    change = adapter["difference_from_base"]["loss"]
    told = (
        f"Adapter minus base: {change['estimate']:+.4f} nats per token, 95 % interval {change['low']:+.4f} "
        f"to {change['high']:+.4f}, paired by example. "
        if change
        else ""
    )
    return "\n".join(
        [
            *lines,
            "",
            f"{told}{base['num_examples']:,} {base['split']} examples, {base['supervised_tokens']:,} target "
            f"tokens, forward pass in {base['precision']}; intervals are 95 % over examples.",
            "",
        ]
    )


def _cell(measures: Mapping[str, Any], key: str) -> str:
    interval = measures[f"{key}_interval"]
    return _number(measures[key]) + (
        f" ({_number(interval['low'])} to {_number(interval['high'])})" if interval else ""
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4f}"


def _proof(report: Mapping[str, Any]) -> str:
    proof = report["proof"]
    float32 = proof["float32"]
    lines = [
        f"Base with adapter and the merged model were run on the same {proof['split']} rows, in float32.",
        "",
        f"- logits at {float32['num_positions']:,} target positions of {proof['num_texts']:,} texts: largest "
        f"difference {float32['max_logit_difference']:.2e}, tolerance {float32['logit_tolerance']:.2e}; the "
        f"adapter itself moves them by up to {proof['adapter_effect']:.3g}",
        f"- most likely token: the same at {float32['top_1_agreement']:.2%} of them",
        f"- loss over {proof['num_examples']:,} examples: {float32['reference_loss']:.6f} and "
        f"{float32['loss']:.6f} nats per token",
        f"- every weight read back from disk is, bit for bit, the merged one in {report['dtype']}",
    ]
    stored = proof["stored"]
    if report["dtype"] != "float32":
        lines.append(
            f"- rounding to {report['dtype']} (relative {proof['weight_rounding']:.2e} of each weight) moves "
            f"a logit by up to {stored['max_logit_difference']:.3g}, keeps the most likely token at "
            f"{stored['top_1_agreement']:.2%} of the positions and makes the loss {stored['loss']:.6f}; this "
            "is reported, not a criterion"
        )
    return "\n".join([*lines, "", "All figures: `lorascope_proof.json`.", ""])


def _origin(facts: CardFacts) -> str:
    splits = ", ".join(f"{one['examples']:,} {name}" for name, one in facts.data["splits"].items())
    lora, train = facts.lora, facts.train
    rows = [
        ("base model", f"`{shown_base(facts.base)}`, fingerprint `{facts.base_sha256}`"),
        ("data", f"`{facts.data['file']}`, sha256 `{facts.data['sha256']}`; examples: {splits}"),
        (
            "adapter",
            f"`{facts.report['adapter']}`, sha256 `{facts.report['adapter_sha256']}`; rank {lora.get('r')}, "
            f"alpha {lora.get('lora_alpha')}, layers {', '.join(sorted(lora.get('target_modules') or []))}",
        ),
    ]
    if train:
        rows.append(
            (
                "training",
                f"{train['epochs']:g} epochs, {train['batch_size']} examples a step, learning rate "
                f"{train['learning_rate']:g} ({train['schedule']}), {train['precision']}",
            )
        )
    rows.append(("made by", f"lorascope {facts.version}"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""])


def _fenced(text: str, kind: str = "text") -> str:
    """A code block that ends where it should even if the text holds back-ticks."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{kind}\n{text}\n{fence}"
