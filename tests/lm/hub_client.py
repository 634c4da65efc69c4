"""Run by test_hub.py in a fresh process: does what each line of its input asks, and answers with a line."""

import json
import os
import sys
import time
import traceback
import urllib.request
from pathlib import Path
from typing import Any

import torch

from lorascope.errors import ModelError
from lorascope.lm import hub
from lorascope.lm.adapter import adapter_tensors
from lorascope.lm.fingerprint import base_fingerprint
from lorascope.lm.load import find_base, load_base, load_tokenizer
from lorascope.lm.pair import load_pair


def answer(base: str, do: str, revision: str | None = None, adapter: str | None = None) -> dict[str, Any]:
    if do == "pair":
        tensors = adapter_tensors(load_pair(base, adapter, device="cpu").model)
        return {"adapter_sum": sum(float(tensor.double().sum()) for tensor in tensors.values())}
    if do == "cut-cache":  # the cached weights lose their end, as when a disk was full
        path = min(find_base(base, revision=revision).folder.glob("*.safetensors"))
        path.resolve().write_bytes(path.read_bytes()[:-100])
        return {}
    if do in ("private", "forbidden"):  # the hub changes its mind about this model
        urllib.request.urlopen(f"{os.environ['HF_ENDPOINT']}/control/{do}/{base}").close()
        return {}
    found = find_base(base, revision=revision)
    said: dict[str, Any] = {"commit": found.commit, "note": found.note}
    if do in ("tokenizer", "all"):
        tokenizer = load_tokenizer(found)
        said |= {"tokens": tokenizer("the sea").input_ids, "tokenizer_name": tokenizer.name_or_path}
    if do in ("weights", "all"):
        model = load_base(found, dtype=torch.float32, device="cpu")
        said |= {"fingerprint": base_fingerprint(model), "name": model.name_or_path}
    said["files"] = sorted(path.name for path in found.folder.iterdir())
    return said


hub._PAUSE_S = 0.1
for line in sys.stdin:
    hub._opened.clear()  # each line stands for a command of its own
    began = time.monotonic()
    try:
        said = answer(**json.loads(line))
    except ModelError as error:
        said = {"error": error.message}
    except BaseException:
        said = {"bug": traceback.format_exc()}
    said["seconds"] = time.monotonic() - began
    print(json.dumps(said))
Path(sys.argv[1]).touch()  # came to its end
