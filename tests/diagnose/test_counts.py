from lorascope.diagnose.counts import counted
from lorascope.diagnose.finding import NotRun
from lorascope.diagnose.rows.gates import need_series

from .synthetic import make_evidence


def test_one_of_a_thing_is_written_as_one() -> None:
    assert [counted(num, "evaluation") for num in (0, 1, 2000)] == [
        "0 evaluations",
        "1 evaluation",
        "2,000 evaluations",
    ]
    assert [counted(num, "boundary", "boundaries") for num in (1, 2)] == ["1 boundary", "2 boundaries"]


def test_a_rule_that_lacks_evaluations_or_rows_says_one_as_one() -> None:
    for num, told in (
        (1, "there is 1 evaluation, 5 are needed"),
        (2, "there are 2 evaluations, 5 are needed"),
    ):
        evidence = make_evidence([0.0] * num, [0.0] * num)
        missing = need_series("any", evidence.validation, "validation", 5)
        assert missing == NotRun(rule="any", reason=told)
    one = need_series("any", make_evidence([0.0], [0.0], rows=1).validation, "validation")
    assert one == NotRun(rule="any", reason="1 validation row is shared, 20 are needed")
