"""A base model's name or folder -> its tokenizer and its weights, or one error that says what to do.

The order is from light to heavy: name, config, tokenizer, file headers, weights. A wrong name fails in a
second, and nothing that comes with a model is ever run. A Hub name is resolved to one commit by `hub` and
then read from the cache folder, so that transformers has no reason to use the network, and tokenizer and
weights cannot differ in age.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as _logging

from lorascope.errors import ModelError, explain
from lorascope.lm import hub, model_folder, weight_files
from lorascope.lm.dropout import set_dropout
from lorascope.lm.find import Base, find_base, refused, tokenizer_folder
from lorascope.lm.hub_faults import redacted

transformers_logging: Any = _logging  # untyped
log = logging.getLogger(__name__)

_LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
)


def load_tokenizer(base: str | Base, *, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a base model's tokenizer.

    Args:
        base: A folder (one with a tokenizer alone will do), a Hub name, or what `find_base` returned.
        revision: A branch, tag or commit of a Hub model; ignored for a `Base`, which has one.

    Returns:
        The tokenizer, its `name_or_path` as the user wrote it.

    Raises:
        ModelError: As `find_base`; or the tokenizer is missing, damaged, or wants code of its own.
    """
    found = base if isinstance(base, Base) else tokenizer_folder(base) or find_base(base, revision=revision)
    files = [path.name for path in found.folder.iterdir()]
    if found.repo is not None:
        files = hub.tokenizer_files(found.repo.files)
        hub.fetch(found.repo, files)
    if not model_folder.has_tokenizer(files):
        raise model_folder.no_tokenizer(str(found.folder), found.name)
    model_folder.read_tokenizer_config(found.folder, found.name)
    try:
        with quiet():
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                str(found.folder), trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # tokenizers raises bare Exception for a damaged file
        raise _failed("the tokenizer", found, error) from error
    tokenizer.name_or_path = found.name
    return tokenizer


def load_base(
    base: str | Base,
    *,
    revision: str | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    dropout: float | Literal["keep"] = 0.0,
) -> PreTrainedModel:
    """Load a base model's weights, all of them, onto one device.

    Args:
        base: A folder, a Hub name, or what `find_base` returned.
        revision: A branch, tag or commit of a Hub model; ignored for a `Base`, which has one.
        dtype: The format to hold the weights in, see `engine.precision`.
        device: Where to put them.
        dropout: The base's own dropouts are set to this, in its config too; "keep" leaves both as they came.
            Load with "keep" what is to be saved again.

    Returns:
        The model in eval mode, with SDPA attention where its architecture has it, eager elsewhere.

    Raises:
        ModelError: As `find_base`; or weights are missing, damaged, pickled, of another shape, or do not fit.
    """
    found = base if isinstance(base, Base) else find_base(base, revision=revision)
    device = torch.device(device)
    config, architecture = _architecture(found)
    _get_weights(found)
    placement: dict[str, Any] = {"device_map": {"": device}} if device.type == "cuda" else {}
    try:
        with quiet():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                str(found.folder),
                config=config,
                dtype=dtype,
                attn_implementation="sdpa" if getattr(architecture, "_supports_sdpa", False) else "eager",
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # they are refused below, all of them by name
                local_files_only=True,
                output_loading_info=True,
                **placement,
            )
    except Exception as error:
        raise _failed("the weights", found, error) from error
    model: PreTrainedModel = loaded[0]
    _refuse_gaps(found, loaded[1])
    if not placement:
        loaded[0].to(device)
    model.name_or_path = model.config._name_or_path = found.name
    if dropout != "keep":
        set_dropout(model, dropout)
    return model


def context_length(config: PreTrainedConfig) -> int | None:
    """How many tokens a model was made to read at once.

    Args:
        config: A model's config.

    Returns:
        Tokens, or None where the architecture has no limit (or names none).
    """
    text = config.get_text_config()
    for name in _LENGTHS:
        length = getattr(text, name, None)
        if isinstance(length, int) and length > 0:
            return length
    return None


def base_context_length(base: str | Base, *, revision: str | None = None) -> int | None:
    """How many tokens a base model was made to read at once, from its config alone; see `context_length`.

    Args:
        base: A folder, a Hub name, or what `find_base` returned.
        revision: A branch, tag or commit of a Hub model; ignored for a `Base`, which has one.

    Returns:
        Tokens, or None where the architecture has no limit.

    Raises:
        ModelError: As `find_base`, or it is no causal language model.
    """
    found = base if isinstance(base, Base) else find_base(base, revision=revision)
    return context_length(_architecture(found)[0])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from printing: what it warns of is checked here, and its bars belong to no one."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            with warnings.catch_warnings():  # warns where HF_HUB_DISABLE_PROGRESS_BARS is set
                warnings.simplefilter("ignore")
                transformers_logging.enable_progress_bar()


