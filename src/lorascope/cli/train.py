"""`lorascope train`."""


def train() -> None:
    """TODO."""
