"""What names are taken for."""

import pytest

from lorascope.diagnose.logs.names import (
    eval_metric,
    guess_columns,
    higher_is_better,
    logs_preferences,
    logs_rewards,
    plain,
    rewards_in,
)


@pytest.mark.parametrize(
    "name", ["train/loss", "Train Loss", "run-7 - train/loss", "train_loss", "train.loss"]
)
def test_names_are_compared_without_their_spelling(name: str) -> None:
    assert plain(name) == "train_loss"


def test_of_equally_likely_names_the_one_with_the_most_points_is_taken() -> None:
    assert guess_columns({"train_loss": 1, "train/loss": 100})["loss"] == "train/loss"


def test_the_mean_over_a_training_is_never_taken_for_its_curve() -> None:
    assert guess_columns({"train/train_loss": 1, "step": 1}) == {"step": "step"}


def test_a_loss_on_no_list_is_told_by_its_words() -> None:
    found = guess_columns({"sft/loss_main": 9, "holdout/loss": 2, "val/loss_main": 3, "best_loss": 9})
    assert found["eval_loss"] == "val/loss_main" and found["loss"] == "sft/loss_main"


def test_a_perplexity_is_taken_only_where_there_is_no_loss() -> None:
    assert "perplexity" not in guess_columns({"loss": 9, "ppl": 9})
    assert guess_columns({"ppl": 9, "val_ppl": 3}) == {"perplexity": "ppl", "eval_perplexity": "val_ppl"}


def test_a_metric_is_a_number_that_an_evaluation_measured_of_the_model() -> None:
    assert eval_metric("eval_rougeL") == "rougeL"
    assert eval_metric("run-7 - eval/accuracy") == "accuracy"
    assert eval_metric("Eval accuracy") == "accuracy"
    speeds = ["eval_runtime", "eval/samples_per_second", "eval_steps_per_second", "eval/accuracy__MAX"]
    assert [eval_metric(name) for name in [*speeds, "train/accuracy", "evaluation", "loss"]] == [None] * 7


def test_rewards_and_preferences_are_told_apart() -> None:
    assert logs_rewards("rewards/format_reward/mean") and logs_rewards("env/reward_mean")
    assert not logs_rewards("rewards/margins") and logs_preferences("train/rewards/margins")
    assert not logs_rewards("loss") and not logs_preferences("eval_loss")


def test_more_is_better_only_of_metrics_whose_names_say_so() -> None:
    better = ["accuracy", "mean_token_accuracy", "macro_f1", "rougeLsum", "rouge-1", "bleu-4", "exact_match"]
    better += ["sacrebleu", "top5_acc", "mmlu/acc", "pass@1", "rewards/accuracies"]
    assert all(higher_is_better(name) for name in better)
    worse = ["wer", "cer", "perplexity", "entropy", "gen_len", "f1_loss", "accuracy_stderr", "precision"]
    assert not any(higher_is_better(name) for name in [*worse, "rewards/margins", "recall", "emissions"])


def test_the_reward_itself_comes_before_its_parts_and_not_its_spread() -> None:
    found = rewards_in(
        {"frac_reward_zero_std": 9, "rewards/format/mean": 9, "reward_std": 9, "reward": 9, "loss": 9}
    )
    assert found == ("reward", "rewards/format/mean") and rewards_in({"reward_std": 9}) == ("reward_std",)
