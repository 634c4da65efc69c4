"""Who is measured, by which script, and in whose venv."""

from dataclasses import dataclass
from pathlib import Path

from conversation import Worker
from ladder_names import RUNGS
from work import Job

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to do the work.

    Attributes:
        title: In tables.
        short: In charts.
        own_order: Whether it groups or packs examples in its own order, so that its steps hold others.
    """

    title: str
    short: str
    own_order: bool = False


CONTENDERS = {
    "lorascope": Contender("lorascope, as shipped", "lorascope"),
    "trl": Contender("TRL SFTTrainer, padded", "TRL, padded"),
    "trl-mixed": Contender("TRL SFTTrainer, padded, float32 weights under autocast", "TRL, autocast"),
    "trl-length": Contender("TRL SFTTrainer, grouped by length", "TRL, grouped by length", True),
    "trl-free": Contender("TRL SFTTrainer, padding-free", "TRL, padding-free"),
    "trl-packing": Contender("TRL SFTTrainer, packed (bfd)", "TRL, packed", True),
    "trainer": Contender("transformers Trainer + PEFT, padded to the longest", "Trainer, padded"),
    "classic": Contender("transformers Trainer + PEFT, padded to 512", "Trainer, padded to 512"),
}
SCRIPTS = {
    "limit": "limit",
    "profile": "breakdown",
    "lorascope": "lorascope_side",
    "gradients": "lorascope_side",
    "reference": "reference",
    "reference-gradients": "reference",
    **dict.fromkeys(RUNGS, "lorascope_side"),
}
"""Kind to the script that serves it; all others are peers."""


@dataclass(frozen=True, slots=True)
class Venvs:
    """The two Python interpreters: the product's, and the peers' own; None where peers are left out."""

    product: str
    peers: str | None

    def start(self, job: Job) -> Worker:
        """Start the process that a job needs."""
        script = SCRIPTS.get(job.kind, "peers")
        foreign = script in ("peers", "reference")
        python = self.peers if foreign and self.peers else self.product
        return Worker(job.kind, [python, str(HERE / f"{script}.py"), job.written()])
