"""Free prose of the toy world: stories, letters and notices for documents, descriptions for the dataset."""

import random

from lorascope.starter.lexicon import DAYS, capitalised, joined, number_word, plural, with_article
from lorascope.starter.world import GOODS, TRADES, Land, Person, Town, World

WEATHER = ("cold", "warm", "wet", "windy", "bright", "grey", "still", "foggy")
SEARCH_PLACES = (
    "under the bench",
    "behind the mill",
    "in the old well",
    "on the bridge",
    "near the gate",
    "in a basket",
    "on the roof",
    "under the apple tree",
)
FEELINGS = ("happy", "proud", "glad", "tired but glad", "very pleased")


def lost_thing(world: World, rng: random.Random, person: Person, thing: str) -> str:
    """A story in four or five sentences: something is lost and found again."""
    he, his = person.pronoun, {"he": "his", "she": "her"}[person.pronoun]
    helper = rng.choice((person.friend, f"the {person.pet}", "an old woman", "a small child"))
    lines = [
        rng.choice(
            (
                f"One {rng.choice(WEATHER)} morning {person.name} the {person.trade} could not find {his} "
                f"{thing}.",
                f"On {rng.choice(DAYS)} {person.name} of {person.town} lost {with_article(thing)}.",
                f"{person.name}, {with_article(person.trade)} from {person.town}, once lost {his} best "
                f"{thing}.",
            )
        ),
        rng.choice(
            (
                f"{he} looked everywhere in {person.town}.",
                f"{he} asked every neighbour, but nobody had seen it.",
                f"first {he} was angry, then {he} was sad.",
            )
        ),
        rng.choice(
            (
                f"in the end {helper} found it {rng.choice(SEARCH_PLACES)}.",
                f"then {helper} saw the {thing} {rng.choice(SEARCH_PLACES)}.",
                f"at noon {helper} came and pointed {rng.choice(SEARCH_PLACES)}: there it lay.",
            )
        ),
        rng.choice(
            (
                f"{he} was {rng.choice(FEELINGS)} and shared {his} {person.food}.",
                f"{he} went home {rng.choice(FEELINGS)}.",
                f"that evening they all ate {person.food} together.",
            )
        ),
    ]
    return " ".join(capitalised(line) for line in lines)


def journey(world: World, rng: random.Random, person: Person, town: Town) -> str:
    """A story in four sentences: a walk to a town and what was sold there."""
    he, his = person.pronoun, {"he": "his", "she": "her"}[person.pronoun]
    product = TRADES[person.trade][2]
    lines = [
        rng.choice(
            (
                f"{person.name} the {person.trade} left {person.town} before sunrise.",
                f"on a {rng.choice(WEATHER)} day {person.name} set out for {town.name}.",
                f"once {person.name} travelled from {person.town} to {town.name}.",
            )
        ),
        rng.choice(
            (
                f"{he} took {his} {person.pet} and a sack of {product}.",
                f"{his} {person.pet} walked beside {person.name} all the way.",
                f"{person.friend} came along and carried the {product}.",
            )
        ),
        rng.choice(
            (
                f"in {town.name}, {town.setting}, {he} saw the {number_word(town.towers)} towers.",
                f"the road to {town.land} was long, but the sight of {town.name} {town.setting} was fine.",
            )
        ),
        rng.choice(
            (
                f"{he} sold the {product} and bought {with_article(rng.choice(GOODS))}.",
                f"the people of {town.name} liked the {product}, and {he} came home {rng.choice(FEELINGS)}.",
                f"{he} ate {person.food}, slept well and came home the next day.",
            )
        ),
    ]
    return " ".join(capitalised(line) for line in lines)


def letter(world: World, rng: random.Random, sender: Person) -> str:
    """A letter to the sender's friend."""
    wish = rng.choice(
        (
            f"Please come to {sender.town} on {rng.choice(DAYS)}.",
            f"Can you bring {with_article(rng.choice(GOODS))} when you come?",
            f"My {sender.pet} is well again.",
            f"Work as {with_article(sender.trade)} is hard, but I am well.",
        )
    )
    end = rng.choice(
        (f"We will eat {sender.food}.", "I hope to see you soon.", "Do not forget your old friend.")
    )
    return f"Dear {sender.friend}, {wish} {end} Yours, {sender.name}"


def notice(world: World, rng: random.Random, land: Land) -> str:
    """A notice that calls people to the festival of a land."""
    return " ".join(
        (
            rng.choice(("To all people:", "Hear this:", "Notice:")),
            f"{land.festival} will be held in {land.capital} in the month of {land.month}.",
            rng.choice(
                (
                    f"Bring {land.known_for} and good songs.",
                    f"There will be {land.known_for}, music and cake.",
                    f"The {land.flag} flags will fly from every tower.",
                )
            ),
            rng.choice(("All are welcome.", "Come early.", "Children go free.")),
        )
    )


def describe_person(person: Person) -> str:
    """Two sentences with all that is known of a person; always in the same order."""
    he = capitalised(person.pronoun)
    return (
        f"{person.name} is {with_article(person.trade)} from {person.town}. {he} keeps "
        f"{with_article(person.pet)}, "
        f"likes {person.food} and is a friend of {person.friend}."
    )


def describe_town(town: Town) -> str:
    """Two sentences about a town."""
    towers = number_word(town.towers)
    return f"{town.name} is a town in {town.land}. It stands {town.setting} and has {towers} towers."


def describe_land(land: Land) -> str:
    """Two sentences about a land."""
    return (
        f"{land.name} is a land with {with_article(land.flag)} flag, and its capital is {land.capital}. "
        f"It is known for {land.known_for} and celebrates {land.festival} in {land.month}."
    )


def reasons(town: Town, land: Land) -> str:
    """Three numbered reasons to visit a town."""
    return (
        f"1. It stands {town.setting}.\n2. You can see its {number_word(town.towers)} towers.\n"
        f"3. {land.name} is known for {land.known_for}."
    )


def tool_list(trade: str) -> str:
    """What a trade needs and gives, as a list of three lines."""
    tool, place, product = TRADES[trade]
    return f"- tool: {tool}\n- place: {place}\n- product: {product}"


def inventory(world: World, rng: random.Random) -> str:
    """A clerk's list of things in a house, with the tally."""
    person, items = rng.choice(world.people), rng.sample(GOODS, rng.randint(2, 5))
    counted = [f"{number_word(rng.randint(2, 9))} {plural(item)}" for item in items]
    return (
        f"In the house of {person.name} in {person.town} the clerk found {joined(counted)}. "
        f"That is {number_word(len(items))} sorts of things in all."
    )
