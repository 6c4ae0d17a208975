"""Extraction of face tracks from a clip: decode, detect faces, crop, link. Runs only in the sandbox."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from app.core.enums import FailureCode, WarningCode
from worker.detector.config import ClipLimits, DetectorConfig
from worker.detector.extraction.coverage import measure_coverage, warn_about_coverage
from worker.detector.extraction.crops import make_crop
from worker.detector.extraction.face_search import FaceSearch
from worker.detector.extraction.faces import FaceDetector
from worker.detector.extraction.sampling import SeenWindow, Window, plan_between_shots, plan_windows
from worker.detector.extraction.shots import Thumbnail, is_cut, make_thumbnail
from worker.detector.extraction.tracks import Tracker
from worker.detector.extraction.video import ClipReader, DecodeStatistics, open_clip
from worker.detector.types import (
    WHOLE_CLIP,
    Box,
    ClipError,
    ClipInfo,
    ClipPart,
    ClipWarning,
    Coverage,
    Extraction,
    Face,
    FaceCrop,
    Frame,
    Track,
)

_SURE_CONFIDENCE = 0.75
"""Mean confidence of faces below which the picture may lie on its side: some faces are found there, but badly."""
_TURN_GAIN = 1.3
"""Ratio of confidences that a picture must exceed by a quarter turn."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Functions that are called during an extraction."""

    on_frame: Callable[[int, int], None]
    """Called after each frame with the number of frames done and expected."""
    on_sampled: Callable[[Frame, Sequence[Face]], None]
    """Called with each frame and its faces."""


@dataclass(frozen=True, slots=True)
class _SampledFrame:
    """Thumbnail and face crops of a frame. Its pixels are not kept."""

    pts_seconds: float
    thumbnail: Thumbnail
    crops: list[FaceCrop]


@dataclass(frozen=True, slots=True)
class _SampledWindow:
    window: Window
    frames: list[_SampledFrame]

    def describe(self) -> SeenWindow:
        thumbnails = [frame.thumbnail for frame in self.frames]
        return SeenWindow(self.window, thumbnails[0], thumbnails[-1])


def extract_tracks(
    file: BinaryIO,
    config: DetectorConfig,
    limits: ClipLimits,
    face_detector: FaceDetector,
    callbacks: Callbacks,
    *,
    part: ClipPart = WHOLE_CLIP,
) -> Extraction:
    """Extract the faces of a clip.

    Args:
        file: The clip, open and seekable.
        config: Configuration of sampling, face detection and crops.
        limits: Limits of an untrusted clip.
        face_detector: Detects the faces of a frame.
        callbacks: Called during the extraction.
        part: Part of the clip.

    Raises:
        ClipError: The clip cannot be decoded or exceeds a limit, or ends before the part.
    """
    with open_clip(file, limits) as clip:
        extractor = _Extractor(clip, config, face_detector, callbacks, _find_frames(clip, part))
        sampled = extractor.sample()
        if _may_lie_on_its_side([frame for window in sampled for frame in window.frames]):
            clip.quarter_turns = extractor.find_quarter_turns([window.window for window in sampled])
            if clip.quarter_turns:
                sampled = extractor.sample()
        tracker = Tracker()
        for number, window in enumerate(sampled):
            for frame in window.frames:
                tracker.add_frame(number, frame.thumbnail, [replace(crop, window=number) for crop in frame.crops])
        tracks = tracker.tracks
        kept = _select_longest(tracks, config.faces.tracks_max)
        coverage = measure_coverage(
            [[frame.pts_seconds for frame in window.frames] for window in sampled],
            [len(frame.crops) for window in sampled for frame in window.frames],
            tracks=len(tracks),
            part=_limit_part(clip, part),
            fps=clip.info.fps,
        )
        return Extraction(
            clip=clip.info,
            coverage=coverage,
            tracks=kept,
            warnings=_make_warnings(clip, coverage, kept=len(kept)),
        )


def _find_frames(clip: ClipReader, part: ClipPart) -> range:
    """Return the frames of a part. Raises ClipError if it has none."""
    end = math.inf if part.end_seconds is None else part.end_seconds
    frames = clip.packets.timeline.find_range(part.start_seconds, end)
    if not frames:
        seconds = clip.packets.timeline.duration_seconds
        message = f"The clip has {seconds:.1f} s and no frame after start_seconds. Choose an earlier part."
        raise ClipError(FailureCode.PART_OUTSIDE, message)
    return frames


def _limit_part(clip: ClipReader, part: ClipPart) -> ClipPart:
    """Return the part with the end of the clip, None if that is unknown."""
    ends = [end for end in (part.end_seconds, clip.info.duration_seconds) if end is not None]
    return ClipPart(part.start_seconds, min(ends, default=None))


