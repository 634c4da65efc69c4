"""`lorascope export`."""


def export() -> None:
    """TODO."""
