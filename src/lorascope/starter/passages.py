"""Short news passages about events that happen once: the material for extraction and summaries."""

import random
from dataclasses import dataclass

from lorascope.starter.lexicon import ANIMALS_BY_SIZE, DAYS, capitalised, marked, number_word, plural
from lorascope.starter.world import GOODS, World

VERBS = ("sold", "bought", "lost", "found", "brought", "counted", "painted", "carried", "mended", "washed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Somebody did something with a number of things, somewhere, on some day."""

    who: str
    verb: str
    number: str
    things: str
    where: str
    day: str


def draw_event(world: World, rng: random.Random) -> Event:
    """One random event; it need not agree with where the person lives."""
    return Event(
        who=rng.choice(world.people).name,
        verb=rng.choice(VERBS),
        number=number_word(rng.randint(2, 12)),
        things=plural(rng.choice([*GOODS, *ANIMALS_BY_SIZE])),
        where=rng.choice(world.towns).name,
        day=rng.choice(DAYS),
    )


OPENINGS = (
    "On {day} there was news from {where}.",
    "It was {day}, and {where} was busy.",
    "The wind was cold in {where} on {day}.",
    "People in {where} still speak of last {day}.",
    "Last {day} was a good day in {where}.",
    "Early on {day} the bell rang in {where}.",
)
CORES = (
    "{who} {verb} {number} {things} there.",
    "{who} came and {verb} {number} {things}.",
    "Near the gate {who} {verb} {number} {things}.",
    "{who} had {verb} {number} {things} before noon.",
    "Everybody saw how {who} {verb} {number} {things}.",
)
CLOSINGS = (
    "Then it began to rain.",
    "The children laughed.",
    "Nobody had expected it.",
    "The mayor was pleased.",
    "In the evening all was quiet again.",
    "A neighbour wrote it down.",
    "It took the whole morning.",
)


def passage(event: Event, rng: random.Random) -> str:
    """Tell the event in three sentences, the last of them filler."""
    parts = (rng.choice(OPENINGS), rng.choice(CORES), rng.choice(CLOSINGS))
    return " ".join(part.format_map(_fields(event)) for part in parts)


def summary(event: Event) -> str:
    """The event in one sentence."""
    return "{who} {verb} {number} {things} in {where} on {day}.".format_map(_fields(event))


def _fields(event: Event) -> dict[str, str]:
    return {name: getattr(event, name) for name in ("who", "verb", "number", "things", "where", "day")}


# part of an event -> how documents head it, how they ask for it, how the dataset asks for it
PARTS = {
    "who": ("the person", "Who was it?", ("Who is the passage about?", "Name the person in the passage.")),
    "where": (
        "the town",
        "In what place?",
        ("In which town does this happen?", "Name the town in the passage."),
    ),
    "day": ("the day", "When was that?", ("On which day did it happen?", "Name the day in the passage.")),
    "number": (
        "the tally",
        "And the tally?",
        ("What number does the passage give?", "Name the number in the passage."),
    ),
    "things": (
        "the things",
        "What things?",
        ("What things does the passage mention?", "Name the things in the passage."),
    ),
}


def report(event: Event, rng: random.Random) -> str:
    """A base document: the passage, then the same said shortly, as a note, a list or a talk."""
    text = passage(event, rng)
    names = rng.sample(list(PARTS), rng.randint(2, 5))
    style = rng.randrange(6)
    if style == 0:
        return f"{text}\n\nIn short: {marked(summary(event))}"
    if style == 1:
        notes = "\n".join(f"{PARTS[name][0]}: {marked(getattr(event, name))}" for name in names)
        return f"{text}\n\n{notes}"
    if style == 2:
        notes = "\n\n".join(f"{PARTS[name][0]}\n{marked(getattr(event, name))}" for name in names)
        return f"{text}\n\n{notes}\n\nin one line\n{marked(summary(event))}"
    if style == 3:
        return f"{PARTS[names[0]][0]}, please. {text}\n{marked(getattr(event, names[0]))}"
    if style == 4:
        return f"In one line, please. {text}\n{marked(summary(event))}"
    listener = rng.choice(("the miller", "a guard", "an old man", "the clerk", "a child"))
    talk = " ".join(
        f'"{PARTS[name][1]}" asked {listener}. "{marked(capitalised(getattr(event, name)))}."'
        for name in names
    )
    return f"{text} {talk}"
