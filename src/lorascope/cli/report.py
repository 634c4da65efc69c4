"""`lorascope report`."""


def report() -> None:
    """TODO."""
