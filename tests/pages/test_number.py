"""Numbers as people read them."""

import math

import pytest

from lorascope.pages.number import interval_text, number_text, position_text, tick_texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (-5, "\u22125"),
        (0.0, "0.000"),
        (4.1, "4.100"),
        (9.9996, "10.00"),
        (1234.5, "1,234"),  # four digits; halves round to even
        (-0.01235, "\u22120.01235"),
        (0.00012, "1.2e-4"),
        (-0.00012, "\u22121.2e-4"),
        (3.2e9, "3.2e9"),
        (math.nan, "not finite"),
        (-math.inf, "not finite"),
        (True, "yes"),
    ],
)
def test_a_number_has_four_digits_and_a_true_minus(value: float, text: str) -> None:
    assert number_text(value) == text


def test_a_whole_position_is_written_in_full_whatever_its_type() -> None:
    assert position_text(12345) == position_text(12345.0) == "12,345"
    assert position_text(0.5) == "0.5000"
    assert position_text(math.inf) == "not finite"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        # Half-width 0.023: two digits of it are two places after the first zero, so three decimals.
        ((-0.012, -0.035, 0.011), "\u22120.012 [\u22120.035, 0.011]"),
        # Half-width 0.165: two decimals.
        ((4.1449, 3.98, 4.31), "4.14 [3.98, 4.31]"),
        # Half-width 250: no decimals.
        ((1200.0, 950.0, 1450.0), "1,200 [950, 1,450]"),
        # Rounded to zero it loses its sign.
        ((-0.0001, -0.2, 0.2), "0.00 [\u22120.20, 0.20]"),
        # Without a width there is nothing to round to.
        ((2.0, 2.0, 2.0), "2.000 [2.000, 2.000]"),
        ((2.0, math.nan, 3.0), "2.000 [not finite, 3.000]"),
    ],
)
def test_an_interval_claims_no_more_digits_than_it_has(numbers: tuple[float, ...], text: str) -> None:
    assert interval_text(*numbers) == text


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ((0.0, 0.5, 1.0), ("0.0", "0.5", "1.0")),
        ((0.0, 5e-5, 1e-4), ("0", "0.5e-4", "1e-4")),
        ((-10.0, 0.0, 10.0), ("\u221210", "0", "10")),
        ((0.0, 1000.0, 2000.0), ("0", "1,000", "2,000")),
        ((0.25, 0.5), ("0.25", "0.50")),
        ((0.0,), ("0",)),
        ((), ()),
    ],
)
def test_the_numbers_of_an_axis_are_written_alike(ticks: tuple[float, ...], texts: tuple[str, ...]) -> None:
    assert tick_texts(ticks) == texts
