"""What is known about the data: checks that were allowed to fail, rows in both splits, rows left out."""

from typing import Any

from lorascope.diagnose.evidence import Evidence
from lorascope.diagnose.finding import Finding, NotRun, Outcome, Severity
from lorascope.errors import command

_FEW, _MANY = 0.01, 0.05
_MOST = 0.50


def allowed_checks(evidence: Evidence) -> Outcome:
    """Find checks that failed and were allowed to.

    Signal: check/report.json. Critical where more than 5 % of the rows fail, else warn. The check "overlap"
        has a rule of its own.
    Gate: the data was checked.
    Advice: the check's own fix.

    Source:
        Rule R3 of docs/diagnose.md: exact counts, no statistics.
    """
    rule = "allowed_checks"
    if evidence.check is None:
        return NotRun(rule=rule, reason="the data has not been checked")
    failed = [one for one in evidence.check["checks"] if one["passed"] is False and one["name"] != "overlap"]
    if not failed:
        return None
    shares = {one["name"]: one["num_failed"] / max(one["num_rows"], 1) for one in failed}
    worst = max(failed, key=lambda one: shares[one["name"]])
    severity: Severity = "critical" if shares[worst["name"]] > _MANY else "warn"
    told = "; ".join(
        f'"{one["question"]}" fails for {one["num_failed"]:,} of {one["num_rows"]:,} rows' for one in failed
    )
    return Finding(
        rule=rule,
        severity=severity,
        title=f"the data was trained on although a check failed: {', '.join(shares)}",
        evidence={"shares": shares, "sentence": f"{told}."},
        how_sure="certain: every row was looked at",
        action=f"{worst['fix']}; then: {command('check', evidence.run, '--show', 3)}",
        would_change="data that passes",
    )


def overlap(evidence: Evidence) -> Outcome:
    """Find validation rows that training has seen.

    Signal: rows with the same or nearly the same prompt and answer in both splits (prepare), or the same
        token ids (check).
        Warn, and critical from half of the rows on: then the validation loss is a training loss. Rows that
        share the prompt alone are info.
    Gate: a validation split made by prepare, or a check.
    Advice: prepare the data without them.

    Source:
        Rule R16 of docs/diagnose.md: the same prompt with another answer is overlap, not a leak.
    """
    rule = "overlap"
    counts: dict[str, Any] = ((evidence.prepare or {}).get("overlap") or {}).get("validation") or {}
    checks = [one for one in (evidence.check or {}).get("checks", ()) if one["name"] == "overlap"]
    checked = next((one for one in checks if one["passed"] is not None), None)
    if not counts and checked is None:
        return NotRun(rule=rule, reason="no validation split was compared with training")
    near = counts.get("near_both") or 0
    both = max(counts.get("same_both", 0), checked["num_failed"] if checked else 0) + near
    prompts = counts.get("same_prompt", 0)
    num = counts.get("num_examples") or (checked["num_rows"] if checked else 0)
    if not both and not prompts:
        return None
    share = both / max(num, 1)
    severity: Severity = "info" if not both else "critical" if share >= _MOST else "warn"
    is_one = (both or prompts) == 1
    in_both, of_prompt = ("is", "shares its") if is_one else ("are", "share their")
    what = f"{in_both} in training, prompt and answer" if both else f"{of_prompt} prompt with a training row"
    return Finding(
        rule=rule,
        severity=severity,
        title=f"{both or prompts:,} of {num:,} validation rows {what}",
        evidence={
            "same_both": both - near,
            "near_both": near,
            "same_prompt": prompts,
            "num_examples": num,
            "share": share,
            "pairs": counts.get("pairs", [])[:5],
            "sentence": f"{both:,} validation rows repeat a training row, {near:,} of them nearly, and "
            f"{prompts:,} its prompt, of {num:,}; their loss tells how well training rows are remembered.",
        },
        how_sure="exact repetitions and near ones by their words; paraphrases are not counted, so this is "
        "the least there is",
        action="remove the repetitions from the data, then: lorascope prepare DATA --base MODEL --out NEW",
        would_change="a split whose rows do not repeat each other",
    )


def dropped_rows(evidence: Evidence) -> Outcome:
    """Find rows that never reached training.

    Signal: rows left out as malformed or too long, and conversations cut after their last answer. Info, warn
        above 5 % of the rows.
    Gate: the data was prepared here.
    Advice: read them.

    Source:
        prepare/report.json: exact counts.
    """
    rule = "dropped_rows"
    if evidence.prepare is None:
        return NotRun(rule=rule, reason="the data was not prepared here")
    dropped, read = evidence.prepare["dropped"], evidence.prepare["rows_read"]
    cut = evidence.prepare.get("cut_after_last_answer", 0)
    num = sum(dropped.values())
    if not num and not cut:
        return None
    share = num / max(read, 1)
    told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in dropped.items() if count)
    return Finding(
        rule=rule,
        severity="warn" if share > _MANY else "info",
        title=f"{num:,} of {read:,} rows {'was' if num == 1 else 'were'} left out ({share:.1%})",
        evidence={
            **dropped,
            "rows_read": read,
            "cut_after_last_answer": cut,
            "share": share,
            "sentence": f"Left out: {told or 'none'}; cut after their last answer: {cut:,}.",
        },
        how_sure="certain: every row was counted",
        action=f"read them, each with its line and reason: {evidence.run}/prepare/dropped.jsonl",
        would_change="a larger prepare.max_length for rows that are too long; mended rows for malformed ones",
    )


def few_dropped(finding: Finding) -> bool:
    """Whether a finding is of rows left out that are below 1 % of all: they hold nothing back."""
    return finding.rule == "dropped_rows" and float(finding.evidence["share"]) < _FEW


def prepared_again(evidence: Evidence) -> Outcome:
    """Find out whether the run's data is still what it was trained on.

    Signal: the hash of the prepared dataset differs from the one that training recorded.
    Gate: a finished training.
    Advice: train again, or prepare the data as it was: every figure of this run is of the earlier data.
    """
    now = (evidence.prepare or {}).get("dataset_sha256")
    if evidence.trained_on is None or now is None:
        return NotRun(rule="prepared_again", reason="no finished training with its data is on record")
    if now == evidence.trained_on:
        return None
    return Finding(
        rule="prepared_again",
        severity="critical",
        title="the data was prepared again after this training",
        evidence={
            "trained_on": evidence.trained_on,
            "prepared": now,
            "sentence": f"Training used dataset {evidence.trained_on[:12]}, and {now[:12]} lies here now: "
            "rows that are validation by now may have been trained on.",
        },
        how_sure="certain: the hashes of ids and labels differ",
        action=f"train on it: {command('train', evidence.run, '--overwrite')}",
        would_change="the data prepared as it was",
    )
