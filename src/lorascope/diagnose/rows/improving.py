"""A loss that is still falling at the end of the log."""

from dataclasses import dataclass

import numpy as np

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import MIN_EVALS, need_both
from lorascope.diagnose.rows.plateau import MARGIN, WINDOW
from lorascope.diagnose.rows.rate_spent import rate_spent
from lorascope.diagnose.series import Series

RULE = "still_improving"


def improving(evidence: Evidence) -> Outcome:
    """Find that more training may pay.

    Signal: over the newest 4 evaluations the loss fell, on validation and on the train probe (95 %, paired),
        and on validation by more than the 0.5 % that count as flat; the newest one is the lowest of all.
    Gate: 5 evaluations, 20 rows in both sets.
    Advice: more epochs, with what twice as many would bring; for a training that is not finished, to let it
        go on.

    Source:
        Rule R6 of docs/diagnose.md, over the window of the plateau rule: its ends are fixed beforehand,
        and on a flat run both sets would have to fall by chance at once.
    """
    ready = need_both(RULE, evidence, MIN_EVALS)
    if isinstance(ready, NotRun):
        return ready
    validation, probe = ready
    first, last = validation.window(WINDOW)
    change, trained = validation.change(first, last), probe.change(first, last)
    loss, doublings = validation.loss(last), _doublings(evidence, validation)
    if validation.best() != last:
        return None  # it fell, but has turned since
    if change.high >= 0 or trained.high >= 0 or -change.estimate <= MARGIN * loss:
        return None
    since = validation.steps[first]
    return Finding(
        rule=RULE,
        severity="info",
        title=f"validation loss is still falling: {-change.estimate / validation.loss(first):.1%} since step "
        f"{since:,}",
        evidence={
            "first_step": since,
            "last_step": validation.steps[last],
            "change": change.estimate,
            "low": change.low,
            "high": change.high,
            "probe_change": trained.estimate,
            "further": None if doublings is None else doublings.further,
            "num_rows": change.num,
            "sentence": f"From step {since:,} to {validation.steps[last]:,} validation moved by "
            f"{change.estimate:+.4f} nats per token (95 % interval {change.low:+.4f} to {change.high:+.4f}), "
            f"the train probe by {trained.estimate:+.4f}.{_told(doublings)}",
        },
        how_sure=f"paired over {change.num:,} rows; that it would go on falling is likely, not shown",
        action=_action(evidence),
        would_change="a validation loss that stays within 0.5 % over four evaluations",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doublings:
    """What the last two doublings of the learning rate spent changed, in nats per token, both < 0."""

    before: float
    last: float

    @property
    def further(self) -> float:
        """What the next one would bring: the same share of the last, and no more than that brought."""
        return self.last * min(1.0, self.last / self.before)


def _doublings(evidence: Evidence, validation: Series) -> _Doublings | None:
    """How validation fell while the learning rate spent went from a quarter to a half, and to all of it.

    With r(t) = sum of the learning rate up to step t and L(r) the loss, linear between evaluations:
    before = L(R / 2) - L(R / 4), last = L(R) - L(R / 2), further = last * min(1, last / before).

    Twice the epochs on a schedule of the same shape spend 2 R, which is one doubling more. The steps of an
    annealed schedule do not say what a longer one brings, because its last ones hardly move.

    Of 14 trainings of the bundled model that were really doubled (cosine, linear and constant, rates 3e-4
    to 3e-3, 0.5 to 4 epochs) 13 came within a factor of 1.6 of it, the other at 2.5 times the truth.

    Returns:
        None for a training that is not finished, whose advice is to let it go on; where some rate is not
        logged or the base was not evaluated; and where one of the two did not fall.
    """
    spent = rate_spent(evidence, validation.steps)
    if evidence.state != "finished" or spent is None or validation.steps[0] != 0:
        return None
    losses = [validation.loss(index) for index in range(len(validation))]
    quarter, half = np.interp([spent[-1] / 4, spent[-1] / 2], spent, losses).tolist()
    found = _Doublings(before=half - quarter, last=losses[-1] - half)
    return found if found.before < 0 and found.last < 0 else None


def _told(found: _Doublings | None) -> str:
    if found is None:
        return ""
    share = found.last / found.before
    pace = f"{share:.0%} of what" if share < 1 else "no less than"
    return (
        f" The second half of the learning rate spent brought {found.last:+.3f}, {pace} the quarter before "
        f"it brought: at that pace twice the epochs would bring about {found.further:+.2g}."
    )


def _action(evidence: Evidence) -> str:
    if evidence.state != "finished":
        return evidence.let_it_go_on()
    epochs = evidence.evals[-1].epoch
    return f"train longer: {evidence.retrain(epochs=f'{2 * epochs:.3g}')}"
