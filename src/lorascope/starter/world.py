"""The toy world: lands, towns, people, trades and prices, drawn once from a seed and then fixed.

Every base document and every dataset row reads from one World, so they cannot disagree. `facts` lists all
that can be asked about as (relation, subject, answer).
"""

import random
from dataclasses import dataclass
from functools import cache

from lorascope.starter import lexicon
from lorascope.starter.lexicon import phrases, words

LAND_NAMES = words("Velmar Orsand Tullen Brackia Ismere Pellia Dornick Wexany Lunder Castrel Yorrin Feldane")
TOWN_STARTS = words("Ash Bram Cor Dun Elm Fen Gal Hol Kel Lor Mar Nor Oak Pen Quill Ros Stan Tarn Wend Yar")
TOWN_ENDS = words("ford wick ton mere dale holm stead combe haven")
NAME_STARTS = words("Ta Be Mi Lo Ke Ru Sa No Fe Da Jo Pe Hi Wa Zu")
NAME_ENDS = words("vin ra lan do mi ket sel rin bel na tor lia")
SETTINGS = ("by the sea", "on a river", "in the hills", "by a lake", "near the forest", "on the plain")
FESTIVALS = phrases(
    "Lantern Night, the Kite Fair, the Bread Feast, the Boat Race, the Wool Dance, the Apple Days, "
    "the Drum Parade, the Candle Walk, the Goose Run, the Harvest Song, the Snow Market, the Honey Feast"
)
KNOWN_FOR = words("wool salt honey glass cheese timber pottery silk apples copper ropes tea")
# trade: tool, workplace, what it makes
TRADES = {
    "baker": ("oven", "bakery", "bread"),
    "smith": ("hammer", "forge", "nails"),
    "weaver": ("loom", "weaving room", "cloth"),
    "potter": ("wheel", "pottery", "jars"),
    "fisher": ("net", "harbour", "fish"),
    "carpenter": ("saw", "workshop", "tables"),
    "miller": ("millstone", "mill", "flour"),
    "tailor": ("needle", "sewing room", "coats"),
    "farmer": ("plough", "farm", "wheat"),
    "shepherd": ("crook", "hillside", "wool"),
    "cobbler": ("awl", "shoe shop", "boots"),
    "painter": ("brush", "studio", "pictures"),
    "gardener": ("spade", "garden", "roses"),
    "cook": ("ladle", "kitchen", "soup"),
    "beekeeper": ("smoker", "bee yard", "honey"),
    "printer": ("press", "print shop", "books"),
    "woodcutter": ("axe", "forest", "firewood"),
    "mason": ("chisel", "quarry", "bricks"),
}
GOODS = words(
    "loaf cheese pie apple onion cake egg pear hammer saw spade needle brush axe net rake coat hat scarf "
    "shirt dress belt cap apron table chair stool bench bed desk flute drum fiddle harp horn bell candle "
    "jar basket rope"
)
NUM_PEOPLE = 40
TOWNS_PER_LAND = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One inhabitant; every field but the name is a fact that documents state and the dataset asks."""

    name: str
    pronoun: str
    trade: str
    town: str
    pet: str
    food: str
    friend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """One town of a land."""

    name: str
    land: str
    setting: str
    towers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Land:
    """One land and what it is known for."""

    name: str
    capital: str
    flag: str
    known_for: str
    festival: str
    month: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A subject, what is said of it, and the answer, in the words that a dataset row expects."""

    relation: str
    subject: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that is true in the toy world."""

    seed: int
    people: tuple[Person, ...]
    towns: tuple[Town, ...]
    lands: tuple[Land, ...]
    prices: tuple[tuple[str, int], ...]


@cache
def build_world(seed: int) -> World:
    """Draw the world. The same seed gives the same world on every machine (`random.Random`, no hashing)."""
    rng = random.Random(f"world:{seed}")
    towns = _towns(rng)
    return World(
        seed=seed,
        people=_people(rng, towns),
        towns=towns,
        lands=_lands(rng, towns),
        prices=tuple((good, rng.randint(2, 39)) for good in GOODS),
    )


def _towns(rng: random.Random) -> tuple[Town, ...]:
    names = rng.sample(
        [start + end for start in TOWN_STARTS for end in TOWN_ENDS], TOWNS_PER_LAND * len(LAND_NAMES)
    )
    return tuple(
        Town(
            name=name,
            land=LAND_NAMES[index // TOWNS_PER_LAND],
            setting=rng.choice(SETTINGS),
            towers=rng.randint(2, 12),
        )
        for index, name in enumerate(names)
    )


def _lands(rng: random.Random, towns: tuple[Town, ...]) -> tuple[Land, ...]:
    flags, festivals = rng.sample(lexicon.COLOURS, 12), rng.sample(FESTIVALS, 12)
    products = rng.sample(KNOWN_FOR, 12)
    return tuple(
        Land(
            name=name,
            capital=towns[TOWNS_PER_LAND * index].name,
            flag=flags[index],
            known_for=products[index],
            festival=festivals[index],
            month=rng.choice(lexicon.MONTHS),
        )
        for index, name in enumerate(LAND_NAMES)
    )


def _people(rng: random.Random, towns: tuple[Town, ...]) -> tuple[Person, ...]:
    names = rng.sample([start + end for start in NAME_STARTS for end in NAME_ENDS], NUM_PEOPLE)
    # Friends come in pairs: 0 with 1, 2 with 3, so that friendship is mutual.
    return tuple(
        Person(
            name=name,
            pronoun=rng.choice(("he", "she")),
            trade=rng.choice(list(TRADES)),
            town=towns[index % len(towns)].name,
            pet=rng.choice(lexicon.ANIMALS_BY_SIZE),
            food=rng.choice(lexicon.FOODS.split(", ")),
            friend=names[index ^ 1],
        )
        for index, name in enumerate(names)
    )


def facts(world: World) -> list[Fact]:
    """All facts of the world and of its language, in a fixed order."""
    return [Fact(relation=r, subject=s, answer=a) for r, s, a in [*_world_facts(world), *_word_facts()]]


def _world_facts(world: World) -> list[tuple[str, str, str]]:
    found = []
    for person in world.people:
        for relation in ("home", "trade", "pet", "food", "friend"):
            value = person.town if relation == "home" else getattr(person, relation)
            found.append((relation, person.name, value))
    for town in world.towns:
        found.append(("land", town.name, town.land))
        found.append(("setting", town.name, town.setting))
        found.append(("towers", town.name, lexicon.number_word(town.towers)))
    for land in world.lands:
        for relation in ("capital", "flag", "known_for", "festival", "month"):
            found.append((relation, land.name, getattr(land, relation)))
    for good, price in world.prices:
        found.append(("price", good, f"{lexicon.number_word(price)} coppers"))
    return found


def _word_facts() -> list[tuple[str, str, str]]:
    found = []
    for trade, (tool, place, product) in TRADES.items():
        found += [("tool", trade, tool), ("place", trade, place), ("product", trade, product)]
    for left, right in lexicon.pairs(lexicon.OPPOSITES):
        found += [("opposite", left, right), ("opposite", right, left)]
    found += [("plural", noun, many) for noun, many in lexicon.PLURALS.items()]
    for kind, members in lexicon.KINDS.items():
        found += [("kind", noun, kind) for noun in members.split()]
    for cycle, name in ((lexicon.MONTHS, "month"), (lexicon.DAYS, "day")):
        for index, item in enumerate(cycle):
            after = cycle[(index + 1) % len(cycle)]
            found += [(f"{name}_after", item, after), (f"{name}_before", after, item)]
    for number in range(1, 25):
        low, high = lexicon.number_word(number), lexicon.number_word(number + 1)
        found += [("number_after", low, high), ("number_before", high, low)]
    return found
