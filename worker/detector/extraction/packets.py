"""Packets of the film of a clip: choice of the stream, its timeline, reading from any packet on."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain, islice
from typing import BinaryIO, Self

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from app.core.enums import FailureCode
from worker.detector.config import ClipLimits
from worker.detector.extraction.mp4 import Movie, read_movie
from worker.detector.extraction.timeline import PacketList, Timeline
from worker.detector.types import ClipError

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,gif,apng"
CODECS = {
    "h264": "H.264",
    "hevc": "HEVC",
    "vp8": "VP8",
    "vp9": "VP9",
    "av1": "AV1",
    "libdav1d": "AV1",
    "mpeg4": "MPEG-4",
    "mpeg2video": "MPEG-2",
    "mjpeg": "Motion JPEG",
    "prores": "ProRes",
    "h263": "H.263",
    "flv": "Sorenson H.263",
    "gif": "GIF",
    "apng": "animated PNG",
}
"""Decoders that untrusted bytes may reach, and their names. Every other decoder is attack surface."""

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_FILM_SHARE_MIN = 0.1
"""Share of the duration of the longest stream below which a stream is a still or a thumbnail."""
_NEAR_PACKETS = 100
"""Distance to a packet that is read without a seek."""
_SEEK_BACK_SECONDS = (0.0, 1.0, 10.0)
"""Distances before a packet that are sought, until the packet lies ahead."""
_SEEK_PACKETS_MAX = 500
"""Maximum number of packets that are read after a seek to find out where it ended."""
_DAMAGES_MAX = 100
"""Maximum number of damaged places that are skipped: some demuxers fail endlessly."""
_BYTE_SEEK_FORMATS = {"mpegts", "mpeg"}
"""Formats without an index. A seek by time is ambiguous there if the clock restarts."""


class PacketReader:
    """Reader of the packets of a clip's film. A context manager.

    Attributes:
        stream: Stream of the film. Another object after each seek that needs the file to be opened again.
        timeline: Times of its packets.
        other_films: Descriptions of further films, which are not read.
        damages: Number of damaged places that were skipped.

    Raises:
        ClipError: The file is not a video, is encrypted, exceeds a limit, or its codec is not supported.
    """

    def __init__(self, file: BinaryIO, limits: ClipLimits) -> None:
        self._file, self._limits = file, limits
        self._file_bytes = file.seek(0, io.SEEK_END)
        movie = read_movie(file)
        if movie is not None:
            _check_movie(movie, limits)
        self.damages = 0
        self._container = _open_container(file)
        try:
            streams = _find_readable(self._container)
            timelines = self._measure(streams, movie)
            self.stream, *others = _find_films(streams, timelines)
            self.timeline = timelines[self.stream.index]
            self.other_films = [_describe(stream, timelines[stream.index]) for stream in others]
            self._packets: Iterator[Packet[VideoStream]] = iter(())
            self._next: int | None = None  # number of the packet that follows, if known
            self._prepare(self.stream.index)
        except BaseException:
            self._container.close()
            raise

    @property
    def format_name(self) -> str:
        """Name of the container's format."""
        return self._container.format.name

    def read_from(self, first: int) -> Iterator[tuple[int, "Packet[VideoStream]"]]:
        """Reset the decoder and yield the packets from a number on, with their numbers."""
        if self._next is None or not 0 <= first - self._next <= _NEAR_PACKETS:
            self._go_to(first)
        self.stream.codec_context.flush_buffers()
        for packet in self._packets:
            number = self._next or 0
            self._next = number + 1
            if number >= first:
                yield number, packet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _measure(self, streams: Sequence[VideoStream], movie: Movie | None) -> dict[int, Timeline]:
        """Return the timelines of the streams that have packets, by the index of the stream."""
        lists = {stream.index: PacketList() for stream in streams}
        is_complete = True
        if movie is not None and not movie.is_fragmented and "mov" in self.format_name:
            for stream in streams:
                start_pts = stream.start_time or 0
                packets = lists[stream.index]
                if not packets.add_index(stream.index_entries, start_pts=start_pts, file_bytes=self._file_bytes):
                    self.damages += 1
        if not any(map(len, lists.values())):
            is_complete = self._list_packets(streams, lists)
        return {
            stream.index: lists[stream.index].make_timeline(
                stream.time_base or Fraction(1, 1000),
                step_seconds=float(1 / stream.average_rate) if stream.average_rate else 0.04,
                is_complete=is_complete,
            )
            for stream in streams
            if len(lists[stream.index])
        }

    def _list_packets(self, streams: Sequence[VideoStream], lists: dict[int, PacketList]) -> bool:
        """List the packets in one pass over the file. Returns False if the limit ended it."""
        _discard_all_but(self._container, set(lists))
        packets = self._demux(streams)
        for packet in islice(packets, self._limits.listed_packets_max):
            lists[packet.stream_index].add(packet)
        return next(packets, None) is None and self.damages < _DAMAGES_MAX

    def _demux(self, streams: Sequence[VideoStream]) -> Iterator["Packet[VideoStream]"]:
        """Yield the packets from the current position. Damaged places are counted and skipped."""
        for _ in range(_DAMAGES_MAX):
            try:
                for packet in self._container.demux(tuple(streams)):
                    if packet.size:
                        yield packet
            except MemoryError:  # also FFmpeg's: the memory limit, not a damage
                raise
            except av.error.FFmpegError:
                self.damages += 1
            else:
                return

    def _prepare(self, index: int) -> None:
        """Select the stream of the film in the open container."""
        (self.stream,) = (stream for stream in self._container.streams.video if stream.index == index)
        _discard_all_but(self._container, {index})
        context = self.stream.codec_context
        if context.width * context.height > self._limits.pixels_max:
            raise make_too_many_pixels_error(context.width, context.height, self._limits)
        # The whitelist of the container does not apply to the decoder that is opened here.
        context.options = {"codec_whitelist": ",".join(CODECS), "max_pixels": str(self._limits.pixels_max)}
        context.thread_count = 1  # one process per core; and skip_frame takes effect at once

    def _go_to(self, first: int) -> None:
        """Make a packet lie ahead, by a seek if possible, else by opening the file again."""
        time_base = float(self.stream.time_base or 1)
        for seconds in _SEEK_BACK_SECONDS:
            if self._seek(first, back=int(seconds / time_base)):
                return
        index = self.stream.index
        self._container.close()
        self._container = _open_container(self._file)
        self._prepare(index)
        packets = self._demux([self.stream])
        head = list(islice(packets, 1))
        with suppress(av.error.FFmpegError):  # packet 0 may tell how to decode the others, as at the first opening
            for packet in head:
                self.stream.decode(packet)
        self._packets, self._next = chain(head, packets), 0

    def _seek(self, first: int, *, back: int) -> bool:
        position = self.timeline.get_position(first)
        try:
            if self.format_name in _BYTE_SEEK_FORMATS and position >= 0:
                self._container.seek(position, unsupported_byte_offset=True)
            else:
                self._container.seek(self.timeline.get_dts(first) - back, stream=self.stream)
        except av.error.FFmpegError:
            return False
        packets = self._demux([self.stream])
        for packet in islice(packets, _SEEK_PACKETS_MAX):
            number = self.timeline.find_packet(packet)
            if number is not None:
                self._packets, self._next = chain([packet], packets), number
                return number <= first
        return False


