"""Coverage: the part of a clip that its windows sampled."""

from collections.abc import Sequence

from app.core.enums import WarningCode
from worker.detector.types import ClipPart, Coverage

PART_SECONDS = 5.0
"""Duration of the manipulated part whose chance to be sampled is reported."""
SPARSE_BELOW = 0.9
"""Chance below which the coverage is sparse. Windows at the default distance of five seconds are above it."""


def measure_coverage(
    windows: Sequence[Sequence[float]], faces: Sequence[int], *, tracks: int, part: ClipPart, fps: float | None
) -> Coverage:
    """Measure the coverage of a part of a clip.

    Args:
        windows: Times of the frames of each window, in seconds, in order; each has a frame.
        faces: Number of faces of each frame.
        tracks: Number of tracks.
        part: Part that the windows were spread over.
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
        start_seconds=part.start_seconds,
        end_seconds=part.end_seconds,
        seconds_sampled=sum(end - start for start, end in spans),
        chance_of_5_seconds=None if part.end_seconds is None else _chance_of_meeting(spans, part),
    )


def warn_about_coverage(coverage: Coverage, *, tracks_kept: int) -> dict[WarningCode, str]:
    """Return the warnings about parts of a clip that were not analyzed."""
    warnings = {}
    if tracks_kept < coverage.tracks:
        warnings[WarningCode.TOO_MANY_FACES] = (
            f"{coverage.tracks} tracks were found. The {tracks_kept} longest were analyzed."
        )
    chance = coverage.chance_of_5_seconds
    if coverage.end_seconds is not None and chance is not None and chance < SPARSE_BELOW:
        seconds = coverage.end_seconds - coverage.start_seconds
        warnings[WarningCode.SPARSE_COVERAGE] = (
            f"{coverage.seconds_sampled:.1f} of {seconds:.0f} s were sampled, in {coverage.windows} windows. A window "
            f"meets a manipulated part of {PART_SECONDS:g} s with a chance of {chance:.0%}. To look closer, submit "
            "parts of 40 s with start_seconds and end_seconds."
        )
    return warnings


def _chance_of_meeting(spans: Sequence[tuple[float, float]], part: ClipPart) -> float:
    """Return the probability that a window meets PART_SECONDS that begin at a random time of a part with an end."""
    assert part.end_seconds is not None
    reached, last_start = part.start_seconds, part.end_seconds - PART_SECONDS
    if last_start <= reached:
        return 1.0
    met = 0.0
    for start, end in spans:
        first, last = max(start - PART_SECONDS, reached), min(end, last_start)
        met += max(last - first, 0.0)
        reached = max(reached, last)
    return min(met / (last_start - part.start_seconds), 1.0)
