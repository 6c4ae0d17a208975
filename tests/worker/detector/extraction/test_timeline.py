"""Timelines of real files: frames show their numbers, which are read back from the sampled frames."""

import io
import struct
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.timelines import Recording, join, read_number, record
from worker.detector.config import ClipLimits, SamplingConfig
from worker.detector.extraction.sampling import plan_windows
from worker.detector.extraction.video import open_clip

CONTAINERS = ["mp4", "matroska", "mpegts", "avi"]


def sample(path: Path, sampling: SamplingConfig | None = None) -> list[list[tuple[int, float]]]:
    """Return number and time of each frame, by window."""
    sampling = sampling or SamplingConfig()
    with path.open("rb") as file, open_clip(file, ClipLimits()) as clip:
        windows = plan_windows(clip.packets.timeline, sampling)
        return [
            [(read_number(frame.image), frame.pts_seconds) for frame in clip.read_window(number, window, 8)]
            for number, window in enumerate(windows)
        ]


def measure(path: Path) -> float:
    with path.open("rb") as file, open_clip(file, ClipLimits()) as clip:
        return float(clip.info.duration_seconds or 0)


recordings = st.builds(
    Recording,
    frames=st.integers(20, 150),
    offset_ms=st.integers(0, 20_000),
    pauses_ms=st.lists(st.tuples(st.integers(1, 150), st.integers(40, 30_000)), max_size=3).map(tuple),
    gop_frames=st.sampled_from([5, 25, 1000]),
    b_frames=st.sampled_from([0, 2]),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recording=recordings, container=st.sampled_from(["mp4", "matroska", "mpegts"]))
def test_frames_of_any_timeline_have_their_times_and_neighbours(
    tmp_path: Path, recording: Recording, container: str
) -> None:
    path = join(tmp_path / "clip", [recording], container=container)
    times = recording.times_ms()
    windows = sample(path)
    numbers = [[number for number, _ in window] for window in windows]
    for window in windows:
        for number, seconds in window:
            assert seconds == pytest.approx((times[number] - times[0]) / 1000, abs=0.002)
    assert all(window == list(range(window[0], window[0] + len(window))) for window in numbers)
    assert all(before[-1] < after[0] for before, after in pairwise(numbers))
    # A window is short only where all frames of a part are read.
    assert all(len(window) == 8 for window in numbers[:-1]) or recording.frames <= 8 * len(numbers)
    if not recording.pauses_ms:  # the windows are spread
        edges = [0, *(window[0] for window in numbers), recording.frames]
        assert max(after - before for before, after in pairwise(edges)) <= 2 * recording.frames / len(numbers) + 8


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(parts=[Recording(24), Recording(138, 1234, ((34, 1233), (1, 8311)), 1000, 2)])
@given(parts=st.lists(recordings, min_size=2, max_size=3))
def test_joined_recordings_are_one_film(tmp_path: Path, parts: list[Recording]) -> None:
    path = join(tmp_path / "clip.ts", parts, container="mpegts")
    numbers = [[number for number, _ in window] for window in sample(path)]
    assert all(window == list(range(window[0], window[0] + len(window))) for window in numbers)
    assert all(before[-1] < after[0] for before, after in pairwise(numbers))


@pytest.mark.parametrize("container", ["matroska", "webm"])
def test_recording_without_duration_is_sampled_to_its_end(tmp_path: Path, container: str) -> None:
    codec = "libvpx" if container == "webm" else "libx264"
    path = tmp_path / "clip"
    path.write_bytes(record(Recording(500), first=0, container=container, codec=codec, live=True))
    assert measure(path) == pytest.approx(20.0, abs=0.05)
    assert sample(path)[-1][0][0] >= 375


@pytest.mark.parametrize("seconds", [0.04, 2.0, 7200.0])
def test_duration_of_the_header_is_not_believed(tmp_path: Path, seconds: float) -> None:
    content = bytearray(record(Recording(300), first=0, container="webm", codec="libvpx"))
    at = content.index(b"\x44\x89\x88") + 3  # Matroska: Duration, a double
    content[at : at + 8] = struct.pack(">d", 1000 * seconds)
    path = tmp_path / "clip"
    path.write_bytes(content)
    assert measure(path) == pytest.approx(12.0, abs=0.05)
    assert len(sample(path)) == 2
    assert sample(path)[-1][0][0] >= 150


def test_duration_of_an_mp4_header_is_not_believed(tmp_path: Path) -> None:
    content = bytearray(record(Recording(300), first=0, container="mp4"))
    for box in (b"mvhd", b"mdhd", b"tkhd"):
        at = content.index(box) + (24 if box == b"tkhd" else 20)
        content[at : at + 4] = struct.pack(">I", 50)
    path = tmp_path / "clip"
    path.write_bytes(content)
    assert measure(path) == pytest.approx(12.0, abs=0.05)


