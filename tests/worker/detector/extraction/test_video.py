"""Sampling: windows at keyframes, exact times, exact pixels, limits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from app.core.enums import FailureCode
from tests.support.catalogue import UNREADABLE
from worker.detector.config import ClipLimits, SamplingConfig
from worker.detector.extraction.sampling import plan_windows
from worker.detector.extraction.video import ClipReader, open_clip
from worker.detector.types import ClipError, Frame

Clip = Callable[[str], Path]
READABLE = [
    "speaker.mp4",
    "one_gop.mp4",
    "variable_frame_rate.mp4",
    "hevc_10_bit.mp4",
    "vp9.webm",
    "transport_stream.ts",
]


def sample(path: Path, sampling: SamplingConfig | None = None, limits: ClipLimits | None = None) -> list[Frame]:
    with path.open("rb") as file, open_clip(file, limits or ClipLimits()) as reader:
        return list(read_frames(reader, sampling or SamplingConfig()))


def read_frames(reader: ClipReader, sampling: SamplingConfig) -> Iterator[Frame]:
    for number, window in enumerate(plan_windows(reader.packets.timeline, sampling)):
        yield from reader.read_window(number, window, sampling.window_frames)


def decode_all(path: Path) -> dict[float, np.ndarray]:
    """Return every frame by its time, decoded without seeking."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        start, base = stream.start_time or 0, stream.time_base
        assert base is not None
        return {
            round(float(((frame.pts or 0) - start) * base), 6): frame.to_ndarray(format="rgb24")
            for frame in container.decode(stream)
        }


@pytest.mark.parametrize("name", READABLE)
def test_sampled_frames_equal_frames_of_a_full_decode(clip: Clip, name: str) -> None:
    decoded = decode_all(clip(name))
    frames = sample(clip(name))
    assert [frame.window for frame in frames] == [0] * 8 + [1] * 8
    for frame in frames:
        assert np.array_equal(frame.image, decoded[round(frame.pts_seconds, 6)])


@pytest.mark.parametrize("name", READABLE)
def test_frames_of_a_window_are_neighbours(clip: Clip, name: str) -> None:
    times = list(decode_all(clip(name)))
    sampled = [round(frame.pts_seconds, 6) for frame in sample(clip(name))]
    for window in (sampled[:8], sampled[8:]):
        first = times.index(window[0])
        assert window == times[first : first + 8]


def test_window_starts_at_a_keyframe_of_its_cell(clip: Clip) -> None:
    starts = [frame.pts_seconds for frame in sample(clip("speaker.mp4"))][::8]
    assert starts == [0.0, 2.0]  # one keyframe per two seconds


def test_clip_with_one_keyframe_is_also_sampled_in_its_middle(clip: Clip) -> None:
    starts = [frame.pts_seconds for frame in sample(clip("one_gop.mp4"))][::8]
    assert starts == [0.0, 2.0]


def test_long_clip_gets_the_maximum_of_windows(clip: Clip) -> None:
    sampling = SamplingConfig(seconds_per_window=0.5, windows_max=5)
    assert {frame.window for frame in sample(clip("speaker.mp4"), sampling)} == set(range(5))


def test_rotated_clip_is_decoded_upright(clip: Clip) -> None:
    with clip("rotated.mp4").open("rb") as file, open_clip(file, ClipLimits()) as reader:
        frame = next(read_frames(reader, SamplingConfig()))
    assert (reader.info.width, reader.info.height, reader.info.rotation_degrees) == (480, 640, 90)
    upright = sample(clip("speaker.mp4"))[0].image
    # The same camera, but a taller frame: the centers agree up to compression.
    middle = np.abs(frame.image[80:560, 80:400].astype(int) - upright[:, 160:480].astype(int))
    assert middle.mean() < 4


def test_frame_with_wide_pixels_is_resized_to_square_pixels(clip: Clip) -> None:
    with clip("wide_pixels.mp4").open("rb") as file, open_clip(file, ClipLimits()) as reader:
        frame = next(read_frames(reader, SamplingConfig()))
    assert (reader.info.width, reader.info.height) == (960, 480)
    assert frame.image.shape == (480, 960, 3)


def test_info_contains_codec_and_bit_depth(clip: Clip) -> None:
    with clip("hevc_10_bit.mp4").open("rb") as file, open_clip(file, ClipLimits()) as reader:
        assert (reader.info.codec, reader.info.bit_depth) == ("hevc", 10)


def test_damaged_clip_is_partial_but_sampled(clip: Clip) -> None:
    with clip("damaged.mp4").open("rb") as file, open_clip(file, ClipLimits()) as reader:
        frames = list(read_frames(reader, SamplingConfig(windows_min=4)))
    assert reader.statistics.damaged > 0
    assert len(frames) >= 8


@pytest.mark.parametrize(("name", "code"), [*UNREADABLE, ("zero_bytes.mp4", FailureCode.NOT_A_VIDEO)])
def test_unreadable_clip_raises_its_failure_code(clip: Clip, name: str, code: FailureCode) -> None:
    with pytest.raises(ClipError) as caught:
        sample(clip(name))
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (ClipLimits(duration_max_seconds=3.9), FailureCode.MEDIA_TOO_LONG),
        (ClipLimits(pixels_max=640 * 480 - 1), FailureCode.TOO_MANY_PIXELS),
    ],
)
def test_clip_above_a_limit_raises_its_failure_code(clip: Clip, limits: ClipLimits, code: FailureCode) -> None:
    with pytest.raises(ClipError) as caught:
        sample(clip("speaker.mp4"), limits=limits)
    assert caught.value.code is code


def test_packet_limit_ends_decoding(clip: Clip) -> None:
    frames = sample(clip("one_gop.mp4"), limits=ClipLimits(packets_max=20))
    assert {frame.window for frame in frames} == {0}


@pytest.mark.parametrize("name", ["playlist.m3u8", "list.ffconcat"])
def test_playlist_is_not_a_video(tmp_path: Path, clip: Clip, name: str) -> None:
    target = clip("speaker.mp4")
    texts = {
        "playlist.m3u8": f"#EXTM3U\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
        "list.ffconcat": f"ffconcat version 1.0\nfile {target}\n",
    }
    path = tmp_path / name
    path.write_text(texts[name])
    with pytest.raises(ClipError) as caught:
        sample(path)
    assert caught.value.code is FailureCode.NOT_A_VIDEO
