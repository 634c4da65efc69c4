"""Section: what was trained, with what, where, and what every number depends on."""

from lorascope.pages.document import section
from lorascope.pages.markup import Html
from lorascope.pages.table import key_values, table
from lorascope.report.facts import Facts
from lorascope.report.sentences import data_name, model_name


def trained_section(facts: Facts) -> Html:
    """Base, data, adapter and training settings."""
    config, train = facts.config, facts.train
    lora, settings = config["lora"], config["train"]
    pairs: list[tuple[str, object]] = [
        ("Base model", model_name(config["base"]["id"])),
        ("Data", data_name(facts)),
        ("Template", facts.prepare["template"] if facts.prepare else config["prepare"]["template"]),
        ("LoRA rank, alpha", f"{lora['rank']}, {lora['alpha']:g}"),
        ("LoRA dropout", f"{lora['dropout']:g}"),
        ("Layers", ", ".join(train["target_modules"]) if train else str(lora["target_modules"])),
        ("Batch size", f"{settings['batch_size']} examples a step"),
        (
            "Learning rate",
            f"{settings['learning_rate']:g}, {settings['schedule']}, warmup {settings['warmup']:.0%}",
        ),
        ("Epochs", f"{settings['epochs']:g}"),
        ("Seed", str(config["seed"])),
    ]
    if train:
        rate = train["target_tokens_per_s"]
        pairs += [
            ("Precision", f"{train['precision']} on {train['device']}"),
            ("Adapter", f"{train['trainable_parameters']:,} parameters in {train['adapted_layers']} layers"),
            (
                "Speed",
                f"{rate:,.0f} target tokens/s, {train['examples_per_s']:,.1f} examples/s"
                if rate
                else "no value",
            ),
        ]
    return section("trained", "What was trained", [key_values(pairs)])


def origin_section(facts: Facts) -> Html:
    """Versions and hashes by stage."""
    stages = facts.provenance["stages"]
    names = sorted({name for record in stages.values() for name in record.get("versions", {})})
    rows = []
    for stage, record in stages.items():
        hashes = "; ".join(f"{name} {value[:12]}" for name, value in record.get("inputs", {}).items())
        rows.append(
            (stage, record["finished"].replace("+00:00", " UTC"), f"{record['seconds']:,.1f} s", hashes)
        )
    newest = list(stages.values())[-1] if stages else {}
    versions = [(name, newest.get("versions", {}).get(name) or "not installed") for name in names]
    machine = newest.get("machine", {})
    where = [
        ("Machine", f"{machine.get('processor')}, {machine.get('cores')} cores, {machine.get('system')}")
    ]
    body = [
        table(
            ("Stage", "Finished", "Took", "Made from (sha256)"), rows, align=("left", "left", "right", "left")
        ),
        key_values([*where, *versions]),
    ]
    return section(
        "origin", "Where the numbers come from", body, "Every input by its hash, every library by version."
    )
