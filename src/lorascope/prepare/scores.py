"""A data-quality score: the loss of every example under the base, before anything is learnt.

The strangest examples are the ones to read first: broken text, another language, an answer to another
question. The trivial ones teach nothing: the base says them already.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lorascope.lm.pair import pair_of
from lorascope.lm.score import score_examples
from lorascope.run.dataset import load_examples, load_splits
from lorascope.run.progress import Observer
from lorascope.run.sections import Recipe
from lorascope.run.texts import read_texts

_SHOWN = 10
_EXCERPT = 80


def score_data(folder: Path, recipe: Recipe, observer: Observer) -> dict[str, Any]:
    """Score every example of every split, and write scores.parquet.

    Args:
        folder: prepare/, staged, with its dataset and examples.parquet.
        recipe: Names the base; `eval.precision` is that of the forward pass.
        observer: Told about progress.

    Returns:
        Percentiles of the loss in nats per target token, and the strangest and the most trivial examples.

    Raises:
        ModelError: The base model cannot be loaded.
    """
    pair = pair_of(recipe, None, expected_base=None)
    splits = list(load_splits(folder / "dataset"))
    examples = [(split, one) for split in splits for one in load_examples(folder / "dataset", split)[0]]
    with observer.task("scoring the data", len(examples), "examples") as advance:
        scores = score_examples(pair.model, [one for _, one in examples], pad_id=pair.pad_id, advance=advance)
    nll_N, num_N = scores.nll_sum_N, scores.num_tokens_N
    loss_N = np.divide(nll_N, num_N, out=np.full(len(nll_N), np.nan), where=num_N > 0)
    table = pa.table(
        {
            "example_id": [one.example_id for _, one in examples],
            "split": [split for split, _ in examples],
            "nll_sum": nll_N,
            "num_tokens": num_N,
            "loss": pa.array(loss_N, from_pandas=True),
        }
    )
    pq.write_table(table, folder / "scores.parquet")
    texts = {one.example_id: one for one in read_texts(folder / "examples.parquet")}

    def told(places: np.ndarray) -> list[dict[str, Any]]:
        return [
            {
                "example_id": examples[place][1].example_id,
                "split": examples[place][0],
                "loss": float(loss_N[place]),
                "answer": texts[examples[place][1].example_id].target_text[:_EXCERPT],
            }
            for place in places.tolist()
        ]

    known = np.flatnonzero(~np.isnan(loss_N))
    order = known[np.argsort(loss_N[known], kind="stable")]
    p5, median, p95 = np.percentile(loss_N[known], [5, 50, 95])
    return {
        "base_sha256": pair.base_sha256,
        "precision": pair.precision.name,
        "p5": float(p5),
        "median": float(median),
        "p95": float(p95),
        "strangest": told(order[::-1][:_SHOWN]),
        "trivial": told(order[:_SHOWN]),
    }
