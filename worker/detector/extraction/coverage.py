"""Coverage: the part of a clip that its windows sampled."""

from collections.abc import Sequence

from app.core.enums import WarningCode
from worker.detector.types import Coverage

PART_SECONDS = 5.0
"""Duration of the manipulated part whose chance to be sampled is reported."""
SPARSE_BELOW = 0.9
"""Chance below which the coverage is sparse. Windows at the default distance of five seconds are above it."""


def measure_coverage(
    windows: Sequence[Sequence[float]], faces: Sequence[int], *, tracks: int, duration: float | None, fps: float | None
) -> Coverage:
    """Measure the coverage of a clip.

    Args:
        windows: Times of the frames of each window, in seconds, in order; each has a frame.
        faces: Number of faces of each frame.
        tracks: Number of tracks.
        duration: Duration of the clip in seconds; None if it is unknown.
        fps: Frames per second; None if unknown.
    """
    step = 1 / fps if fps else 0.0
    spans = [(times[0], times[-1] + step) for times in windows]
    return Coverage(
        frames_sampled=len(faces),
        frames_with_face=sum(map(bool, faces)),
        faces_max=max(faces),
        tracks=tracks,
        windows=len(windows),
        seconds_sampled=sum(end - start for start, end in spans),
        seconds_total=duration,
        chance_of_5_seconds=None if duration is None else _chance_of_meeting(spans, duration),
    )


def warn_about_coverage(coverage: Coverage, *, tracks_kept: int) -> dict[WarningCode, str]:
    """Return the warnings about parts of a clip that were not analyzed."""
    warnings = {}
    if tracks_kept < coverage.tracks:
        warnings[WarningCode.TOO_MANY_FACES] = (
            f"{coverage.tracks} tracks were found. The {tracks_kept} longest were analyzed."
        )
    chance = coverage.chance_of_5_seconds
    if chance is not None and chance < SPARSE_BELOW:
        warnings[WarningCode.SPARSE_COVERAGE] = (
            f"{coverage.seconds_sampled:.1f} of {coverage.seconds_total:.0f} s were sampled, in {coverage.windows} "
            f"windows. The chance that a window meets a manipulated part of {PART_SECONDS:g} s is {chance:.0%}. "
            "Cut the clip into parts to look closer."
        )
    return warnings


def _chance_of_meeting(spans: Sequence[tuple[float, float]], duration: float) -> float:
    """Return the probability that a window meets a part of PART_SECONDS that begins at a random time."""
    last_start = duration - PART_SECONDS
    if last_start <= 0:
        return 1.0
    met = reached = 0.0
    for start, end in spans:
        first, last = max(start - PART_SECONDS, reached), min(end, last_start)
        met += max(last - first, 0.0)
        reached = max(reached, last)
    return min(met / last_start, 1.0)
