"""Sections: the verdict with its findings, and the proof of the merged model."""

import json

from lorascope.pages.document import section
from lorascope.pages.finding import finding_card
from lorascope.pages.markup import Html, tag
from lorascope.pages.number import number_text
from lorascope.pages.table import key_values
from lorascope.report.facts import Facts, Json


def findings_section(facts: Facts) -> Html | None:
    """The verdict and a card per finding; None before diagnose."""
    diagnosis = facts.diagnose
    if diagnosis is None:
        return None
    body = [_card(finding) for finding in diagnosis["findings"]]
    if not body:
        body.append(tag("p", "Nothing to report."))
    return section("findings", "Findings", body, f"Verdict: {diagnosis['verdict'].replace('_', ' ')}.")


def _card(finding: Json) -> Html:
    return finding_card(
        finding["title"],
        finding["severity"],
        _evidence(finding["evidence"]),
        None,
        finding["action"],
        finding["would_change"],
    )


def _evidence(evidence: object) -> str | list[str]:
    if isinstance(evidence, dict):
        if "sentence" in evidence:
            return str(evidence["sentence"])
        return [f"{name}: {_text(value)}" for name, value in evidence.items()]
    return str(evidence)


def _text(value: object) -> str:
    if isinstance(value, int | float):
        return number_text(value)
    return value if isinstance(value, str) else json.dumps(value)


def export_section(facts: Facts) -> Html | None:
    """The merged model's proof; None before export."""
    if facts.export is None:
        return None
    plain = [(key, value) for key, value in facts.export.items() if isinstance(value, str | int | float)]
    return section("export", "What is shipped", [key_values(plain)])
