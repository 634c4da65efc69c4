"""How far two models' next-token distributions differ. Shapes: S = positions, V = vocabulary.

All divergences are in nats per position; a caller sums them per example and passes sums and counts to
`uncertainty.ratio_interval`. Vocabulary times positions is large, so pass positions in groups of a few
hundred.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lorascope.errors import UndefinedMetric

FloatArray = npt.NDArray[np.floating[Any]]


def log_softmax(logit_SV: FloatArray) -> FloatArray:
    """Log-probabilities of logits.

        logp = logit - max - log(sum(exp(logit - max)))

    The maximum is subtracted first, so no finite logit overflows. A logit of -inf is a forbidden token and
    stays -inf.

    Args:
        logit_SV: Logits, [S, V], float32 or float64.

    Returns:
        Natural log-probabilities, [S, V], in the dtype of the logits.

    Raises:
        UndefinedMetric: Another dtype or shape, NaN or +inf, or a position at which every token is forbidden.
    """
    logit_SV = _checked(logit_SV, "logits")
    shifted_SV = logit_SV - _finite_max(logit_SV)
    # The sum runs in float64: over 150,000 tokens a float32 sum would already cost digits.
    log_total_S1 = np.log(np.exp(shifted_SV).sum(axis=1, keepdims=True, dtype=np.float64))
    return np.asarray(shifted_SV - log_total_S1, dtype=logit_SV.dtype)


def kl_divergence(logp_SV: FloatArray, logq_SV: FloatArray) -> npt.NDArray[np.float64]:
    """Kullback-Leibler divergence of q from p at each position.

        KL(p || q) = sum_v p_v (logp_v - logq_v)

    Large where p puts weight on tokens that q thinks unlikely; swapping the arguments asks the reverse
    question. A token that p forbids adds 0, whatever q says of it.

    Args:
        logp_SV: Log-probabilities of one model, from `log_softmax`, [S, V].
        logq_SV: Log-probabilities of the other at the same positions, [S, V].

    Returns:
        Nats per position, >= 0 (rounding below 0 is cut), [S].

    Raises:
        UndefinedMetric: The shapes differ, the rows are no log-probabilities, or q forbids a token that p
            allows, so that the divergence is infinite (`js_divergence` stays finite).

    Source:
        Kullback and Leibler 1951, "On information and sufficiency".
    """
    p_SV, _ = _probabilities(logp_SV, logq_SV)
    return _relative_entropy(p_SV, logp_SV, logq_SV)


def js_divergence(logp_SV: FloatArray, logq_SV: FloatArray) -> npt.NDArray[np.float64]:
    """Jensen-Shannon divergence at each position: the symmetric, bounded companion of `kl_divergence`.

        JS = (KL(p || m) + KL(q || m)) / 2,  m = (p + q) / 2

    Args:
        logp_SV: Log-probabilities of one model, from `log_softmax`, [S, V].
        logq_SV: Log-probabilities of the other at the same positions, [S, V].

    Returns:
        Nats per position in [0, ln 2]; ln 2 where the two share no token, [S].

    Raises:
        UndefinedMetric: The shapes differ, or the rows are no log-probabilities.

    Source:
        Lin 1991, "Divergence measures based on the Shannon entropy".
    """
    p_SV, q_SV = _probabilities(logp_SV, logq_SV)
    logm_SV = np.logaddexp(logp_SV, logq_SV) - math.log(2)
    mean_S = (_relative_entropy(p_SV, logp_SV, logm_SV) + _relative_entropy(q_SV, logq_SV, logm_SV)) / 2
    return np.minimum(mean_S, math.log(2))


def centred_l2(logit_a_SV: FloatArray, logit_b_SV: FloatArray) -> npt.NDArray[np.float64]:
    """Euclidean distance of two models' logits at each position, after centring both.

        || (a - mean_v a) - (b - mean_v b) ||_2

    Softmax ignores a constant added to all logits of a position, so the raw distance would report a shift
    that changes no probability. Centring removes exactly that shift.

    Args:
        logit_a_SV: Logits of one model, [S, V].
        logit_b_SV: Logits of the other at the same positions, [S, V].

    Returns:
        Distance in logit units (nats), >= 0; not divided by the vocabulary size, [S].

    Raises:
        UndefinedMetric: The shapes differ, or a logit is not finite.
    """
    a_SV, b_SV = _checked(logit_a_SV, "logits of a"), _checked(logit_b_SV, "logits of b")
    _check_same_shape(a_SV, b_SV)
    if not (np.isfinite(a_SV).all() and np.isfinite(b_SV).all()):
        raise UndefinedMetric("logits hold -inf, so their mean and distance have no value")
    apart_SV = np.subtract(a_SV, b_SV, dtype=np.float64)
    centred_SV = apart_SV - apart_SV.mean(axis=1, keepdims=True)
    return np.asarray(np.sqrt((centred_SV**2).sum(axis=1)))


def top1_agreement(logit_a_SV: FloatArray, logit_b_SV: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether both models rank the same token first at each position.

    Args:
        logit_a_SV: Logits or log-probabilities of one model, [S, V].
        logit_b_SV: The same of the other, [S, V].

    Returns:
        True where the first choices agree; a tie counts as its lowest token id, in both models alike, [S].

    Raises:
        UndefinedMetric: The shapes differ, or a value is NaN or +inf.
    """
    a_SV, b_SV = _checked(logit_a_SV, "logits of a"), _checked(logit_b_SV, "logits of b")
    _check_same_shape(a_SV, b_SV)
    _finite_max(a_SV)
    _finite_max(b_SV)
    return np.asarray(a_SV.argmax(axis=1) == b_SV.argmax(axis=1))


