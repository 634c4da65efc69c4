"""The gallery: what is planted, how badly, and what counts as seeing it. Written down before anything is run.

A trial trains the bundled starter model on 320 of its rows for two epochs. Each fault has severities, the
worst last; each is run with five seeds. Healthy are sixty trainings with nothing planted, of three sizes of
data, four ranks, two schedules and three batch sizes; that is also a leak of 0 %.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
Plant = Callable[[Rows, float, np.random.Generator], Rows]
Sabotage = Callable[[Any, float], None]

BASE_RATE = 4e-3
SEEDS = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to spoil a training.

    Attributes:
        name: In the table.
        severities: The worst last; what they mean, `unit` says.
        unit: Of the severities.
        seen_by: Verdicts, rules of diagnose and checks of which any counts as seeing it.
        told_by: Rules of which information counts too, where nothing is wrong and something is to be known.
        settings: Severity -> settings of the recipe.
        rows: Changes the rows, where it is the data that is spoilt; they are split afterwards.
        validation: Chooses rows that stand in validation too; that is a file of its own then.
        labels: Name of a change to the tokenised labels: "masked" or "endless".
        sabotage: What is done to model or optimizer in the middle of the training.
    """

    name: str
    severities: tuple[float, ...]
    unit: str
    seen_by: frozenset[str]
    told_by: frozenset[str] = frozenset()
    settings: Callable[[float], Mapping[str, Any]] = field(default=lambda severity: {})
    rows: Plant | None = None
    validation: Plant | None = None
    labels: str | None = None
    sabotage: Sabotage | None = None


def _rate(factor: float) -> dict[str, Any]:
    return {"train.learning_rate": BASE_RATE * factor}


def _shuffled(rows: Rows, share: float, generator: np.random.Generator) -> Rows:
    """Answers of a share of the rows, dealt out anew among them."""
    chosen = np.flatnonzero(generator.random(len(rows)) < share)
    answers = [rows[index]["output"] for index in generator.permutation(chosen)]
    spoilt = [dict(row) for row in rows]
    for index, answer in zip(chosen, answers, strict=True):
        spoilt[index]["output"] = answer
    return spoilt


def _leaked(rows: Rows, share: float, generator: np.random.Generator) -> Rows:
    """Training rows that validation gets too, as a share of validation."""
    wanted = round(160 * share)
    return [rows[index] for index in generator.choice(len(rows), wanted, replace=False)]


def _gibberish(rows: Rows, num: float, generator: np.random.Generator) -> Rows:
    """A few rows whose answers are long and random: a batch with one has a loss far above its neighbours'."""
    spoilt = [dict(row) for row in rows]
    letters = np.array(list("qxzjkvw#@%&*0123456789"))
    for index in generator.choice(len(rows), int(num), replace=False):
        spoilt[index]["output"] = "".join(generator.choice(letters, 24))
    return spoilt


def _few(rows: Rows, num: float, generator: np.random.Generator) -> Rows:
    """So few training rows, beside 160 of validation, that many epochs remember them."""
    return [rows[index] for index in generator.choice(len(rows), int(num) + 160, replace=False)]


def _overflow(trainee: Any, _severity: float) -> None:
    """A weight becomes infinite, as after an overflow in half precision: the next loss is not finite."""
    trainee.parameters[0].data[...] = float("inf")


def _bad_resume(trainee: Any, severity: float) -> None:
    """Go on as a trainer does that saved the step and nothing else."""
    trainee.optimizer.state.clear()
    if severity > 1:
        for parameter in trainee.parameters[1::2]:  # B of each pair: zero, as in a fresh adapter
            parameter.data.zero_()


_UNSTABLE = frozenset({"diverging", "non_finite", "not_learning", "unstable", "spikes", "setback"})

