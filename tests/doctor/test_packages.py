import pytest

from lorascope.doctor.packages import examine, is_older

REQUIREMENTS = [
    "numpy>=1.26",
    "rich",
    "torch>=2.10; extra == 'train'",
    "peft>=0.20; extra == 'train'",
    "ruff; extra == 'dev'",
]
ALL = {"numpy": "2.4.6", "rich": "15.0.0", "torch": "2.13.0+cpu", "peft": "0.21.2"}


def found(versions: dict[str, str]) -> dict[str, tuple[str, str, str | None]]:
    return {
        check.name: (check.status, check.found, check.fix) for check in examine(REQUIREMENTS, versions.get)
    }


@pytest.mark.parametrize(
    ("version", "floor", "older"),
    [
        ("2.9.1+cu128", "2.10", True),  # 9 < 10, though "9" > "1"
        ("2.10", "2.10.0", False),
        ("2.10.0a0+git1", "2.10", False),
        ("5.3.0rc1", "5.3", False),
        ("1.15.0", "1.15", False),
        ("0.19.1", "0.20", True),
    ],
)
def test_versions_compare_by_number(version: str, floor: str, older: bool) -> None:
    assert is_older(version, floor) is older


def test_a_full_install_is_ok_and_lists_its_versions() -> None:
    checks = found(ALL)
    assert checks["core packages"][:2] == ("ok", "numpy 2.4.6, rich 15.0.0")
    assert checks["train packages"][:2] == ("ok", "torch 2.13.0+cpu, peft 0.21.2")


def test_a_light_install_is_told_what_to_add_and_does_not_fail() -> None:
    status, _, fix = found({"numpy": "2.4.6", "rich": "15.0.0"})["train packages"]
    assert (status, fix) == ("warn", 'pip install "lorascope[train]"')


def test_an_old_and_a_missing_package_are_named_together() -> None:
    status, what, _ = found(ALL | {"torch": "2.9.1"})["train packages"]
    assert (status, what) == ("fail", "too old: torch 2.9.1 (needs 2.10)")
    without = {name: version for name, version in ALL.items() if name != "peft"}
    assert (
        found(without | {"torch": "2.9.1"})["train packages"][1]
        == "missing: peft; too old: torch 2.9.1 (needs 2.10)"
    )


def test_this_environment_has_what_lorascope_declares() -> None:
    assert {check.name: check.status for check in examine()}["core packages"] == "ok"
