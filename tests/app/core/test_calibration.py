"""Operating points: measured rates, exact intervals, thresholds for rates that can be shown."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from app.core.calibration import (
    OperatingCurve,
    TargetRates,
    Thresholds,
    exact_interval,
    measure_curve,
    to_log_odds,
    to_probability,
)
from app.core.enums import Verdict

RNG = np.random.default_rng(0)


def make_scores(count: int, *, low: float = 0.0, high: float = 1.0, copies: int = 1) -> dict[str, list[float]]:
    return {str(number): RNG.uniform(low, high, copies).tolist() for number in range(count)}


@pytest.mark.parametrize(("count", "total"), [(0, 1), (1, 1), (0, 83), (4, 83), (83, 83), (17, 1000), (9990, 20_000)])
def test_interval_is_that_of_scipy(count: int, total: int) -> None:
    expected = binomtest(count, total).proportion_ci(method="exact")
    assert exact_interval(count, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("copies", [1, 6])
def test_points_have_the_measured_rates(copies: int) -> None:
    reals, fakes = make_scores(60, high=0.8, copies=copies), make_scores(40, low=0.3, copies=copies)
    curve = measure_curve({"s": reals}, {"s": fakes})
    assert (curve.real_clips, curve.fake_clips, curve.lowest_rate) == (60, 40, 0.05)
    assert (curve.points[0].false_positive_rate.value, curve.points[-1].threshold) == (0, 0)
    thresholds = [point.threshold for point in curve.points]
    assert thresholds == sorted(thresholds, reverse=True)
    real_values, fake_values = np.concatenate(list(reals.values())), np.concatenate(list(fakes.values()))
    for point in curve.points:
        assert point.false_positive_rate.value == pytest.approx((real_values >= point.threshold).mean())
        assert point.true_positive_rate is not None
        assert point.true_positive_rate.value == pytest.approx((fake_values >= point.threshold).mean())
        assert point.false_positive_rate.low <= point.false_positive_rate.value <= point.false_positive_rate.high


def test_rate_is_the_highest_of_each_source_with_enough_clips() -> None:
    lab, street, few = make_scores(200, high=0.5), make_scores(40, low=0.4, high=0.9), make_scores(19, low=0.95)
    curve = measure_curve({"lab": lab, "street": street, "few": few}, {})
    at = curve.make_thresholds(TargetRates(suspicious_false_positive_rate=0.1)).suspicious_at
    values = np.concatenate(list(street.values()))
    assert (values >= at).mean() == pytest.approx(0.1)
    (point,) = (point for point in curve.points if point.threshold == at)
    rate = point.false_positive_rate
    assert rate.value == pytest.approx(0.1)
    assert rate.clips == 40
    assert (rate.low, rate.high) == pytest.approx(exact_interval(4, 40))
    assert all(point.true_positive_rate is None for point in curve.points)


def test_many_clips_give_a_bounded_number_of_points_that_are_dense_at_low_rates() -> None:
    curve = measure_curve({"s": make_scores(20_000)}, {})
    rates = [point.false_positive_rate.value for point in curve.points]
    assert len(rates) <= 203
    assert sum(rate <= 0.01 for rate in rates) > 30


def test_thresholds_keep_the_rates_that_can_be_shown() -> None:
    curve = measure_curve({"s": make_scores(100)}, {"s": make_scores(40, low=0.5)})
    strict = curve.make_thresholds(
        TargetRates(suspicious_false_positive_rate=0.1, manipulated_false_positive_rate=0.01)
    )
    assert strict.manipulated_at == curve.points[0].threshold
    assert strict.manipulated_false_positive_rate == pytest.approx(0.03)
    assert strict.suspicious_false_positive_rate == 0.1
    assert strict.clear_at is not None
    assert strict.clear_at <= strict.suspicious_at < strict.manipulated_at
    assert curve.count_needed(0.01) == 300
    many = curve.make_thresholds(TargetRates(suspicious_false_positive_rate=0.1), people=3)
    assert strict.suspicious_at < many.suspicious_at < many.manipulated_at
    assert many.manipulated_false_positive_rate == pytest.approx(1 - 0.97**3)


def test_too_few_fakes_give_no_clear_threshold() -> None:
    curve = measure_curve({"s": make_scores(100)}, {"s": make_scores(29, low=0.9)})
    thresholds = curve.make_thresholds(TargetRates())
    assert (thresholds.clear_at, thresholds.clear_miss_rate) == (None, None)
    assert thresholds.decide(0.0) is Verdict.INCONCLUSIVE


def test_verdict_changes_at_the_thresholds() -> None:
    thresholds = Thresholds(clear_at=0.2, suspicious_at=0.5, manipulated_at=0.9)
    expected = {None: "NOT_EVALUATED", 0.19: "AUTHENTIC", 0.2: "INCONCLUSIVE", 0.5: "SUSPICIOUS", 0.9: "MANIPULATED"}
    assert {probability: thresholds.decide(probability).value for probability in expected} == expected
    assert thresholds.margin_of(0.9) == pytest.approx(math.log(9))


def test_uncalibrated_curve_gives_the_default_thresholds() -> None:
    curve = OperatingCurve()
    assert curve.make_thresholds(TargetRates()) == Thresholds()
    assert (curve.lowest_rate, curve.false_positive_rate_at(0.5)) == (None, None)


@pytest.mark.parametrize("odds", [-1e9, -3.0, 0.0, 3.0, 1e9])
def test_log_odds_and_probability_are_inverse_and_finite(odds: float) -> None:
    probability = to_probability(odds)
    assert 0 <= probability <= 1
    assert math.isfinite(to_log_odds(probability))
    if abs(odds) < 10:
        assert to_log_odds(probability) == pytest.approx(odds)


def test_saturated_probabilities_name_the_rate_that_they_cause() -> None:
    reals = {str(number): [1.0 if number < 20 else 0.1] for number in range(100)}
    thresholds = measure_curve({"s": reals}, {}).make_thresholds(TargetRates())
    assert thresholds.suspicious_at == 1.0
    assert thresholds.suspicious_false_positive_rate == pytest.approx(0.2)


@pytest.mark.parametrize("clips", [1, 2])
def test_few_clips_give_a_curve(clips: int) -> None:
    curve = measure_curve({"s": make_scores(clips)}, {"s": make_scores(1)})
    assert curve.lowest_rate == 1.0
    assert curve.make_thresholds(TargetRates()).suspicious_false_positive_rate == 1.0
    assert curve.false_positive_rate_at(0.0) is not None
