"""The first screen: five sentences for somebody who did not train it."""

from pathlib import Path

from lorascope.metrics.in_words import like_choosing
from lorascope.metrics.likelihood import perplexity
from lorascope.metrics.uncertainty import MIN_CLUSTERS
from lorascope.pages.number import number_text
from lorascope.report.facts import Facts, Json

_TOLD = ("overlap", "allowed_checks", "dropped_rows")
"""Findings of diagnose that the cautions word themselves."""
_SAYS_NOTHING = ("base", "model", "merged", "checkpoint", "final", "output")


def five_sentences(facts: Facts) -> list[str]:
    """Say what was trained, what it gained, what it answers, what the signals say, and what to keep in mind.

    Args:
        facts: Of the run.

    Returns:
        Five sentences in this order; where a stage has not run, its sentence says so and names the command.
    """
    return [_what(facts), _gain(facts), _answers(facts), _verdict(facts), _caution(facts)]


def model_name(base: str) -> str:
    """A base model as people call it: a Hub id as it is, a folder by what its path says."""
    if not base.startswith((".", "/", "~")):
        return base
    path = Path(base)
    return f"{path.parent.name}/{path.name}" if path.name in _SAYS_NOTHING else path.name


def data_name(facts: Facts) -> str:
    """The data as people call it: its file, or how many sources there are."""
    if facts.prepare is not None:
        return str(facts.prepare["file"])
    data = facts.config["data"]
    if isinstance(data, list):
        return f"{len(data)} sources"
    return Path(data["path"] if isinstance(data, dict) else data).name


def _what(facts: Facts) -> str:
    base = model_name(facts.config["base"]["id"])
    if facts.prepare is None:
        return f"This run is to teach {base}, but its data has not been prepared yet."
    examples = facts.prepare["splits"]["train"]["examples"]
    source = f"{examples:,} examples of {facts.prepare['file']}"
    if facts.train is None:
        going = "has come to" if _goes_on(facts) else "stopped after"
        done = (
            f"its training {going} step {facts.steps[-1].step}"
            if facts.steps
            else "it has not been trained yet"
        )
        return f"This run is to teach {base} with {source}; {done}."
    adapter, own = facts.train["trainable_parameters"], facts.train["base_parameters"]
    return (
        f"A LoRA adapter of {adapter:,} parameters ({adapter / own:.1%} of its base, {base}) was trained "
        f"on {source}: {facts.train['steps']:,} steps, {_passes(facts.train['epochs'])} over the data, "
        f"{_minutes(facts.train['step_seconds'])}."
    )


def _goes_on(facts: Facts) -> bool:
    """Whether a process was training the run when its signals were read."""
    return bool((facts.diagnose or {}).get("goes_on"))


def _passes(epochs: float) -> str:
    return "1 pass" if epochs == 1 else f"{epochs:.3g} passes"


def _gain(facts: Facts) -> str:
    if facts.train is None and facts.steps:
        told = "What it gained cannot be measured before its training is finished"
        return f"{told}." if _goes_on(facts) else f"{told}: lorascope train --resume."
    if facts.base is None or facts.adapter is None:
        return "What it gained has not been measured: lorascope eval does that."
    base, adapter = facts.base["perplexity"], facts.adapter["perplexity"]
    change = facts.adapter["difference_from_base"]["loss"]
    if base is None or adapter is None:
        why = next(iter(facts.adapter["why"].values()), "no value")
        return f"What it gained has no value here: {why.splitlines()[0]}."
    size = facts.evals[-1].vocabulary_size if facts.evals else None
    before, after = (like_choosing(one["eval_loss"], size) for one in (facts.base, facts.adapter))
    told = (
        f"On {facts.adapter['num_examples']:,} examples {_seen(facts)}, each next token of an "
        f"answer is {after}; for the base model it is {before}"
    )
    if change is None:
        return f"{told}; there are too few examples to say how sure that is."
    if change["num"] < MIN_CLUSTERS:
        sure = "too few examples for an interval that can be trusted"
    elif change["high"] < 0:
        worse = after.startswith("worse")
        sure = "a gain that leaves it worse than guessing" if worse else "a clear gain"
    elif change["low"] > 0:
        sure = "a clear loss: the adapter is worse than its base"
    else:
        sure = "too small a difference to be sure of"
    interval = f"{number_text(change['low'], 3)} to {number_text(change['high'], 3)}"
    return f"{told}: {sure} ({number_text(change['estimate'], 3)} nats a token, 95 % interval {interval})."


def _seen(facts: Facts) -> str:
    held_out = facts.adapter is not None and facts.adapter["split"] != "train"
    return "that training never saw" if held_out else "of the training data itself"


def _answers(facts: Facts) -> str:
    own = (facts.adapter or {}).get("answers")
    base = (facts.base or {}).get("answers")
    if own and base:
        return (
            f"Asked {own['num_examples']:,} of those questions, it gives the reference answer word for "
            "word in "
            f"{own['exact_match']['estimate']:.0%} (base {base['exact_match']['estimate']:.0%}) and ends "
            "by itself in "
            f"{own['stopped']['estimate']:.0%} (base {base['stopped']['estimate']:.0%})."
        )
    if facts.generations:
        num = _num_prompts(facts.generations)
        told = "1 prompt" if num == 1 else f"{num} prompts"
        return f"What base and adapter say to {told} stands side by side below."
    return "What it answers has not been looked at: lorascope compare puts base and adapter side by side."


def _num_prompts(generations: list[Json]) -> int:
    return len({one.get("prompt_id", one.get("prompt")) for one in generations})


def _verdict(facts: Facts) -> str:
    if facts.failure is not None:
        problem = facts.failure["message"].splitlines()[0]
        return f"Training stopped before step {facts.failure['step']:,}: {problem}."
    if facts.diagnose is None:
        return "Its signals have not been read: lorascope diagnose does that."
    verdict = facts.diagnose["verdict"].replace("_", " ")
    reason = str(facts.diagnose.get("verdict_reason", "")).strip().rstrip(".")
    if verdict == "not enough evidence":
        return f"How training went cannot be judged yet: {reason}."
    return f"The verdict on the run is {verdict}" + (f": {reason}." if reason else ".")


def _caution(facts: Facts) -> str:
    parts = list(facts.problems)
    if facts.prepare is not None:
        dropped = facts.prepare["dropped"]
        if sum(dropped.values()):
            total = sum(dropped.values())
            parts.append(f"{total:,} of {facts.prepare['rows_read']:,} rows were left out")
        overlap = facts.prepare["overlap"].values()
        leaks = sum(one["same_both"] + (one.get("near_both") or 0) for one in overlap)
        if leaks:
            parts.append(f"{leaks:,} held-out rows are in training, so these figures flatter")
    findings = [] if facts.diagnose is None else facts.diagnose["findings"]
    parts += [one["title"] for one in findings if one["severity"] != "info" and one["rule"] not in _TOLD]
    if facts.check is not None and facts.check["failed"]:
        parts.append(f"checks that failed: {', '.join(facts.check['failed'])}")
    if facts.adapter is not None and facts.adapter["num_examples"] < 100:
        parts.append(f"{facts.adapter['num_examples']} examples are few, so small differences cannot be seen")
    if facts.export is None:
        parts.append("no merged model was exported")
    else:
        parts.append("the merged model was proven equal to base and adapter")
    told = "; ".join(parts)
    return f"To keep in mind: {told}."


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def told_perplexity(loss: float) -> str:
    """A loss with its perplexity, for tables: "2.158 (8.65)"."""
    return f"{number_text(loss)} ({number_text(perplexity(loss), 3)})"
