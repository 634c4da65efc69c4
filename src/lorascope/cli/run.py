"""`lorascope run`."""


def run() -> None:
    """TODO."""
