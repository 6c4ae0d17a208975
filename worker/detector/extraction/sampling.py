"""Plan of the windows: neighbouring frames, spread over the film, that start at keyframes where possible.

A frame after a keyframe is cheap to decode. A frame at the end of a group of pictures (GOP) costs the whole group.
So the film is divided into one cell per window, and a window starts at a keyframe in its cell. In a cell without a
keyframe, the window starts at the start of the cell. It is decoded from the keyframe before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from worker.detector.config import SamplingConfig
from worker.detector.extraction.shots import Thumbnail, is_cut
from worker.detector.extraction.timeline import Timeline

_GAP_MIN_SECONDS = 1.0
"""Shortest gap between windows in which a shot is searched."""
_ROUNDING_SECONDS = 1e-6
"""Tolerance of sums of steps."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """First packet of a window, and the packet to decode from. Packets are named by their numbers."""

    start: int
    keyframe: int


@dataclass(frozen=True, slots=True)
class SeenWindow:
    """A window that was decoded: thumbnails of its first and last frame. There is no shot cut in it."""

    window: Window
    first: Thumbnail
    last: Thumbnail

    def differs_from(self, following: "SeenWindow") -> bool:
        """Return True if there is a shot cut between this window and a later one."""
        return is_cut(self.last, following.first)


def plan_windows(timeline: Timeline, sampling: SamplingConfig, part: range | None = None) -> list[Window]:
    """Return the windows of a film in order. They do not overlap, and none reaches over a fault of the clock.

    Args:
        timeline: Times and keyframes of the film.
        sampling: Number and length of the windows.
        part: Frames that the windows are spread over; None: all.
    """
    part = range(len(timeline)) if part is None else part
    seconds = float(timeline.film_seconds[part.stop] - timeline.film_seconds[part.start])
    count = min(max(round(seconds / sampling.seconds_per_window), sampling.windows_min), sampling.windows_max)
    windows = _plan_evenly(timeline, count, sampling, part)
    frames = sum(min(sampling.window_frames, timeline.get_segment(one.start).stop - one.start) for one in windows)
    if frames < min(count * sampling.window_frames, len(part)) / 2:  # many short segments
        windows = _plan_evenly(timeline, sampling.windows_max, sampling, part)
    return windows


def _plan_evenly(timeline: Timeline, count: int, sampling: SamplingConfig, part: range) -> list[Window]:
    if len(part) <= count * sampling.window_frames:  # all of them
        starts = list(part[:: sampling.window_frames])
    else:
        limits = timeline.film_seconds[part.start], timeline.film_seconds[part.stop]
        edges = np.linspace(*limits, count + 1).tolist()
        starts = [_choose_start(timeline, cell, sampling) for cell in pairwise(edges)]
    windows: list[Window] = []
    for start in starts:
        earliest = windows[-1].start + sampling.window_frames if windows else part.start
        if max(start, earliest) < part.stop:
            windows.append(_make_window(timeline, max(start, earliest), earliest, sampling))
    return windows


def plan_between_shots(
    timeline: Timeline, seen: Sequence[SeenWindow], sampling: SamplingConfig, part: range | None = None
) -> Window | None:
    """Return a window in the widest gap of a part that may hide a shot, None if there is none.

    A gap between two windows with different pictures hides a cut. If there are cuts, the gaps before the first window
    and behind the last one may hide a shot, too.
    """
    size, part = sampling.window_frames, range(len(timeline)) if part is None else part
    starts = [part.start, *(one.window.start + size for one in seen)]
    stops = [*(one.window.start for one in seen), part.stop]
    has_cut = [before.differs_from(after) for before, after in pairwise(seen)]
    is_cut_film = any(has_cut)
    gaps = [
        (float(timeline.film_seconds[stop] - timeline.film_seconds[start]), start, stop)
        for start, stop, is_open in zip(starts, stops, [is_cut_film, *has_cut, is_cut_film], strict=True)
        if is_open and stop - start >= size
    ]
    seconds, start, stop = max(gaps, default=(0.0, 0, 0))
    if seconds < _GAP_MIN_SECONDS:
        return None
    middle = int(np.searchsorted(timeline.film_seconds, timeline.film_seconds[start] + seconds / 2))
    middle = min(middle, stop - size)
    keyframes = (timeline.find_keyframe(middle), timeline.find_next_keyframe(middle))
    fitting = [keyframe for keyframe in keyframes if keyframe is not None and start <= keyframe <= stop - size]
    return _make_window(timeline, fitting[0] if fitting else middle, start, sampling)


def _choose_start(timeline: Timeline, cell: tuple[float, float], sampling: SamplingConfig) -> int:
    """Return a keyframe near the middle or end of the cell, else the first packet of the cell."""
    start_seconds, stop_seconds = cell
    last_seconds = max(stop_seconds - sampling.window_frames * timeline.step_seconds, start_seconds)
    first = int(np.searchsorted(timeline.film_seconds, start_seconds - _ROUNDING_SECONDS))
    for seconds in (min((start_seconds + stop_seconds) / 2, last_seconds), last_seconds):
        keyframe = timeline.find_keyframe(_find_packet(timeline, seconds))
        if keyframe is not None and keyframe >= first:
            return keyframe
    return first


def _find_packet(timeline: Timeline, film_seconds: float) -> int:
    """Return the last packet at or before an amount of film."""
    number = int(np.searchsorted(timeline.film_seconds, film_seconds + _ROUNDING_SECONDS, side="right")) - 1
    return min(max(number, 0), len(timeline) - 1)


def _make_window(timeline: Timeline, start: int, earliest: int, sampling: SamplingConfig) -> Window:
    """Return a window at a packet, or near it where a segment has no keyframe before or too few packets after it."""
    segment = timeline.get_segment(start)
    last_start = max(segment.stop - sampling.window_frames, segment.start, earliest)
    start = min(start, last_start)
    keyframe = timeline.find_keyframe(start)
    if keyframe is None:
        keyframe = timeline.find_next_keyframe(start)
        start = start if keyframe is None else keyframe
    return Window(start, segment.start if keyframe is None else keyframe)
