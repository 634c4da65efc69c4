"""Curves drawn in a terminal with braille dots: 2 x 4 in a character cell. Shapes: P points."""

import math
from collections.abc import Sequence

Points = Sequence[Sequence[float]]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [row][column] of a cell, from U+2800 on
_BLANK = 0x2800
_COLOURS = (36, 33, 35, 32, 34, 31)  # cyan, yellow, magenta, green, blue, red: told apart on dark and light
_LEAST_WIDTH, _LEAST_HEIGHT = 24, 4


class Canvas:
    """A grid of dots, of which each cell remembers who drew in it first.

    Attributes:
        columns: Character cells in a line.
        rows: Lines.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._owner = [[-1] * columns for _ in range(rows)]
        self._letter: dict[tuple[int, int], str] = {}

    def dot(self, x: int, y: int, owner: int) -> None:
        """Set a dot; x counts half cells from the left, y quarter cells from the top."""
        row, column = y // 4, x // 2
        if 0 <= row < self.rows and 0 <= column < self.columns:
            self._dots[row][column] |= _DOTS[y % 4][x % 2]
            if self._owner[row][column] < 0:
                self._owner[row][column] = owner

    def letter(self, x: int, y: int, letter: str, owner: int) -> None:
        """Put a letter over the cell of a dot."""
        place = (min(self.rows - 1, max(0, y // 4)), min(self.columns - 1, max(0, x // 2)))
        self._letter[place] = letter
        self._owner[place[0]][place[1]] = owner

    def lines(self, *, colour: bool) -> list[str]:
        """The drawing, a string for each line."""
        drawn = []
        for row in range(self.rows):
            cells = []
            for column in range(self.columns):
                dots = self._dots[row][column]
                cell = self._letter.get((row, column)) or (chr(_BLANK + dots) if dots else " ")
                owner = self._owner[row][column]
                if colour and owner >= 0:
                    cell = f"\x1b[{_COLOURS[owner % len(_COLOURS)]}m{cell}\x1b[0m"
                cells.append(cell)
            drawn.append("".join(cells).rstrip())
        return drawn


def curve_lines(
    curves: Sequence[tuple[str, Points]], *, width: int, height: int, colour: bool = False
) -> list[str]:
    """Draw curves over each other, each with its letter at its end.

    Args:
        curves: Letter and points (step, value) of each; values that are not finite are gaps.
        width: Columns in all, the axis included; at least 24 are used.
        height: Lines of the drawing, the axis below not counted; at least 4.
        colour: Whether to colour the curves, as a terminal can.

    Returns:
        Lines without a value where there is nothing to draw.
    """
    finite = [
        (letter, [(float(x), float(y)) for x, y in points if math.isfinite(y)]) for letter, points in curves
    ]
    every = [point for _, points in finite for point in points]
    if not every:
        return []
    x_low, x_high = min(x for x, _ in every), max(x for x, _ in every)
    y_low, y_high = min(y for _, y in every), max(y for _, y in every)
    if y_high == y_low:
        y_low, y_high = y_low - 0.5, y_high + 0.5
    labels = [_label(y_high), _label((y_low + y_high) / 2), _label(y_low)]
    margin = max(len(one) for one in labels)
    columns, rows = max(width, _LEAST_WIDTH) - margin - 2, max(height, _LEAST_HEIGHT)
    canvas = Canvas(columns, rows)

    def place(point: tuple[float, float]) -> tuple[int, int]:
        across = (point[0] - x_low) / ((x_high - x_low) or 1.0)
        up = (point[1] - y_low) / (y_high - y_low)
        return round(across * (2 * columns - 1)), round((1 - up) * (4 * rows - 1))

    for owner, (letter, points) in enumerate(finite):
        places = [place(point) for point in points]
        _draw(canvas, places, owner)
        if places:
            canvas.letter(*places[-1], letter, owner)
    at = {0: labels[0], rows // 2: labels[1], rows - 1: labels[2]}
    lines = [f"{at.get(row, ''):>{margin}} |{line}" for row, line in enumerate(canvas.lines(colour=colour))]
    first, last = f"{x_low:,.0f}", f"{x_high:,.0f}"
    gap = max(1, columns - len(first) - len(last))
    return [*lines, f"{'':>{margin}} +{'-' * columns}", f"{'':>{margin}}  {first}{'':{gap}}{last}"]


def _draw(canvas: Canvas, places: Sequence[tuple[int, int]], owner: int) -> None:
    """Join neighbouring points by a line of dots."""
    for start, end in zip(places, places[1:] or places, strict=False):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for part in range(length + 1):
            x = round(start[0] + (end[0] - start[0]) * part / length)
            y = round(start[1] + (end[1] - start[1]) * part / length)
            canvas.dot(x, y, owner)


def _label(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
