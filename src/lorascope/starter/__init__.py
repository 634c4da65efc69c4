"""The bundled starter: a tiny base model and an Alpaca-format dataset about one invented world.

Called what it is: a toy world that runs the real pipeline. `python -m lorascope.starter.make` rebuilds all of
it. Importing this package loads neither torch nor numpy.
"""

from pathlib import Path

__all__ = ["base_folder", "data_file", "recipe_file", "training_record_file", "unrelated_file"]

_HERE = Path(__file__).resolve().parent


def base_folder() -> Path:
    """Folder of the base model, as `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` read it."""
    return _HERE / "base"


def data_file() -> Path:
    """The Alpaca-format dataset: a JSON list of instruction, input, output, family, kind."""
    return _HERE / "data" / "alpaca_starter.json"


def unrelated_file() -> Path:
    """Text of the same world that the base has never read, to see what fine-tuning makes it forget."""
    return _HERE / "data" / "unrelated.txt"


def recipe_file() -> Path:
    """The recipe that fine-tunes the base on the dataset."""
    return _HERE / "recipe.yaml"


def training_record_file() -> Path:
    """How the base was made: seed, settings, versions, loss curve, duration, fluency."""
    return _HERE / "base_training.json"
