"""`lorascope demo`."""


def demo() -> None:
    """TODO."""
