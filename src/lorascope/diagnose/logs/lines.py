"""A text -> its lines, cut where a line of a file ends and nowhere else."""


def lines_of(text: str) -> list[str]:
    r"""Cut a text at \n, \r\n and \r, as a file opened as text is cut.

    str.splitlines also cuts at U+2028, U+2029, U+0085 and some control characters. In JSON these may stand in
    a string as they are: a line with a generated answer would be torn in two.

    Args:
        text: The last line may end or not.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines
