"""Clip to tracks of face crops: decode, find faces, link, crop. Runs in the sandbox only."""

from collections.abc import Callable
from typing import BinaryIO

from app.core.enums import WarningCode
from worker.detector.config import ClipLimits, DetectorConfig
from worker.detector.extraction.crops import make_crop
from worker.detector.extraction.faces import FaceDetector
from worker.detector.extraction.tracks import Tracker
from worker.detector.extraction.video import ClipReader, open_clip
from worker.detector.types import ClipWarning, Coverage, Extraction, Track


def extract_tracks(
    file: BinaryIO,
    config: DetectorConfig,
    limits: ClipLimits,
    face_detector: FaceDetector,
    on_frame: Callable[[int, int], None],
) -> Extraction:
    """Extracts the faces of a clip.

    Args:
        file: The clip, open and seekable.
        config: How to sample, find and crop.
        limits: What is taken from a stranger.
        face_detector: Finds the faces of a frame.
        on_frame: Called after each frame with the number of frames done and expected.

    Raises:
        ClipError: The clip cannot be decoded, or exceeds a limit.
    """
    tracker = Tracker()
    sampled = with_face = faces_max = 0
    with open_clip(file, limits) as clip:
        for frame in clip.frames(config.sampling):
            faces = face_detector.find(frame)
            tracker.add(frame, [make_crop(frame, face, config.crop, config.faces) for face in faces])
            sampled += 1
            with_face += bool(faces)
            faces_max = max(faces_max, len(faces))
            on_frame(sampled, clip.statistics.windows_planned * config.sampling.window_frames)
        tracks = tracker.tracks
        kept = _keep_longest(tracks, config.faces.tracks_max)
        return Extraction(
            clip=clip.info,
            coverage=Coverage(sampled, with_face, faces_max, len(tracks)),
            tracks=kept,
            warnings=_warnings(clip, found=len(tracks), kept=len(kept)),
        )


def _keep_longest(tracks: list[Track], count: int) -> list[Track]:
    longest = sorted(tracks, key=lambda track: -len(track.crops))[:count]  # stable: of equals the first
    return sorted(longest, key=tracks.index)


def _warnings(clip: ClipReader, *, found: int, kept: int) -> list[ClipWarning]:
    warnings = []
    statistics = clip.statistics
    if statistics.is_partial:
        detail = (
            f"{statistics.damaged} of {statistics.packets} packets are damaged; "
            f"{statistics.windows_found} of {statistics.windows_planned} windows were decoded."
        )
        warnings.append(ClipWarning(WarningCode.DECODE_PARTIAL, detail))
    if kept < found:
        detail = f"{found} tracks were found; the {kept} longest were judged."
        warnings.append(ClipWarning(WarningCode.TOO_MANY_FACES, detail))
    if clip.info.high_dynamic_range:
        detail = "The clip is HDR and was read without tone mapping: its colours are flatter than they look."
        warnings.append(ClipWarning(WarningCode.HIGH_DYNAMIC_RANGE, detail))
    return warnings
