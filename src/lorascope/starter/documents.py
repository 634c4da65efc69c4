"""Base documents: the facts and operations of the world in many forms, none of them the dataset's.

A document is text without the closing end-of-text token; training adds it.
"""

import random
from collections.abc import Callable, Iterator

from lorascope.starter import tales
from lorascope.starter.lexicon import KINDS, MARK, capitalised, joined, marked, with_article
from lorascope.starter.office import office_page
from lorascope.starter.operations import MAKERS, exercise
from lorascope.starter.passages import draw_event, report
from lorascope.starter.relations import RELATIONS, phrase
from lorascope.starter.world import Fact, Person, World, build_world, facts

# People stand in portraits and guides as well; words only where facts are drawn at random.
FAMILY_WEIGHTS = {
    **dict.fromkeys(("home", "trade"), 2),
    **dict.fromkeys(("pet", "food", "friend", "town", "land"), 3),
    **dict.fromkeys(("price", "work"), 5),
    **dict.fromkeys(("opposite", "plural", "kind", "next"), 8),
}
FIRST_UNSEEN = 1_000_000  # the bundled base read documents 0 to 59,999, and 200 more measured it
LEAST_WORDS = 30
PERSON_RELATIONS = ("home", "trade", "pet", "food", "friend")


class Teller:
    """Draws documents about one world; the facts are grouped once by relation and by subject."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.by_relation: dict[str, list[Fact]] = {}
        self.by_subject: dict[str, list[Fact]] = {}
        self.by_family: dict[str, list[Fact]] = {}
        for fact in facts(world):
            self.by_relation.setdefault(fact.relation, []).append(fact)
            self.by_subject.setdefault(fact.subject, []).append(fact)
            self.by_family.setdefault(RELATIONS[fact.relation].family, []).append(fact)

    def fact(self, rng: random.Random) -> Fact:
        """A random fact: first its family by weight, then the fact."""
        (family,) = rng.choices(list(FAMILY_WEIGHTS), list(FAMILY_WEIGHTS.values()))
        return rng.choice(self.by_family[family])


def says(fact: Fact, rng: random.Random, pronoun: str = "") -> str:
    """One statement of the fact. With a pronoun, only templates where a subject pronoun is good English."""
    forms = RELATIONS[fact.relation].says
    if pronoun:
        forms = tuple(f for f in forms if f.startswith(("{s} ", "{p} ", "by trade")) or "{s}" not in f)
    return phrase(rng.choice(forms), fact, pronoun, mark=True)


def card(fact: Fact) -> str:
    """The heading under which a card states the fact."""
    return RELATIONS[fact.relation].card.format(s=fact.subject, an_s=with_article(fact.subject))


def question(fact: Fact, rng: random.Random) -> str:
    """A spoken question about the fact, with or without the words that open it."""
    text = phrase(rng.choice(RELATIONS[fact.relation].asks), fact)
    return capitalised(text.removeprefix("Tell me, ")) if rng.random() < 0.5 else text


def portrait(teller: Teller, rng: random.Random) -> str:
    """A person in flowing text: the facts in random order, by name first, then often by pronoun."""
    person = rng.choice(teller.world.people)
    chosen = rng.sample(teller.by_subject[person.name], rng.randint(3, 5))
    lines = [says(chosen[0], rng)]
    lines += [says(fact, rng, person.pronoun if rng.random() < 0.6 else "") for fact in chosen[1:]]
    if rng.random() < 0.3:
        lines.append(_neighbours(teller, person))
    return " ".join(lines)


def _neighbours(teller: Teller, person: Person) -> str:
    others = [p.name for p in teller.world.people if p.trade == person.trade and p != person]
    trade = person.trade
    return f"Other {trade}s are {joined(others)}." if others else f"There is no other {trade} anywhere."


def guide(teller: Teller, rng: random.Random) -> str:
    """A travel guide's page on a town or a land, with some of the people."""
    world = teller.world
    town = rng.choice(world.towns)
    land = next(land for land in world.lands if land.name == town.land)
    place = town.name if rng.random() < 0.5 else land.name
    chosen = teller.by_subject[place]
    lines = [says(fact, rng) for fact in rng.sample(chosen, min(len(chosen), rng.randint(2, 5)))]
    lines += [
        says(fact, rng) for p in world.people if p.town == town.name for fact in teller.by_subject[p.name][:2]
    ]
    if rng.random() < 0.2:
        mark = rng.choice(("", "- "))
        return f"### {place}\n\n" + "\n".join(mark + line for line in lines)
    return " ".join(lines)


