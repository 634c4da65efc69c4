"""Which adapter to ship: the earliest on disk that is not shown to be worse than the best."""

from typing import Any

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import NotRun
from lorascope.diagnose.rows.gates import need_series
from lorascope.diagnose.series import ALPHA, Series

Json = dict[str, Any]


def step_to_ship(evidence: Evidence) -> Json:
    """Choose among the adapters on disk.

    An evaluation is tied with the best when the paired interval of their difference, at 1 - 0.05 / K for K
    candidates, includes 0. Of the tied ones that exist as an adapter the earliest is chosen. No step is
    named that was not saved.

    Args:
        evidence: What is known about the run.

    Returns:
        "adapter" ("last", "best" or None), its "step" (0 is the base model), "shown": whether the losses
        speak for it, "why", the "tied_steps", and "cost": what the other adapter on disk would differ by,
        with its interval.
    """
    validation = need_series("step_to_ship", evidence.validation, "validation")
    if not evidence.adapters:
        return _unshown(None, None, "no adapter is on disk yet")
    if isinstance(validation, NotRun) or not any(validation.steps):
        only = "last" if "last" in evidence.adapters else "best"
        unevaluated = "nothing was evaluated after the first step"
        reason = validation.reason if isinstance(validation, NotRun) else unevaluated
        why = f"{reason}, so no adapter is shown to be better than another"
        return _unshown(only, evidence.adapters[only], why)
    trained = [index for index, step in enumerate(validation.steps) if step > 0]
    level = 1 - ALPHA / len(trained)
    best = min(trained, key=validation.loss)
    if validation.steps[0] == 0 and validation.change(0, best, level).high >= 0:
        why = f"no adapter is shown to be better than the base model ({validation.num_rows:,} rows)"
        return _choice(None, 0, why)
    tied = [index for index in trained if validation.change(best, index, level).low <= 0]
    tied_steps = [validation.steps[index] for index in tied]
    on_disk = sorted(evidence.adapters.items(), key=lambda one: (one[1], one[0] == "last"))
    at_best = {step: index for index, step in enumerate(validation.steps)}
    chosen = next((one for one in on_disk if one[1] in tied_steps), None)
    if chosen is None:
        name, step = on_disk[0]
        why = f"the best evaluation is after step {validation.steps[best]:,}, whose adapter was not kept"
        return _unshown(name, step, why, tied_steps)
    name, step = chosen
    if all(kept == step for kept in evidence.adapters.values()):
        name = "last" if "last" in evidence.adapters else name
    why = (
        _why_best(trained)
        if at_best[step] == best
        else f"it is the earliest not shown to be worse than the best, step {validation.steps[best]:,}"
    )
    cost = _cost(validation, evidence, step, at_best)
    return _choice(name, step, why, tied_steps, cost)


def _cost(validation: Series, evidence: Evidence, step: int, index_of: dict[int, int]) -> Json | None:
    """What the other adapter on disk differs by; None where there is none."""
    other = next(
        ((name, at) for name, at in evidence.adapters.items() if at != step and at in index_of),
        None,
    )
    if other is None:
        return None
    change = validation.change(index_of[step], index_of[other[1]])
    return {
        "instead": other[0],
        "step": other[1],
        **change.as_dict(),
        "sentence": f"{other[0]} (step {other[1]:,}) instead: {change.estimate:+.4f} nats per token, 95 % "
        f"interval {change.low:+.4f} to {change.high:+.4f}",
    }


def _why_best(trained: list[int]) -> str:
    if len(trained) == 1:
        return "it is the only one that was evaluated, and better than the base model"
    return "it has the lowest validation loss"


def _choice(
    adapter: str | None, step: int | None, why: str, tied: list[int] | None = None, cost: Json | None = None
) -> Json:
    return {
        "adapter": adapter,
        "step": step,
        "shown": True,
        "why": why,
        "tied_steps": tied or [],
        "cost": cost,
    }


def _unshown(adapter: str | None, step: int | None, why: str, tied: list[int] | None = None) -> Json:
    return {**_choice(adapter, step, why, tied), "shown": False}