def _architecture(found: Base) -> tuple[PreTrainedConfig, Any]:
    """The config, and transformers' own class of causal language model for it."""
    try:
        with quiet():
            config = AutoConfig.from_pretrained(
                str(found.folder), trust_remote_code=False, local_files_only=True
            )
    except Exception as error:
        raise _failed("the config", found, error) from error
    mapping: Any = AutoModelForCausalLM._model_mapping
    if type(config) not in mapping:
        why = f'transformers has no causal language model of type "{config.model_type}"'
        fix = "choose a model that writes from left to right, such as GPT-2, Llama, Qwen, Mistral or Gemma"
        raise refused(f'"{found.name}" is not a causal language model', str(found.folder), why, fix)
    architecture = mapping[type(config)]
    if isinstance(architecture, tuple):
        architecture = architecture[0]
    return config, architecture


def _get_weights(found: Base) -> None:
    """See to it that every weight file is in the folder, whole, and nothing else gets loaded with it."""
    if found.repo is not None:
        files = found.repo.files
        if weight_files.WEIGHTS in files:
            hub.fetch(found.repo, [weight_files.WEIGHTS])
        elif weight_files.INDEX in files:
            hub.fetch(found.repo, [weight_files.INDEX])
            hub.fetch(found.repo, weight_files.shards(found.folder / weight_files.INDEX, found.name))
        elif found.note is not None:
            hub.fetch(found.repo, [weight_files.WEIGHTS])  # raises: the cached copy lacks them
        else:
            raise weight_files.no_safetensors(list(files), f"{found.name} on the Hub", found.name)
        hub.fetch(found.repo, [name for name in files if name == "generation_config.json"])
    weight_files.whole_files(found.folder, found.name)
    if (found.folder / "adapter_config.json").exists():
        why = "it holds adapter_config.json beside the model, and transformers would add that adapter unasked"
        fix = "move the adapter's files to a folder of their own"
        raise refused(f'"{found.name}" is a model and an adapter in one', str(found.folder), why, fix)


def _refuse_gaps(found: Base, keys: dict[str, Any]) -> None:
    """Refuse weights that no file holds, for which transformers takes random numbers; note the unused."""
    mismatched = [f"{name} {tuple(there)} for {tuple(here)}" for name, there, here in keys["mismatched_keys"]]
    for names, problem in (
        (sorted(mismatched), "of another shape"),
        (sorted(keys["missing_keys"]), "missing"),
    ):
        if names:
            listed = ", ".join(names[:4]) + (f", ... ({len(names) - 4} more)" if len(names) > 4 else "")
            message = explain(
                f'"{found.name}": {len(names)} weights are {problem}: {listed}',
                where=str(found.folder),
                why="config.json describes them, the weight files do not hold them: they would be random",
                fix="use config and weights of the same model, one that was saved as a causal language model",
            )
            raise ModelError(message)
    unused = sorted(keys["unexpected_keys"])
    if unused:
        log.warning(
            "%s: %d weights have no place in the model: %s", found.name, len(unused), ", ".join(unused[:4])
        )


def _failed(what: str, found: Base, error: Exception) -> ModelError:
    """Explain an exception of transformers, safetensors or torch while loading."""
    text = redacted(str(error))
    if isinstance(error, SafetensorError):
        return weight_files.damaged(found.folder / weight_files.WEIGHTS, found.name, text)
    if isinstance(error, ImportError):
        return refused(
            f'{what} of "{found.name}" need a package that is not installed',
            str(found.folder),
            text,
            "install it, or choose another base model",
        )
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text:
        size = sum(path.stat().st_size for path in found.folder.glob("*.safetensors")) / 2**30
        why = f"the weight files have {size:.1f} GiB; float32 needs twice what a bf16 file has"
        fix = "choose a smaller base model, bf16, a larger device, or free what other programs hold"
        return refused(f'"{found.name}" does not fit into memory', str(found.folder), why, fix)
    if "does not recognize this architecture" in str(error):
        why = "the installed transformers does not know its model_type"
        return refused(
            f'"{found.name}" is too new or foreign', str(found.folder), why, "upgrade transformers"
        )
    return refused(
        f'{what} of "{found.name}" cannot be loaded',
        str(found.folder),
        f"{type(error).__name__}: {text}",
        "copy or download its files again; if it stays, the model is not in the format of transformers",
    )
