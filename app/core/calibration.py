"""Operating points of a detector: thresholds on the probability, with the error rates that were measured at them.

Pure Python: the API calibrates too, and has no numerical packages.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.core.enums import Verdict

Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""Probabilities of clips by source and clip. Re-encoded copies of a clip are further probabilities of it."""
Share = Annotated[float, Field(ge=0, le=1)]
RATE_MIN = 1e-6
"""Lowest rate: three million real clips can show it."""
TargetRate = Annotated[float, Field(ge=RATE_MIN, lt=1)]

SOURCE_CLIPS_MIN = 20
"""Number of real clips of a source from which each rate also holds on it alone. With fewer, one clip is above 5 %."""
_RULE_OF_THREE = 3
"""None of n clips shows, with 95 % confidence, a rate of at most 3 / n (Hanley and Lippman-Hand, JAMA 1983)."""
_POINTS_MAX = 200
_TAIL = 0.025
_ROUNDING = 1e-9


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RateEstimate(_Record):
    """Measured rate with its exact 95 % interval (Clopper and Pearson, Biometrika 1934)."""

    value: Share
    low: Share
    high: Share
    clips: int
    """Number of clips that the rate was measured on."""


class OperatingPoint(_Record):
    """Threshold with its error rates on the clips of the calibration."""

    threshold: Share
    false_positive_rate: RateEstimate
    """Share of the real clips at or above the threshold: the largest one of all together and of each source with at
    least 20 clips. `clips` is the number of clips of that source."""
    true_positive_rate: RateEstimate | None
    """Share of the fake clips at or above the threshold; null without fake clips."""


class TargetRates(_Record):
    """Error rates that thresholds are set for."""

    suspicious_false_positive_rate: TargetRate = 0.05
    """Largest share of real clips that are SUSPICIOUS or MANIPULATED."""
    manipulated_false_positive_rate: TargetRate = 0.01
    """Largest share of real clips that are MANIPULATED."""
    clear_miss_rate: TargetRate = 0.1
    """Largest share of fake clips that are AUTHENTIC."""

    @model_validator(mode="after")
    def _has_rates_in_order(self) -> Self:
        if self.manipulated_false_positive_rate > self.suspicious_false_positive_rate:
            raise ValueError("manipulated_false_positive_rate must not exceed suspicious_false_positive_rate")
        return self


class Thresholds(_Record):
    """Thresholds on the probability of a clip, with the rates that the calibration can show for them."""

    clear_at: Share | None = None
    """Below it the verdict is AUTHENTIC. Null: the calibration has too few fake clips, and no clip is AUTHENTIC."""
    clear_miss_rate: float | None = None
    """Largest share of fake clips below `clear_at`."""
    suspicious_at: Share = 0.5
    """Lowest probability that is SUSPICIOUS."""
    suspicious_false_positive_rate: float | None = None
    """Largest share of real clips at or above `suspicious_at`; null if the model is not calibrated."""
    manipulated_at: Share = 0.9
    """Lowest probability that is MANIPULATED."""
    manipulated_false_positive_rate: float | None = None
    """Largest share of real clips at or above `manipulated_at`; null if the model is not calibrated."""

    def decide(self, probability: float | None) -> Verdict:
        """Return the verdict for a probability of fake. None means that nothing was evaluated."""
        if probability is None:
            return Verdict.NOT_EVALUATED
        if probability >= self.manipulated_at:
            return Verdict.MANIPULATED
        if probability >= self.suspicious_at:
            return Verdict.SUSPICIOUS
        is_clear = self.clear_at is not None and probability < self.clear_at
        return Verdict.AUTHENTIC if is_clear else Verdict.INCONCLUSIVE

    def margin_of(self, probability: float) -> float:
        """Return the distance of a probability above ``suspicious_at``, in log-odds."""
        return to_log_odds(probability) - to_log_odds(self.suspicious_at)


