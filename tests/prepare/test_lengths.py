"""How long examples may be."""

import pytest

from lorascope.prepare.lengths import length_summary, resolve_max_length


def test_auto_is_the_995th_of_a_thousand_lengths() -> None:
    # Lengths 1 to 1000: numpy's linear percentile is 1 + 0.995 * 999 = 995.005, rounded up.
    assert resolve_max_length("auto", range(1, 1001), None) == 996
    assert resolve_max_length("auto", [7], None) == 7


@pytest.mark.parametrize(
    ("asked", "context", "resolved"),
    [("auto", 512, 512), ("auto", 4096, 996), (64, None, 64), (64, 512, 64), (4096, 1024, 1024)],
)
def test_an_example_is_never_longer_than_the_context(
    asked: str | int, context: int | None, resolved: int
) -> None:
    assert resolve_max_length(asked, range(1, 1001), context) == resolved


def test_the_summary_of_lengths_is_that_of_a_hand_made_list() -> None:
    # 1, 2, 3, 4, 10: the median is 3; p90 lies 0.6 of the way from 4 to 10; p99 0.96 of it.
    summary = length_summary([4, 10, 1, 3, 2])
    assert (summary["num"], summary["min"], summary["median"], summary["max"]) == (5, 1, 3.0, 10)
    assert summary["p90"] == pytest.approx(7.6)
    assert summary["p99"] == pytest.approx(9.76)
    histogram = summary["histogram"]
    assert isinstance(histogram, dict)
    assert sum(histogram["counts"]) == 5
    assert (histogram["edges"][0], histogram["edges"][-1]) == (1.0, 10.0)


def test_lengths_that_are_all_the_same_or_none_have_a_summary() -> None:
    assert length_summary([5, 5, 5])["median"] == 5.0
    assert length_summary([]) == {"num": 0}
