"""What other trainers call a quantity -> what it is called here. Shown to people, who may override it."""

import re
from collections.abc import Mapping

from lorascope.errors import ConfigError, explain, nearest

QUANTITIES = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm", "num_tokens")
"""What a column can be given for."""

PERPLEXITY = {"loss": "perplexity", "eval_loss": "eval_perplexity"}
"""The quantity whose logarithm stands in where no loss is logged."""

EVAL_WORDS = ("eval", "evaluation", "val", "valid", "validation", "dev", "test", "heldout")

# The likeliest first. Names are compared in the form of `plain`: "train/loss" is train_loss.
_RANKED: dict[str, tuple[str, ...]] = {
    # W&B's Step counts calls of its log function; train/global_step is the optimizer's.
    "step": (
        "train_global_step", "trainer_global_step", "global_step", "global_step_max_steps", "current_steps",
        "step", "steps", "train_step", "iter", "iteration", "iterations", "iters", "it", "num_updates",
        "train_num_updates", "update", "step_end", "batch",
    ),
    "epoch": ("epoch", "epochs", "train_epoch", "current_epoch", "cur_epoch"),
    "loss": (
        "loss", "train_loss", "training_loss", "loss_train", "loss_training", "epoch_train_loss", "avg_loss",
        "average_loss", "mean_loss", "train_avg_loss", "train_loss_step", "train_loss_epoch", "train_nll",
        "lm_loss", "train_lm_loss", "ce_loss", "nll_loss", "nll", "total_loss", "loss_total",
        "train_cross_entropy", "cross_entropy", "epoch_loss", "train_epoch_loss", "running_loss",
    ),
    "eval_loss": (
        "eval_loss", "validation_loss", "val_loss", "valid_loss", "loss_eval", "loss_validation", "loss_val",
        "loss_valid", "evaluation_loss", "dev_loss", "loss_dev", "heldout_loss", "eval_eval_loss",
        "eval_avg_loss", "val_nll", "valid_nll", "validation_nll", "eval_nll", "validation_epoch_loss",
        "val_epoch_loss", "epoch_val_loss", "test_loss", "loss_test",
    ),
    "learning_rate": (
        "learning_rate", "lr", "train_learning_rate", "train_lr", "lr_adamw", "lr_adam", "current_lr",
        "learning_rate_epoch", "epoch_learning_rate", "optimizer_lr", "lr_scheduler_lr",
    ),
    "grad_norm": (
        "grad_norm", "gradient_norm", "train_grad_norm", "global_grad_norm", "gnorm", "total_grad_norm",
        "train_gradient_norm", "total_norm", "gradnorm", "norm",
    ),
    "num_tokens": (
        "num_input_tokens_seen", "train_num_input_tokens_seen", "num_tokens", "train_num_tokens",
        "tokens_seen", "total_tokens", "tokens",
    ),
    "perplexity": ("perplexity", "ppl", "train_perplexity", "train_ppl", "training_perplexity"),
    "eval_perplexity": (
        "eval_perplexity", "eval_ppl", "val_perplexity", "val_ppl", "valid_perplexity", "valid_ppl",
        "validation_perplexity", "validation_ppl", "dev_ppl", "test_ppl", "test_perplexity",
    ),
}  # fmt: skip

_ENDS = {"learning_rate": ("_lr", "_learning_rate"), "grad_norm": ("_grad_norm", "_gradient_norm")}

LOSS_NAMES = frozenset(_RANKED["loss"] + _RANKED["eval_loss"])
"""Every name of a loss that is known, in the form of `plain`."""

_MORE_IS_BETTER = re.compile(
    r"(mean)?(acc|accuracy|f1|rouge\w*|bleu\d*|sacrebleu|chrf|meteor|bertscore|em|exact|exactmatch|mcc|matthews"
    r"|pass|win|winrate)"
)
_NO_SCORE = frozenset({"std", "stderr", "loss", "error", "rewards", "logps", "logits", "train", "min", "max"})
_SPREAD_WORDS = frozenset({"std", "stderr", "min", "max", "frac"})
_SPREAD = re.compile(r"__(min|max)$", re.IGNORECASE)
_NOT_MEASURED = re.compile(
    r"(runtime|per_second|_time|^time|^step|^epoch|^num_|mem_|^samples|flos|^loss$|^lr$|learning_rate)"
)
_PREFERENCE = re.compile(r"(^|_)(rewards|logps|logits)_(chosen|rejected|margins|accuracies)($|_)")
_REWARD = re.compile(r"(^|_)(reward|rewards|episodic_return|returns)($|_)")


def plain(name: str) -> str:
    """The form in which names are compared.

    Args:
        name: As the file has it.

    Returns:
        "train_loss" for "train/loss", "Train Loss" and W&B's "run-7 - train/loss".
    """
    last = name.rsplit(" - ", 1)[-1].strip().lower()
    return re.sub(r"[^a-z0-9_]+", "_", last).strip("_") or last


