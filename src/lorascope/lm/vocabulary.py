"""What a base model knows of its tokens, read from its files without loading it: rows, stops, embeddings."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lorascope.lm.find import Base, find_base
from lorascope.lm.weight_files import INDEX, WEIGHTS

_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
_SAMPLE = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The token side of a base model.

    Attributes:
        num_rows: Tokens that it has an embedding for; None where its config does not say.
        stop_ids: Tokens at which a server stops by its generation_config.json; empty where it names none.
        embeddings: Where its input embeddings lie; None where the weights are not here.
    """

    num_rows: int | None
    stop_ids: tuple[int, ...]
    embeddings: tuple[Path, str] | None

    def untrained(self, ids: list[int]) -> dict[int, str]:
        """Find tokens whose embedding was never trained, with the reason why it is thought so.

        An embedding that training never touched is all zeros, or far shorter than any other, or the very copy
        of another row: how a vocabulary is made longer without training.

        Args:
            ids: Tokens to look at.
        """
        if self.embeddings is None or not ids or self.num_rows is None:
            return {}
        path, key = self.embeddings
        known = sorted({one for one in ids if one < self.num_rows})
        others = np.unique(np.random.default_rng(0).integers(0, self.num_rows, _SAMPLE))
        own_ND, other_ND = _rows(path, key, known), _rows(path, key, others.tolist())
        typical = float(np.median(np.linalg.norm(other_ND, axis=1)))
        found: dict[int, str] = {}
        for token, row in zip(known, own_ND, strict=True):
            length = float(np.linalg.norm(row))
            twins = others[(other_ND == row).all(axis=1) & (others != token)]
            if length < _SHORT * typical:
                found[token] = f"its embedding is {length:.3g} long, others are {typical:.3g}"
            elif len(twins):
                found[token] = f"its embedding is the copy of that of token {int(twins[0])}"
        return found


_SHORT = 0.05


def read_vocabulary(base: str | Base, *, revision: str | None = None) -> Vocabulary:
    """Read what a base model's files say about its tokens.

    Args:
        base: A folder, a Hub name, or what `find_base` returned.
        revision: Of a Hub model.

    Raises:
        ModelError: As `find_base`.
    """
    found = base if isinstance(base, Base) else find_base(base, revision=revision)
    config = _json_of(found.folder / "config.json")
    text = config.get("text_config", {}) if isinstance(config.get("text_config"), dict) else {}
    generation = _json_of(found.folder / "generation_config.json")
    stops = generation.get("eos_token_id", config.get("eos_token_id", text.get("eos_token_id")))
    num_rows = config.get("vocab_size", text.get("vocab_size"))
    return Vocabulary(
        num_rows=num_rows if isinstance(num_rows, int) else None,
        stop_ids=tuple(
            one for one in (stops if isinstance(stops, list) else [stops]) if isinstance(one, int)
        ),
        embeddings=_embeddings(found.folder),
    )


def _embeddings(folder: Path) -> tuple[Path, str] | None:
    from safetensors import SafetensorError, safe_open

    if (folder / INDEX).is_file():
        files = dict(_json_of(folder / INDEX).get("weight_map", {}))
    elif (folder / WEIGHTS).is_file():
        try:
            with safe_open(folder / WEIGHTS, "pt") as weights:
                files = dict.fromkeys(weights.keys(), WEIGHTS)
        except SafetensorError:
            return None  # train and eval say what is wrong with it
    else:
        return None
    key = next((one for one in files if one.endswith(_EMBEDDINGS)), None)
    return (folder / files[key], key) if key is not None and (folder / files[key]).is_file() else None


def _rows(path: Path, key: str, places: list[int]) -> np.ndarray:
    """Some rows of a matrix on disk, [N, D] float32; the matrix itself is not read."""
    from safetensors import safe_open

    with safe_open(path, "pt") as weights:
        matrix = weights.get_slice(key)
        return np.stack([matrix[place : place + 1][0].float().numpy() for place in places])


def _json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
