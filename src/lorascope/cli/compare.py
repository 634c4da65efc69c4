"""`lorascope compare`."""


def compare() -> None:
    """TODO."""