def _checked(value_SV: FloatArray, name: str) -> FloatArray:
    """Refuse all but float32 and float64 arrays of positions by vocabulary without NaN and +inf."""
    array_SV = np.asarray(value_SV)
    if array_SV.dtype not in (np.float32, np.float64):
        raise UndefinedMetric(
            f"{name} are {array_SV.dtype}: half precision never reaches a metric, so convert earlier"
        )
    if array_SV.ndim != 2 or array_SV.shape[1] == 0:
        raise UndefinedMetric(f"{name} must have shape [positions, vocabulary], but have {array_SV.shape}")
    if np.isnan(array_SV).any() or np.isposinf(array_SV).any():
        raise UndefinedMetric(f"{name} hold NaN or +inf")
    return array_SV


def _check_same_shape(a_SV: FloatArray, b_SV: FloatArray) -> None:
    if a_SV.shape != b_SV.shape:
        raise UndefinedMetric(f"the models differ in positions or vocabulary: {a_SV.shape} and {b_SV.shape}")


def _finite_max(logit_SV: FloatArray) -> FloatArray:
    """Highest logit of each position, [S, 1]; a position without a finite one has no distribution."""
    highest_S1 = logit_SV.max(axis=1, keepdims=True)
    if not np.isfinite(highest_S1).all():
        raise UndefinedMetric(
            f"every token is forbidden at position {int(np.argmin(np.isfinite(highest_S1)))}"
        )
    return np.asarray(highest_S1)


def _probabilities(
    logp_SV: FloatArray, logq_SV: FloatArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both distributions, checked to sum to 1: with raw logits the result would mean nothing."""
    checked = [_checked(logp_SV, "log-probabilities of p"), _checked(logq_SV, "log-probabilities of q")]
    _check_same_shape(*checked)
    found = []
    for name, log_SV in zip("pq", checked, strict=True):
        with np.errstate(over="ignore"):  # raw logits may overflow here; the sum then says so
            p_SV = np.exp(log_SV, dtype=np.float64)
        total_S = p_SV.sum(axis=1)
        if not (np.abs(total_S - 1) < 1e-3).all():
            worst = int(np.argmax(np.abs(total_S - 1)))
            raise UndefinedMetric(
                f"{name} sums to {total_S[worst]:g} at position {worst}: pass the result of log_softmax"
            )
        found.append(p_SV)
    return found[0], found[1]


def _relative_entropy(
    p_SV: npt.NDArray[np.float64], logp_SV: FloatArray, logq_SV: FloatArray
) -> npt.NDArray[np.float64]:
    """Sum p (logp - logq) over the tokens that p allows."""
    allowed_SV = p_SV > 0
    if (allowed_SV & np.isneginf(logq_SV)).any():
        raise UndefinedMetric("KL is infinite: one model forbids a token that the other allows")
    # Subtracted only where p > 0: elsewhere both may be -inf, and their difference is NaN.
    log_ratio_SV = np.zeros_like(p_SV)
    np.subtract(logp_SV, logq_SV, out=log_ratio_SV, where=allowed_SV, dtype=np.float64)
    return np.asarray(np.maximum((p_SV * log_ratio_SV).sum(axis=1), 0.0))
