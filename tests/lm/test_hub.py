"""The real client in fresh processes against a hub on loopback: 20 faults, three starts, one cache."""

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from hub_server import COMMIT, TAGGED, HubServer
from lorascope.errors import ModelError, parts
from lorascope.lm.hub_faults import translate

pytestmark = pytest.mark.end_to_end

TOKEN = "hf_canaryTOKENcanary0123"
FAULTS = ("private", "gated", "forbidden", "bad-token", "limited", "broken", "slow", "cut", "vast")
Answers = dict[str, dict[str, Any]]


def ask(
    home: Path, endpoint: str, questions: Iterable[dict[str, str]], **environ: str
) -> tuple[Answers, str]:
    """Answer each question in one new process; the answers by their "as" (or base), and all it printed."""
    questions = list(questions)
    keys = [question.pop("as", question["base"]) for question in questions]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    source = Path(__file__).parents[2] / "src"
    mine = {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_TOKEN": TOKEN, "PYTHONPATH": str(source)}
    # The product's own limits are 10 s; 1 s keeps the suite short and shows that they are obeyed.
    limits = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_DISABLE_XET": "1"}
    ended = home.parent / "ended"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("hub_client.py")), str(ended)],
        input="\n".join(json.dumps(question) for question in questions),
        env=kept | mine | limits | environ,
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.exists(), done.stderr
    ended.unlink()
    return dict(zip(keys, map(json.loads, done.stdout.splitlines()), strict=True)), done.stdout + done.stderr