def _check_movie(movie: Movie, limits: ClipLimits) -> None:
    if movie.is_encrypted:
        raise ClipError(FailureCode.ENCRYPTED_MEDIA, "The clip is encrypted. Send it without DRM.")
    if movie.samples > limits.listed_packets_max:
        message = (
            f"The tables of the clip list {movie.samples} samples. The limit is {limits.listed_packets_max}. "
            "Encode it again."
        )
        raise ClipError(FailureCode.RESOURCE_LIMIT, message)


def _open_container(file: BinaryIO) -> InputContainer:
    file.seek(0)
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "codec_whitelist": ",".join(CODECS)}
    try:
        return av.open(file, "r", options=options)
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        message = "The clip cannot be opened: it is damaged or not a video. Encode it again."
        raise ClipError(FailureCode.NOT_A_VIDEO, message) from error


def _find_readable(container: InputContainer) -> list[VideoStream]:
    streams = [stream for stream in container.streams.video if not stream.disposition & _PICTURES]
    if not streams:
        raise ClipError(FailureCode.NO_VIDEO_STREAM, "The clip has no video stream. Send a file with video.")
    readable = [stream for stream in streams if stream.codec_context and stream.codec_context.codec.name in CODECS]
    if not readable:
        context = streams[0].codec_context
        *names, last = dict.fromkeys(CODECS.values())
        message = (
            f"The codec {context.codec.name if context else 'unknown'} is not supported. "
            f"Send {', '.join(names)} or {last}."
        )
        raise ClipError(FailureCode.UNSUPPORTED_CODEC, message)
    return readable


def _find_films(streams: Sequence[VideoStream], timelines: dict[int, Timeline]) -> list[VideoStream]:
    """Return the streams that are films, that which players show first: the default one, else the largest."""
    longest = max((timeline.duration_seconds for timeline in timelines.values()), default=0.0)
    if not timelines:
        raise ClipError(FailureCode.DECODE_ERROR, "The clip has no frame that can be read. Encode it again.")

    def is_film(stream: VideoStream) -> bool:
        timeline = timelines.get(stream.index)
        if timeline is None:
            return False
        is_moving = len(timeline) > 1 and timeline.duration_seconds > _FILM_SHARE_MIN * longest
        return is_moving or len(timelines) == 1 or timeline.duration_seconds == longest

    def sort_key(stream: VideoStream) -> tuple[bool, int]:
        return not stream.disposition & Disposition.default, -stream.codec_context.width * stream.codec_context.height

    return sorted(filter(is_film, streams), key=sort_key)


def _describe(stream: VideoStream, timeline: Timeline) -> str:
    context = stream.codec_context
    return f"stream {stream.index}: {context.width}x{context.height}, {timeline.duration_seconds:.1f} s"


def _discard_all_but(container: InputContainer, indices: set[int]) -> None:
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in indices else Discard.all


def make_too_many_pixels_error(width: int, height: int, limits: ClipLimits) -> ClipError:
    """Return the error of a clip with too large frames."""
    return ClipError(
        FailureCode.TOO_MANY_PIXELS,
        f"A frame has {width}x{height} pixels. The limit is {limits.pixels_max} in total. Scale the clip down.",
    )