class OperatingCurve(_Record):
    """Operating points of a calibration, by falling threshold."""

    real_clips: Annotated[int, Field(ge=0)] = 0
    fake_clips: Annotated[int, Field(ge=0)] = 0
    points: tuple[OperatingPoint, ...] = ()
    """The first one is above all real clips, unless their probability is 1; the last one is 0. Empty before
    calibration."""

    @property
    def lowest_rate(self) -> float | None:
        """Lowest false-positive rate that the real clips can show; None before calibration."""
        return min(_RULE_OF_THREE / self.real_clips, 1.0) if self.real_clips else None

    @staticmethod
    def count_needed(rate: float) -> int:
        """Return the number of real clips that can show a false-positive rate."""
        return math.ceil(_RULE_OF_THREE / rate - _ROUNDING)

    def false_positive_rate_at(self, probability: float, *, people: int = 1) -> RateEstimate | None:
        """Return the share of real clips that score at least this, rounded up to the next operating point.

        Args:
            probability: Probability of a clip.
            people: Number of people in the clip that were evaluated, of whom the highest decides.
        """
        point = next((point for point in self.points if point.threshold <= probability), None)
        if point is None:
            return None
        rate = point.false_positive_rate
        value, low, high = (_of_any(share, people) for share in (rate.value, rate.low, rate.high))
        return RateEstimate(value=value, low=low, high=high, clips=rate.clips)

    def with_recall_of(self, other: "OperatingCurve") -> "OperatingCurve":
        """Return the curve with the recall of another one, rounded down to its next higher threshold."""
        points = []
        for point in self.points:
            above = [known.true_positive_rate for known in other.points if known.threshold >= point.threshold]
            points.append(point.model_copy(update={"true_positive_rate": above[-1] if above else None}))
        return self.model_copy(update={"points": tuple(points), "fake_clips": other.fake_clips})

    def make_thresholds(self, rates: TargetRates, *, people: int = 1) -> Thresholds:
        """Return the lowest thresholds that keep the rates.

        A rate below the lowest one that can be shown gets the strictest threshold, and the thresholds name the rate
        that it can show. The highest of several people decides a clip, so each of them gets a part of the rate
        (Sidak, JASA 1967).

        Args:
            rates: Target rates of a clip.
            people: Number of people in the clip that are evaluated.
        """
        lowest = self.lowest_rate
        if not self.points or lowest is None:
            return Thresholds()
        (suspicious_at, suspicious_rate), (manipulated_at, manipulated_rate) = (
            self._find_threshold(rate, lowest, people)
            for rate in (rates.suspicious_false_positive_rate, rates.manipulated_false_positive_rate)
        )
        clear_at = self._find_clear_threshold(rates.clear_miss_rate)
        return Thresholds(
            clear_at=min(clear_at, suspicious_at) if clear_at else None,
            clear_miss_rate=rates.clear_miss_rate if clear_at else None,
            suspicious_at=suspicious_at,
            suspicious_false_positive_rate=suspicious_rate,
            manipulated_at=manipulated_at,
            manipulated_false_positive_rate=manipulated_rate,
        )

    def _find_threshold(self, rate: float, lowest: float, people: int) -> tuple[float, float]:
        """Return the lowest threshold for a rate of a clip, and the rate that it can show.

        The strictest threshold is used if the real clips cannot show the rate.
        """
        each = 1 - (1 - rate) ** (1 / people)
        within = [point for point in self.points if point.false_positive_rate.value <= each + _ROUNDING]
        if within and each >= lowest - _ROUNDING:
            return within[-1].threshold, rate
        strictest = self.points[0]
        return strictest.threshold, max(rate, _of_any(max(lowest, strictest.false_positive_rate.value), people))

    def _find_clear_threshold(self, miss_rate: float) -> float | None:
        """Return the highest threshold that enough fakes reach; None if the fake clips cannot show the rate."""
        if self.fake_clips * miss_rate < _RULE_OF_THREE - _ROUNDING:
            return None
        reached = (
            point.threshold
            for point in self.points
            if point.true_positive_rate and point.true_positive_rate.value >= 1 - miss_rate - _ROUNDING
        )
        return next(reached, None)


class Calibration(_Record):
    """Map from logits to probabilities, and the operating points that were measured with it."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Temperature that a logit is divided by (Guo et al., ICML 2017)."""
    bias: float = 0.0
    """Bias that is added after the division (Platt, 1999)."""
    rates: TargetRates = TargetRates()
    """Rates of the default thresholds."""
    curve: OperatingCurve = OperatingCurve()
    """Operating points on people that were not trained on."""

    @cached_property
    def thresholds(self) -> Thresholds:
        """Default thresholds for a clip with one person."""
        return self.curve.make_thresholds(self.rates)

    def to_log_odds(self, logit: float) -> float:
        """Return the calibrated log-odds of a logit."""
        return logit / self.temperature + self.bias

    def to_probability(self, logit: float) -> float:
        """Return the calibrated P(fake) of a logit."""
        return to_probability(self.to_log_odds(logit))


