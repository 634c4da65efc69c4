"""A count and what is counted -> the words for it."""


def counted(num: int, one: str, many: str = "") -> str:
    """Write a count with its noun: "1 evaluation", "2,000 evaluations", "1 boundary", "2 boundaries".

    Args:
        num: The count, >= 0.
        one: The noun of one.
        many: That of several, where it is not `one` with an s.
    """
    return f"{num:,} {one if num == 1 else many or one + 's'}"
