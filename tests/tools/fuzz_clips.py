"""Mutate clips and decode them in the sandbox: ``python -m tests.tools.fuzz_clips SECONDS [SEED]``.

The mutations are made at the level of boxes, elements, chunks and packets, so that demuxers accept much of the rest.
Each clip must end with a result or with a code of its own, in time and within the memory limit.
"""

import io
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from app.core.enums import FailureCode
from tests.support.clips import encode, film, small_speaker
from worker.detector.config import DetectorConfig
from worker.detector.sandbox.parent import Sandbox, SandboxOptions
from worker.detector.types import ClipError

_SECONDS_MAX = 20.0
_MUTATIONS_MAX = 4
_KEPT = Path(".data/fuzz-clips")
_FORMATS = {"mp4": "libx264", "mkv": "libx264", "ts": "libx264", "avi": "mpeg4", "webm": "libvpx", "flv": "libx264"}

Unit = tuple[int, int]
"""Start and end of a box, element, chunk or packet in a file."""


def find_boxes(data: bytes, start: int = 0, end: int | None = None) -> list[Unit]:
    """Return the boxes of an MP4, also nested ones."""
    end = len(data) if end is None else end
    units: list[Unit] = []
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        if not 8 <= size <= end - start:
            break
        units.append((start, start + size))
        if data[start + 4 : start + 8] in {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf"}:
            units += find_boxes(data, start + 8, start + size)
        start += size
    return units


def find_elements(data: bytes) -> list[Unit]:
    """Return the regions behind the ids of common Matroska elements: they begin with a length."""
    units: list[Unit] = []
    ids = ["1549A966", "1654AE6B", "AE", "E0", "1F43B675", "A3", "1C53BB6B", "63A2", "4489", "2AD7B1", "B0", "BA", "E7"]
    for name in map(bytes.fromhex, ids):
        at = data.find(name)
        while 0 <= at < len(data) - 16 and len(units) < 500:
            units.append((at, at + len(name) + 12))
            at = data.find(name, at + 1)
    return units


def find_packets(data: bytes) -> list[Unit]:
    """Return the packets of a transport stream."""
    return [(start, start + 188) for start in range(0, len(data) - 187, 188)]


def find_chunks(data: bytes) -> list[Unit]:
    """Return regions that begin at the names of common AVI chunks."""
    names = [b"LIST", b"avih", b"strh", b"strf", b"idx1", b"00dc", b"movi", b"hdrl"]
    return [(at, at + 40) for name in names if (at := data.find(name)) >= 0]


def find_tags(data: bytes) -> list[Unit]:
    """Return evenly spaced regions, for formats without a finder."""
    return [(start, start + 16) for start in range(0, len(data) - 16, 64)]


_FINDERS: dict[str, Callable[[bytes], list[Unit]]] = {
    "mp4": find_boxes, "mkv": find_elements, "webm": find_elements, "ts": find_packets, "avi": find_chunks,
}  # fmt: skip


def mutate(data: bytes, finder: Callable[[bytes], list[Unit]], rng: random.Random) -> bytes:
    """Return a clip with some units changed, removed, repeated or exchanged."""
    for _ in range(rng.randint(1, _MUTATIONS_MAX)):
        units = finder(data)
        if not units:
            break
        start, end = rng.choice(units)
        unit = data[start:end]
        kind = rng.randrange(6)
        if kind == 0:
            data = data[:start] + data[end:]
        elif kind == 1:
            data = data[:end] + unit + data[end:]
        elif kind == 2:
            data = data[: rng.randrange(start, end)]
        elif kind == 3:
            other_start, other_end = rng.choice(units)
            data = data[:start] + data[other_start:other_end] + data[end:]
        else:  # a number in it: extreme, or with one other bit
            at = rng.randrange(start, max(end - 4, start + 1))
            value = rng.choice(
                [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", rng.randbytes(4)]
            )
            data = data[:at] + value + data[at + len(value) :]
    return data


def main(seconds: float, seed: int) -> int:
    """Mutate and decode clips for a time. Returns the exit code: 1 if a clip ended in a way that it must not."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    options = SandboxOptions(clip_timeout_seconds=2 * _SECONDS_MAX)
    endings: Counter[str] = Counter()
    bad = 0
    with TemporaryDirectory() as folder, Sandbox(DetectorConfig(), options) as sandbox:
        sources = {}
        for name, codec in _FORMATS.items():
            path = encode(Path(folder, f"clip.{name}"), film(small_speaker, seconds=1), codec=codec, gop_frames=12)
            sources[name] = path.read_bytes()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            name = rng.choice(list(sources))
            data = mutate(sources[name], _FINDERS.get(name, find_tags), rng)
            path = Path(folder, "mutated")
            path.write_bytes(data)
            start = time.monotonic()
            with path.open("rb") as clip:
                ending = decode(sandbox, clip)
            took = time.monotonic() - start
            endings[ending] += 1
            if ending.startswith((FailureCode.INTERNAL, FailureCode.DECODER_CRASHED)) or took > _SECONDS_MAX:
                bad += 1
                _KEPT.mkdir(parents=True, exist_ok=True)
                kept = _KEPT / f"{seed}-{sum(endings.values())}.{name}"
                kept.write_bytes(data)
                print(f"{kept}: {ending} after {took:.1f} s")
    for ending, count in endings.most_common():
        print(f"{count:6} {ending}")
    print(f"{bad} of {endings.total()} clips ended badly. Seed: {seed}.")
    return int(bad > 0)


def decode(sandbox: Sandbox, clip: io.BufferedReader) -> str:
    """Return how the decoding of a clip ended."""
    try:
        sandbox.extract(clip, lambda _done, _total: None)
    except ClipError as error:
        last_line = error.message.strip().splitlines()[-1]
        return f"{error.code} {last_line}" if error.code is FailureCode.INTERNAL else error.code.value
    return "result"


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)))  # noqa: S311
