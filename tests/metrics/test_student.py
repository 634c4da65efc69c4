"""Student's t against scipy and its closed forms."""

import math

import pytest
import scipy.special

from lorascope.errors import UndefinedMetric
from lorascope.metrics.student import student_quantile

SHARES = (0.5001, 0.6, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 1 - 0.05 / 40, 1 - 1e-5, 1 - 1e-6)


@pytest.mark.parametrize("df", [0.5, 1, 1.5, 2, 3, 4.7, 7, 10, 19, 28, 50, 199, 321.7, 1_000, 5_000, 100_000])
def test_a_quantile_is_that_of_scipy(df: float) -> None:
    for share in SHARES:
        expected = float(scipy.special.stdtrit(df, share))
        assert student_quantile(df, share) == pytest.approx(expected, rel=1e-10), share


def test_a_million_degrees_of_freedom_lose_two_digits_to_the_gamma_function_and_no_more() -> None:
    for share in SHARES:
        assert student_quantile(1e6, share) == pytest.approx(
            float(scipy.special.stdtrit(1e6, share)), rel=1e-8
        )


def test_one_degree_of_freedom_is_cauchy_and_two_have_a_closed_form() -> None:
    # df = 1: tan(pi (q - 1/2)).  df = 2: (2 q - 1) / sqrt(2 q (1 - q)); at q = 0.975 0.95 / sqrt(0.04875).
    assert student_quantile(1, 0.975) == pytest.approx(math.tan(math.pi * 0.475), rel=1e-12)
    assert student_quantile(2, 0.975) == pytest.approx(0.95 / math.sqrt(0.04875), rel=1e-12)


def test_the_median_is_zero_and_the_lower_half_mirrors_the_upper() -> None:
    assert student_quantile(7, 0.5) == 0
    assert student_quantile(7, 0.025) == pytest.approx(-student_quantile(7, 0.975), rel=1e-12)


@pytest.mark.parametrize(("df", "share"), [(0, 0.975), (-1, 0.975), (5, 0), (5, 1), (math.nan, 0.5)])
def test_what_has_no_quantile_is_undefined(df: float, share: float) -> None:
    with pytest.raises(UndefinedMetric):
        student_quantile(df, share)