class _Extractor:
    """Sampling of one clip: decodes the planned windows and keeps thumbnails and face crops."""

    def __init__(
        self,
        clip: ClipReader,
        config: DetectorConfig,
        detector: FaceDetector,
        callbacks: Callbacks,
        part: range,
    ) -> None:
        self._clip = clip
        self._config = config
        self._detector = detector
        self._search = self._make_search()
        self._callbacks = callbacks
        self._part = part
        self._done = self._expected = 0

    def sample(self) -> list[_SampledWindow]:
        """Return the windows of the plan, and others where shot cuts show that shots are missing, in order of the film.

        Raises:
            ClipError: No window could be decoded.
        """
        sampling, timeline = self._config.sampling, self._clip.packets.timeline
        self._search = self._make_search()
        self._clip.statistics = DecodeStatistics()
        plan = plan_windows(timeline, sampling, self._part)
        self._expected += len(plan) * sampling.window_frames
        sampled = [part for window in plan for part in self._read(window)]
        while 0 < len(sampled) < sampling.windows_max:
            window = plan_between_shots(timeline, [read.describe() for read in sampled], sampling, self._part)
            if window is None:
                break
            self._expected += sampling.window_frames
            parts = self._read(window)
            if not parts:
                break
            sampled = sorted([*sampled, *parts], key=lambda read: read.window)
        if not sampled:
            raise ClipError(FailureCode.DECODE_ERROR, "The clip is too damaged to be decoded. Encode it again.")
        return sampled

    def _make_search(self) -> FaceSearch:
        return FaceSearch(self._detector, size_min_px=self._config.faces.size_min_px)

    def find_quarter_turns(self, windows: Sequence[Window]) -> int:
        """Return the clockwise turns that show faces best in the first frames of the windows.

        0: no turn shows them much better than the frames as they are.
        """
        confidences = np.zeros(4)
        statistics, self._clip.statistics = self._clip.statistics, DecodeStatistics()  # with a budget of its own
        for number, window in enumerate(windows):
            for frame in self._clip.read_window(number, window, 1):
                for turns in range(4):
                    turned = np.ascontiguousarray(np.rot90(frame.image, -turns))
                    confidences[turns] += sum(face.confidence for face in self._detector.detect_faces(turned))
        self._clip.statistics = statistics
        best = int(confidences.argmax())
        # Upside down, a face is not found at all, or it is another pose.
        gain = _TURN_GAIN if best % 2 else np.inf
        return best if confidences[0] == 0 or confidences[best] > gain * confidences[0] else 0

    def _read(self, window: Window) -> list[_SampledWindow]:
        """Read a window. A shot cut divides it; the shot behind the cut gets a window of full length, too."""
        size = self._config.sampling.window_frames
        parts: list[_SampledWindow] = []
        for index, frame in enumerate(self._clip.read_window(window.start, window, 2 * size - 1)):
            thumbnail = make_thumbnail(frame.image)
            if not parts or is_cut(parts[-1].frames[-1].thumbnail, thumbnail):
                parts.append(_SampledWindow(replace(window, start=window.start + index), []))
                self._expected += index
            parts[-1].frames.append(_SampledFrame(frame.pts_seconds, thumbnail, self._crop_faces(frame)))
            self._done += 1
            self._callbacks.on_frame(self._done, self._expected)
            if len(parts[-1].frames) == size:
                break
        return parts

    def _crop_faces(self, frame: Frame) -> list[FaceCrop]:
        crops, clip = [], self._clip.info
        faces = self._search.find_faces(frame)
        self._callbacks.on_sampled(frame, faces)
        for face in faces:
            crop = make_crop(frame, face, self._config.crop, self._config.faces)
            box = _move_box(face.box, frame, clip)
            crops.append(replace(crop, face=replace(face, box=box)))
        return crops


def _may_lie_on_its_side(frames: Sequence[_SampledFrame]) -> bool:
    confidences = [max((crop.face.confidence for crop in frame.crops), default=0.0) for frame in frames]
    return bool(np.mean(confidences) < _SURE_CONFIDENCE)


def _move_box(box: Box, frame: Frame, clip: ClipInfo) -> Box:
    """Return a box in a frame of the clip's size: the size of the frames may change, as in video calls."""
    height, width = frame.image.shape[:2]
    if (width, height) == (clip.width, clip.height):
        return box
    factor = min(clip.width / width, clip.height / height)
    return box.scale(factor, x=(clip.width - width * factor) / 2, y=(clip.height - height * factor) / 2)


def _select_longest(tracks: list[Track], count: int) -> list[Track]:
    longest = sorted(tracks, key=lambda track: -len(track.crops))[:count]  # stable sort: of equal tracks the first
    return sorted(longest, key=tracks.index)


def _make_warnings(clip: ClipReader, coverage: Coverage, *, kept: int) -> list[ClipWarning]:
    statistics, packets = clip.statistics, clip.packets
    warnings = {}
    if not packets.timeline.is_complete:
        warnings[WarningCode.LENGTH_LIMITED] = (
            f"Only the first {packets.timeline.duration_seconds:.0f} s were analyzed, {len(packets.timeline)} packets. "
            "The clip has more packets than UNMASK_CLIP_MAX_LISTED_PACKETS, or too many damaged places."
        )
    if statistics.limit_reached:
        warnings[WarningCode.PACKET_LIMIT] = (
            f"Decoding ended after {statistics.packets} packets. {statistics.windows_found} of "
            f"{statistics.windows_planned} windows were decoded. UNMASK_CLIP_MAX_PACKETS is the limit."
        )
    elif statistics.damaged or packets.damages or statistics.windows_found < statistics.windows_planned:
        warnings[WarningCode.DECODE_PARTIAL] = (
            f"{statistics.damaged + packets.damages} of {statistics.packets} packets are damaged. "
            f"{statistics.windows_found} of {statistics.windows_planned} windows were decoded."
        )
    if packets.other_films:
        warnings[WarningCode.OTHER_FILM] = (
            f"The clip has other films that were not analyzed: {'; '.join(packets.other_films)}."
        )
    if clip.quarter_turns:
        warnings[WarningCode.FACES_TURNED] = (
            f"Faces were found only after turning the picture clockwise by {90 * clip.quarter_turns} degrees."
        )
    warnings |= warn_about_coverage(coverage, tracks_kept=kept)
    if clip.info.high_dynamic_range:
        warnings[WarningCode.HIGH_DYNAMIC_RANGE] = (
            "The clip is HDR. Its colours were tone-mapped to those of a standard screen."
        )
    return [ClipWarning(code, detail) for code, detail in warnings.items()]
