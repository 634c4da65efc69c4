"""prepare/report.json: what was read, kept, left out and found."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from lorascope.lm.template import Template
from lorascope.prepare.account import Account
from lorascope.prepare.facts import Facts
from lorascope.prepare.lengths import length_summary
from lorascope.prepare.origin import Origin
from lorascope.prepare.overlap import Overlap, duplicate_counts, near_counts, overlap_counts
from lorascope.prepare.repeats import Pairs
from lorascope.prepare.settled import NOT_USED, OVER_LENGTH, Settled
from lorascope.prepare.staged import StagedFile
from lorascope.run.splits import SPLITS


def report_of(
    origins: Sequence[Origin],
    accounts: Sequence[Account],
    facts: Facts,
    settled: Settled,
    repeats: Mapping[str, Pairs],
    overlap: Overlap,
    staged: StagedFile,
    template: Template,
) -> dict[str, Any]:
    """Put the account of a prepare together; `dataset_sha256` is added once the dataset is written.

    Args:
        origins: The sources; one that all goes to validation is the user's own validation file.
        accounts: One for each.
        facts: Of all examples.
        settled: What was decided about them.
        repeats: Near duplicates by kind.
        overlap: What training has seen of the held-out examples.
        staged: To look up ids.
        template: The run's.
    """
    kept_N = settled.side_N >= 0
    sources = [
        _source(origin, account, facts, settled, place)
        for place, (origin, account) in enumerate(zip(origins, accounts, strict=True))
    ]
    held_out = next((one for one in sources[1:] if one["held_out"]), None)
    data = [one for one in sources if one is not held_out]
    tally: Counter[str] = sum((one.tally for one in accounts), Counter())
    reasons: Counter[str] = sum((one.reasons for one in accounts), Counter())
    return {
        "schema": 1,
        "file": data[0]["name"] if len(data) == 1 else f"{len(data)} sources",
        "shape": data[0]["shape"],
        "read_as": data[0]["read_as"],
        "sources": sources,
        "rows_read": sum(one.num_rows for one in accounts),
        "held_out_file": None
        if held_out is None
        else {"file": held_out["file"], "rows_read": held_out["rows_read"]},
        "unused_columns": sorted({name for one in origins for name in one.unused}),
        "kept": int(kept_N.sum()),
        "not_used": int((settled.side_N == NOT_USED).sum()),
        "cut_after_last_answer": tally["unanswered"],
        "not_chosen": tally["not_chosen"],
        "rejected_answers": tally["rejected"],
        "split_conversations": tally["split_conversations"],
        "omitted_by_template": _named(tally, "omitted/"),
        "odd": _named(tally, "odd/"),
        "dropped": {
            "malformed": sum(one.num_bad for one in accounts),
            "over_length": int((settled.side_N == OVER_LENGTH).sum()),
        },
        "dropped_by_reason": dict(reasons.most_common()),
        "splits": {name: _split_facts(facts, mask) for name, mask in settled.masks().items()},
        "duplicates": _duplicates(facts, kept_N, sources),
        "near_duplicates": {kind: near_counts(pairs, kept_N) for kind, pairs in repeats.items()} or None,
        "parted_group": settled.largest_group,
        "overlap": {
            name: _overlap(facts, settled, overlap, repeats, staged, SPLITS.index(name))
            for name in settled.masks()
            if name != "train"
        },
        "lengths": length_summary(facts.num_tokens_N[kept_N]),
        "template": template.name,
        "template_options": template.options,
        "folds_system": template.folds_system,
        "stop_tokens": [template.tokenizer.convert_ids_to_tokens(i) for i in template.stop_ids],
        "max_length": settled.max_length,
    }


def _source(origin: Origin, account: Account, facts: Facts, settled: Settled, place: int) -> dict[str, Any]:
    """What became of one source."""
    own_N = facts.origin_N == place
    sides = settled.side_N[own_N]
    return {
        "name": origin.name,
        "path": origin.where,
        "file": f"{origin.label}{origin.name}" if len(origin.source.files) == 1 else origin.name,
        "container": origin.source.described,
        "shape": origin.shape.name,
        "read_as": origin.shape.described,
        "held_out": set(origin.sides.values()) == {SPLITS.index("validation")},
        "own_splits": _own_splits(origin, facts, own_N),
        "rows_read": account.num_rows,
        "examples": account.num_examples,
        "malformed": account.num_bad,
        "over_length": int((sides == OVER_LENGTH).sum()),
        "not_used": int((sides == NOT_USED).sum()),
        "splits": {
            name: _split_facts(facts, mask & own_N)
            for name, mask in settled.masks().items()
            if (mask & own_N).any()
        },
    }


def _duplicates(facts: Facts, kept_N: np.ndarray, sources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = duplicate_counts(facts.prompt_N[kept_N], facts.answer_N[kept_N])
    return {**counts, "across_sources": _across(facts, kept_N, [one["name"] for one in sources])}


def _across(facts: Facts, kept_N: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """Rows of one source that stand in another as well, by pairs of sources, as in {"a and b": 4}."""
    found = {}
    own = [np.unique(facts.both_N[kept_N & (facts.origin_N == place)]) for place in range(len(names))]
    for first, second in combinations(range(len(names)), 2):
        if shared := len(np.intersect1d(own[first], own[second], assume_unique=True)):
            found[f"{names[first]} and {names[second]}"] = shared
    return found


def _own_splits(origin: Origin, facts: Facts, own_N: np.ndarray) -> list[str]:
    """The splits that a source names itself, by files or in a column."""
    if len(origin.sides) > 1:
        return list(origin.sides)
    if origin.shape.split_column is None:
        return []
    return ["train", *(SPLITS[side] for side in np.unique(facts.side_N[own_N]) if side > 0)]


def _named(tally: Counter[str], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): n for name, n in sorted(tally.items()) if name.startswith(prefix) and n
    }


def _split_facts(facts: Facts, mask: Any) -> dict[str, int]:
    return {
        "examples": int(mask.sum()),
        "tokens": int(facts.num_tokens_N[mask].sum(dtype=int)),
        "target_tokens": int(facts.num_targets_N[mask].sum(dtype=int)),
    }


def _overlap(
    facts: Facts,
    settled: Settled,
    overlap: Overlap,
    repeats: Mapping[str, Pairs],
    staged: StagedFile,
    held_out: int,
) -> dict[str, Any]:
    counts, twins = overlap_counts(overlap, settled.side_N, facts.answer_N, held_out)
    if not repeats:  # nobody looked
        counts |= {"near_prompt": None, "near_both": None}
    ids = [name for pair in twins for place in pair for name in staged.take([place], "example_id")]
    return {**counts, "pairs": [list(pair) for pair in zip(ids[::2], ids[1::2], strict=True)]}
