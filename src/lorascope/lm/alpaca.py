"""Stanford Alpaca's wording and the classic experiment's: conversations -> segments."""

from collections.abc import Sequence

from lorascope.lm.segments import Segment, TemplateRefusal
from lorascope.run.message import Message

# Wording of Stanford Alpaca's train.py (Taori et al. 2023), with and without an input.
_STANFORD = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n",
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n",
)
# The variant of the classic GPT-2/Alpaca experiment.
_S1 = (
    "Below is an instruction that describes a task, and an input that provides additional context.\n"
    "Write a response that appropriately completes the request.\n\n",
    "Below is an instruction that describes a task.\n"
    "Write a response that appropriately completes the request.\n\n",
)
PREAMBLES = {"alpaca": _STANFORD, "alpaca_s1": _S1}
"""Template name to its preamble with and without an input."""


def alpaca_segments(name: str, messages: Sequence[Message], learnt: Sequence[int]) -> list[Segment]:
    """Preamble once, then a block for each turn; a system message leads its instruction.

    Args:
        name: Of the template.
        messages: A conversation, whole or up to where the assistant is to answer.
        learnt: Places of the turns that are targets.

    Raises:
        TemplateRefusal: It has a turn that this wording has no place for.
    """
    with_input, without = PREAMBLES[name]
    segments: list[Segment] = []
    system = ""
    for turn, message in enumerate(messages):
        if message.tool_calls or message.reasoning:
            what = "tool calls" if message.tool_calls else "reasoning"
            raise TemplateRefusal(f"template {name} has no place for {what}")
        if message.role == "system":
            system = f"{message.content}\n\n"
        elif message.role == "user":
            lead = "\n\n" if segments else (with_input if message.context else without)
            block = f"### Instruction:\n{system}{message.content}\n\n"
            block += f"### Input:\n{message.context}\n\n" if message.context else ""
            segments.append(Segment(f"{lead}{block}### Response:\n"))
            system = ""
        elif message.role == "assistant":
            segments.append(Segment(message.content, is_answer=True, is_target=turn in learnt))
        else:
            raise TemplateRefusal(f"template {name} has no place for role {message.role}")
        if system and message.role == "assistant":
            raise TemplateRefusal(f"template {name} has no place for a system message before an answer")
    return segments
