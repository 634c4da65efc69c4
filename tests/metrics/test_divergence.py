"""Divergences against scipy and hand-made distributions. Shapes: S = positions, V = vocabulary."""

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats

from lorascope.errors import UndefinedMetric
from lorascope.metrics.divergence import (
    centred_l2,
    js_divergence,
    kl_divergence,
    log_softmax,
    top1_agreement,
)


def logits(seed: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 3.0, (17, 101)).astype(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_log_softmax_is_that_of_scipy_and_keeps_the_dtype(dtype: type, tolerance: float) -> None:
    logit_SV = logits(0, dtype)
    found = log_softmax(logit_SV)
    assert found.dtype == dtype
    expected = scipy.special.log_softmax(logit_SV.astype(np.float64), axis=1)
    # Log-probabilities here reach -20, so float32 (2^-24 relative) may be off by about 1.2e-6.
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def test_log_softmax_survives_huge_logits_and_keeps_forbidden_tokens() -> None:
    # Two equal huge logits share the mass; a forbidden one stays forbidden.
    found = log_softmax(np.array([[1e30, 1e30, -np.inf]], dtype=np.float32))
    np.testing.assert_allclose(found, [[math.log(0.5), math.log(0.5), -np.inf]], rtol=1e-6)


def test_kl_is_that_of_scipy_in_both_directions() -> None:
    logp_SV, logq_SV = log_softmax(logits(1)), log_softmax(logits(2))
    p_SV, q_SV = np.exp(logp_SV), np.exp(logq_SV)
    np.testing.assert_allclose(kl_divergence(logp_SV, logq_SV), scipy.stats.entropy(p_SV, q_SV, axis=1))
    np.testing.assert_allclose(kl_divergence(logq_SV, logp_SV), scipy.stats.entropy(q_SV, p_SV, axis=1))


def test_kl_of_a_certain_token_is_its_negative_log_probability() -> None:
    # p puts everything on token 0, q gives it 1/8: KL = ln 8. Token 2 is forbidden by both and adds nothing.
    logp_SV = np.array([[0.0, -np.inf, -np.inf]])
    logq_SV = np.array([[math.log(1 / 8), math.log(7 / 8), -np.inf]])
    assert kl_divergence(logp_SV, logq_SV)[0] == pytest.approx(math.log(8))


def test_an_infinite_kl_is_refused_and_js_stays_finite() -> None:
    # p = (1/2, 1/2), q = (0, 1), m = (1/4, 3/4): JS = (1/2 ln 2 + 1/2 ln 2/3 + ln 4/3) / 2.
    logp_SV = np.log([[0.5, 0.5]])
    logq_SV = np.array([[-np.inf, 0.0]])
    with pytest.raises(UndefinedMetric, match="infinite"):
        kl_divergence(logp_SV, logq_SV)
    expected = (0.5 * math.log(2) + 0.5 * math.log(2 / 3) + math.log(4 / 3)) / 2
    assert js_divergence(logp_SV, logq_SV)[0] == pytest.approx(expected)


def test_js_is_the_squared_distance_of_scipy_and_symmetric() -> None:
    logp_SV, logq_SV = log_softmax(logits(3)), log_softmax(logits(4))
    found_S = js_divergence(logp_SV, logq_SV)
    for position in range(found_S.size):
        distance = scipy.spatial.distance.jensenshannon(np.exp(logp_SV[position]), np.exp(logq_SV[position]))
        assert found_S[position] == pytest.approx(distance**2)
    np.testing.assert_allclose(found_S, js_divergence(logq_SV, logp_SV))


def test_js_of_distributions_that_share_nothing_is_the_log_of_two() -> None:
    found = js_divergence(np.array([[0.0, -np.inf]]), np.array([[-np.inf, 0.0]]))
    assert found[0] == pytest.approx(math.log(2))
    assert found[0] <= math.log(2)


def test_a_model_has_no_distance_from_itself() -> None:
    logit_SV = logits(5, np.float32)
    logp_SV = log_softmax(logit_SV)
    assert not kl_divergence(logp_SV, logp_SV).any()
    assert js_divergence(logp_SV, logp_SV).max() < 1e-7  # float32 log-probabilities
    assert not centred_l2(logit_SV, logit_SV).any()
    assert top1_agreement(logit_SV, logit_SV).all()


def test_divergences_never_fall_below_zero() -> None:
    logit_SV = logits(6, np.float32)
    logp_SV, logq_SV = log_softmax(logit_SV), log_softmax(logit_SV + np.float32(1e-6))
    assert (kl_divergence(logp_SV, logq_SV) >= 0).all()
    assert (js_divergence(logp_SV, logq_SV) >= 0).all()


def test_a_constant_added_to_all_logits_is_no_distance() -> None:
    logit_SV = logits(7)
    np.testing.assert_allclose(centred_l2(logit_SV, logit_SV + 40.0), 0.0, atol=1e-12)


def test_centred_l2_by_hand() -> None:
    # a - b = (4, 0); its mean is 2, so the centred difference is (2, -2), of length sqrt 8.
    assert centred_l2(np.array([[5.0, 1.0]]), np.array([[1.0, 1.0]]))[0] == pytest.approx(math.sqrt(8))


def test_top1_agreement_breaks_ties_alike_in_both_models() -> None:
    a_SV = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    b_SV = np.array([[7.0, 0.0, 0.0], [0.0, 1.0, 2.0], [3.0, 0.0, 3.0]])
    found = top1_agreement(a_SV, b_SV)
    assert found.dtype == np.bool_
    assert found.tolist() == [True, False, True]


def test_half_precision_never_reaches_a_metric() -> None:
    half_SV = np.zeros((2, 3), dtype=np.float16)
    full_SV = np.zeros((2, 3), dtype=np.float32)
    with pytest.raises(UndefinedMetric, match="half precision"):
        log_softmax(half_SV)
    for metric in (kl_divergence, js_divergence, centred_l2, top1_agreement):
        with pytest.raises(UndefinedMetric, match="half precision"):
            metric(full_SV, half_SV)


def test_logits_passed_as_log_probabilities_are_refused() -> None:
    with pytest.raises(UndefinedMetric, match="log_softmax"):
        kl_divergence(np.full((1, 3), 1e4), np.log([[0.2, 0.3, 0.5]]))
    with pytest.raises(UndefinedMetric, match="log_softmax"):
        js_divergence(np.log([[0.2, 0.3, 0.5]]), np.zeros((1, 3)))


def test_positions_that_do_not_correspond_are_refused() -> None:
    for metric in (kl_divergence, js_divergence, centred_l2, top1_agreement):
        with pytest.raises(UndefinedMetric, match="differ"):
            metric(np.log(np.full((2, 2), 0.5)), np.log(np.full((3, 2), 0.5)))
    with pytest.raises(UndefinedMetric, match="shape"):
        log_softmax(np.zeros(3))
    with pytest.raises(UndefinedMetric, match="shape"):
        log_softmax(np.zeros((3, 0)))


def test_values_without_meaning_are_refused() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(UndefinedMetric, match="NaN"):
            log_softmax(np.array([[0.0, bad]]))
    with pytest.raises(UndefinedMetric, match="forbidden at position 1"):
        log_softmax(np.array([[0.0, 0.0], [-np.inf, -np.inf]]))
    with pytest.raises(UndefinedMetric, match="forbidden"):
        top1_agreement(np.array([[-np.inf, -np.inf]]), np.zeros((1, 2)))
    with pytest.raises(UndefinedMetric, match="-inf"):
        centred_l2(np.array([[-np.inf, 0.0]]), np.zeros((1, 2)))


def test_no_position_gives_no_value_and_no_error() -> None:
    empty_SV = np.zeros((0, 5))
    assert kl_divergence(empty_SV, empty_SV).shape == (0,)
    assert top1_agreement(empty_SV, empty_SV).shape == (0,)
