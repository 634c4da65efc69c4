"""A recipe whose sources lie on the Hub: configuration and revision, through the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub_server import HubServer
from lorascope.run.folder import RunFolder
from lorascope.run.records import read_json
from lorascope.run.texts import read_texts

pytestmark = pytest.mark.end_to_end

CARD = """---
configs:
- config_name: english
  data_files:
  - split: train
    path: en.jsonl
- config_name: german
  data_files:
  - split: train
    path: de/train.jsonl
  - split: test
    path: de/test.jsonl
---
"""


def lines(language: str, count: int) -> str:
    rows = [{"prompt": f"{language} {n}?", "completion": f"Answer {n} in {language}."} for n in range(count)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_configurations_and_revisions_of_a_dataset_on_the_hub_are_sources(
    alpaca_base: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / "de").mkdir(parents=True)
    (repository / "README.md").write_text(CARD)
    (repository / "en.jsonl").write_text(lines("English", 30))
    (repository / "de" / "train.jsonl").write_text(lines("German", 20))
    (repository / "de" / "test.jsonl").write_text(lines("Held-out German", 5))
    recipe = tmp_path / "recipe.json"
    sources = [
        {"path": "owner/talk", "config": "english", "name": "en", "rows": 10},
        {"path": "owner/talk", "config": "german", "name": "de", "revision": "v1.0"},
    ]
    recipe.write_text(json.dumps({"base": str(alpaca_base), "data": sources}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    with HubServer(datasets={"owner/talk": repository}) as hub:
        environ = kept | {
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
        }
        command = [sys.executable, "-m", "lorascope", "prepare", str(recipe), "--out", str(tmp_path / "run")]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        asked = list(hub.requests)
    run = RunFolder(tmp_path / "run")
    english, german = read_json(run.prepare_report)["sources"]
    assert (english["name"], english["rows_read"], english["not_used"]) == ("en", 30, 20)
    assert (german["name"], german["rows_read"]) == ("de", 25)
    texts = read_texts(run.examples)
    # The 5 rows of its own test split stay a test split.
    assert {text.messages[0].content.split()[0] for text in texts if text.split == "test"} == {"Held-out"}
    assert sum(text.source == "en" for text in texts) == 10
    assert any("/v1.0/" in request or "revision/v1.0" in request for request in asked)
    stored = json.loads(run.config.read_text())["data"]
    assert [(one["path"], one["config"], one.get("revision")) for one in stored] == [
        ("owner/talk", "english", None),
        ("owner/talk", "german", "v1.0"),
    ]
