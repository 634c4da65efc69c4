"""What a comparison came to -> compare/: report.json, generations.jsonl, by_example.parquet, compare.html."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorascope.compare.divergences import MEASURES, Positions
from lorascope.compare.page import comparison_page
from lorascope.compare.prompts import Prompt
from lorascope.lm.template import Template
from lorascope.run.commit import write_json, write_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What came out.

    Attributes:
        report: As in compare/report.json.
        generations: Lines of compare/generations.jsonl.
        rows: One row per example whose target tokens were compared.
    """

    report: dict[str, Any]
    generations: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def template_facts(template: Template, origin: str) -> dict[str, Any]:
    """Which template the prompts went through, and where it comes from."""
    return {
        "name": template.name,
        "sha256": template.sha256,
        "from": origin,
        "stop_tokens": [template.tokenizer.convert_ids_to_tokens(one) for one in template.stop_ids],
    }


def prompt_facts(
    tokenizer: Any, prompts: Sequence[Prompt], last: Positions, rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each prompt with its divergences: at its last position, and over its reference where scored."""
    scored = {row["example_id"]: row for row in rows}
    place = {int(owner): position for position, owner in enumerate(last.owner_S)}
    facts = []
    for index, prompt in enumerate(prompts):
        at = place[index]
        reference = scored.get(prompt.prompt_id)
        facts.append(
            {
                "prompt_id": prompt.prompt_id,
                "source": prompt.source,
                "prompt": prompt.text,
                "prompt_tokens": len(prompt.input_ids),
                "reference": prompt.reference,
                "last_prompt_position": {name: float(last.values[name][at]) for name in MEASURES},
                "first_choice": {
                    which: {
                        "token": tokenizer.decode([int(last.first_S2[at, side])]),
                        "probability": float(last.chance_S2[at, side]),
                    }
                    for side, which in enumerate(("base", "adapter"))
                },
                "reference_tokens": None if reference is None else {**reference},
            }
        )
    return facts


def write_compared(folder: Path, compared: Compared) -> None:
    """Write report.json, generations.jsonl, by_example.parquet and the page people read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("example_id", pa.string()),
            ("num_positions", pa.int64()),
            *((name, pa.float64()) for name in MEASURES),
            ("largest_logit_difference", pa.float64()),
        ]
    )
    write_json(folder / "report.json", compared.report)
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in compared.generations]
    write_text(folder / "generations.jsonl", "".join(lines))
    pq.write_table(pa.Table.from_pylist(compared.rows, schema=schema), folder / "by_example.parquet")
    page = comparison_page(compared.report, compared.generations, compared.rows)
    write_text(folder / "compare.html", page)
