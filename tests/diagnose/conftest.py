"""Fixtures of what synthetic.py makes."""

from collections.abc import Callable

import pytest

from lorascope.diagnose.evidence import Evidence

from .synthetic import falling, make_evidence


@pytest.fixture
def synthetic() -> Callable[..., Evidence]:
    """Make a run with planted truth."""
    return make_evidence


@pytest.fixture
def falling_curve() -> Callable[..., list[float]]:
    """Make a curve that falls."""
    return falling
