"""Test clips: file names with their renderers."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from app.core.enums import FailureCode
from tests.support import clips
from tests.support.clips import encode, film

RENDERERS: dict[str, Callable[[Path], object]] = {
    "speaker.mp4": lambda path: encode(path, film(clips.speaker)),
    "self_blended.mp4": lambda path: encode(path, film(clips.self_blended)),
    "one_gop.mp4": lambda path: encode(path, film(clips.speaker), gop_frames=1000),
    "two_people.mp4": lambda path: encode(path, film(clips.two_people)),
    "no_face.mp4": lambda path: encode(path, film(clips.no_face)),
    "short.mp4": lambda path: encode(path, film(clips.speaker, seconds=0.2)),
    "dark.mp4": lambda path: encode(path, film(clips.dark)),
    "blurred.mp4": lambda path: encode(path, film(clips.blurred)),
    "tiny.mp4": lambda path: encode(path, film(clips.tiny)),
    "rotated.mp4": clips.rotated,
    "variable_frame_rate.mp4": clips.variable_frame_rate,
    "hevc_10_bit.mp4": lambda path: encode(path, film(clips.speaker), codec="libx265", pixel_format="yuv420p10le"),
    "hdr.mp4": lambda path: encode(
        path, film(clips.speaker), codec="libx265", pixel_format="yuv420p10le", color_trc=16, color_primaries=9
    ),
    "wide_pixels.mp4": lambda path: encode(path, film(clips.speaker), sample_aspect_ratio=Fraction(3, 2)),
    "vp9.webm": lambda path: encode(path, film(clips.speaker, seconds=2), codec="libvpx-vp9"),
    "transport_stream.ts": lambda path: encode(path, film(clips.speaker)),
    "truncated.mp4": clips.truncated,
    "damaged.mp4": clips.damaged,
    "audio_only.mp4": clips.audio_only,
    "encrypted.mp4": clips.encrypted,
    "motion_jpeg.avi": lambda path: encode(
        path, film(clips.speaker, seconds=1), codec="mjpeg", pixel_format="yuvj420p"
    ),
    "flash.flv": lambda path: encode(path, film(clips.speaker, seconds=1)),
    "sorenson.flv": lambda path: encode(path, film(clips.speaker, seconds=1), codec="flv"),
    "mpeg2.ts": lambda path: encode(path, film(clips.speaker, seconds=1), codec="mpeg2video", bit_rate=4_000_000),
    "mpeg2.vob": lambda path: encode(path, film(clips.speaker, seconds=1), codec="mpeg2video", bit_rate=4_000_000),
    "prores.mov": lambda path: encode(
        path, film(clips.speaker, seconds=1), codec="prores_ks", pixel_format="yuv422p10le"
    ),
    "h263.3gp": lambda path: encode(path, film(clips.small_speaker, seconds=1), codec="h263", bit_rate=1_000_000),
    "picture.gif": lambda path: encode(path, film(clips.small_speaker, seconds=1), codec="gif", pixel_format="rgb8"),
    "picture.apng": lambda path: encode(path, film(clips.small_speaker, seconds=1), codec="apng", pixel_format="rgb24"),
    "huffyuv.avi": lambda path: encode(path, film(clips.speaker, seconds=0.2), codec="huffyuv", pixel_format="yuv422p"),
    "gallery.mp4": lambda path: encode(path, film(clips.gallery, seconds=0.8)),
    "four_people.mp4": lambda path: encode(path, film(clips.four_people, seconds=12)),
    "zero_bytes.mp4": lambda path: path.write_bytes(b""),
}

RARE = [
    "flash.flv",
    "sorenson.flv",
    "mpeg2.ts",
    "mpeg2.vob",
    "motion_jpeg.avi",
    "prores.mov",
    "h263.3gp",
    "picture.gif",
    "picture.apng",
]
"""Clips of rare formats, one second each."""

UNREADABLE = [
    ("audio_only.mp4", FailureCode.NO_VIDEO_STREAM),
    ("truncated.mp4", FailureCode.NOT_A_VIDEO),
    ("encrypted.mp4", FailureCode.ENCRYPTED_MEDIA),
    ("huffyuv.avi", FailureCode.UNSUPPORTED_CODEC),
]
"""Clips that the API accepts but the decoder refuses, each with its failure code."""