def save_adapter(base: Path, folder: Path) -> tuple[Path, float]:
    """Save an adapter by plain peft; return its folder and the sum of its weights."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 reads an attribute transformers renamed
        model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(folder)
    return folder, sum(float(t.double().sum()) for t in peft.get_peft_model_state_dict(model).values())


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, gpt2_folder: Path, llama_folder: Path) -> dict[str, Any]:
    """What a user sees while the hub is up, then down, then with HF_HUB_OFFLINE: one cache throughout."""
    place = tmp_path_factory.mktemp("hub")
    home = place / "home"
    home.mkdir()
    pickled, coded, bare = (
        shutil.copytree(gpt2_folder, place / name) for name in ("pickled", "coded", "bare")
    )
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    config = json.loads((coded / "config.json").read_text())
    (coded / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModelForCausalLM": "m.M"}}))
    (coded / "m.py").write_text("raise SystemExit('the code of a model was run')")
    (bare / "config.json").unlink()
    adapter, adapter_sum = save_adapter(gpt2_folder, place / "adapter")
    models = {
        "acme/tiny": gpt2_folder,
        "acme/llama": llama_folder,
        "acme/half": gpt2_folder,
        "acme/lora": adapter,
    }
    models |= {"acme/pickled": pickled, "acme/coded": coded, "acme/bare": bare}
    models |= {f"acme/{fault}": gpt2_folder for fault in FAULTS}
    faults = {f"acme/{fault}": fault for fault in FAULTS}
    with HubServer(models, faults, aliases={"tiny": "acme/tiny"}) as hub:
        up, up_text = ask(
            home,
            hub.url,
            [
                {"base": "acme/half", "do": "tokenizer"},
                {"base": "acme/tiny", "do": "all"},
                {"base": "acme/tiny", "do": "all", "as": "again"},
                {"base": "acme/llama", "do": "all"},
                {"base": "tiny", "do": "all"},
                {"base": "acme/tiny", "do": "all", "revision": "v1.0", "as": "tag"},
                {"base": "acme/tiny", "do": "all", "revision": "v2", "as": "no-tag"},
                {"base": "acme/tinny", "do": "all"},
                *({"base": f"acme/{name}", "do": "all"} for name in ("pickled", "coded", "bare", *FAULTS)),
                {"base": "acme/tiny", "do": "pair", "adapter": "acme/lora", "as": "pair"},
                {"base": "acme/tiny", "do": "pair", "adapter": "acme/lorra", "as": "no-adapter"},
                {"base": "acme/tiny", "do": "private", "as": "hide"},
                {"base": "acme/tiny", "do": "all", "as": "hidden"},
                {"base": "acme/llama", "do": "forbidden", "as": "forbid"},
                {"base": "acme/llama", "do": "all", "as": "now-forbidden"},
            ],
        )
        requests, tokens, cdn_tokens = list(hub.requests), set(hub.tokens), set(hub.cdn_tokens)
    down, down_text = ask(
        home,
        hub.url,
        [
            {"base": "acme/tiny", "do": "all"},
            {"base": "acme/tiny", "do": "all", "revision": "v1.0", "as": "tag"},
            {"base": "tiny", "do": "all"},
            {"base": "acme/tiny", "do": "pair", "adapter": "acme/lora", "as": "pair"},
            {"base": "acme/other", "do": "all"},
            {"base": "acme/half", "do": "all"},
            {"base": "acme/llama", "do": "cut-cache", "as": "harm"},
            {"base": "acme/llama", "do": "all"},
        ],
    )
    offline, offline_text = ask(
        home,
        "http://user:secretpassword@no-such-host.invalid",
        [
            {"base": "acme/tiny", "do": "all"},
            {"base": "acme/tny", "do": "all"},
            {"base": "acme/half", "do": "all"},
        ],
        HF_HUB_OFFLINE="1",
    )
    return {
        "up": up,
        "down": down,
        "offline": offline,
        "requests": requests,
        "tokens": tokens,
        "cdn_tokens": cdn_tokens,
        "adapter_sum": adapter_sum,
        "text": up_text + down_text + offline_text,
    }


def test_a_hub_name_loads_at_one_commit_and_keeps_its_name(seen: dict[str, Any]) -> None:
    tiny, llama = seen["up"]["acme/tiny"], seen["up"]["acme/llama"]
    assert tiny["commit"] == llama["commit"] == COMMIT
    assert tiny["name"] == tiny["tokenizer_name"] == "acme/tiny"
    assert tiny["note"] is None
    assert "model-00002-of-00005.safetensors" in llama["files"]
    assert seen["up"]["tag"]["commit"] == TAGGED


def test_an_old_name_that_redirects_loads_and_is_kept_as_written(seen: dict[str, Any]) -> None:
    # As "gpt2" does on the real Hub.
    for start in ("up", "down"):
        assert seen[start]["tiny"]["name"] == "tiny"
        assert seen[start]["tiny"]["fingerprint"] == seen["up"]["acme/tiny"]["fingerprint"]


def test_a_tokenizer_alone_downloads_no_weights(seen: dict[str, Any]) -> None:
    assert seen["up"]["acme/half"]["files"] == ["config.json", "tokenizer.json", "tokenizer_config.json"]


def test_a_second_load_downloads_nothing(seen: dict[str, Any]) -> None:
    # Once under its name and once under the old one; not again for that name, or a tag with the same bytes.
    assert seen["requests"].count("GET /cdn/acme/tiny/model.safetensors") == 2
    assert seen["up"]["again"]["fingerprint"] == seen["up"]["acme/tiny"]["fingerprint"]


def test_a_cached_model_loads_the_same_with_the_hub_down_and_says_so(seen: dict[str, Any]) -> None:
    for revision in ("acme/tiny", "tag"):
        assert seen["down"][revision]["fingerprint"] == seen["up"]["acme/tiny"]["fingerprint"]
        assert "refused the connection" in seen["down"][revision]["note"]
    assert "using the cached copy of acme/tiny, commit 111111111111" in seen["text"]


def test_a_cached_model_loads_the_same_offline(seen: dict[str, Any]) -> None:
    assert seen["offline"]["acme/tiny"]["fingerprint"] == seen["up"]["acme/tiny"]["fingerprint"]
    assert seen["offline"]["acme/tiny"]["note"] == "HF_HUB_OFFLINE is set"


@pytest.mark.parametrize(
    ("start", "question", "problem", "help_"),
    [
        (
            "up",
            "acme/tinny",
            'the Hub has no model "acme/tinny", or it is private',
            'did you mean "acme/tiny"?',
        ),
        ("up", "acme/private", 'the Hub has no model "acme/private"', "a private one needs"),
        ("up", "acme/gated", '"acme/gated" is gated', "accept the terms at http://127.0.0.1:"),
        ("up", "acme/forbidden", 'the Hub forbids access to "acme/forbidden"', "hf auth login"),
        ("up", "acme/bad-token", "the Hub does not accept the token", "unset HF_TOKEN"),
        ("up", "acme/limited", "the Hub is limiting requests", "wait a few minutes"),
        ("up", "acme/broken", 'the Hub failed while asked for "acme/broken"', "try again later"),
        ("up", "acme/slow", "the Hub cannot be reached", "give a local folder as base"),
        ("up", "acme/cut", 'the download of model.safetensors of "acme/cut" broke off', "run it again"),
        ("up", "acme/vast", "the disk is too full", "set HF_HOME to a larger disk"),
        ("up", "no-tag", '"acme/tiny" has no revision "v2"', "available: main, v1.0"),
        ("up", "acme/pickled", "has its weights as pickle only: pytorch_model.bin", "model.safetensors"),
        ("up", "acme/coded", 'config.json has "auto_map"', 'delete "auto_map"'),
        ("up", "acme/bare", '"acme/bare" has no config.json', "choose a repository"),
        (
            "up",
            "hidden",
            'the Hub has no model "acme/tiny", or it is private',
            "HF_HUB_OFFLINE=1 uses the copy",
        ),
        ("up", "now-forbidden", 'the Hub forbids access to "acme/llama"', "HF_HUB_OFFLINE=1 uses the copy"),
        (
            "down",
            "acme/other",
            '"acme/other" is neither a folder nor in the local cache',
            "check the network",
        ),
        ("down", "acme/half", 'the cached copy of "acme/half" lacks model.safetensors', "run it again later"),
        ("down", "acme/llama", "is damaged: model-00001-of-00005.safetensors", "blobs"),
        ("offline", "acme/tny", '"acme/tny" is not in the local cache', 'did you mean "acme/tiny"?'),
        (
            "offline",
            "acme/half",
            'the cached copy of "acme/half" lacks model.safetensors',
            "unset HF_HUB_OFFLINE",
        ),
    ],
)
def test_each_fault_has_a_message_of_its_own(
    seen: dict[str, Any], start: str, question: str, problem: str, help_: str
) -> None:
    answer = seen[start][question]
    assert "error" in answer, answer
    said = parts(answer["error"])
    assert problem in said["problem"]
    assert help_ in said["fix"]
    assert said["where"] and said["why"]


def test_the_reason_is_named_where_the_network_is_at_fault(seen: dict[str, Any]) -> None:
    assert parts(seen["up"]["acme/slow"]["error"])["why"].startswith("no answer within 1 s")
    assert parts(seen["down"]["acme/other"]["error"])["why"] == "127.0.0.1 refused the connection"


def test_a_host_name_that_does_not_exist_is_said_to_be_so() -> None:
    client = type(huggingface_hub.get_session())  # a plain one: the Hub's own may be switched offline
    with pytest.raises(Exception, match=r"\w") as caught, client(timeout=5) as session:
        session.get("http://no-such-host.invalid")
    explained = translate(caught.value, "acme/tiny", None)
    assert parts(explained.message)["why"].startswith("the host name")


def test_a_silent_hub_costs_two_time_outs_and_not_minutes(seen: dict[str, Any]) -> None:
    # Two questions of 1 s with a short pause between them; the rest is for a busy machine.
    assert seen["up"]["acme/slow"]["seconds"] < 6


def test_the_token_is_used_and_never_shown(seen: dict[str, Any]) -> None:
    assert f"Bearer {TOKEN}" in seen["tokens"]
    assert seen["cdn_tokens"] == {""}  # another host than the Hub's never gets it
    assert TOKEN not in seen["text"]
    assert "secretpassword" not in seen["text"]


def test_nothing_but_configs_tokenizers_and_safetensors_is_downloaded(seen: dict[str, Any]) -> None:
    wanted = (".json", ".safetensors")
    got = [line for line in seen["requests"] if line.startswith(("GET /acme/", "GET /cdn/"))]
    assert got and all(line.endswith(wanted) for line in got)


def test_no_file_is_asked_for_that_the_listing_does_not_have(seen: dict[str, Any], gpt2_folder: Path) -> None:
    # transformers by itself would probe for an adapter, chat templates and more, each a round trip.
    asked = {line.rpartition("/")[2] for line in seen["requests"] if f"/acme/tiny/resolve/{COMMIT}" in line}
    assert asked <= {path.name for path in gpt2_folder.iterdir()}


def test_no_fault_ends_in_a_traceback(seen: dict[str, Any]) -> None:
    assert "Traceback" not in seen["text"]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is too full to download"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is too full to download"),
        (PermissionError(errno.EACCES, "Permission denied", "/cache"), "cannot be written"),
        (OSError(errno.EROFS, "Read-only file system", "/cache"), "cannot be written"),
        (RuntimeError(f"strange: https://me:pw@host/x?sig=abc {TOKEN}"), "could not be downloaded"),
    ],
)
def test_a_fault_of_this_machine_is_explained_too(error: Exception, problem: str) -> None:
    explained = translate(error, "acme/tiny", None, filename="model.safetensors")
    assert isinstance(explained, ModelError)
    assert problem in parts(explained.message)["problem"]
    for secret in (TOKEN, "pw", "sig="):
        assert secret not in explained.message


def test_an_adapter_loads_by_its_hub_name_and_from_the_cache_when_the_hub_is_down(
    seen: dict[str, Any],
) -> None:
    for state in ("up", "down"):
        assert seen[state]["pair"]["adapter_sum"] == pytest.approx(seen["adapter_sum"], rel=1e-12), state


def test_an_adapter_that_the_hub_does_not_have_is_named(seen: dict[str, Any]) -> None:
    assert parts(seen["up"]["no-adapter"]["error"])["problem"].startswith('the Hub has no model "acme/lorra"')
