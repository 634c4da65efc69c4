"""A file's rows in chunks, each worked on by itself, in order."""

from collections.abc import Iterator
from itertools import islice

from lorascope.lm.template import Template
from lorascope.prepare.origin import Origin
from lorascope.prepare.work import Worked, work

_ROWS_AT_ONCE = 1000  # handed to the tokenizer in one call: it runs them in parallel


def work_through(origin: Origin, template: Template, targets: str) -> Iterator[Worked]:
    """Read, word and tokenise all rows of a file.

    Args:
        origin: The file.
        template: How conversations become tokens.
        targets: "all" assistant turns or the "last".

    Yields:
        What each chunk of neighbouring rows came to, in the file's order.
    """
    rows, first = origin.rows(), 1
    while chunk := list(islice(rows, _ROWS_AT_ONCE)):
        yield work(
            chunk,
            shape=origin.shape,
            template=template,
            file=origin.file,
            first_row=first,
            targets=targets,
        )
        first += len(chunk)
