"""How the town clerks of the world speak of their work.

It gives the formal words of instruction data ("instruction", "appropriately", "Sort") an ordinary place in
the base documents, so that the tokenizer has them whole and their embeddings are trained. Neither the Alpaca
template nor any prompt of the dataset is among it.
"""

import random

from lorascope.starter.lexicon import joined, phrases, words
from lorascope.starter.passages import draw_event, summary
from lorascope.starter.world import World

VERBS = words(
    "Add Subtract Sort Reverse Count Name Give Write Describe Summarise Rewrite Change Classify Pick Put "
    "List Make Tell "
    "Answer Find Show"
)
NOUNS = phrases(
    "items, list, order, words, alphabetical order, reverse order, category, sentence, past tense, "
    "plural form, opposite, "
    "number, sum, passage, short summary, statement, colour, product, profession, job, favourite food, "
    "pet, letter, "
    "notice, story, reasons, location, cost, festival, home town, capital, weekday, tool, place, "
    "journey, visit"
)
QUESTION_WORDS = words("Who What Where Which When How Is Does")


def office_page(world: World, rng: random.Random) -> str:
    """One of five kinds of page."""
    return rng.choice((_rule, _duties, _questions, _ledger, _form))(world, rng)


def _rule(world: World, rng: random.Random) -> str:
    clerk, other = (person.name for person in rng.sample(world.people, 2))
    return rng.choice(
        (
            f"### Instruction of the clerks\n\nEach instruction that describes a task is read by {clerk}. "
            f"{other} writes a "
            "response to the request. A good response appropriately completes the request.",
            f"A clerk named {clerk} got an instruction, paired with an input from {other} that provides "
            f"further context. "
            "The task was hard, but the clerk completes every request.",
            f"Below is a list that describes the work of {clerk} the clerk. Write it down, said {other}, "
            f"and write a "
            "further response where the request provides context.",
        )
    )


def _duties(world: World, rng: random.Random) -> str:
    clerk = rng.choice(world.people).name
    verbs, nouns = rng.sample(VERBS, 5), rng.sample(NOUNS, 4)
    how = rng.choice(("alphabetically", "appropriately", "slowly"))
    return (
        f"Duties of {clerk} the clerk\n{verbs[0]} and {verbs[1]} {how}.\n{verbs[2]}, {verbs[3]} or "
        f"{verbs[4]}.\n"
        f"The papers speak of the {joined(nouns)}."
    )


def _questions(world: World, rng: random.Random) -> str:
    clerk = rng.choice(world.people).name
    words, nouns = rng.sample(QUESTION_WORDS, 3), rng.sample(NOUNS, 3)
    if rng.random() < 0.3:
        return "\n".join(f"{word} - word of {rng.choice(world.people).name}" for word in words)
    return (
        f"{clerk} has a form with three lines. {words[0]}, asks the first. {words[1]}, asks the second. "
        f"{words[2]}, asks "
        f"the third. Under them stand the {nouns[0]}, the {nouns[1]} and the {nouns[2]}. How many of "
        f"these? How much?"
    )


def _ledger(world: World, rng: random.Random) -> str:
    lines = [f"{number}. {summary(draw_event(world, rng))}" for number in range(1, rng.randint(3, 5))]
    return "### Input of the day\n\n" + "\n".join(lines)


def _form(world: World, rng: random.Random) -> str:
    event = draw_event(world, rng)
    paper = rng.choice(("Response", "Input", "Instruction"))
    heading = f"### {paper} {rng.choice(('of the clerk', 'one', 'of today'))}:"
    return f"{heading}\n{summary(event)}\n\n### Office of {event.where}\n- {event.who}\n- {event.things}"
