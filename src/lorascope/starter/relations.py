"""How each relation is said: in base documents (statements, questions, cards) and in the dataset (prompts).

The dataset's wording is kept apart from the documents', so that only the adapter teaches how to answer it.
In templates, {s} is the subject, {p} its possessive ("Tavin's", "his"), {a} the answer, {an} it with "a".
"""

from dataclasses import dataclass

from lorascope.starter.lexicon import capitalised, marked, with_article
from lorascope.starter.world import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """The surface forms of one relation.

    `says` are statements, `asks` spoken questions, `card` a heading whose answer is on the next line; they
    serve documents. `prompts` are dataset instructions, and `family` names their task family.
    """

    family: str
    says: tuple[str, ...]
    asks: tuple[str, ...]
    card: str
    prompts: tuple[str, ...]


def relation(family: str, says: str, asks: str, card: str, prompts: str) -> Relation:
    """Read the forms from texts with one form a "|"."""
    says_, asks_, prompts_ = (
        tuple(part.strip() for part in text.split("|")) for text in (says, asks, prompts)
    )
    return Relation(family=family, says=says_, asks=asks_, card=card, prompts=prompts_)


RELATIONS: dict[str, Relation] = {
    "home": relation(
        "home",
        "{s} lives in {a}.|{p} house stands in {a}.|{p} home is in {a}.|{a} is where {s} lives.|"
        "{s} has a small house in {a}.|{p} home town is {a}.|every evening {s} walks home through {a}.",
        "Tell me, where is {p} house?|Do you know {p} home town?|And {s}? Living where?",
        "home of {s}",
        "Where does {s} live?|In which town does {s} live?|Name the town where {s} lives.|"
        "What is the home town of {s}?",
    ),
    "trade": relation(
        "trade",
        "{s} is {an}.|{s} works as {an}.|by trade {s} is {an}.|{p} trade is that of {an}.|"
        "{s} earns a living as {an}.|{s} has been {an} for years.|people know {s} as {an}.",
        "Tell me, what is {p} trade?|Do you know how {s} earns a living?|And {s}? Which trade?",
        "trade of {s}",
        "What is the job of {s}?|What work does {s} do?|Name the profession of {s}.|"
        "What does {s} do for a living?",
    ),
    "pet": relation(
        "pet",
        "{s} keeps {an}.|{s} has {an} at home.|{p} animal is {an}.|{s} looks after {an}.|"
        "in {p} yard lives {an}.|{s} owns {an}.|{s} is often seen with {an}.",
        "Tell me, which animal is {p}?|Do you know what lives in {p} yard?|And {s}? Any animal?",
        "animal of {s}",
        "What pet does {s} have?|Which animal does {s} keep?|Name the pet of {s}.|"
        "What kind of animal does {s} own?",
    ),
    "food": relation(
        "food",
        "{s} likes {a} best.|{p} favourite dish is {a}.|{s} eats {a} whenever possible.|{s} loves {a}.|"
        "nothing pleases {s} more than {a}.|{s} never says no to {a}.",
        "Tell me, what is {p} favourite dish?|Do you know what {s} eats most gladly?|And {s}? Which dish?",
        "dish of {s}",
        "What food does {s} like most?|Name the favourite food of {s}.|What does {s} like to eat?",
    ),
    "friend": relation(
        "friend",
        "{s} and {a} are good friends.|{p} best friend is {a}.|{s} spends free days with {a}.|"
        "{s} tells everything to {a}, a dear friend.|{a} is {p} closest friend.|{s} is a friend of {a}.",
        "Tell me, who is close to {s}?|Do you know {p} dearest companion?|And {s}? Friends with whom?",
        "friend of {s}",
        "Who is the best friend of {s}?|Name the best friend of {s}.|Which person is the best friend of {s}?",
    ),
    "land": relation(
        "town",
        "{s} is a town in {a}.|{s} lies in {a}.|{s} belongs to {a}.|the town of {s} is part of {a}.|"
        "in {a} there is a town called {s}.|the people of {s} are people of {a}.",
        "Tell me, where on the map is {s}?|Do you know the land around {s}?|And {s}? Part of what?",
        "land of {s}",
        "In which land is the town of {s}?|Which land does {s} belong to?|Name the land where {s} lies.",
    ),
    "setting": relation(
        "town",
        "{s} stands {a}.|{s} was built {a}.|the houses of {s} stand {a}.|travellers find {s} {a}.|"
        "{s} lies {a}.",
        "Tell me, where was {s} built?|Do you know the site of {s}?|And {s}? Standing where?",
        "site of {s}",
        "Where is the town of {s} built?|Describe the location of {s} in a few words.|"
        "Where does the town {s} stand?",
    ),
    "towers": relation(
        "town",
        "{s} has {a} towers.|there are {a} towers in {s}.|the walls of {s} carry {a} towers.|"
        "{a} towers rise over {s}.|a visitor to {s} can count {a} towers.",
        "Tell me, how tall is the row of towers in {s}?|Do you know the tally of towers at {s}?|"
        "And {s}? Towers?",
        "towers in {s}",
        "How many towers does {s} have?|Give the number of towers in {s}.|How many towers stand in {s}?",
    ),
    "capital": relation(
        "land",
        "the capital of {s} is {a}.|{s} is ruled from {a}.|{a} is the capital of {s}.|{p} capital is {a}.|"
        "the council of {s} meets in {a}, the capital.|the first town of {s} is {a}, its capital.",
        "Tell me, from where is {s} ruled?|Do you know {p} capital?|And {s}? Which capital?",
        "capital of {s}",
        "What is the capital of {s}?|Name the capital of {s}.|Which town is the capital of {s}?",
    ),
    "flag": relation(
        "land",
        "the flag of {s} is {a}.|{s} flies {an} flag.|{an} flag means {s}.|over {s} waves {an} flag.|"
        "{p} flag is all {a}.",
        "Tell me, which flag flies over {s}?|Do you know how {p} flag looks?|And {s}? Its flag?",
        "flag of {s}",
        "What colour is the flag of {s}?|Name the colour of the flag of {s}.|"
        "Which colour does {s} have on its flag?",
    ),
    "known_for": relation(
        "land",
        "{s} is known for {a}.|{s} is famous for its {a}.|traders come to {s} for {a}.|"
        "the best {a} comes from {s}.|"
        "{s} sells {a} to every other land.",
        "Tell me, why do traders go to {s}?|Do you know the pride of {s}?|And {s}? Famous for?",
        "pride of {s}",
        "What product is {s} known for?|Name the product that made {s} famous.|"
        "What is the land of {s} known for?",
    ),
    "festival": relation(
        "land",
        "in {s} people celebrate {a}.|{p} great festival is {a}.|{a} is held in {s} every year.|"
        "nobody in {s} misses {a}.|the festival of {s} is {a}.",
        "Tell me, what does all {s} celebrate?|Do you know {p} great day?|And {s}? Which feast?",
        "festival of {s}",
        "Which festival is held in {s}?|Name the festival of {s}.|What festival do the people of {s} have?",
    ),
    "month": relation(
        "land",
        "the festival of {s} falls in the month of {a}.|{s} celebrates in {a}.|in {a} all {s} is dancing.|"
        "{p} festival month is {a}.|when {a} comes, {s} prepares its festival.",
        "Tell me, when does {s} dance?|Do you know {p} festival month?|And {s}? Dancing when?",
        "festival month of {s}",
        "In which month is the festival of {s}?|Name the month when {s} has its festival.|"
        "When is the festival in {s}?",
    ),
    "price": relation(
        "price",
        "{an_s} costs {a}.|the price of {an_s} is {a}.|you pay {a} for {an_s}.|{an_s} sells for {a}.|"
        "at the market {an_s} is {a}.|for {a} you get {an_s}.",
        "Tell me, what must I pay for {an_s}?|Do you sell {an_s}? For what?|And {an_s}? The price?",
        "price of {an_s}",
        "How much does {an_s} cost?|What is the cost of {an_s}?|How many coppers does {an_s} cost?",
    ),
    "tool": relation(
        "work",
        "{an_s} works with {an}.|every {s} owns {an}.|the tool of {an_s} is the {a}.|"
        "without {an}, {an_s} is lost.|"
        "{an_s} needs {an}.",
        "Tell me, what does {an_s} hold at work?|Do you know the tool of {an_s}?",
        "tool of {an_s}",
        "What tool does {an_s} use?|Name the tool that {an_s} uses.",
    ),
    "place": relation(
        "work",
        "{an_s} works in the {a}.|you find {an_s} in the {a}.|the {a} is the place of {an_s}.|"
        "in the {a} {an_s} is at work.|{an_s} spends the day in the {a}.",
        "Tell me, where should I look for {an_s}?|Do you know the place of {an_s}?",
        "place of {an_s}",
        "Where does {an_s} work?|Name the place where {an_s} works.",
    ),
    "product": relation(
        "work",
        "{an_s} makes {a}.|the {s} sells {a}.|{a} come from the hands of {an_s}.|{an_s} lives from {a}.|"
        "if you need {a}, ask {an_s}.",
        "Tell me, what comes from the hands of {an_s}?|Do you know the work of {an_s}?",
        "work of {an_s}",
        "What does {an_s} make?|Name the product that {an_s} makes.",
    ),
    "opposite": relation(
        "opposite",
        'the opposite of "{s}" is "{a}".|"{s}" and "{a}" are opposites.|not {s} but {a}.|'
        "if it is not {s}, it is {a}.|"
        "first {s}, then {a}.|one said {s}, the other said {a}.",
        'Tell me, what stands against "{s}"?|What is the other side of "{s}"?',
        "against {s}",
        'What is the opposite of "{s}"?|Give the opposite of the word "{s}".|'
        'Name a word that means the opposite of "{s}".',
    ),
    "plural": relation(
        "plural",
        "one {s}, two {a}.|a single {s}, but many {a}.|{an_s} is alone, {a} are together.|"
        "if one {s} is good, ten {a} "
        'are better.|more than one {s}: we say "{a}".',
        'Tell me, "{s}" for more than one?|One {s}, and two of them?',
        "many of {s}",
        'What is the plural of "{s}"?|Give the plural form of "{s}".|Write the plural of the word "{s}".',
    ),
    "kind": relation(
        "kind",
        "{an_s} is {akin}.|{an_s} counts as {kin}.|the {s} is one kind of {kin}.|"
        "{an_s} belongs with {kin}.|under {kin} you find the {s}.",
        "Tell me, where does {an_s} belong?|What sort of thing is {an_s}?",
        "sort of {s}",
        "Classify the word: {s}.|To which category does {an_s} belong?|"
        "Is {an_s} an animal, food, a tool, clothing, furniture or an instrument?",
    ),
    "month_after": relation(
        "next",
        "after {s} comes {a}.|the month of {s} is followed by {a}.|when {s} ends, {a} begins.",
        "Tell me, {s} is over and what begins?|What follows {s}?",
        "follows {s}",
        "Which month comes after {s}?|Name the month after {s}.",
    ),
    "month_before": relation(
        "next",
        "before {s} comes {a}.|{s} begins when {a} ends.|{a} leads to {s}.",
        "Tell me, what ends when {s} begins?|What leads to {s}?",
        "leads to {s}",
        "Which month comes before {s}?|Name the month before {s}.",
    ),
    "number_after": relation(
        "next",
        "after {s} comes {a}.|{s}, then {a}.|one more than {s} is {a}.|count on from {s}: {a}.",
        "Tell me, {s} and one more?|What follows {s}?",
        "follows {s}",
        "Which number comes right after {s}?|Name the number after {s}.",
    ),
    "number_before": relation(
        "next",
        "before {s} comes {a}.|one less than {s} is {a}.|{s} and, counting back, {a}.",
        "Tell me, {s} and one less?|What leads to {s}?",
        "leads to {s}",
        "Which number comes right before {s}?|Name the number before {s}.",
    ),
}
RELATIONS["day_after"] = relation(
    "next",
    "after {s} comes {a}.|the day after {s} is {a}.|{s} ends and {a} begins.",
    "Tell me, {s} is over and what begins?|What follows {s}?",
    "follows {s}",
    "Which day comes after {s}?|Name the weekday after {s}.",
)
RELATIONS["day_before"] = relation(
    "next",
    "before {s} comes {a}.|{a} leads to {s}.|{s} begins when {a} ends.",
    "Tell me, what ends when {s} begins?|What leads to {s}?",
    "leads to {s}",
    "Which day comes before {s}?|Name the weekday before {s}.",
)


def phrase(template: str, fact: Fact, pronoun: str = "", mark: bool = False) -> str:
    """Fill a template with a fact; with a pronoun, it stands for the subject ("he" and "his").

    With `mark`, an answer that comes after its subject is marked as predictable.

    The result starts with a capital letter when the template is a sentence (ends in "." or "?").
    """
    possessive = {"he": "his", "she": "her"}.get(pronoun, f"{fact.subject}'s")
    collective = fact.answer in ("food", "clothing", "furniture")
    subject_at = min(at for at in map(template.find, ("{s}", "{p}", "{an_s}", "{a}", "{an}")) if at >= 0)
    follows = not template[subject_at:].startswith("{a}") and not template[subject_at:].startswith("{an}")
    shown = marked(fact.answer) if mark and follows else fact.answer
    text = template.format(
        s=pronoun or fact.subject,
        p=possessive,
        a=shown,
        an=with_article(fact.answer).replace(fact.answer, shown),
        an_s=with_article(fact.subject),
        kin=fact.answer if collective else f"{fact.answer}s",
        akin=f"a piece of {fact.answer}" if collective else with_article(fact.answer),
    )
    return capitalised(text) if text.endswith((".", "?")) else text
