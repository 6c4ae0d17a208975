"""Sampling of a clip: windows of neighbouring frames that start at keyframes, with exact times.

A frame after a keyframe is cheap to decode. A frame at the end of a group of pictures (GOP) costs the whole group.
So the clip is divided into one cell per window, and a window starts at a keyframe in its cell. In a cell without a
keyframe, the window starts at the start of the cell. It is decoded from the keyframe before.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import BinaryIO

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from app.core.enums import FailureCode
from worker.detector.config import ClipLimits, SamplingConfig
from worker.detector.extraction.encryption import is_encrypted
from worker.detector.types import ClipError, ClipInfo, Frame, Image

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi"
CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mpeg4")
"""Decoders that untrusted bytes may reach: the common ones. Every other decoder is attack surface."""

_HDR_TRANSFERS = {16, 18}  # SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG) in ITU-T H.273, table 3
_KEYFRAME_SEARCH_PACKETS = 600
"""Maximum number of packets after a seek that are searched for a keyframe: twice the largest usual distance."""
_ASSUMED_SECONDS = 10.0
"""Assumed duration of a clip without metadata. Its windows lie in this part of its beginning."""


@dataclass(frozen=True, slots=True)
class Window:
    """Start of a window and the keyframe to decode from, in units of the stream's time base."""

    start_pts: int
    keyframe_pts: int


@dataclass(slots=True)
class DecodeStatistics:
    """Counts of one pass over a clip."""

    packets: int = 0
    damaged: int = 0
    windows_planned: int = 0
    windows_found: int = 0

    @property
    def is_partial(self) -> bool:
        """True if a part of the clip could not be decoded."""
        return self.damaged > 0 or self.windows_found < self.windows_planned