FAULTS: Sequence[Fault] = (
    Fault(
        name="learning rate too high",
        severities=(10, 100),
        unit="times",
        seen_by=_UNSTABLE,
        settings=_rate,
    ),
    Fault(
        name="learning rate too low",
        severities=(0.1, 0.01, 0.001),
        unit="times",
        seen_by=frozenset({"not_learning", "no_effect", "low_rate"}),
        settings=_rate,
    ),
    Fault(
        name="learning rate never decays",
        severities=(1, 3),
        unit="times the rate",
        seen_by=frozenset({"plateau", *_UNSTABLE}),
        settings=lambda factor: {**_rate(factor), "train.schedule": "constant"},
    ),
    Fault(
        name="all labels of a row masked",
        severities=(0.05, 0.25, 1.0),
        unit="of the rows",
        seen_by=frozenset({"targets", "masked_answers", "non_finite"}),
        labels="masked",
    ),
    Fault(
        name="end of text masked",
        severities=(0.05, 0.25, 1.0),
        unit="of the rows",
        seen_by=frozenset({"stop_token", "endless_answers"}),
        labels="endless",
    ),
    Fault(
        name="answers shuffled",
        severities=(0.1, 0.5, 1.0),
        unit="of the rows",
        seen_by=frozenset({"not_learning", "carry_over", "prompt_use", "hard_rows", "overfitting"}),
        rows=_shuffled,
    ),
    Fault(
        name="validation leaked into training",
        severities=(0.05, 0.2, 0.5),
        unit="of validation",
        seen_by=frozenset({"overlap", "leak_price", "memorisation"}),
        validation=_leaked,
    ),
    Fault(
        name="few rows, many epochs",
        severities=(10, 20, 40),
        unit="epochs of 32 rows",
        seen_by=frozenset({"overfitting", "memorisation", "carry_over"}),
        settings=lambda epochs: {"train.epochs": epochs},
        rows=lambda rows, severity, generator: _few(rows, 32, generator),
    ),
    Fault(
        name="tiny validation",
        severities=(40, 20, 10),
        unit="rows",
        seen_by=frozenset({"not_enough_evidence"}),
        told_by=frozenset({"small_validation"}),
        settings=lambda num: {"validation_rows": int(num)},
    ),
    Fault(
        name="a step overflows",
        severities=(1,),
        unit="step",
        seen_by=frozenset({"non_finite"}),
        sabotage=_overflow,
    ),
    Fault(
        name="resumed without",
        severities=(1, 2),
        unit="(1: the optimizer's moments, 2: the adapter)",
        seen_by=frozenset({"diverging", "unstable", "spikes", "setback"}),
        sabotage=_bad_resume,
    ),
    Fault(
        name="adapter frozen",
        severities=(1e-25,),
        unit="of the rate",
        seen_by=frozenset({"no_effect", "not_learning"}),
        settings=_rate,
    ),
    Fault(
        name="wrong target modules",
        severities=(1,),
        unit="(the names of another architecture)",
        seen_by=frozenset({"refused"}),
        settings=lambda severity: {"lora.target_modules": ["q_proj", "v_proj"]},
    ),
    Fault(
        name="spikes in the data",
        severities=(2, 5, 10),
        unit="rows of gibberish",
        seen_by=frozenset({"spikes", "unstable", "hard_rows"}),
        rows=_gibberish,
    ),
)


def healthy_variants() -> list[dict[str, Any]]:
    """Sixty trainings with nothing wrong: five seeds of twelve settings."""
    settings = [
        {
            "rows": rows,
            "lora.rank": rank,
            "train.schedule": schedule,
            "train.batch_size": batch,
            "train.epochs": epochs,
        }
        for rows, rank, schedule, batch, epochs in (
            (320, 4, "cosine", 8, 2),
            (320, 8, "cosine", 8, 2),
            (320, 16, "cosine", 8, 2),
            (320, 32, "cosine", 8, 2),
            (320, 16, "linear", 8, 2),
            (320, 16, "linear", 16, 3),
            (160, 16, "cosine", 8, 3),
            (640, 16, "cosine", 16, 2),
            (640, 8, "linear", 8, 1),
            (320, 16, "cosine", 4, 1),
            (160, 4, "linear", 4, 2),
            (320, 32, "linear", 16, 2),
        )
    ]
    return [{**one, "seed": seed} for one in settings for seed in SEEDS]