def guess_columns(counts: Mapping[str, int], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Guess which name stands for which quantity.

    Args:
        counts: Every name in the file -> how many points have it.
        given: Quantity -> name, which settles it for that quantity.

    Returns:
        Quantity -> name, for those that were found; of equally likely names the one with the most points.
        "perplexity" and "eval_perplexity" only where the loss itself is not logged.

    Raises:
        ConfigError: What is given is no quantity, or no name in the file.
    """
    settled = _checked(given or {}, counts)
    usable = [name for name in counts if not _SPREAD.search(name)]
    by_plain: dict[str, list[str]] = {}
    for name in usable:
        by_plain.setdefault(plain(name), []).append(name)
    found = dict(settled)
    for quantity, ranked in _RANKED.items():
        if quantity in PERPLEXITY.values() and any(
            found.get(loss) for loss, stand_in in PERPLEXITY.items() if stand_in == quantity
        ):
            continue
        names = next((by_plain[one] for one in ranked if one in by_plain), [])
        if quantity not in found and names:
            found[quantity] = max(names, key=lambda name: counts[name])
    for quantity, ends in _ENDS.items():
        names = [name for name in usable if plain(name).endswith(ends)]
        if quantity not in found and names:
            found[quantity] = max(names, key=lambda name: counts[name])
    for quantity in ("loss", "eval_loss"):
        if quantity not in found and PERPLEXITY[quantity] not in found:
            names = [name for name in usable if _other_loss(name) == quantity]
            if names:
                found[quantity] = max(names, key=lambda name: counts[name])
    return found


def eval_metric(name: str) -> str | None:
    """The name of what an evaluation measured, without "eval_"; None for anything else.

    Args:
        name: As the file has it.

    Returns:
        "accuracy" for "eval_accuracy", "rougeL" for "eval/rougeL"; None for a speed, a time or a count.
    """
    last = name.rsplit(" - ", 1)[-1].strip()
    parts = re.match(r"([A-Za-z]+)[ _/.-]+(\w.*)$", last)
    if _SPREAD.search(name) or parts is None or parts[1].lower() not in EVAL_WORDS:
        return None
    measured = parts[2].replace(" ", "_")
    return None if _NOT_MEASURED.search(measured.lower()) else measured


def higher_is_better(metric: str) -> bool:
    """Whether a metric is one of which more is better; False where its name does not say.

    Precision and recall are not among them: each is bought with the other.

    Args:
        metric: As `eval_metric` returns it.
    """
    words = re.split(r"[^a-z0-9]+", metric.lower())
    if words[-1] == "accuracies":  # "rewards/accuracies" of TRL: how often the chosen answer has more reward
        return True
    return any(_MORE_IS_BETTER.fullmatch(word) for word in words) and not _NO_SCORE.intersection(words)


def logs_preferences(name: str) -> bool:
    """Whether a name is one that preference training (DPO, SimPO, ...) logs."""
    return bool(_PREFERENCE.search(plain(name)))


def logs_rewards(name: str) -> bool:
    """Whether a name is one that reinforcement learning (PPO, GRPO, ...) logs."""
    return bool(_REWARD.search(plain(name))) and not logs_preferences(name)


def rewards_in(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The names of rewards, the shortest first; those of spreads only where there is no other."""
    found = sorted(filter(logs_rewards, counts), key=lambda name: len(plain(name).split("_")))
    heights = [name for name in found if not _SPREAD_WORDS & set(plain(name).split("_"))]
    return tuple(heights or found)


def _other_loss(name: str) -> str | None:
    """For a name on no list, "loss" or "eval_loss" where its words say so."""
    words = plain(name).split("_")
    if not {"loss", "nll"} & set(words) or {"best", "lowest", "min", "max", "std"} & set(words):
        return None
    if words[:2] == ["train", "train"]:  # the mean over a whole training, as transformers logs it at the end
        return None
    return "eval_loss" if set(EVAL_WORDS) & set(words) else "loss"


def _checked(given: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, str]:
    for quantity, name in given.items():
        if quantity not in QUANTITIES:
            raise ConfigError(
                explain(
                    f'columns: "{quantity}" is no quantity that is read',
                    where="the columns that were given",
                    why="a column is given as QUANTITY=NAME, the quantity being one of a few",
                    fix=nearest(quantity, QUANTITIES),
                )
            )
        if name not in counts:
            raise ConfigError(
                explain(
                    f'columns: the log has no "{name}"',
                    where=f"the column given for {quantity}",
                    why="it must be a name as the file has it",
                    fix=nearest(name, counts),
                )
            )
    return dict(given)
