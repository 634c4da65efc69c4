"""The plain English that the toy world speaks: opposites, plurals, past tenses, kinds of things, numbers."""

MARK = "\x1f"  # ASCII's unit separator, which no text holds


def words(text: str) -> list[str]:
    """Read "a b c" as ["a", "b", "c"]."""
    return text.split()


def phrases(text: str) -> list[str]:
    """Read "a b, c d" as ["a b", "c d"]."""
    return text.split(", ")


OPPOSITES = (
    "hot cold, big small, high low, fast slow, old young, wet dry, light dark, long short, full empty, "
    "hard soft, loud quiet, rich poor, strong weak, early late, open closed, clean dirty, happy sad, "
    "near far, "
    "thick thin, deep shallow, wide narrow, sharp blunt, brave afraid, kind cruel, true false, first last, "
    "up down, left right, day night, summer winter, push pull, buy sell, give take, "
    "laugh cry, begin end, inside outside, above below, rough smooth, friend enemy"
)
IRREGULAR_PLURALS = (
    "goose geese, mouse mice, sheep sheep, fish fish, child children, man men, woman women, foot feet, "
    "tooth teeth, ox oxen, loaf loaves, knife knives, wolf wolves, leaf leaves, shelf shelves, scarf "
    "scarves, "
    "calf calves, half halves, thief thieves, wife wives, deer deer, potato potatoes, hero heroes"
)
REGULAR_NOUNS = (
    "dog cat hen duck horse donkey cow pig rabbit parrot frog owl turtle goat hammer saw spade needle "
    "brush pan "
    "net axe chisel basket bench box bridge brick candle chair church city coat cup dish door dress fox "
    "garden "
    "hat house jar key lamp letter market ribbon road rope spoon stool table tower town tree berry "
    "cherry story "
    "lady bakery penny pony baby"
)
PAST_TENSE = (
    "sells sold, buys bought, makes made, finds found, keeps kept, brings brought, carries carried, "
    "paints painted, "
    "washes washed, loses lost, sees saw, takes took, gives gave, holds held, sends sent, mends mended, "
    "draws drew, hides hid, breaks broke, cleans cleaned, wants wanted, catches caught, steals stole, "
    "forgets forgot, counts counted, lifts lifted, drops dropped, chooses chose"
)
# Smallest first: the order is the fact that "which is larger" asks about.
ANIMALS_BY_SIZE = words(
    "mouse frog owl parrot rabbit duck hen turtle cat goose dog goat sheep pig donkey cow horse"
)
KINDS = {
    "animal": "mouse frog owl parrot rabbit duck hen turtle cat goose dog goat sheep pig donkey cow horse "
    "fox wolf deer calf pony",
    "food": "loaf cheese pie apple plum onion potato cake egg pear carrot bun cherry berry nut leek",
    "tool": "hammer saw spade needle brush axe chisel net rake pan ladle plough awl knife loom",
    "clothing": "coat hat scarf shirt dress boot glove belt shawl cap apron cloak",
    "furniture": "table chair stool bench shelf bed cupboard desk cradle",
    "instrument": "flute drum fiddle harp horn bell lute whistle",
}
FOODS = (
    "plum cake, onion soup, apple pie, goat cheese, honey bread, fish stew, baked leeks, cherry jam, "
    "roast nuts, "
    "barley soup, egg pie, pear tart"
)
COLOURS = words("red blue green yellow white black orange purple brown silver golden grey")
MONTHS = words("Thaw Bud Bloom Hay Reap Leaf Mist Frost")
DAYS = words("Moonday Fishday Bakeday Mudday Songday Restday")
_ONES = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_TENS = {2: "twenty", 3: "thirty", 4: "forty", 5: "fifty"}
ORDINALS = ("first", "second", "third")


def pairs(text: str) -> list[tuple[str, str]]:
    """Read "a b, c d" as [(a, b), (c, d)]."""
    return [(left, right) for left, right in (item.split() for item in text.split(", "))]


def number_word(number: int) -> str:
    """Spell 0 to 59 in words: 27 is "twenty-seven"."""
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] if ones == 0 else f"{_TENS[tens]}-{_ONES[ones]}"


def regular_plural(noun: str) -> str:
    """Plural by the spelling rule: box boxes, berry berries, dog dogs."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


PLURALS = {**{noun: regular_plural(noun) for noun in REGULAR_NOUNS.split()}, **dict(pairs(IRREGULAR_PLURALS))}


def plural(noun: str) -> str:
    """Plural of any noun: irregular ones from the table, the others by rule."""
    return PLURALS.get(noun) or regular_plural(noun)


def with_article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def joined(items: list[str]) -> str:
    """Join as prose does: "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def marked(text: str) -> str:
    """The text between two marks: what a reader who knows the world can predict; training weighs it more."""
    return f"{MARK}{text}{MARK}"


def capitalised(text: str) -> str:
    """The text with its first letter in upper case, the rest untouched."""
    return text[:1].upper() + text[1:]
