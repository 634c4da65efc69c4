"""Small operations with an exact answer: sums, comparisons, work on short lists, past tense, picking by kind.

Each maker draws one Exercise. Its `says` and `cards` serve the base documents, its `prompts` the dataset.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lorascope.starter.lexicon import (
    ANIMALS_BY_SIZE,
    KINDS,
    ORDINALS,
    PAST_TENSE,
    joined,
    number_word,
    pairs,
    plural,
    with_article,
)
from lorascope.starter.world import GOODS, KNOWN_FOR, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """One operation on given material; a prompt is (instruction, input)."""

    family: str
    says: tuple[str, ...]
    cards: tuple[str, ...]
    answer: str
    prompts: tuple[tuple[str, str], ...]


def addition(world: World, rng: random.Random) -> Exercise:
    """Two numbers of 1 to 12, added."""
    left, right = rng.randint(1, 12), rng.randint(1, 12)
    a, b, c = number_word(left), number_word(right), number_word(left + right)
    who, things = rng.choice(world.people).name, plural(rng.choice(GOODS))
    return Exercise(
        family="sum",
        says=(
            f"{a} and {b} make {c}.",
            f"{c} is {a} and {b} together.",
            f"{a} {things} and {b} {things} are {c} {things}.",
            f"{who} had {a} {things}, found {b} more, and so kept {c}.",
        ),
        cards=(f"{a} and {b}", f"{a} and then {b} more", f"{a} with {b} on top"),
        answer=c,
        prompts=(
            (f"Add {a} and {b}.", ""),
            (f"What is {a} plus {b}?", ""),
            (f"Give the sum of {a} and {b}.", ""),
        ),
    )


def subtraction(world: World, rng: random.Random) -> Exercise:
    """A smaller number taken from one of 2 to 16."""
    whole = rng.randint(2, 16)
    part = rng.randint(1, whole - 1)
    a, b, c = number_word(whole), number_word(part), number_word(whole - part)
    who, things = rng.choice(world.people).name, plural(rng.choice(GOODS))
    return Exercise(
        family="difference",
        says=(
            f"{a} less {b} leaves {c}.",
            f"take {b} from {a} and {c} remain.",
            f"{who} had {a} {things}, gave away {b}, and kept {c}.",
        ),
        cards=(f"{a} less {b}", f"from {a} take {b}", f"{a}, but {b} are gone"),
        answer=c,
        prompts=((f"Subtract {b} from {a}.", ""), (f"What is {a} minus {b}?", "")),
    )


def comparison(world: World, rng: random.Random) -> Exercise:
    """The larger or the smaller of two animals."""
    first, second = rng.sample(range(len(ANIMALS_BY_SIZE)), 2)
    x, y = ANIMALS_BY_SIZE[first], ANIMALS_BY_SIZE[second]
    small, large = ANIMALS_BY_SIZE[min(first, second)], ANIMALS_BY_SIZE[max(first, second)]
    word = rng.choice(("larger", "smaller"))
    return Exercise(
        family="compare",
        says=(
            f"{with_article(large)} is larger than {with_article(small)}.",
            f"{with_article(small)} is smaller than {with_article(large)}.",
            f"beside {with_article(large)}, {with_article(small)} looks small.",
            f"of {with_article(x)} and {with_article(y)}, the {large} is the larger.",
            f"of {with_article(x)} and {with_article(y)}, the {small} is the smaller.",
        ),
        cards=(f"the {word} of {x} and {y}", f"{x} or {y}: the {word}", f"{word}: {x}, {y}"),
        answer=large if word == "larger" else small,
        prompts=(
            (f"Which animal is {word}, {with_article(x)} or {with_article(y)}?", ""),
            (f"Which one is {word}: {with_article(x)} or {with_article(y)}?", ""),
        ),
    )


def _words(world: World, rng: random.Random, low: int, high: int) -> list[str]:
    """Between low and high different words, all names or all things."""
    names = [person.name for person in world.people]
    pool = rng.choice((names, list(GOODS), list(ANIMALS_BY_SIZE)))
    return rng.sample(pool, rng.randint(low, high))


def counting(world: World, rng: random.Random) -> Exercise:
    """How long a list of two to six words is."""
    words = _words(world, rng, 2, 6)
    answer, text = number_word(len(words)), ", ".join(words)
    return Exercise(
        family="count",
        says=(
            f"{joined(words)}: that makes {answer}.",
            f"on the list stood {answer} words, {joined(words)}.",
        ),
        cards=(f"tally of {text}", f"so many: {text}", f"Tally, please. {text}"),
        answer=answer,
        prompts=(("Count the items in the list.", text), ("How many items are in this list?", text)),
    )


def reversal(world: World, rng: random.Random) -> Exercise:
    """A list of three words, read backwards."""
    words = _words(world, rng, 3, 3)
    text, answer = ", ".join(words), ", ".join(reversed(words))
    return Exercise(
        family="reverse",
        says=(f"{text} read backwards is {answer}.", f"forwards it goes {text}; backwards it goes {answer}."),
        cards=(f"backwards: {text}", f"turned round: {text}", f"Backwards, please. {text}"),
        answer=answer,
        prompts=(("Reverse the order of the list.", text), ("Write the list in reverse order.", text)),
    )


def sorting(world: World, rng: random.Random) -> Exercise:
    """Three words in the order of the alphabet."""
    words = _words(world, rng, 3, 3)
    text, answer = ", ".join(words), ", ".join(sorted(words))
    return Exercise(
        family="sort",
        says=(
            f"{text}: from A to Z they are {answer}.",
            f"the clerk wrote {text} from A to Z as {answer}.",
            f"from A to Z: {', '.join(sorted(_words(world, rng, 4, 7)))}.",
        ),
        cards=(f"A to Z: {text}", f"by letter: {text}", f"From A to Z, please. {text}"),
        answer=answer,
        prompts=(("Sort the list alphabetically.", text), ("Put these words in alphabetical order.", text)),
    )


def position(world: World, rng: random.Random) -> Exercise:
    """The first, second, ... or last word of a list."""
    words = _words(world, rng, 3, 4)
    which = rng.randrange(4)
    name, answer = ("last", words[-1]) if which == 3 else (ORDINALS[which], words[which])
    text = ", ".join(words)
    return Exercise(
        family="position",
        says=(f"in the row {text}, {answer} is the {name}.", f"{text}: the {name} of them is {answer}."),
        cards=(f"the {name} of {text}", f"{name}: {text}", f"The {name} one, please. {text}"),
        answer=answer,
        prompts=((f"Give the {name} item of the list.", text), (f"Which item is {name} in the list?", text)),
    )


def past_tense(world: World, rng: random.Random) -> Exercise:
    """A short sentence moved into the past."""
    now, then = rng.choice(pairs(PAST_TENSE))
    who = rng.choice(world.people).name
    what = rng.choice(
        [
            *(with_article(good) for good in GOODS),
            *(f"the {good}" for good in GOODS),
            *(f"some {product}" for product in KNOWN_FOR),
            *(f"{number_word(n)} {plural(animal)}" for n, animal in enumerate(ANIMALS_BY_SIZE, 2)),
        ]
    )
    today, before = f"{who} {now} {what}.", f"{who} {then} {what}."
    return Exercise(
        family="past",
        says=(f"today: {today} Yesterday: {before}", f"yesterday, as today, {before[:-1]}; {today}"),
        cards=(f"yesterday: {today}", f"Tell it of yesterday. {today}", f"long ago: {today}"),
        answer=before,
        prompts=(
            ("Rewrite the sentence in the past tense.", today),
            ("Change this sentence to the past tense.", today),
        ),
    )


def picking(world: World, rng: random.Random) -> Exercise:
    """The one word of a list that is of a given kind."""
    kinds = rng.sample(list(KINDS), 2)
    others, answer = rng.sample(KINDS[kinds[1]].split(), 2), rng.choice(KINDS[kinds[0]].split())
    words = [*others, answer]
    rng.shuffle(words)
    kind, text = kinds[0], ", ".join(words)
    return Exercise(
        family="pick",
        says=(
            f"of {joined(words)}, only {answer} goes under {kind}.",
            f"{text}: under {kind} goes {answer}.",
        ),
        cards=(f"under {kind}, of {text}", f"{kind}: {text}", f"The {kind} only, please. {text}"),
        answer=answer,
        prompts=(
            (f"Which word in the list belongs to the category {kind}?", text),
            (f"Pick the {kind} word.", text),
        ),
    )


MAKERS: dict[str, Callable[[World, random.Random], Exercise]] = {
    "sum": addition,
    "difference": subtraction,
    "compare": comparison,
    "count": counting,
    "reverse": reversal,
    "sort": sorting,
    "position": position,
    "past": past_tense,
    "pick": picking,
}


def exercise(world: World, rng: random.Random) -> Exercise:
    """One exercise of a random operation."""
    return MAKERS[rng.choice(list(MAKERS))](world, rng)