def measure_curve(reals: Scores, fakes: Scores) -> OperatingCurve:
    """Measure the operating points of a detector.

    Args:
        reals: Probabilities of real clips that were not trained on; at least one.
        fakes: Probabilities of fake clips; may be empty.
    """
    real_clips, fake_clips = (sum(map(len, scores.values())) for scores in (reals, fakes))
    all_fakes = _make_sample(clip for clips in fakes.values() for clip in clips.values())
    samples = [
        _make_sample(clip for clips in reals.values() for clip in clips.values()),
        *(_make_sample(clips.values()) for clips in reals.values() if len(clips) >= SOURCE_CLIPS_MIN),
    ]
    thresholds = {_find_quantile(samples, rate) for rate in _choose_rates(real_clips)} | {0.0}
    points = [
        OperatingPoint(
            threshold=threshold,
            false_positive_rate=_estimate(max(samples, key=lambda sample: sample.share_from(threshold)), threshold),
            true_positive_rate=_estimate(all_fakes, threshold) if fake_clips else None,
        )
        for threshold in sorted(thresholds, reverse=True)
    ]
    return OperatingCurve(real_clips=real_clips, fake_clips=fake_clips, points=tuple(points))


def exact_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate (Clopper and Pearson, Biometrika 1934) of ``count`` out of ``total``."""
    return _exact_low(count, total), _exact_high(count, total)


def to_log_odds(probability: float) -> float:
    """Return the log-odds of a probability, finite also for 0 and 1."""
    bounded = min(max(probability, 1e-300), 1 - 2**-53)
    return math.log(bounded / (1 - bounded))


def to_probability(log_odds: float) -> float:
    """Return the probability of log-odds: the logistic function."""
    return 1 / (1 + math.exp(-max(min(log_odds, 700.0), -700.0)))


def _of_any(rate: float, people: int) -> float:
    """Return the rate at which any of several independent people is flagged, if each is at ``rate``."""
    return float(1 - (1 - rate) ** people)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Probabilities of a source, in order, and the number of clips that they belong to."""

    ordered: Sequence[float]
    clips: int

    def share_from(self, threshold: float) -> float:
        return 1 - bisect_left(self.ordered, threshold) / len(self.ordered)


def _make_sample(clips: Iterable[Sequence[float]]) -> _Sample:
    found = list(clips)
    return _Sample(sorted(chain.from_iterable(found)), len(found))


def _choose_rates(clips: int) -> Iterable[float]:
    """Return the rates whose thresholds are measured: each clip's, or, of many, with growing distances."""
    if clips <= _POINTS_MAX:
        return (count / clips for count in range(clips + 1))
    growth = clips ** (1 / _POINTS_MAX)
    return (round(growth**step) / clips if step else 0.0 for step in range(_POINTS_MAX + 1))


def _find_quantile(samples: Iterable[_Sample], rate: float) -> float:
    """Return the lowest threshold that at most this share reaches, in each of the samples."""
    values = [sample.ordered for sample in samples]
    above = [found[-1 - allowed] for found in values if (allowed := int(rate * len(found) + _ROUNDING)) < len(found)]
    return min(math.nextafter(max(above), 2.0), 1.0) if above else 0.0


def _estimate(sample: _Sample, threshold: float) -> RateEstimate:
    """Return a rate with its interval. Copies of a clip make the count fractional: it is rounded to the safe side."""
    share = sample.share_from(threshold)
    exact = share * sample.clips
    low = _exact_low(math.floor(exact + _ROUNDING), sample.clips)
    high = _exact_high(math.ceil(exact - _ROUNDING), sample.clips)
    return RateEstimate(value=share, low=low, high=high, clips=sample.clips)


def _exact_low(count: int, total: int) -> float:
    return 0.0 if count == 0 else _bisect(lambda rate: _upper_tail(count, total, rate) < _TAIL)


def _exact_high(count: int, total: int) -> float:
    return 1.0 if count == total else _bisect(lambda rate: 1 - _upper_tail(count + 1, total, rate) > _TAIL)


def _upper_tail(count: int, total: int, rate: float) -> float:
    """Return P(X >= count) of a binomial distribution, summed from ``count`` away from its mean."""
    if count <= 0:
        return 1.0
    if count > total * rate:
        return _sum_terms(count, total, rate, step=1)
    return 1 - _sum_terms(count - 1, total, rate, step=-1)


def _sum_terms(first: int, total: int, rate: float, *, step: int) -> float:
    odds = rate / (1 - rate)
    log_term = math.lgamma(total + 1) - math.lgamma(first + 1) - math.lgamma(total - first + 1)
    term = math.exp(log_term + first * math.log(rate) + (total - first) * math.log1p(-rate))
    result = 0.0
    while 0 <= first <= total and term > result * 1e-17:
        result += term
        term *= (total - first) / (first + 1) * odds if step > 0 else first / (total - first + 1) / odds
        first += step
    return result


def _bisect(is_below: Callable[[float], bool]) -> float:
    """Return the rate in 0..1 up to which the condition holds."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low
