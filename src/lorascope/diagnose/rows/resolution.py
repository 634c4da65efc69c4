"""A validation split too small to see what matters."""

from lorascope.diagnose.evidence import Evidence, Json
from lorascope.diagnose.finding import Finding, NotRun, Outcome
from lorascope.diagnose.rows.gates import need_series
from lorascope.diagnose.rows.plateau import WINDOW
from lorascope.diagnose.series import POWER_FACTOR, rows_needed
from lorascope.errors import command

RULE = "small_validation"
WORTH_SEEING = 0.01
"""Share of the loss whose change a validation split should be able to show."""


def resolution(evidence: Evidence) -> Outcome:
    """Find out what the validation split can see.

    Signal: the smallest rise it shows four times in five, 2.8 standard errors of the change over the newest
        evaluations, is more than 1 % of the loss, and more than the change itself: what was seen was not too
        small to be seen.
    Gate: two evaluations, 20 rows (fewer are a verdict of their own).
    Advice: the number of rows that could.

    Source:
        Rule R23 of docs/diagnose.md. The standard error is that of this run's own paired changes.
    """
    validation = need_series(RULE, evidence.validation, "validation", 2)
    if isinstance(validation, NotRun):
        return validation
    told = visible_rise(evidence)
    if told is None:
        return None
    first, last = validation.window(WINDOW)
    visible, share, loss = told["nats"], told["share"], validation.loss(last)
    if visible <= max(WORTH_SEEING * loss, abs(validation.change(first, last).estimate)):
        return None
    needed = rows_needed(validation.num_rows, visible, WORTH_SEEING * loss)
    return Finding(
        rule=RULE,
        severity="info",
        title=f"{validation.num_rows:,} validation rows are too few to see small changes",
        evidence={
            "num_rows": validation.num_rows,
            "stderr": visible / POWER_FACTOR,
            "smallest_visible": visible,
            "share": share,
            "rows_needed": needed,
            "sentence": f"The smallest rise these rows show four times in five is {visible:.4f} nats per "
            f"token, {share:.1%} of {loss:.3f}; about {needed:,} rows would show 1 %.",
        },
        how_sure="from the spread of this run's own row changes; it varies from run to run",
        action=hold_out_more(evidence, needed),
        would_change="more validation rows, or rows that move more alike",
    )


def visible_rise(evidence: Evidence) -> Json | None:
    """The smallest rise of validation loss that this run would show four times in five.

    Returns:
        "nats", "share" of the loss, "num_rows" and the "sentence"; None where no interval can be given.
    """
    validation = need_series(RULE, evidence.validation, "validation", 2)
    if isinstance(validation, NotRun):
        return None
    first, last = validation.window(WINDOW)
    loss, stderr = validation.loss(last), validation.change(first, last).stderr
    if not stderr or not loss:
        return None
    nats, num = POWER_FACTOR * stderr, validation.num_rows
    return {
        "nats": nats,
        "share": nats / loss,
        "num_rows": num,
        "sentence": f"a rise of {nats:.4f} nats per token ({nats / loss:.1%}), four times in five, with "
        f"these {num:,} validation rows",
    }


def hold_out_more(evidence: Evidence, num_rows: int) -> str:
    """The command that scores more validation rows: those the split has, or a larger split if there are rows.

    Args:
        evidence: For the data, the base model and how many rows there are.
        num_rows: Validation rows that are needed.
    """
    if evidence.log is None and len(evidence.validation_ids) >= num_rows:
        return f"score more of them: {evidence.retrain(eval_examples=num_rows)}"
    base = evidence.config.get("base", "MODEL")
    name = base.get("id", "MODEL") if isinstance(base, dict) else base
    data = evidence.config.get("data", "DATA")
    kept = (evidence.prepare or {}).get("kept")
    if kept is not None and num_rows > kept // 2:
        return f"collect more data: validation alone needs {num_rows:,} rows, and there are {kept:,} in all"
    words = ("prepare", data, "--base", name, "--out", f"{evidence.run}-wider")
    return f"hold out more: {command(*words, '--set', f'prepare.validation={num_rows}')}"
