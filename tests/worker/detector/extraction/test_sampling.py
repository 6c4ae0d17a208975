"""Plan of the windows, on timelines without a file."""

from fractions import Fraction

import numpy as np
import pytest

from worker.detector.config import SamplingConfig
from worker.detector.extraction.sampling import SeenWindow, Window, plan_between_shots, plan_windows
from worker.detector.extraction.shots import Thumbnail
from worker.detector.extraction.timeline import Timeline

SAMPLING = SamplingConfig()


def make_timeline(dts: list[int], *, keyframe_every: int = 25, hidden: int = 0) -> Timeline:
    """Make a timeline with times in milliseconds."""
    numbers = np.arange(len(dts))
    columns = [dts, dts, numbers % keyframe_every == 0, np.full(len(dts), 9), numbers * 10, numbers < hidden]
    rows = np.array(columns, np.int64).T
    return Timeline(rows, Fraction(1, 1000), step_seconds=0.04, is_complete=True)


def test_windows_start_at_keyframes_near_the_middle_of_their_cells() -> None:
    assert plan_windows(make_timeline(list(range(0, 10_000, 40))), SAMPLING) == [Window(50, 50), Window(175, 175)]


def test_many_short_segments_get_all_windows() -> None:
    slides = make_timeline([61_000 * number for number in range(60)], keyframe_every=1)
    assert len(plan_windows(slides, SAMPLING)) == SAMPLING.windows_max


def test_packets_without_times_are_spread_by_their_number() -> None:
    timeline = make_timeline([0] * 300)
    assert timeline.duration_seconds == pytest.approx(12.0)
    assert [window.start for window in plan_windows(timeline, SAMPLING)] == [75, 225]


def test_hidden_packets_are_not_film() -> None:
    timeline = make_timeline(list(range(0, 12_000, 40)), hidden=100)
    assert timeline.duration_seconds == pytest.approx(8.0)
    assert timeline.film_seconds[-1] == pytest.approx(8.0)


def test_gap_between_different_pictures_gets_a_window() -> None:
    timeline = make_timeline(list(range(0, 12_000, 40)))
    dark, bright = (np.full((32, 32), value, np.float32) for value in (20, 200))

    def see(start: int, picture: Thumbnail) -> SeenWindow:
        return SeenWindow(Window(start, start), picture, picture)

    assert plan_between_shots(timeline, [see(50, dark), see(200, dark)], SAMPLING) is None
    window = plan_between_shots(timeline, [see(50, dark), see(200, bright)], SAMPLING)
    assert window is not None
    assert 58 <= window.start <= 192
