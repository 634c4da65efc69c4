"""Divergences at positions -> means with intervals clustered by example, and the verdict.

Shapes: S positions, N examples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lorascope.compare.divergences import MEASURES, Positions
from lorascope.errors import UndefinedMetric
from lorascope.metrics.uncertainty import MIN_CLUSTERS, Interval, proportion_interval, ratio_interval

_LAST_PLACE = {"float32": 2.0**-23, "bf16": 2.0**-7, "fp16": 2.0**-10}  # spacing of numbers near 1
_ROUNDING_MARGIN = 4  # the floor is the largest of few positions, the difference the largest of many


def spread(positions: Positions, num_owners: int) -> dict[str, Any]:
    """Each measure over all positions: mean with its interval, median, 99th percentile.

    Every position counts once in the mean. The tokens of one example move together, so the interval comes
    from sums by example.

    Args:
        positions: From `compare_positions`.
        num_owners: Examples they belong to.

    Returns:
        JSON values; without any position the means are None and `why` says so.
    """
    count_N = np.bincount(positions.owner_S, minlength=num_owners)
    num = len(positions.owner_S)
    why: dict[str, str] = {}
    if not num:
        why["mean"] = "there is no position to measure"
    elif int((count_N > 0).sum()) < MIN_CLUSTERS:
        why["interval"] = f"fewer than {MIN_CLUSTERS} examples: the intervals may be too short"
    return {
        "num_positions": num,
        "num_examples": int((count_N > 0).sum()),
        **{name: _measure(name, positions, count_N, why) for name in positions.values},
        "largest_logit_difference": float(positions.largest_S.max()) if num else None,
        "largest_logit": float(positions.logit_S.max()) if num else None,
        "why": why,
    }


def _measure(name: str, positions: Positions, count_N: np.ndarray, why: dict[str, str]) -> dict[str, Any]:
    value_S = positions.values[name]
    if not len(value_S):
        return {"mean": None, "interval": None, "median": None, "p99": None}
    is_share = name == "top1_agreement"
    compute = _share_interval if is_share else ratio_interval
    sum_N = np.bincount(positions.owner_S, weights=value_S, minlength=len(count_N))
    interval = _interval(name, why, lambda: compute(sum_N, count_N))
    return {
        "mean": float(value_S.mean()),
        "interval": interval,
        "median": None if is_share else float(np.median(value_S)),
        "p99": None if is_share else float(np.quantile(value_S, 0.99)),
    }


def _share_interval(sum_N: np.ndarray, count_N: np.ndarray) -> Interval:
    """Interval of a share of positions: Wilson's by example where `ratio_interval` would collapse to a point.

    That is where there is one position an example, or where all positions agree: 10 of 10 is no certainty.
    """
    num, share = int((count_N > 0).sum()), sum_N.sum() / count_N.sum()
    if share in (0, 1) or (count_N <= 1).all():
        return proportion_interval(round(share * num), num)
    interval = ratio_interval(sum_N, count_N)
    # t quantiles may reach beyond the ends of a share.
    return replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))


def _interval(name: str, why: dict[str, str], compute: Callable[[], Interval]) -> dict[str, Any] | None:
    try:
        return compute().as_dict()
    except UndefinedMetric as error:
        why[name] = error.message
        return None


def by_place(positions: Positions, num_owners: int) -> list[dict[str, Any]]:
    """KL(base || adapter) and agreement by place in the answer: 1st token, 2nd, 3rd-4th, 5th-8th, ..."""
    rows, first = [], 0
    while len(positions.place_S) and first <= int(positions.place_S.max()):
        last = first if first < 2 else 2 * first - 1
        mine = (positions.place_S >= first) & (positions.place_S <= last)
        owner_S = positions.owner_S[mine]
        count_N = np.bincount(owner_S, minlength=num_owners)
        kl_S = positions.values["kl_base_adapter"][mine]
        if len(kl_S):
            sum_N = np.bincount(owner_S, weights=kl_S, minlength=num_owners)
            rows.append(
                {
                    "first": first + 1,
                    "last": last + 1,
                    "num_positions": len(kl_S),
                    "num_examples": int((count_N > 0).sum()),
                    "kl_base_adapter": float(kl_S.mean()),
                    "interval": _interval("", {}, lambda s=sum_N, c=count_N: ratio_interval(s, c)),  # type: ignore[misc]
                    "top1_agreement": float(positions.values["top1_agreement"][mine].mean()),
                }
            )
        first = last + 1
    return rows


def by_example(positions: Positions, example_ids: Sequence[str]) -> list[dict[str, Any]]:
    """One row per example: its positions and the mean of each measure over them; None where it has none."""
    count_N = np.bincount(positions.owner_S, minlength=len(example_ids))
    columns = {
        name: np.bincount(positions.owner_S, weights=positions.values[name], minlength=len(example_ids))
        for name in MEASURES
    }
    largest_N = np.zeros(len(example_ids))
    np.maximum.at(largest_N, positions.owner_S, positions.largest_S)
    return [
        {
            "example_id": example_id,
            "num_positions": int(count_N[index]),
            **{
                name: float(sums[index] / count_N[index]) if count_N[index] else None
                for name, sums in columns.items()
            },
            "largest_logit_difference": float(largest_N[index]) if count_N[index] else None,
        }
        for index, example_id in enumerate(example_ids)
    ]


def verdict(
    presence: Mapping[str, Any],
    measured: Sequence[Mapping[str, Any]],
    floor: Mapping[str, Any],
    precision: str,
) -> dict[str, Any]:
    """Say whether the adapter changes the model, and by what evidence.

    Args:
        presence: From `compare.presence`.
        measured: `spread` of base against adapter, over target tokens and over last prompt positions.
        floor: `spread` of the base against itself in other batches.
        precision: Of the forward pass.

    Returns:
        "kind": changes, within_rounding or changes_nothing; "sentence"; "would_change": what would change it;
        "rounding": the logit difference that rounding can make.
    """
    known = [one for one in measured if one["num_positions"]]
    largest = max(one["largest_logit_difference"] for one in known)
    num = sum(one["num_positions"] for one in known)
    # Small models sum in the same order whatever the batch, so the last place of a logit counts too.
    last_place = _LAST_PLACE[precision] * max(one["largest_logit"] for one in known)
    rounding = _ROUNDING_MARGIN * max(floor["largest_logit_difference"], last_place)
    relative = presence["relative"]
    size = f"B.A is {100 * relative:.3g} % of W" if relative is not None else "the norm of B.A is not known"
    equal = f"the logits are equal bit for bit at {num:,} positions"
    if largest == 0 and presence["norm"] == 0 and not presence["other_trained_parts"]:
        kind = "changes_nothing"
        sentence = (
            f"this adapter changes nothing: B.A is 0 in all {presence['num_modules']} modules, as before the "
            f"first training step, and {equal}"
        )
        would_change = "train it, or load the adapter that was trained: --adapter PATH"
    elif largest == 0:
        kind = "changes_nothing"
        sentence = (
            f"this adapter changes nothing: {size}, yet {equal}, so it is not applied, or too small for a "
            f"forward pass in {precision}"
        )
        would_change = "compare in float32; look for an adapter that was merged or switched off"
    elif largest <= rounding:
        kind = "within_rounding"
        sentence = (
            f"no difference shown: {size}, and the largest logit difference over {num:,} positions is "
            f"{largest:.2g}, where rounding in {precision} can make {rounding:.2g}"
        )
        would_change = "an adapter that was trained longer, or a forward pass in float32"
    else:
        kind = "changes"
        sentence = (
            f"this adapter is applied and changes the model: {size}, KL(base || adapter) is "
            f"{known[0]['kl_base_adapter']['mean']:.3g} nats, and the largest logit difference over {num:,} "
            f"positions is {largest:.3g}, where rounding can make {rounding:.2g}"
        )
        would_change = "other examples move its size; whether it is for the better is what eval measures"
    return {"kind": kind, "sentence": sentence, "would_change": would_change, "rounding": rounding}
