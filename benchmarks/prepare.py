"""prepare at size, beside its peers on the same rows: rows per second and peak memory.

    python benchmarks/prepare.py [--rows 1000000] [--peer-rows 100000] [--tokenizer FOLDER] [--out FILE]

Each run is a process of its own. Memory is the anonymous memory of the process and its children together,
sampled five times a second: what the system has to find room for; file pages can be dropped.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from alpaca_like import write

HERE = Path(__file__).resolve()
PREAMBLES = {
    False: "Below is an instruction that describes a task. Write a response that appropriately completes the "
    "request.\n\n### Instruction:\n{instruction}\n\n### Response:\n",
    True: "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n"
    "### Input:\n{input}\n\n### Response:\n",
}


def anonymous_bytes(pid: int) -> int:
    """Anonymous memory of a process and its children."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                total += anonymous_bytes(int(child))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def measured(arguments: list[str]) -> dict[str, Any]:
    """Run this file again as one of the runs; its result with the peak of its memory."""
    process = subprocess.Popen([sys.executable, str(HERE), *arguments], stdout=subprocess.PIPE, text=True)
    peak = 0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{arguments} failed")
    return {**json.loads(out.splitlines()[-1]), "peak_mb": round(peak / 1e6)}


def run_lorascope(data: Path, base: Path, num: int) -> dict[str, Any]:
    import contextlib

    from lorascope.prepare.stage import prepare_run
    from lorascope.run.folder import RunFolder
    from lorascope.run.progress import Observer
    from lorascope.run.recipe import make_recipe

    seconds: dict[str, float] = {}

    class Clock(Observer):
        @contextlib.contextmanager
        def task(self, what: str, total: int, unit: str, *, already: int = 0) -> Any:
            start = time.perf_counter()
            yield lambda done: None
            seconds[what.split()[0]] = round(time.perf_counter() - start, 1)

    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        recipe = make_recipe({"base": str(base), "data": str(data)})
        start = time.perf_counter()
        report = prepare_run(RunFolder(Path(folder) / "run"), recipe, observer=Clock())
        wall = time.perf_counter() - start
    return {"rows": num, "seconds": round(wall, 1), "tasks": seconds, "near": report["near_duplicates"]}


