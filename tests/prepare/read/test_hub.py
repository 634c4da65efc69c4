"""Datasets on the Hub: the real clients in fresh processes against a hub on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub_server import HubServer
from lorascope.prepare.read.hub import hub_name

TOKEN = "hf_canaryTOKENcanary0123"
CARD = """---
configs:
- config_name: english
  data_files:
  - split: train
    path: en/*.jsonl
- config_name: german
  data_files:
  - split: train_sft
    path: de/a.jsonl
  - split: test
    path: de/b.json
  field: data
---
# About the data
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tatsu-lab/alpaca", ("tatsu-lab/alpaca", None)),
        ("hf://datasets/tatsu-lab/alpaca", ("tatsu-lab/alpaca", None)),
        ("https://huggingface.co/datasets/tatsu-lab/alpaca/", ("tatsu-lab/alpaca", None)),
        ("owner/data.v1@refs/convert/parquet", ("owner/data.v1", "refs/convert/parquet")),
        ("rows.jsonl", None),
        ("data/rows.jsonl", None),
        ("data/rows.json.gz", None),
        ("/data/rows", None),
        ("../data/rows", None),
        ("./rows", None),
        ("a/b/c", None),
        ("alpaca", None),
    ],
)
def test_a_name_on_the_hub_is_told_from_a_path(text: str, name: tuple[str, str | None] | None) -> None:
    assert hub_name(text) == name


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path_factory.mktemp("hub")
    contents = {
        "owner/two": {
            "README.md": CARD,
            "en/one.jsonl": '{"a": 1}\n{"a": }\n{"a": 3, "a": 4}\n',
            "de/a.jsonl": '{"data": [{"a": 2}]}',
            "de/b.json": '{"data": [{"a": 3}]}',
        },
        "owner/plain": {"alpaca.json": '[{"a": 1}]', "loader.py": "raise SystemExit(1)"},
        "owner/script": {"script.py": "raise SystemExit(1)"},
        "owner/card": {"README.md": "---\nconfigs: [oops\n---\n", "a.json": "[]"},
    }
    for name, files in contents.items():
        for file, content in files.items():
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    for number in range(2):
        path = root / f"owner/shards/data/train-0000{number}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"a": [number]}), path)
    return {name: root / name for name in (*contents, "owner/shards")}


class Client:
    """Asks in a new process, with a cache of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.printed = ""

    def ask(self, endpoint: str, *asked: dict[str, Any], **environ: str) -> list[dict[str, Any]]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        source = Path(__file__).parents[3] / "src"
        mine = {
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": TOKEN,
            "PYTHONPATH": str(source),
        }
        limits = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_DISABLE_XET": "1"}
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error",
                str(Path(__file__).with_name("hub_reader.py")),
                json.dumps(asked),
            ],
            env=kept | mine | limits | environ,
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.printed += done.stdout + done.stderr
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.end_to_end
def test_a_dataset_is_read_by_its_name_online_and_off(folders: dict[str, Path], tmp_path: Path) -> None:
    client = Client(tmp_path / "home")
    asked = [
        {"data": "owner/two", "config": "english"},
        {"data": "owner/two", "config": "german"},
        {"data": "hf://datasets/owner/plain"},
        {"data": "owner/shards", "revision": "v1.0"},
    ]
    with HubServer(datasets=folders) as hub:
        english, german, plain, shards = online = client.ask(hub.url, *asked)
        requests = list(hub.requests)
    # Read by our own readers: the broken row and the key that stands twice are named.
    assert english["splits"] == {"train": [{"a": 1}, [2, "not_json"], [3, "duplicate_key"]]}
    assert german["splits"] == {"train_sft": [{"a": 2}], "test": [{"a": 3}]}
    assert german["files"] == ["de/a.jsonl", "de/b.json"]
    assert plain["splits"] == {"train": [{"a": 1}]}
    assert shards["splits"] == {"train": [{"a": 0}, {"a": 1}]}
    # No script is downloaded, and no file of a configuration that was not asked for.
    assert not any(request.endswith(".py") for request in requests)
    first_german = next(number for number, request in enumerate(requests) if "/de/" in request)
    assert not any("/de/" in request for request in requests[:first_german])
    again = client.ask("http://127.0.0.1:9", *asked, HF_HUB_OFFLINE="1")
    unreached = client.ask("http://127.0.0.1:9", *asked)
    for one, off, dead in zip(online, again, unreached, strict=True):
        assert off["splits"] == dead["splits"] == one["splits"]
        assert off["sha256"] == dead["sha256"] == one["sha256"]
        assert "HF_HUB_OFFLINE is set: using the cached copy" in off["notes"][0]
        assert "refused the connection): using the cached copy" in dead["notes"][0]


@pytest.mark.end_to_end
def test_whatever_goes_wrong_is_explained(folders: dict[str, Path], tmp_path: Path) -> None:
    client = Client(tmp_path / "home")
    plain = folders["owner/plain"]
    faults = ("gated", "private", "forbidden", "limited", "broken", "slow")
    repositories = folders | {f"owner/{fault}": plain for fault in faults}
    expected = {
        "two": "has 2 configurations, and none is the default",
        "two/french": 'has no configuration "french"',
        "two@nope": 'has no revision "nope"',
        "script": "holds no files with rows",
        "card": "cannot be told apart",
        "nothing": 'the Hub has no dataset "owner/nothing", or it is private',
        "gated": "is gated",
        "private": "or it is private",
        "forbidden": "could not be downloaded",
        "limited": "the Hub gave no answer",
        "broken": "the Hub gave no answer",
        "slow": "the Hub gave no answer",
    }
    asked = [
        {"data": f"owner/{what.partition('/')[0]}", "config": what.partition("/")[2] or None}
        for what in expected
    ]
    with HubServer(datasets=repositories, faults={f"owner/{fault}": fault for fault in faults}) as hub:
        hub.slow_s = 3
        answers = client.ask(hub.url, *asked)
    for (what, said), answer in zip(expected.items(), answers, strict=True):
        assert said in answer["error"]["problem"], what
        assert {"where", "why", "fix"} <= answer["error"].keys()
    assert TOKEN not in client.printed
    assert (
        client.ask(hub.url, {"data": "owner/shards"}, HF_HUB_OFFLINE="1")[0]["error"]["why"]
        == "HF_HUB_OFFLINE is set"
    )


@pytest.mark.end_to_end
def test_a_download_that_was_killed_is_never_read_as_a_whole(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    client = Client(tmp_path / "home")
    with HubServer(datasets=folders) as hub:
        client.ask(hub.url, {"data": "owner/shards"})
    (shard,) = (tmp_path / "home").rglob("snapshots/*/data/train-00001-of-00002.parquet")
    shard.unlink()
    (answer,) = client.ask(hub.url, {"data": "owner/shards"}, HF_HUB_OFFLINE="1")
    assert "only some of its files were downloaded" in answer["error"]["why"]
