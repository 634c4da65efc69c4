"""Curves in a terminal."""

import math

from lorascope.cli.curves import curve_lines


def test_a_falling_line_runs_from_top_left_to_bottom_right() -> None:
    lines = curve_lines([("A", [(0, 1.0), (100, 0.0)])], width=40, height=6)
    rows = [line.split("|", 1)[1] for line in lines[:6]]
    assert rows[0][0] > "\u2800"  # a braille cell with a dot in it
    assert rows[-1].rstrip().endswith("A")
    firsts = [len(row) - len(row.lstrip()) for row in rows]
    assert firsts == sorted(firsts)  # each row begins further right than the one above


def test_the_axes_tell_the_ends() -> None:
    lines = curve_lines([("A", [(10, 2.5), (250, 0.5)])], width=50, height=5)
    assert lines[0].startswith(" 2.5 |") or lines[0].startswith("2.5 |")
    assert lines[-1].split() == ["10", "250"] and "0.5 |" in lines[4]


def test_two_curves_each_end_in_their_letter() -> None:
    lines = curve_lines([("A", [(0, 1.0), (9, 0.2)]), ("B", [(0, 0.9), (9, 0.8)])], width=40, height=8)
    assert sum("A" in line for line in lines) == 1 and sum("B" in line for line in lines) == 1


def test_gaps_flat_curves_and_single_points_are_drawn() -> None:
    assert curve_lines([("A", [])], width=40, height=5) == []
    assert curve_lines([("A", [(1, math.nan)])], width=40, height=5) == []
    assert any("A" in line for line in curve_lines([("A", [(5, 1.0)])], width=40, height=5))
    assert any("A" in line for line in curve_lines([("A", [(0, 1.0), (5, 1.0)])], width=40, height=5))


def test_lines_keep_to_the_width_and_colour_only_where_asked() -> None:
    curve = [("A", [(step, math.exp(-step / 30)) for step in range(100)])]
    plain = curve_lines(curve, width=60, height=10)
    assert max(map(len, plain)) <= 60 and not any("\x1b" in line for line in plain)
    assert any("\x1b[36m" in line for line in curve_lines(curve, width=60, height=10, colour=True))
