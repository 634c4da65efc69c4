"""`lorascope diagnose`."""


def diagnose() -> None:
    """TODO."""
