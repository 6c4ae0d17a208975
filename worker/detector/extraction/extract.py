"""Extraction of face tracks from a clip: decode, detect faces, crop, link. Runs only in the sandbox."""

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
    """Extract the faces of a clip.

    Args:
        file: The clip, open and seekable.
        config: Configuration of sampling, face detection and crops.
        limits: Limits of an untrusted clip.
        face_detector: Detects the faces of a frame.
        on_frame: Called after each frame with the number of frames done and expected.

    Raises:
        ClipError: The clip cannot be decoded or exceeds a limit.
    """
    tracker = Tracker()
    sampled = with_face = faces_max = 0
    with open_clip(file, limits) as clip:
        for frame in clip.read_frames(config.sampling):
            faces = face_detector.detect_faces(frame)
            tracker.add_frame(frame, [make_crop(frame, face, config.crop, config.faces) for face in faces])
            sampled += 1
            with_face += bool(faces)
            faces_max = max(faces_max, len(faces))
            on_frame(sampled, clip.statistics.windows_planned * config.sampling.window_frames)
        tracks = tracker.tracks
        kept = _select_longest(tracks, config.faces.tracks_max)
        return Extraction(
            clip=clip.info,
            coverage=Coverage(sampled, with_face, faces_max, len(tracks)),
            tracks=kept,
            warnings=_make_warnings(clip, found=len(tracks), kept=len(kept)),
        )


def _select_longest(tracks: list[Track], count: int) -> list[Track]:
    longest = sorted(tracks, key=lambda track: -len(track.crops))[:count]  # stable sort: of equal tracks the first
    return sorted(longest, key=tracks.index)


def _make_warnings(clip: ClipReader, *, found: int, kept: int) -> list[ClipWarning]:
    warnings = []
    statistics = clip.statistics
    if statistics.is_partial:
        detail = (
            f"{statistics.damaged} of {statistics.packets} packets are damaged. "
            f"{statistics.windows_found} of {statistics.windows_planned} windows were decoded."
        )
        warnings.append(ClipWarning(WarningCode.DECODE_PARTIAL, detail))
    if kept < found:
        detail = f"{found} tracks were found. The {kept} longest were analyzed."
        warnings.append(ClipWarning(WarningCode.TOO_MANY_FACES, detail))
    if clip.info.high_dynamic_range:
        detail = "The clip is HDR and was decoded without tone mapping, so its colours are flatter than on a screen."
        warnings.append(ClipWarning(WarningCode.HIGH_DYNAMIC_RANGE, detail))
    return warnings