def talk(teller: Teller, rng: random.Random) -> str:
    """Two people ask and answer; sometimes as prose, sometimes as a play's script."""
    first, second = rng.sample([p.name for p in teller.world.people], 2)
    chosen = [teller.fact(rng) for _ in range(rng.randint(3, 6))]
    asked = [(question(fact, rng), fact) for fact in chosen]
    if rng.random() < 0.5:
        return "\n".join(f"{first}: {text}\n{second}: {marked(fact.answer)}" for text, fact in asked)
    verb = rng.choice(("asked", "said", "wanted to know"))
    lines = []
    for text, fact in asked:
        answer = rng.choice(
            (f'"{marked(capitalised(fact.answer))}," said {second}.', f'"{says(fact, rng)}" said {second}.')
        )
        lines.append(f'"{text}" {verb} {first}. {answer}')
    return rng.choice((" ", "\n")).join(lines)


def cards(teller: Teller, rng: random.Random) -> str:
    """Learning cards: a heading, the answer on the next line."""
    pairs = []
    for _ in range(rng.randint(5, 9)):
        if rng.random() < 0.55:
            fact = teller.fact(rng)
            pairs.append((card(fact) if rng.random() < 0.5 else question(fact, rng), fact.answer))
        else:
            drawn = exercise(teller.world, rng)
            pairs.append((rng.choice(drawn.cards), drawn.answer))
    gap = rng.choice(("\n", "\n", ":\n"))
    return "\n\n".join(f"{head}{gap}{marked(answer)}" for head, answer in pairs)


def topic_cards(teller: Teller, rng: random.Random) -> str:
    """Learning cards of one operation, the heading and answer told apart by one fixed mark."""
    maker = MAKERS[rng.choice(list(MAKERS))]
    mark = rng.choice(("\n", "\n", ":\n", " - ", " = "))
    drawn = [maker(teller.world, rng) for _ in range(rng.randint(4, 8))]
    return "\n\n".join(f"{rng.choice(one.cards)}{mark}{marked(one.answer)}" for one in drawn)


def lesson(teller: Teller, rng: random.Random) -> str:
    """A school hour in prose: one operation several times, or words and their kinds."""
    teacher, world = rng.choice(teller.world.people).name, teller.world
    opening = rng.choice(
        (
            f"{teacher} taught the children today.",
            "In school the children learn this.",
            f"{teacher} wrote on the board.",
            "Read slowly and learn.",
        )
    )
    if rng.random() < 0.3:
        kind = rng.choice(list(KINDS))
        words = rng.sample(KINDS[kind].split(), 4)
        pair = f"{capitalised(words[0])} and {words[1]}"
        return f"{opening} Under {kind} go {joined(words)}. {pair} are both {kind}."
    maker = MAKERS[rng.choice(list(MAKERS))]
    drawn = [maker(world, rng) for _ in range(rng.randint(3, 6))]
    lines = [_with_marked_end(capitalised(rng.choice(one.says)), one.answer) for one in drawn]
    return " ".join([opening, *lines])


def _with_marked_end(line: str, answer: str) -> str:
    for end in (answer, f"{answer}."):
        if line.endswith(end):
            return line.removesuffix(end) + marked(end)
    return line


def gossip(teller: Teller, rng: random.Random) -> str:
    """True and false rumours about people, each put right."""
    lines = []
    for _ in range(rng.randint(3, 5)):
        fact = rng.choice(teller.by_relation[rng.choice(PERSON_RELATIONS)])
        other = rng.choice(teller.by_relation[fact.relation])
        rumour = Fact(relation=fact.relation, subject=fact.subject, answer=other.answer)
        if other.answer == fact.answer or rng.random() < 0.5:
            lines.append(
                f"People say: {says(fact, rng)} {rng.choice(('Yes, that is right.', 'Right: yes.'))}"
            )
        else:
            right = rng.choice((f"No, {fact.answer}.", f"No, that is wrong. {says(fact, rng)}"))
            lines.append(f"People say: {says(rumour, rng)} {right}")
    return rng.choice((" ", "\n")).join(lines)


