"""Clips whose frames show their numbers, with any timeline: offsets, pauses, restarts of the clock, B-frames."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from tests.support.clips import Image

_BITS, _BLOCK_PX = 12, 16
_TIME_BASE = Fraction(1, 1000)


def draw_number(number: int) -> Image:
    """Draw a number as black and white blocks, the lowest bit first."""
    bits = [255 * (number >> bit & 1) for bit in range(_BITS)]
    row = np.repeat(np.array(bits, np.uint8), _BLOCK_PX)
    return np.repeat(np.tile(row, (4 * _BLOCK_PX, 1))[..., None], 3, axis=-1)


def read_number(image: Image) -> int:
    """Read the number of a frame that was drawn by ``draw_number``."""
    middle = image[2 * _BLOCK_PX, _BLOCK_PX // 2 :: _BLOCK_PX, 1]
    return int(sum(1 << bit for bit, value in enumerate(middle[:_BITS]) if value > 127))


@dataclass(frozen=True, slots=True)
class Recording:
    """Recording of one clock: frames of 40 ms, with a pause before some of them."""

    frames: int
    offset_ms: int = 0
    pauses_ms: tuple[tuple[int, int], ...] = ()
    """Number of a frame and the pause before it."""
    gop_frames: int = 25
    b_frames: int = 0

    def times_ms(self) -> list[int]:
        """Return the presentation time of each frame."""
        pauses = dict(self.pauses_ms)
        steps = [self.offset_ms, *(40 + pauses.get(frame, 0) for frame in range(1, self.frames))]
        return list(accumulate(steps))


class _Pipe(io.RawIOBase):
    """Output that cannot seek, as of a browser that streams a recording."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self.content += data
        return len(data)


def record(
    recording: Recording,
    *,
    first: int,
    container: str,
    codec: str = "libx264",
    live: bool = False,
    sound_seconds: float = 0.0,
) -> bytes:
    """Return the file of a recording.

    Args:
        recording: Its frames and times.
        first: Number in the first frame.
        container: Name of the format.
        codec: Name of the encoder.
        live: True leaves out duration and index, as a browser does.
        sound_seconds: Duration of silence.
    """
    output = _Pipe() if live else io.BytesIO()
    options = {"live": "1"} if live and container in {"webm", "matroska"} else {}
    if live and container == "mp4":
        options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(output, "w", format=container, options=options) as file:
        stream = cast("VideoStream", file.add_stream(codec, rate=25, options=_quality(codec, recording)))
        stream.pix_fmt, stream.gop_size = "yuv420p", recording.gop_frames
        stream.height, stream.width = 4 * _BLOCK_PX, _BITS * _BLOCK_PX
        stream.codec_context.time_base = stream.time_base = _TIME_BASE
        sound = file.add_stream("aac", rate=16_000, layout="mono") if sound_seconds else None
        for number, time in enumerate(recording.times_ms(), first):
            frame = av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")
            frame.pts, frame.time_base = time, _TIME_BASE
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if sound is not None:
            _add_silence(file, sound, sound_seconds)
    return bytes(output.content if isinstance(output, _Pipe) else output.getvalue())


def _add_silence(file: OutputContainer, stream: AudioStream, seconds: float) -> None:
    for index in range(int(seconds)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, index * 16_000
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def _quality(codec: str, recording: Recording) -> dict[str, str]:
    if codec == "libx264":
        frames = {"bf": str(recording.b_frames), "b_strategy": "0", "sc_threshold": "0"}
        return {"crf": "18", "preset": "ultrafast"} | frames
    if codec == "libx265":
        params = f"log-level=none:bframes={recording.b_frames}:scenecut=0:keyint={recording.gop_frames}"
        return {"crf": "18", "preset": "ultrafast", "x265-params": params}
    return {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "1M"}


def join(path: Path, recordings: Sequence[Recording], *, container: str, codec: str = "libx264") -> Path:
    """Write recordings one after the other into a file, as ``cat`` does. Frames are numbered through."""
    content, first = b"", 0
    for recording in recordings:
        content += record(recording, first=first, container=container, codec=codec)
        first += recording.frames
    path.write_bytes(content)
    return path
