"""Which columns hold what, found by their names or named by the user."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns of a file stand for. Their names may be of any language; a dot goes into an object.

    `prompt` and `answer`, or `messages`, or `text` must be named; the others may be.

    Attributes:
        prompt: What is asked.
        answer: What is learnt.
        context: What the prompt is about: Alpaca's input.
        system: A system prompt.
        history: Earlier questions and answers, as a list of pairs.
        reasoning: What is thought before the answer.
        messages: A list of turns.
        tools: Tools that the assistant may call, beside messages.
        text: Plain text for continued pre-training.
        label: Whether people liked the answer; rows where they did not are left out.
    """

    prompt: str | None = None
    answer: str | None = None
    context: str | None = None
    system: str | None = None
    history: str | None = None
    reasoning: str | None = None
    messages: str | None = None
    tools: str | None = None
    text: str | None = None
    label: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """What is named: part to column."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {part: column for part, column in found.items() if column}
