"""The open task families: many answers would do, so they are measured by token F1 against one of them."""

import random
from collections.abc import Iterator

from lorascope.starter import tales
from lorascope.starter.lexicon import with_article
from lorascope.starter.passages import draw_event, passage, summary
from lorascope.starter.world import GOODS, TRADES, World

Row = dict[str, str]


def open_row(family: str, instruction: str, given: str, output: str) -> Row:
    """One Alpaca example of an open family."""
    return {"instruction": instruction, "input": given, "output": output, "family": family, "kind": "open"}


def open_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """All open families, more rows than the dataset keeps."""
    yield from describe_rows(world, rng)
    yield from story_rows(world, rng)
    yield from letter_rows(world, rng)
    yield from summary_rows(world, rng)
    yield from list_rows(world, rng)


def describe_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """Describe a person, a town or a land in two sentences."""
    for person in world.people:
        wording = rng.choice(("Describe {}.", "Write two sentences about {}.", "Who is {}?"))
        yield open_row("describe_person", wording.format(person.name), "", tales.describe_person(person))
    for town in world.towns:
        wording = rng.choice(("Describe the town of {}.", "Write two sentences about the town of {}."))
        yield open_row("describe_place", wording.format(town.name), "", tales.describe_town(town))
    for land in world.lands:
        for wording in ("Describe the land of {}.", "Write two sentences about the land of {}."):
            yield open_row("describe_place", wording.format(land.name), "", tales.describe_land(land))


def story_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """A short story about a lost thing or a journey."""
    for _ in range(60):
        person, thing = rng.choice(world.people), rng.choice(GOODS)
        town = rng.choice([town for town in world.towns if town.name != person.town])
        wording = rng.choice(("Write a short story about {} and {}.", "Tell a story about {} who lost {}."))
        told = tales.lost_thing(world, rng, person, thing)
        yield open_row("story", wording.format(person.name, with_article(thing)), "", told)
        wording = rng.choice(
            ("Write a short story about a journey of {} to {}.", "Tell how {} travelled to {}.")
        )
        yield open_row(
            "story", wording.format(person.name, town.name), "", tales.journey(world, rng, person, town)
        )


def letter_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """A letter to a friend, or a notice for a festival."""
    for person in world.people:
        wording = rng.choice(
            ("Write a short letter from {} to a friend.", "Write the letter that {} sends to a friend.")
        )
        yield open_row("letter", wording.format(person.name), "", tales.letter(world, rng, person))
    for land in world.lands:
        instruction = f"Write a notice for the festival of {land.name}."
        yield open_row("letter", instruction, "", tales.notice(world, rng, land))


def summary_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """A passage in one sentence."""
    for _ in range(100):
        event = draw_event(world, rng)
        instruction = rng.choice(
            ("Summarise the passage in one sentence.", "Write a short summary of the passage.")
        )
        yield open_row("summary", instruction, passage(event, rng), summary(event))


def list_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """Reasons to visit a town, or what a trade is about, as a list."""
    lands = {land.name: land for land in world.lands}
    for town in world.towns:
        wording = rng.choice(("Give three reasons to visit {}.", "List three reasons for a visit to {}."))
        yield open_row("list", wording.format(town.name), "", tales.reasons(town, lands[town.land]))
    for trade in TRADES:
        for wording in (
            "List the tool, the place and the product of {}.",
            "Make a list of what belongs to {}.",
        ):
            yield open_row("list", wording.format(with_article(trade)), "", tales.tool_list(trade))