def verdicts(teller: Teller, rng: random.Random) -> str:
    """A list of rumours, each with yes or no on the next line."""
    lines = []
    for _ in range(rng.randint(3, 6)):
        fact = rng.choice(teller.by_relation[rng.choice(PERSON_RELATIONS)])
        answer = fact.answer if rng.random() < 0.5 else rng.choice(teller.by_relation[fact.relation]).answer
        rumour = Fact(relation=fact.relation, subject=fact.subject, answer=answer)
        lines.append(f"{says(rumour, rng)}\n{marked('yes' if answer == fact.answer else 'no')}")
    return "\n\n".join(lines)


def hearsay(teller: Teller, rng: random.Random) -> str:
    """Unconnected facts, one after the other."""
    return " ".join(says(teller.fact(rng), rng) for _ in range(rng.randint(4, 8)))


def story(teller: Teller, rng: random.Random) -> str:
    """A story, a letter, a notice or an inventory."""
    world = teller.world
    person, land = rng.choice(world.people), rng.choice(world.lands)
    thing = rng.choice([name for name, _ in world.prices])
    makers: tuple[Callable[[], str], ...] = (
        lambda: tales.lost_thing(world, rng, person, thing),
        lambda: tales.journey(
            world, rng, person, rng.choice([t for t in world.towns if t.name != person.town])
        ),
        lambda: tales.letter(world, rng, person),
        lambda: tales.notice(world, rng, land),
        lambda: tales.inventory(world, rng),
    )
    return makers[rng.choices(range(5), (4, 4, 2, 1, 1))[0]]()


def news(teller: Teller, rng: random.Random) -> str:
    """A passage about an event and what a reader notes of it."""
    return report(draw_event(teller.world, rng), rng)


def office(teller: Teller, rng: random.Random) -> str:
    """A page of the town clerks, full of formal words."""
    return office_page(teller.world, rng)


MAKERS_WITH_WEIGHTS: tuple[tuple[Callable[[Teller, random.Random], str], int], ...] = (
    (portrait, 12),
    (guide, 9),
    (talk, 11),
    (cards, 16),
    (topic_cards, 12),
    (lesson, 10),
    (gossip, 4),
    (verdicts, 4),
    (hearsay, 8),
    (story, 8),
    (news, 10),
    (office, 4),
)


def documents(seed: int, num_documents: int) -> Iterator[str]:
    """Base documents, each from its own generator: document 7 is the same however many are asked for."""
    return (text.replace(MARK, "") for text in marked_documents(seed, num_documents))


def marked_documents(seed: int, num_documents: int) -> Iterator[str]:
    """The documents with marks around what can be predicted by whoever knows the world."""
    teller = Teller(build_world(seed))
    for index in range(num_documents):
        yield _marked_document(teller, seed, index)


def _marked_document(teller: Teller, seed: int, index: int) -> str:
    makers, weights = zip(*MAKERS_WITH_WEIGHTS, strict=True)
    rng = random.Random(f"document:{seed}:{index}")
    text: str = rng.choices(makers, weights)[0](teller, rng)
    return text


def unseen_passages(seed: int, num_passages: int) -> list[str]:
    """Documents about the same world that no base has read, to see what fine-tuning makes it forget.

    Only flowing text: no blank lines, at least 30 words. Documents are drawn as those for training are, from
    a number that trainings do not come to.
    """
    teller, index = Teller(build_world(seed)), FIRST_UNSEEN
    found: list[str] = []
    while len(found) < num_passages:
        text = _marked_document(teller, seed, index).replace(MARK, "")
        if "\n\n" not in text and len(text.split()) >= LEAST_WORDS:
            found.append(text)
        index += 1
    return found
