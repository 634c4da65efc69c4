import random

from lorascope.starter.lexicon import ANIMALS_BY_SIZE, ORDINALS, number_word, plural, with_article
from lorascope.starter.operations import MAKERS
from lorascope.starter.relations import RELATIONS, phrase
from lorascope.starter.world import TRADES, build_world, facts

WORLD = build_world(0)
NUMBERS = {number_word(n): n for n in range(60)}


def test_a_seed_makes_one_world_and_another_seed_another() -> None:
    build_world.cache_clear()
    assert build_world(0) == WORLD
    assert build_world(1) != WORLD


def test_the_towns_of_the_world_agree_with_its_lands_and_people() -> None:
    towns = {town.name: town for town in WORLD.towns}
    assert len(towns) == len(WORLD.towns)
    assert all(towns[land.capital].land == land.name for land in WORLD.lands)
    assert all(person.town in towns and person.trade in TRADES for person in WORLD.people)


def test_friendship_is_mutual() -> None:
    friend = {person.name: person.friend for person in WORLD.people}
    assert all(friend[friend[name]] == name != friend[name] for name in friend)


def test_a_relation_has_one_answer_for_a_subject() -> None:
    keys = [(fact.relation, fact.subject) for fact in facts(WORLD)]
    assert len(keys) == len(set(keys))


def test_facts_of_order_lead_there_and_back() -> None:
    known = {(fact.relation, fact.subject): fact.answer for fact in facts(WORLD)}
    for (relation, subject), answer in known.items():
        if relation == "opposite":
            assert known["opposite", answer] == subject
        if relation.endswith("_after"):
            assert known[relation.replace("after", "before"), answer] == subject
        if relation == "number_after":
            assert NUMBERS[answer] == NUMBERS[subject] + 1


def test_a_name_stands_for_one_thing_only() -> None:
    names = [thing.name for things in (WORLD.people, WORLD.towns, WORLD.lands) for thing in things]
    assert len(names) == len(set(names))


def test_spelling_rules_hold_on_words_worked_out_by_hand() -> None:
    assert [plural(noun) for noun in ("dog", "box", "berry", "goose", "key", "loaf")] == [
        "dogs",
        "boxes",
        "berries",
        "geese",
        "keys",
        "loaves",
    ]
    assert [number_word(n) for n in (0, 13, 20, 27)] == ["zero", "thirteen", "twenty", "twenty-seven"]
    assert [with_article(noun) for noun in ("owl", "goat")] == ["an owl", "a goat"]


def test_every_relation_is_told_apart_from_how_the_dataset_asks() -> None:
    for fact in facts(WORLD):
        form = RELATIONS[fact.relation]
        told = {phrase(text, fact).lower() for text in (*form.says, *form.asks, form.card)}
        assert not told & {phrase(text, fact).lower() for text in form.prompts}


def _solve(family: str, instruction: str, given: str) -> str | None:
    """The answer worked out from the prompt alone, by other code than the makers'."""
    items, words = given.split(", "), instruction.rstrip("?.").replace(",", "").split()
    if family == "sum":
        return number_word(sum(NUMBERS[word] for word in words if word in NUMBERS))
    if family == "difference":
        low, high = sorted(NUMBERS[word] for word in words if word in NUMBERS)
        return number_word(high - low)
    if family == "count":
        return number_word(given.count(",") + 1)
    if family == "reverse":
        return ", ".join(items[::-1])
    if family == "sort":
        return ", ".join(sorted(items))
    if family == "position":
        (index,) = (
            -1 if word == "last" else ORDINALS.index(word) for word in words if word in (*ORDINALS, "last")
        )
        return items[index]
    if family == "compare":
        animals = [word for word in words if word in ANIMALS_BY_SIZE]
        return (max if "larger" in instruction else min)(animals, key=ANIMALS_BY_SIZE.index)
    return None


def test_exercises_are_solved_alike_by_independent_code() -> None:
    rng = random.Random(3)
    for maker in MAKERS.values():
        for _ in range(100):
            drawn = maker(WORLD, rng)
            for instruction, given in drawn.prompts:
                assert _solve(drawn.family, instruction, given) in (drawn.answer, None)
