"""The learning rate as a pure function of the step."""

import math


def learning_rate(step: int, *, num_steps: int, peak: float, warmup: float, schedule: str) -> float:
    """Learning rate of an optimizer step.

    With k = step - 1 steps done and w = ceil(warmup * num_steps):

        k < w:  peak * (k + 1) / w
        else    x = (k - w) / (num_steps - w)
                constant: peak,  linear: peak (1 - x),  cosine: peak (1 + cos(pi x)) / 2

    Args:
        step: 1 for the first.
        num_steps: Steps in all.
        peak: The highest rate.
        warmup: Share of all steps spent rising to it.
        schedule: "cosine", "linear" or "constant".

    Returns:
        The rate, > 0 at every step: it would reach 0 just after the last one.

    Source:
        transformers' get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup after the warmup; in
        it they use k / w, which spends the first step at rate 0.
    """
    done, warm = step - 1, math.ceil(warmup * num_steps)
    if done < warm:
        return peak * (done + 1) / warm
    share = (done - warm) / max(1, num_steps - warm)
    if schedule == "constant":
        return peak
    return peak * (1 - share) if schedule == "linear" else peak * (1 + math.cos(math.pi * share)) / 2
