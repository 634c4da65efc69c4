"""The machine -> a list of checks, from what everything needs to what only some runs do. Uses no network."""

import os
from collections.abc import Mapping
from pathlib import Path

from lorascope.doctor import hardware, hub, launcher, packages, storage
from lorascope.doctor.check import Check


def examine(
    *, config: Path | None = None, run: Path | None = None, environ: Mapping[str, str] | None = None
) -> list[Check]:
    """Look at everything that a run depends on and that can be seen without starting one.

    Args:
        config: An accelerate config to check; None for the one accelerate would use.
        run: A folder whose disk is to be looked at; None for the current folder's.
        environ: The environment variables; None for this process's.

    Returns:
        One check per thing, in a fixed order. A missing torch is a warning, since reading logs and reports
        needs none.
    """
    environ = os.environ if environ is None else environ
    torch = hardware.import_torch()
    return [
        *packages.examine(),
        *hardware.examine(torch, environ),
        launcher.examine(config, environ, num_gpus=hardware.num_gpus(torch)),
        *storage.examine(run),
        *hub.examine(environ),
    ]