class ClipReader:
    """Reader of an open clip. Created by ``open_clip``."""

    def __init__(self, container: InputContainer, stream: VideoStream, limits: ClipLimits) -> None:
        self._container = container
        self._stream = stream
        self._limits = limits
        self._time_base: Fraction = stream.time_base or Fraction(1, 1000)
        self._start_pts = stream.start_time or 0
        self.statistics = DecodeStatistics()
        # Decode packet 0 before the first seek: old x264 stores only there how to decode its 4:4:4 (FaceForensics++).
        # Without it, frames decode to garbage without an error.
        first = next(self._decode_frames(), None)
        if first is None:
            raise ClipError(FailureCode.DECODE_ERROR, "No frame of the clip can be decoded. Encode it again.")
        self.info = self._read_info(first)

    def read_frames(self, sampling: SamplingConfig) -> Iterator[Frame]:
        """Yield the sampled frames in the order of the clip. Only one is in memory at a time.

        Raises:
            ClipError: A frame is larger than the limit, or no window could be decoded.
        """
        windows = self._plan_windows(sampling)
        self.statistics.windows_planned = len(windows)
        position: int | None = None  # of the last decoded frame
        frames: Iterator[VideoFrame] = iter(())
        for index, window in enumerate(windows):
            if position is None or window.keyframe_pts > position:
                self._seek_to(window.keyframe_pts)
                frames = self._decode_frames(wanted_from=window.start_pts)
            yielded = 0
            for frame in frames:
                position = frame.pts or 0
                if position < window.start_pts:
                    continue
                yield self._make_frame(frame, index)
                yielded += 1
                if yielded == sampling.window_frames:
                    break
            self.statistics.windows_found += yielded > 0
        if not self.statistics.windows_found:
            raise ClipError(FailureCode.DECODE_ERROR, "The clip is too damaged to be decoded. Encode it again.")

    def _plan_windows(self, sampling: SamplingConfig) -> list[Window]:
        duration_seconds = self.info.duration_seconds or _ASSUMED_SECONDS
        wanted = round(duration_seconds / sampling.seconds_per_window)
        count = min(max(wanted, sampling.windows_min), sampling.windows_max)
        cell = max(int(duration_seconds / count / self._time_base), 1)
        tail = int(sampling.window_frames / (self.info.fps or 25) / self._time_base)
        starts = [self._start_pts + index * cell for index in range(count)]
        return [self._plan_window(range(start, start + cell), tail) for start in starts]

    def _plan_window(self, cell: range, tail: int) -> Window:
        """Return a window at a keyframe near the middle or end of the cell, else at its start."""
        keyframe_before = self._start_pts
        for target in (cell.start + len(cell) // 2, max(cell.stop - tail, cell.start)):
            keyframe = self._find_keyframe(target)
            if keyframe in cell:
                return Window(start_pts=keyframe, keyframe_pts=keyframe)
            if keyframe < cell.start:
                keyframe_before = keyframe
        return Window(start_pts=cell.start, keyframe_pts=keyframe_before)

    def _find_keyframe(self, pts: int) -> int:
        """Return the keyframe at or before a time. A transport stream has no index: there it is the next one after."""
        self._seek_to(pts)
        for packet in islice(self._container.demux(self._stream), _KEYFRAME_SEARCH_PACKETS):
            if packet.is_keyframe and packet.pts is not None:
                return packet.pts
        return self._start_pts

    def _seek_to(self, pts: int) -> None:
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
        except av.error.FFmpegError:
            self._container.seek(self._start_pts, stream=self._stream, backward=True)

    def _decode_frames(self, *, wanted_from: int | None = None) -> Iterator[VideoFrame]:
        """Yield the frames from the current position. Damaged packets are counted and skipped."""
        for packet in self._container.demux(self._stream):
            self.statistics.packets += 1
            if self.statistics.packets > self._limits.packets_max:
                return
            # Frames before the wanted one are decoded only if other frames refer to them.
            skip = wanted_from is not None and packet.pts is not None and packet.pts < wanted_from
            self._stream.codec_context.skip_frame = "NONREF" if skip else "DEFAULT"
            yield from self._decode_packet(packet)

    def _decode_packet(self, packet: "Packet[VideoStream]") -> Iterator[VideoFrame]:
        try:
            frames = self._stream.decode(packet)
        except MemoryError:  # also FFmpeg's: the memory limit, not a damaged packet
            raise
        except av.error.FFmpegError:
            self.statistics.damaged += 1
            return
        for frame in frames:
            if frame.width * frame.height > self._limits.pixels_max:
                raise _make_too_many_pixels_error(frame.width, frame.height, self._limits)
            if frame.is_corrupt or frame.pts is None:
                self.statistics.damaged += 1
            else:
                yield frame

    def _make_frame(self, frame: VideoFrame, window: int) -> Frame:
        pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        upright = np.rot90(pixels, _count_quarter_turns(frame)) if _count_quarter_turns(frame) else pixels
        seconds = float(((frame.pts or 0) - self._start_pts) * self._time_base)
        return Frame(window=window, pts_seconds=seconds, image=self._resize_to_square_pixels(upright, frame))

    def _resize_to_square_pixels(self, image: Image, frame: VideoFrame) -> Image:
        width, height = self._upright_size(frame)
        if image.shape[:2] == (height, width):
            return np.ascontiguousarray(image)  # MediaPipe ignores strides
        resized: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return resized

    def _upright_size(self, frame: VideoFrame) -> tuple[int, int]:
        aspect = self._stream.sample_aspect_ratio
        # An implausible ratio would make a giant image.
        width = round(frame.width * aspect) if aspect and 0.25 <= aspect <= 4 else frame.width
        return (frame.height, width) if _count_quarter_turns(frame) % 2 else (width, frame.height)

    def _read_duration_seconds(self) -> float | None:
        if self._stream.duration is not None:
            return float(self._stream.duration * self._time_base)
        whole = self._container.duration
        return whole / av.time_base if whole is not None else None

    def _read_info(self, first: VideoFrame) -> ClipInfo:
        duration_seconds = self._read_duration_seconds()
        if duration_seconds is not None and duration_seconds > self._limits.duration_max_seconds:
            limit = f"{self._limits.duration_max_seconds:.0f} s"
            message = f"The clip lasts {duration_seconds:.0f} s. The limit is {limit}. Cut the clip."
            raise ClipError(FailureCode.MEDIA_TOO_LONG, message)
        width, height = self._upright_size(first)
        rate = self._stream.average_rate
        return ClipInfo(
            container=self._container.format.name,
            codec=self._stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            rotation_degrees=90 * (-_count_quarter_turns(first) % 4),
            duration_seconds=duration_seconds,
            fps=float(rate) if rate else None,
            bit_depth=first.format.components[0].bits,
            high_dynamic_range=first.color_trc in _HDR_TRANSFERS,
        )


@contextmanager
def open_clip(file: BinaryIO, limits: ClipLimits) -> Iterator[ClipReader]:
    """Open a clip. Call it only in the sandbox: opening already runs decoders on untrusted bytes.

    Args:
        file: The clip, open and seekable.
        limits: Limits of an untrusted clip.

    Raises:
        ClipError: The file is not a video, is encrypted, exceeds a limit, or its codec is not supported.
    """
    if is_encrypted(file):
        raise ClipError(FailureCode.ENCRYPTED_MEDIA, "The clip is encrypted. Send it without DRM.")
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "codec_whitelist": ",".join(CODECS)}
    try:
        container = av.open(file, "r", options=options)
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        message = "The clip cannot be opened: it is damaged or not a video. Encode it again."
        raise ClipError(FailureCode.NOT_A_VIDEO, message) from error
    with container:
        yield ClipReader(container, _choose_stream(container, limits), limits)


def _choose_stream(container: InputContainer, limits: ClipLimits) -> VideoStream:
    streams = [
        stream for stream in container.streams.video if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not streams:
        raise ClipError(FailureCode.NO_VIDEO_STREAM, "The clip has no video stream. Send a file with video.")
    stream = streams[0]
    context = stream.codec_context
    if context is None or context.codec.name not in CODECS:
        name = context.codec.name if context else "unknown"
        message = f"The codec {name} is not supported. Send H.264, HEVC, VP8, VP9, AV1 or MPEG-4."
        raise ClipError(FailureCode.UNSUPPORTED_CODEC, message)
    if context.width * context.height > limits.pixels_max:
        raise _make_too_many_pixels_error(context.width, context.height, limits)
    # The whitelist of the container does not apply to the decoder that is opened here.
    context.options = {"codec_whitelist": ",".join(CODECS), "max_pixels": str(limits.pixels_max)}
    context.thread_count = 1  # one process per core; and skip_frame takes effect at once
    return stream


def _count_quarter_turns(frame: VideoFrame) -> int:
    """Return the number of counterclockwise quarter turns that set the frame upright."""
    return round(frame.rotation / 90)


def _make_too_many_pixels_error(width: int, height: int, limits: ClipLimits) -> ClipError:
    return ClipError(
        FailureCode.TOO_MANY_PIXELS,
        f"A frame has {width}x{height} pixels. The limit is {limits.pixels_max} in total. Scale the clip down.",
    )
