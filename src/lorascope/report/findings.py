"""Sections: the verdict with its findings, and the proof of the merged model."""

from lorascope.pages.beside import sentence
from lorascope.pages.document import section
from lorascope.pages.finding import finding_card, status_badge
from lorascope.pages.markup import Html, tag
from lorascope.pages.number import number_text
from lorascope.pages.table import table
from lorascope.report.facts import Facts, Json


def findings_section(facts: Facts) -> Html | None:
    """The verdict, which adapter to ship, and a card per finding; None before diagnose."""
    diagnosis = facts.diagnose
    if diagnosis is None:
        return None
    body = [_card(finding) for finding in diagnosis["findings"]] or [tag("p", "Nothing to report.")]
    if diagnosis["rules_not_run"]:
        rows = [
            (one["rule"].replace("_", " "), sentence(one["reason"])) for one in diagnosis["rules_not_run"]
        ]
        body.append(table(("Not judged", "Because"), rows, align=("left", "left")))
    ship = diagnosis["step_to_ship"]
    lead = f"Verdict: {diagnosis['verdict'].replace('_', ' ')}.{_health(diagnosis)}"
    if ship["adapter"] is None:
        lead += f" Nothing to ship: {ship['why']}."
    elif ship["shown"]:
        lead += f" Ship the adapter of step {ship['step']:,} ({ship['adapter']}): {ship['why']}."
    else:
        lead += f" Which adapter to ship is not shown: {ship['why']}."
    return section("findings", "Findings", body, lead)


def _health(diagnosis: Json) -> str:
    """The score in the words of diagnose; nothing where it was never measured, or not yet worded."""
    health = diagnosis.get("health")
    if not health or health["score"] is None or "told" not in health:
        return ""
    return f" Health: {health['told']}."


def _card(finding: Json) -> Html:
    evidence = [str(finding["evidence"]["sentence"]), sentence(finding["how_sure"])]
    return finding_card(
        sentence(finding["title"].rstrip(".")),
        finding["severity"],
        evidence,
        None,
        finding["action"],
        sentence(finding["would_change"].rstrip(".")),
    )


def export_section(facts: Facts) -> Html | None:
    """The merged model and its proof; None before export."""
    export = facts.export
    if export is None:
        return None
    proof = export["proof"]
    stored = proof["stored"]
    rows = [
        (
            "Largest difference of a logit",
            number_text(stored["max_logit_difference"], 3),
            f"at most {number_text(stored['logit_tolerance'], 3)}",
        ),
        (
            "Same first choice",
            f"{stored['top_1_agreement']:.2%}",
            f"at all of {stored['num_positions']:,} positions but ties",
        ),
        (
            "Loss of the merged model",
            number_text(stored["loss"], 7),
            f"base + adapter {number_text(stored['reference_loss'], 7)}",
        ),
        ("Effect of the adapter on a logit", number_text(proof["adapter_effect"], 3), "more than 0"),
        (
            "Weights read back from disk",
            "equal" if proof["weights_read_back_equal"] else "not equal",
            "equal",
        ),
    ]
    lead = (
        f"Adapter {export['adapter']} was merged into {export['base']} in float32 and stored as "
        f"{export['dtype']} "
        f"({export['weights']:,} weights); what stands on disk was read back and compared with base and "
        "adapter on "
        f"{proof['num_texts']:,} {proof['split']} texts."
    )
    badge = status_badge("good", "proven equal") if proof["agrees"] else status_badge("critical", "not equal")
    note = [tag("p", export["note"], class_="ls-soft")] if export["note"] else []
    body = [
        tag("p", badge),
        table(("Proof", "Found", "Wanted"), rows, align=("left", "right", "left")),
        *note,
    ]
    return section("export", "What is shipped", body, lead)
