"""The dataset: task families in Alpaca's format, each fact and exercise asked once.

A random split by prompt therefore asks in validation what no training row asks: the base has to know it.
(Open
rows, such as descriptions of people, state some of the same facts; docs/starter.md measures what that does.)
"""

import random
from collections.abc import Iterator

from lorascope.starter import open_tasks
from lorascope.starter.operations import MAKERS
from lorascope.starter.passages import PARTS, draw_event, passage
from lorascope.starter.relations import RELATIONS, phrase
from lorascope.starter.world import Fact, World, build_world, facts

Row = dict[str, str]
ROWS_PER_FAMILY = 60


def row(family: str, kind: str, instruction: str, given: str, output: str) -> Row:
    """One Alpaca example, with its family and whether its answer is closed (one right text) or open."""
    return {"instruction": instruction, "input": given, "output": output, "family": family, "kind": kind}


def fact_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """Questions about facts; a fact is asked once, in one of its wordings."""
    for fact in facts(world):
        form = RELATIONS[fact.relation]
        yield row(form.family, "closed", phrase(rng.choice(form.prompts), fact), "", fact.answer)


def true_or_false_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """Statements about people to be confirmed or denied, half of them true."""
    known = [fact for fact in facts(world) if fact.relation in ("home", "trade", "pet", "food")]
    for fact in rng.sample(known, 2 * ROWS_PER_FAMILY):
        others = [f.answer for f in known if f.relation == fact.relation and f.answer != fact.answer]
        is_true = rng.random() < 0.5
        answer = fact.answer if is_true else rng.choice(others)
        told = Fact(relation=fact.relation, subject=fact.subject, answer=answer)
        statement = phrase(RELATIONS[fact.relation].says[0], told)
        instruction = rng.choice(
            ("Is this statement true? Answer yes or no.", "Answer yes or no: is this right?")
        )
        yield row("true_or_false", "closed", instruction, statement, "yes" if is_true else "no")


def exercise_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """Every operation of `operations`, on fresh material."""
    for maker in MAKERS.values():
        for _ in range(2 * ROWS_PER_FAMILY):
            drawn = maker(world, rng)
            instruction, given = rng.choice(drawn.prompts)
            yield row(drawn.family, "closed", instruction, given, drawn.answer)


def extraction_rows(world: World, rng: random.Random) -> Iterator[Row]:
    """One detail found in a passage."""
    for _ in range(2 * ROWS_PER_FAMILY):
        event, part = draw_event(world, rng), rng.choice(list(PARTS))
        yield row("extract", "closed", rng.choice(PARTS[part][2]), passage(event, rng), getattr(event, part))


def dataset(seed: int) -> list[Row]:
    """All rows: at most ROWS_PER_FAMILY of each family, no prompt twice, in random order."""
    world, rng = build_world(seed), random.Random(f"dataset:{seed}")
    makers = (fact_rows, true_or_false_rows, exercise_rows, extraction_rows, open_tasks.open_rows)
    drawn = [one for maker in makers for one in maker(world, rng)]
    rng.shuffle(drawn)
    kept: list[Row] = []
    prompts: set[tuple[str, str]] = set()
    count: dict[str, int] = {}
    for one in drawn:
        prompt, family = (one["instruction"], one["input"]), one["family"]
        if prompt not in prompts and count.get(family, 0) < ROWS_PER_FAMILY:
            prompts.add(prompt)
            count[family] = count.get(family, 0) + 1
            kept.append(one)
    return kept
