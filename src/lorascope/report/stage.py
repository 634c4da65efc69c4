"""report: a run folder -> report.html, one self-contained page; derived, so it is always made again."""

from pathlib import Path

from lorascope.pages.document import document, section
from lorascope.report.beside import divergences_section, generations_section
from lorascope.report.curves import curves_section
from lorascope.report.data import data_section
from lorascope.report.facts import gather_facts
from lorascope.report.findings import export_section, findings_section
from lorascope.report.metrics import metrics_section
from lorascope.report.samples import samples_section
from lorascope.report.sentences import data_name, model_name
from lorascope.report.summary import first_screen
from lorascope.report.trained import origin_section, trained_section
from lorascope.run.commit import write_text
from lorascope.run.folder import RunFolder


def report_run(run: RunFolder) -> Path:
    """Write the page of a run, from whatever stages it has been through.

    Args:
        run: An existing run.

    Returns:
        RUN/report.html.

    Raises:
        RunError: A file of the run cannot be read.
    """
    facts = gather_facts(run)
    sections = {
        "short": section("short", "In short", [first_screen(facts)]),
        "findings": findings_section(facts),
        "curves": curves_section(facts),
        "samples": samples_section(facts),
        "metrics": metrics_section(facts),
        "generations": generations_section(facts),
        "divergences": divergences_section(facts),
        "data": data_section(facts),
        "trained": trained_section(facts),
        "export": export_section(facts),
        "origin": origin_section(facts),
    }
    titles = {
        "short": "In short",
        "findings": "Findings",
        "curves": "Curves",
        "samples": "Answers in training",
        "metrics": "Metrics",
        "generations": "Before and after",
        "divergences": "Divergences",
        "data": "Data",
        "trained": "Settings",
        "export": "Export",
        "origin": "Origin",
    }
    present = {name: made for name, made in sections.items() if made is not None}
    page = document(
        f"{facts.name}: a lorascope report",
        subtitle=f"LoRA fine-tune of {model_name(facts.config['base']['id'])} on {data_name(facts)}",
        body=list(present.values()),
        nav=[(name, titles[name]) for name in present],
        footer="Made by lorascope from the files of the run folder; nothing on this page comes from "
        "anywhere else.",
    )
    write_text(run.report, page)
    return run.report
