"""Boxes of MP4 files: protection, fragments, number of listed samples."""

import io
import struct

import pytest

from tests.support.timelines import Recording, record
from worker.detector.config import ClipLimits
from worker.detector.extraction.mp4 import Movie, read_movie
from worker.detector.extraction.packets import PacketReader
from worker.detector.types import ClipError


def box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def make_movie(samples: int, *, handler: bytes = b"vide", duration: int = 512) -> bytes:
    sizes = box(b"stsz", struct.pack(">III", 0, 1, samples))
    times = box(b"stts", struct.pack(">IIII", 0, 1, samples, duration))
    media = box(b"hdlr", bytes(8) + handler) + box(b"minf", box(b"stbl", sizes + times))
    return box(b"ftyp", b"isom") + box(b"moov", box(b"trak", box(b"mdia", media)))


def test_recorded_mp4_lists_its_samples() -> None:
    content = record(Recording(30), first=0, container="mp4")
    assert read_movie(io.BytesIO(content)) == Movie(is_encrypted=False, is_fragmented=False, samples=30)


def test_fragmented_mp4_lists_the_samples_of_its_fragments() -> None:
    movie = read_movie(io.BytesIO(record(Recording(30), first=0, container="mp4", live=True)))
    assert movie is not None
    assert (movie.is_fragmented, movie.samples) == (True, 30)


def test_file_without_movie_box_has_no_movie() -> None:
    assert read_movie(io.BytesIO(b"\x1a\x45\xdf\xa3" + bytes(100))) is None
    assert read_movie(io.BytesIO(b"")) is None


@pytest.mark.parametrize(
    ("movie", "samples"),
    [
        (make_movie(34_000_000), 34_000_000),
        (make_movie(34_000_000, handler=b"soun", duration=2), 34_000_000),
        (make_movie(86_400_000, handler=b"soun", duration=1), 0),  # PCM sound, listed by chunk
    ],
)
def test_claimed_samples_are_counted(movie: bytes, samples: int) -> None:
    found = read_movie(io.BytesIO(movie))
    assert found is not None
    assert found.samples == samples


def test_file_that_claims_too_many_samples_is_refused_before_it_is_opened() -> None:
    with pytest.raises(ClipError, match="list 34000000 samples") as caught:
        PacketReader(io.BytesIO(make_movie(34_000_000)), ClipLimits())
    assert caught.value.code == "resource_limit"


@pytest.mark.parametrize("size", [2**63 - 1, 2**64 - 1])
def test_box_that_claims_to_be_endless_ends_the_file(size: int) -> None:
    content = record(Recording(10), first=0, container="mp4") + struct.pack(">I4sQ", 1, b"free", size)
    movie = read_movie(io.BytesIO(content))
    assert movie is not None
    assert movie.samples == 10


def test_deeply_nested_boxes_are_read_in_time() -> None:
    levels = 200_000
    nested = b"".join(struct.pack(">I4s", 8 * (levels - level), b"stbl") for level in range(levels))
    movie = read_movie(io.BytesIO(box(b"moov", box(b"trak", nested))))
    assert movie is not None
    assert movie.samples == 0
