"""`lorascope doctor`."""


def doctor() -> None:
    """TODO."""
