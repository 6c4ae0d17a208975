"""Decoding of the sampled windows of a clip: upright frames with exact times."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import av.error
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from app.core.enums import FailureCode
from worker.detector.config import ClipLimits
from worker.detector.extraction.orientation import Orientation, read_orientation
from worker.detector.extraction.packets import PacketReader, make_too_many_pixels_error
from worker.detector.extraction.sampling import Window
from worker.detector.extraction.tone_mapping import HLG, PQ, tone_map
from worker.detector.types import ClipError, ClipInfo, Frame, Image


@dataclass(slots=True)
class DecodeStatistics:
    """Counts of the decoding of a clip."""

    packets: int = 0
    damaged: int = 0
    windows_planned: int = 0
    windows_found: int = 0
    limit_reached: bool = False
    """True if the limit of packets ended the decoding."""


class ClipReader:
    """Reader of an open clip. Created by ``open_clip``.

    Attributes:
        info: Properties of the clip.
        quarter_turns: Clockwise turns of the frames in addition to those that the clip demands.
        statistics: Counts so far.
        packets: Packets of the film.
    """

    def __init__(self, packets: PacketReader, limits: ClipLimits) -> None:
        self.packets = packets
        self.quarter_turns = 0
        self.statistics = DecodeStatistics()
        self._limits = limits
        self._frames: Iterator[VideoFrame] = iter(())
        self._segment = range(0)
        self._fed = -1  # last packet that the decoder received
        self._start = Window(0, 0)
        self._start_pts = 0
        self._check_duration()
        # Decode packet 0 before the first seek: old x264 stores only there how to decode its 4:4:4 (FaceForensics++).
        # Without it, frames decode to garbage without an error.
        first = next(self._decode(range(len(packets.timeline))), None)
        if first is None:
            raise ClipError(FailureCode.DECODE_ERROR, "No frame of the clip can be decoded. Encode it again.")
        self._first = first
        # Only once: PyAV's side data and its frame refer to each other, so each frame that is asked stays in memory.
        self._orientation = read_orientation(first)

    @property
    def info(self) -> ClipInfo:
        """Properties of the clip, with the additional turns."""
        stream = self.packets.stream
        orientation = self._upright
        width, height = self._upright_size(self._first)
        return ClipInfo(
            container=self.packets.format_name,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            rotation_degrees=90 * orientation.quarter_turns,
            mirrored=orientation.mirrored,
            duration_seconds=self.packets.timeline.duration_seconds,
            fps=self._measure_fps(),
            bit_depth=self._first.format.components[0].bits,
            high_dynamic_range=self._first.color_trc in {PQ, HLG},
        )

    def read_window(self, number: int, window: Window, frames: int) -> Iterator[Frame]:
        """Yield the frames of a window. Only one is in memory at a time.

        Args:
            number: Number of the window, for its frames.
            window: Window of the plan. Windows in the order of the film are cheapest.
            frames: Maximum number of frames.

        Raises:
            ClipError: A frame is larger than the limit.
        """
        self.statistics.windows_planned += 1
        is_ahead = window.keyframe <= self._fed and self._start.start < window.start < self._segment.stop
        self._start, self._start_pts = window, self.packets.timeline.estimate_pts(window.start)
        if not is_ahead:
            self._segment = self.packets.timeline.get_segment(window.start)
            self._frames = self._decode(range(window.keyframe, self._segment.stop))
        yielded = 0
        for frame in self._frames:
            if (frame.pts or 0) < self._start_pts:
                continue
            self.statistics.windows_found += yielded == 0
            yielded += 1
            yield self._make_frame(frame, number)
            if yielded == frames:
                break

    def close(self) -> None:
        """Release the decoded frames. They and this object refer to each other, so they would stay for a while."""
        self._frames = iter(())

    def _decode(self, packets: range) -> Iterator[VideoFrame]:
        """Yield the frames of packets. Damaged ones are counted and skipped."""
        for number, packet in self.packets.read_from(packets.start):
            if number >= packets.stop:
                break
            if self.statistics.packets == self._limits.packets_max:
                self.statistics.limit_reached = True
                return
            self.statistics.packets += 1
            self._fed = number
            if number == self._start.start and packet.is_keyframe and packet.pts is not None:
                self._start_pts = packet.pts  # without the frames that refer to the group of pictures before
            # Frames before the wanted ones are decoded only if other frames refer to them.
            is_unwanted = packet.pts is not None and packet.pts < self._start_pts
            self.packets.stream.codec_context.skip_frame = "NONREF" if is_unwanted else "DEFAULT"
            yield from self._decode_packet(packet)
        yield from self._decode_packet(None)

    def _decode_packet(self, packet: "Packet[VideoStream] | None") -> Iterator[VideoFrame]:
        """Yield the frames that the decoder returns for a packet, or at the end for None."""
        try:
            frames = self.packets.stream.decode(packet)
        except MemoryError:  # also FFmpeg's: the memory limit, not a damaged packet
            raise
        except av.error.FFmpegError:
            self.statistics.damaged += 1
            return
        for frame in frames:
            if frame.width * frame.height > self._limits.pixels_max:
                raise make_too_many_pixels_error(frame.width, frame.height, self._limits)
            if frame.is_corrupt or frame.pts is None:
                self.statistics.damaged += 1
            else:
                yield frame

    def _make_frame(self, frame: VideoFrame, number: int) -> Frame:
        upright = self._upright.apply(_to_rgb(frame))
        width, height = self._upright_size(frame)
        if upright.shape[:2] == (height, width):
            image: Image = np.ascontiguousarray(upright)  # MediaPipe ignores strides
        else:
            image = cv2.resize(upright, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        seconds = self.packets.timeline.to_seconds(self._segment.start, frame.pts or 0)
        return Frame(window=number, pts_seconds=seconds, image=image)

    def _measure_fps(self) -> float:
        rate, timeline = self.packets.stream.average_rate, self.packets.timeline
        return float(rate) if rate and timeline.has_one_clock else 1 / timeline.step_seconds

    @property
    def _upright(self) -> Orientation:
        return self._orientation.turn(self.quarter_turns)

    def _upright_size(self, frame: VideoFrame) -> tuple[int, int]:
        """Return width and height of a frame with square pixels, upright."""
        aspect = self.packets.stream.sample_aspect_ratio
        # An implausible ratio would make a giant image.
        width = round(frame.width * aspect) if aspect and 0.25 <= aspect <= 4 else frame.width
        return (frame.height, width) if self._upright.is_sideways else (width, frame.height)

    def _check_duration(self) -> None:
        seconds = float(self.packets.timeline.film_seconds[-1])
        if seconds > self._limits.duration_max_seconds:
            limit = f"{self._limits.duration_max_seconds:.0f} s"
            message = f"The clip lasts {seconds:.0f} s. The limit is {limit}. Cut the clip."
            raise ClipError(FailureCode.MEDIA_TOO_LONG, message)


@contextmanager
def open_clip(file: BinaryIO, limits: ClipLimits) -> Iterator[ClipReader]:
    """Open a clip. Call it only in the sandbox: opening already runs decoders on untrusted bytes.

    Args:
        file: The clip, open and seekable.
        limits: Limits of an untrusted clip.

    Raises:
        ClipError: The file is not a video, is encrypted, exceeds a limit, or its codec is not supported.
    """
    with PacketReader(file, limits) as packets:
        reader = ClipReader(packets, limits)
        try:
            yield reader
        finally:
            reader.close()


def _to_rgb(frame: VideoFrame) -> Image:
    """Return a frame as (H, W, 3) RGB in BT.709. One thread each: otherwise each frame would start its own."""
    if frame.color_trc in {PQ, HLG}:
        pixels = np.asarray(frame.to_ndarray(format="rgb48le", threads=1), np.uint16)
        return tone_map(pixels, transfer=frame.color_trc, primaries=frame.color_primaries)
    return np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
