"""prepare/report.json: what was read, kept, left out and found."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lorascope.lm.template import Template
from lorascope.prepare.account import Account
from lorascope.prepare.facts import Facts
from lorascope.prepare.lengths import length_summary
from lorascope.prepare.origin import Origin
from lorascope.prepare.overlap import duplicate_counts, overlap_with_train
from lorascope.prepare.settled import Settled
from lorascope.prepare.staged import StagedFile
from lorascope.run.splits import SPLITS


def report_of(
    origins: Sequence[Origin],
    accounts: Sequence[Account],
    facts: Facts,
    settled: Settled,
    staged: StagedFile,
    template: Template,
) -> dict[str, Any]:
    """Put the account of a prepare together; `dataset_sha256` is added once the dataset is written.

    Args:
        origins: Files; the first is the data.
        accounts: One for each.
        facts: Of all examples.
        settled: What was decided about them.
        staged: To look up ids.
        template: The run's.
    """
    kept = settled.side_N >= 0
    own, held_out = origins[0], origins[1] if len(origins) > 1 else None
    tally: Counter[str] = sum((one.tally for one in accounts), Counter())
    reasons: Counter[str] = sum((one.reasons for one in accounts), Counter())
    return {
        "schema": 1,
        "file": own.file,
        "shape": own.shape.name,
        "read_as": own.shape.described,
        "rows_read": sum(one.num_rows for one in accounts),
        "held_out_file": None
        if held_out is None
        else {"file": held_out.file, "rows_read": accounts[1].num_rows},
        "unused_columns": sorted({name for one in origins for name in one.unused}),
        "kept": int(kept.sum()),
        "cut_after_last_answer": tally["unanswered"],
        "not_chosen": tally["not_chosen"],
        "rejected_answers": tally["rejected"],
        "split_conversations": tally["split_conversations"],
        "omitted_by_template": _named(tally, "omitted/"),
        "odd": _named(tally, "odd/"),
        "dropped": {"malformed": sum(one.num_bad for one in accounts), "over_length": int((~kept).sum())},
        "dropped_by_reason": dict(reasons.most_common()),
        "splits": {name: _split_facts(facts, mask) for name, mask in settled.masks().items()},
        "duplicates": duplicate_counts(facts.prompt_N[kept], facts.answer_N[kept]),
        "overlap": {
            name: _overlap(facts, settled, staged, SPLITS.index(name))
            for name in settled.masks()
            if name != "train"
        },
        "lengths": length_summary(facts.num_tokens_N[kept]),
        "template": template.name,
        "template_options": template.options,
        "folds_system": template.folds_system,
        "stop_tokens": [template.tokenizer.convert_ids_to_tokens(i) for i in template.stop_ids],
        "max_length": settled.max_length,
    }


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


def _overlap(facts: Facts, settled: Settled, staged: StagedFile, held_out: int) -> dict[str, Any]:
    counts, twins = overlap_with_train(settled.side_N, facts.prompt_N, facts.answer_N, held_out)
    ids = [name for pair in twins for place in pair for name in staged.take([place], "example_id")]
    return {**counts, "pairs": [list(pair) for pair in zip(ids[::2], ids[1::2], strict=True)]}
