"""Cells as people and tools write them."""

from lorascope.diagnose.logs.numbers import has_decimal_commas, rounded_zeros, with_points


def test_a_comma_stands_before_decimals_where_thousands_cannot_explain_it() -> None:
    assert has_decimal_commas(["1,951", "1,9"], likely=False)
    assert has_decimal_commas(["0,951", None, 2.5], likely=False)
    assert has_decimal_commas(["1,5e-05"], likely=False)
    assert not has_decimal_commas(["1,951", "2,000"], likely=False)
    assert has_decimal_commas(["1,951", "2,000"], likely=True)
    assert not has_decimal_commas(["1.5", 2, None], likely=True)


def test_what_only_thousands_explain_settles_it() -> None:
    for value in ("1,234.5", "1,234,567"):
        assert not has_decimal_commas(["1,951", value], likely=True)


def test_points_before_a_decimal_comma_are_thousands() -> None:
    assert with_points("1.234,5") == "1234.5" and with_points("1,9") == "1.9"
    assert with_points("1.5") == "1.5" and with_points(None) is None


def test_a_printed_zero_is_unknown_and_an_exact_one_is_not() -> None:
    # Python writes an exact zero as 0.0; two and more decimals are a format.
    assert rounded_zeros(["0.0000", "0.0", 0.0, "0.1000", None], small_is_zero=False) == [True] + [False] * 4


def test_a_printed_zero_far_below_the_largest_value_may_count_as_zero() -> None:
    # A unit is 0.0001: 0.0010 is ten of them, 0.0009 is not.
    assert rounded_zeros(["0.0010", "0.0000"], small_is_zero=True) == [False, False]
    assert rounded_zeros(["0.0009", "0.0000"], small_is_zero=True) == [False, True]
    assert rounded_zeros(["0.0010", "0.0000"], small_is_zero=False) == [False, True]
