"""Coverage: the chance that a part of five seconds is met, and its warning."""

import numpy as np
import pytest

from app.core.enums import WarningCode
from worker.detector.extraction.coverage import measure_coverage, warn_about_coverage
from worker.detector.types import ClipPart, Coverage


def measure(starts: list[float], duration: float | None, *, tracks: int = 1, begin: float = 0.0) -> Coverage:
    """Measure the coverage of windows of eight frames at 25 frames per second."""
    windows = [[start + frame / 25 for frame in range(8)] for start in starts]
    part = ClipPart(begin, duration)
    return measure_coverage(windows, [1] * 8 * len(starts), tracks=tracks, part=part, fps=25)


def test_windows_are_counted_and_measured() -> None:
    coverage = measure([0.0, 5.0], 10.0)
    assert (coverage.windows, coverage.frames_sampled, coverage.end_seconds) == (2, 16, 10.0)
    assert coverage.seconds_sampled == pytest.approx(0.64)
    assert coverage.chance_of_5_seconds == 1.0
    assert warn_about_coverage(coverage, tracks_kept=1) == {}


@pytest.mark.parametrize(
    ("starts", "duration"),
    [([0.0], 60.0), ([59.7], 60.0), ([0.0, 20.0, 22.0, 40.0], 60.0), ([30.0 * number for number in range(8)], 600.0)],
)
def test_chance_is_that_of_a_part_at_a_random_time(starts: list[float], duration: float) -> None:
    parts = np.random.default_rng(0).uniform(0, duration - 5, 20_000)
    met = np.any([(parts < start + 0.32) & (parts + 5 > start) for start in starts], axis=0)
    chance = measure(starts, duration).chance_of_5_seconds
    assert chance == pytest.approx(met.mean(), abs=0.015)


@pytest.mark.parametrize("duration", [0.3, 5.0])
def test_short_clip_is_met_for_certain(duration: float) -> None:
    assert measure([0.0], duration).chance_of_5_seconds == 1.0


def test_sparse_coverage_is_told_with_the_chance() -> None:
    coverage = measure([75.0 * number for number in range(8)], 600.0)
    detail = warn_about_coverage(coverage, tracks_kept=1)[WarningCode.SPARSE_COVERAGE]
    assert "2.6 of 600 s were sampled, in 8 windows" in detail
    assert "a chance of 6%" in detail
    assert warn_about_coverage(measure([0.0], None), tracks_kept=1) == {}


def test_people_that_were_left_out_are_told() -> None:
    detail = warn_about_coverage(measure([0.0], 1.0, tracks=9), tracks_kept=8)[WarningCode.TOO_MANY_FACES]
    assert detail == "9 tracks were found. The 8 longest were analyzed."


def test_chance_is_that_of_the_part_alone() -> None:
    assert measure([100.0, 105.0], 110.0, begin=100.0).chance_of_5_seconds == 1.0
    late = measure([110.0], 120.0, begin=100.0).chance_of_5_seconds
    assert late == pytest.approx(5.32 / 15)
    assert measure([100.0], 120.0, begin=100.0).chance_of_5_seconds == pytest.approx(0.32 / 15)