def run_near(data: Path, num: int) -> dict[str, Any]:
    """Near duplicates of the answers alone, in one process: signatures, candidates, exact sets."""
    import numpy as np

    from lorascope.prepare.near import band_keys, candidates, signatures, verified
    from lorascope.prepare.shingles import shingles

    texts = [json.loads(line)["output"] for line in data.open(encoding="utf-8")][:num]
    start = time.perf_counter()
    parts = [shingles(texts[start : start + 4096]) for start in range(0, len(texts), 4096)]
    made = time.perf_counter()
    pairs = candidates(np.concatenate([band_keys(signatures(part)) for part in parts]).T)
    found = len(
        list(
            verified(
                pairs,
                lambda places: [parts[p // 4096].of(p % 4096) for p in places],
                jaccard=0.8,
                containment=2.0,
            )
        )
    )
    end = time.perf_counter()
    return {
        "rows": num,
        "seconds": round(end - start, 2),
        "without_shingling": round(end - made, 2),
        "pairs": found,
    }


def run_datasketch(data: Path, num: int) -> dict[str, Any]:
    """The same texts and shingles, as its users write them, through datasketch's MinHashLSH with the same bands."""
    from datasketch import MinHash, MinHashLSH

    texts = [json.loads(line)["output"] for line in data.open(encoding="utf-8")][:num]
    start = time.perf_counter()
    sets = []
    for text in texts:
        words = re.findall(r"[a-z0-9]+", text.lower())
        sets.append({" ".join(words[start : start + 3]) for start in range(max(1, len(words) - 2))})
    made = time.perf_counter()
    lsh, pairs = MinHashLSH(params=(25, 5), num_perm=125), 0
    for place, own in enumerate(sets):
        sketch = MinHash(num_perm=125)
        sketch.update_batch([one.encode() for one in own])
        for other in lsh.query(sketch):
            shared = len(own & sets[other])
            pairs += shared >= 0.8 * (len(own) + len(sets[other]) - shared)
        lsh.insert(place, sketch)
    end = time.perf_counter()
    return {
        "rows": num,
        "seconds": round(end - start, 2),
        "without_shingling": round(end - made, 2),
        "pairs": pairs,
    }


def run_trl(data: Path, base: Path, num: int, processes: int) -> dict[str, Any]:
    """TRL's own dataset preparation for prompt and completion: tokenise and mask, nothing else."""
    import types

    import datasets
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    datasets.disable_progress_bars()
    rows = [json.loads(line) for line in data.open(encoding="utf-8")][:num]
    made = datasets.Dataset.from_list(
        [{"prompt": PREAMBLES[bool(r["input"])].format(**r), "completion": r["output"]} for r in rows]
    )
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    tokenizer.pad_token = tokenizer.eos_token
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        config = SFTConfig(
            output_dir=folder,
            dataset_num_proc=processes,
            report_to=[],
            use_cpu=True,
            bf16=False,
            max_length=None,
        )
        trainer = types.SimpleNamespace(
            _is_vlm=False,
            _tokenizer=tokenizer,
            chat_template=None,
            assistant_only_loss=False,
            completion_only_loss=True,
        )
        start = time.perf_counter()
        out = SFTTrainer._prepare_dataset(trainer, made, tokenizer, config, False, None, "train")
        wall = time.perf_counter() - start
    assert len(out) == num and "labels" in out.column_names
    return {"rows": num, "seconds": round(wall, 1)}


def page(results: dict[str, Any]) -> str:
    """The results as a page of the docs."""
    ours, few, trl, near, peer = (
        results[k] for k in ("lorascope", "lorascope_few", "trl", "near", "datasketch")
    )

    def rate(one: dict[str, Any]) -> float:
        return float(one["rows"] / one["seconds"])

    further = (ours["peak_mb"] - few["peak_mb"]) * 1e6 / max(1, ours["rows"] - few["rows"])
    best = max(trl, key=rate)
    lines = [
        "# prepare at size",
        "",
        f"`make bench-prepare`, {results['date']}, {results['machine']}; synthetic rows in Alpaca's shape "
        f"(benchmarks/alpaca_like.py), tokenizer of {results['vocabulary']:,} tokens.",
        "",
        "| | rows | seconds | rows per second | peak memory |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {one['rows']:,} | {one['seconds']:,} | {rate(one):,.0f} | {one['peak_mb']:,} MB |"
            for name, one in (
                ("lorascope prepare: all of it", ours),
                ("lorascope prepare: all of it", few),
                *(
                    (f"TRL, tokenise and mask only, {n} process(es)", one)
                    for n, one in enumerate(trl, start=1)
                ),
            )
        ),
        "",
        f"All of it is reading, wording, tokenising, labels, exact and near duplicates, the split, overlap and "
        f"writing: {rate(ours) / rate(best):.2f} times the rows per second of TRL's tokenising alone "
        f"(target 1.5). Memory of a further row: {further:.0f} bytes (target 200).",
        "",
        "| near duplicates of the answers, one process | rows | seconds | without making shingles | pairs |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| lorascope (rensa, bands by numpy, exact sets) | {near['rows']:,} | {near['seconds']} | "
        f"{near['without_shingling']} | {near['pairs']:,} |",
        f"| datasketch MinHashLSH, same shingles, bands and exact sets | {peer['rows']:,} | {peer['seconds']} | "
        f"{peer['without_shingling']} | {peer['pairs']:,} |",
        "",
        f"{peer['seconds'] / near['seconds']:.1f} times as fast (target 10); without making the shingles "
        f"{peer['without_shingling'] / near['without_shingling']:.1f} times.",
        "",
        "TRL and datasketch run on fewer rows, because on all of them they take longer than ten minutes.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--base", type=Path, help="a model folder; the bundled starter's where not given")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "docs" / "benchmarks" / "prepare.md")
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        kind, data, base, num, *more = args.run
        runs = {
            "lorascope": lambda: run_lorascope(Path(data), Path(base), int(num)),
            "near": lambda: run_near(Path(data), int(num)),
            "datasketch": lambda: run_datasketch(Path(data), int(num)),
            "trl": lambda: run_trl(Path(data), Path(base), int(num), int(*more)),
        }
        print(json.dumps(runs[kind]()))
        return
    from lorascope.run.provenance import machine
    from lorascope.starter import base_folder

    base = args.base or base_folder()
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder) / "many.jsonl", Path(folder) / "few.jsonl"
        write(many, args.rows)
        write(few, args.peer_rows)

        def one(kind: str, data: Path, num: int, *more: int) -> dict[str, Any]:
            os.environ["HF_DATASETS_CACHE"] = str(Path(folder) / f"cache-{kind}-{more}")
            result = measured(["--run", kind, str(data), str(base), str(num), *map(str, more)])
            print(kind, result, flush=True)
            return result

        results = {
            "trl": [one("trl", few, args.peer_rows, n) for n in (1, multiprocessing.cpu_count())],
            "lorascope_few": one("lorascope", few, args.peer_rows),
            "near": one("near", few, args.peer_rows),
            "datasketch": one("datasketch", few, args.peer_rows),
            "lorascope": one("lorascope", many, args.rows),
        }
    from transformers import AutoTokenizer

    results["date"] = time.strftime("%Y-%m-%d")
    results["machine"] = (
        f"{multiprocessing.cpu_count()} cores of {machine()['processor']}, Python {platform.python_version()}"
    )
    results["vocabulary"] = len(AutoTokenizer.from_pretrained(str(base)))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