def test_joined_recordings_are_both_sampled(tmp_path: Path) -> None:
    path = join(tmp_path / "clip.ts", [Recording(200), Recording(100)], container="mpegts")
    assert measure(path) == pytest.approx(12.0, abs=0.1)
    first, second = sample(path)
    assert (first[0][0] < 200, second[0][0] >= 150) == (True, True)
    assert second[0][1] == pytest.approx(second[0][0] * 0.04, abs=0.1)


def test_jump_of_the_clock_is_not_film(tmp_path: Path) -> None:
    parts = [Recording(100), Recording(100, offset_ms=36_000_000)]
    path = join(tmp_path / "clip.ts", parts, container="mpegts")
    assert measure(path) == pytest.approx(8.0, abs=0.1)
    assert [window[0][0] >= 100 for window in sample(path)] == [False, True]


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_frames_around_a_jump_of_the_clock_have_times_of_the_film(tmp_path: Path, container: str) -> None:
    # With B-frames, packets of frames behind the jump come before it.
    recording = Recording(200, pauses_ms=((100, 600_000),), gop_frames=1000, b_frames=2)
    path = join(tmp_path / "clip", [recording], container=container)
    for window in sample(path, SamplingConfig(windows_min=8)):
        for number, seconds in window:
            assert seconds == pytest.approx(number * 0.04, abs=0.13)
    with path.open("rb") as file, open_clip(file, ClipLimits()) as clip:
        assert clip.info.duration_seconds == pytest.approx(8.0, abs=0.2)
        assert clip.info.fps == pytest.approx(25, rel=0.01)


def test_sound_after_the_last_picture_is_not_film(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(record(Recording(100), first=0, container="matroska", sound_seconds=20))
    assert measure(path) == pytest.approx(4.0, abs=0.05)
    assert [len(window) for window in sample(path)] == [8, 8]


def test_pause_of_the_camera_has_no_window(tmp_path: Path) -> None:
    path = join(tmp_path / "clip.mkv", [Recording(200, pauses_ms=((100, 50_000),))], container="matroska")
    windows = sample(path)
    assert [len(window) for window in windows] == [8] * len(windows)
    assert measure(path) == pytest.approx(58.0, abs=0.1)


@pytest.mark.parametrize(("codec", "gop"), [("libx264", 1000), ("libx264", 50), ("libx265", 50), ("libx265", 1000)])
def test_windows_of_a_transport_stream_start_where_those_of_the_same_mp4_do(
    tmp_path: Path, codec: str, gop: int
) -> None:
    recording = Recording(200, gop_frames=gop, b_frames=2)
    files = [
        join(tmp_path / container, [recording], container=container, codec=codec) for container in ("mp4", "mpegts")
    ]
    starts = [[window[0][0] for window in sample(path)] for path in files]
    assert starts[0] == starts[1]
    assert starts[0] == ([0, 100] if gop == 1000 else [50, 150])


@pytest.mark.parametrize("frames", [1, 5, 8, 9, 15, 30])
def test_slow_clip_is_read_whole(tmp_path: Path, frames: int) -> None:
    pauses = tuple((frame, 960) for frame in range(1, frames))
    path = join(tmp_path / "clip", [Recording(frames, pauses_ms=pauses)], container="mp4")
    numbers = [number for window in sample(path) for number, _ in window]
    assert numbers == list(range(frames))


def test_limit_of_packets_ends_the_list(tmp_path: Path) -> None:
    path = join(tmp_path / "clip.mkv", [Recording(100)], container="matroska")
    with path.open("rb") as file, open_clip(file, ClipLimits(listed_packets_max=50)) as clip:
        assert not clip.packets.timeline.is_complete
        assert len(clip.packets.timeline) == 50


def test_frames_before_the_start_of_an_edit_list_are_not_film(tmp_path: Path) -> None:
    whole, path = record(Recording(300), first=0, container="mp4"), tmp_path / "clip.mp4"
    hidden = 10
    with (
        av.open(io.BytesIO(whole), "r") as source,
        av.open(path, "w", options={"avoid_negative_ts": "disabled"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        assert source.streams.video[0].time_base is not None
        offset = round(hidden * 0.04 / source.streams.video[0].time_base)
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.pts is not None:
                packet.stream = stream
                packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                target.mux(packet)
    windows = sample(path)
    assert measure(path) == pytest.approx(11.6, abs=0.05)
    assert windows[0][0][0] >= hidden
    assert all(
        seconds == pytest.approx((number - hidden) * 0.04, abs=0.002)
        for window in windows
        for number, seconds in window
    )


def test_cut_mp4_is_sampled_up_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    whole = record(Recording(300), first=0, container="mp4")
    with av.open(io.BytesIO(whole), "r") as source, av.open(path, "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    windows = sample(path)
    assert [len(window) for window in windows] == [8, 8]
    assert measure(path) < 11
