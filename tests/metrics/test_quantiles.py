import numpy as np
import pytest

from lorascope.metrics.quantiles import lower_quantiles, median, quantiles


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (8,), (999,), (1000,), (3, 8), (4, 9)])
def test_the_median_is_that_of_numpy_to_the_last_bit(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(shape[-1]).lognormal(size=shape)
    assert (median(values) == np.median(values, axis=-1)).all()


def test_ties_and_infinities_are_values_like_others() -> None:
    assert median([1.0, 1.0, 1.0, 5.0]) == 1.0
    assert median([1.0, np.inf, np.inf]) == np.inf
    assert median([-np.inf, 2.0, 4.0, np.inf]) == 3.0


def test_whole_numbers_have_a_median_between_them() -> None:
    assert median([1, 2]) == 1.5  # of two the mean


def test_the_values_stay_as_they_were() -> None:
    values = np.array([3.0, 1.0, 2.0])
    median(values)
    assert values.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("num", [1, 2, 3, 40, 41, 2000])
def test_quantiles_are_those_of_numpy_to_the_last_bit(num: int) -> None:
    values = np.random.default_rng(num).normal(size=num)
    shares = [0.0, 0.025, 0.25, 1 / 3, 0.5, 0.75, 0.975, 1.0]
    assert quantiles(values, shares).tolist() == np.quantile(values, shares).tolist()
    assert lower_quantiles(values, shares).tolist() == np.quantile(values, shares, method="lower").tolist()


def test_a_quantile_between_two_values_lies_on_the_line_between_them() -> None:
    # place = 0.25 * (3 - 1) = 0.5, half way from 10 to 20.
    assert quantiles([30.0, 10.0, 20.0], [0.25]).tolist() == [15.0]
