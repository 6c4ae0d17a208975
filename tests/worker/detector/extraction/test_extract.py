"""Extraction of whole clips: tracks, coverage, warnings."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from app.core.enums import FailureCode, WarningCode
from tests.support import clips
from tests.support.catalogue import RARE
from tests.support.clips import encode, film, two_films
from worker.detector.config import ClipLimits, DetectorConfig, SamplingConfig
from worker.detector.extraction.extract import Callbacks, extract_tracks
from worker.detector.extraction.faces import FaceDetector
from worker.detector.types import WHOLE_CLIP, ClipError, ClipPart, Extraction

Clip = Callable[[str], Path]
Extract = Callable[..., Extraction]


@pytest.fixture(scope="module")
def extract() -> Iterator[Extract]:
    """Return a function that extracts a clip in this process."""
    config = DetectorConfig()
    detector = FaceDetector(confidence_min=config.faces.confidence_min)

    def run(
        path: Path, *, limits: ClipLimits | None = None, part: ClipPart = WHOLE_CLIP, **sampling: Any
    ) -> Extraction:
        changed = config.model_copy(update={"sampling": SamplingConfig(**sampling)})
        with path.open("rb") as file:
            return extract_tracks(
                file,
                changed,
                limits or ClipLimits(),
                detector,
                Callbacks(lambda *_: None, lambda *_: None),
                part=part,
            )

    yield run
    detector.close()


def codes_of(extraction: Extraction) -> list[WarningCode]:
    return [warning.code for warning in extraction.warnings]


@pytest.mark.parametrize("name", RARE)
def test_clip_of_a_rare_format_is_read(extract: Extract, clip: Clip, name: str) -> None:
    extraction = extract(clip(name))
    assert extraction.coverage.frames_with_face == extraction.coverage.frames_sampled == 16
    assert (extraction.coverage.tracks, codes_of(extraction)) == (1, [])
    assert extraction.clip.duration_seconds == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_picture_that_lies_on_its_side_is_turned(extract: Extract, tmp_path: Path, turns: int) -> None:
    path = encode(
        tmp_path / "clip.mp4", film(lambda seconds: np.rot90(clips.speaker(seconds), turns).copy(), seconds=2)
    )
    extraction = extract(path)
    assert codes_of(extraction) == [WarningCode.FACES_TURNED]
    clip = extraction.clip
    assert (clip.rotation_degrees, clip.width, clip.height) == (90 * turns, 640, 480)
    assert (extraction.coverage.frames_with_face, extraction.coverage.tracks) == (16, 1)


def test_clip_without_a_face_is_not_turned(extract: Extract, clip: Clip) -> None:
    extraction = extract(clip("no_face.mp4"))
    assert (extraction.clip.rotation_degrees, codes_of(extraction), extraction.tracks) == (0, [], [])


def test_gallery_is_25_tracks_of_which_eight_are_kept(extract: Extract, clip: Clip) -> None:
    extraction = extract(clip("gallery.mp4"))
    assert (extraction.coverage.tracks, len(extraction.tracks)) == (25, 8)
    assert extraction.coverage.faces_max >= 23
    assert codes_of(extraction) == [WarningCode.TOO_MANY_FACES]


def test_people_of_short_shots_are_all_sampled(extract: Extract, clip: Clip) -> None:
    extraction = extract(clip("four_people.mp4"))
    shots = {int(crop.pts_seconds / 3) for track in extraction.tracks for crop in track.crops}
    assert shots == {0, 1, 2, 3}
    assert extraction.coverage.tracks == 4
    windows = {(track.track_id, crop.window) for track in extraction.tracks for crop in track.crops}
    assert len({window for _, window in windows}) == len(windows)  # no window is laid across a cut


def test_person_whose_picture_changes_its_size_is_one_track(extract: Extract, tmp_path: Path) -> None:
    scene = partial(clips.speaker, zoom=1, width=320, height=240)
    small = encode(tmp_path / "small.ts", film(scene, seconds=2))
    large = encode(tmp_path / "large.ts", film(clips.speaker, seconds=2))
    joined = tmp_path / "clip.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    extraction = extract(joined)
    assert extraction.coverage.tracks == 1
    (track,) = extraction.tracks
    widths = [crop.face.box.width for crop in track.crops]
    assert max(widths) < 1.3 * min(widths)  # all in the pixels of the first frame


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_film_that_players_show_is_analyzed(extract: Extract, tmp_path: Path, container: str) -> None:
    films = film(clips.no_face, seconds=2), film(clips.speaker, seconds=2)
    path = two_films(tmp_path / f"clip.{container}", *films, default=1)
    extraction = extract(path)
    assert extraction.coverage.frames_with_face == 16
    (warning,) = extraction.warnings
    assert (warning.code, "stream 0" in warning.detail) == (WarningCode.OTHER_FILM, True)


def test_still_picture_before_the_film_is_passed_over(extract: Extract, tmp_path: Path) -> None:
    still = [(0, clips.no_face(0))]
    extraction = extract(two_films(tmp_path / "clip.mkv", still, film(clips.speaker, seconds=2), default=0))
    assert (extraction.coverage.frames_with_face, codes_of(extraction)) == (16, [])


def test_default_film_of_few_frames_is_analyzed(extract: Extract, tmp_path: Path) -> None:
    slow = [(5 * index, clips.speaker(index)) for index in range(20)]
    extraction = extract(two_films(tmp_path / "clip.mkv", slow, film(clips.no_face, seconds=4), default=0))
    assert extraction.coverage.frames_with_face == 16
    assert codes_of(extraction) == [WarningCode.OTHER_FILM]


def test_window_is_divided_at_a_cut_and_both_shots_are_read(extract: Extract, tmp_path: Path) -> None:
    scene = [(index, clips.four_people(0.0 if index < 4 else 3.0)) for index in range(40)]
    extraction = extract(encode(tmp_path / "clip.mp4", scene, gop_frames=1000))
    first = {crop.window for track in extraction.tracks for crop in track.crops if crop.pts_seconds < 0.16}
    behind = [crop.window for track in extraction.tracks for crop in track.crops if 0.16 <= crop.pts_seconds < 0.48]
    assert first == {0}
    assert behind == [1] * 8


def test_truncated_clip_with_its_index_in_front_has_a_warning(extract: Extract, clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(clip("speaker.mp4")) as source, av.open(path, "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    extraction = extract(path)
    assert codes_of(extraction) == [WarningCode.DECODE_PARTIAL]
    assert (extraction.clip.duration_seconds or 0) < 3


def test_hdr_clip_is_tone_mapped(extract: Extract, clip: Clip) -> None:
    extraction = extract(clip("hdr.mp4"))
    assert codes_of(extraction) == [WarningCode.HIGH_DYNAMIC_RANGE]
    assert extraction.coverage.frames_with_face == 16


def test_slow_clip_has_no_warning(extract: Extract, tmp_path: Path) -> None:
    slow = encode(tmp_path / "slow.mp4", ((25 * index, clips.speaker(index)) for index in range(30)))
    extraction = extract(slow)
    assert (extraction.coverage.frames_sampled, codes_of(extraction)) == (30, [])


def test_limits_of_packets_are_named_in_warnings(extract: Extract, clip: Clip) -> None:
    decoded = extract(clip("one_gop.mp4"), limits=ClipLimits(packets_max=20))
    assert codes_of(decoded) == [WarningCode.PACKET_LIMIT]
    assert "1 of 2 windows" in decoded.warnings[0].detail
    listed = extract(clip("vp9.webm"), limits=ClipLimits(listed_packets_max=25))
    assert codes_of(listed) == [WarningCode.LENGTH_LIMITED]
    assert "first 1 s" in listed.warnings[0].detail


def times_of(extraction: Extraction) -> list[float]:
    return [crop.pts_seconds for track in extraction.tracks for crop in track.crops]


@pytest.mark.parametrize(("start", "end"), [(1.0, 2.0), (2.5, None), (0.0, 0.5)])
def test_only_the_part_is_sampled(extract: Extract, clip: Clip, start: float, end: float | None) -> None:
    extraction = extract(clip("speaker.mp4"), part=ClipPart(start, end))
    last = extraction.clip.duration_seconds if end is None else end
    assert last is not None
    times = times_of(extraction)
    assert start - 0.01 <= min(times) <= max(times) < last + 0.3  # a window may end behind the part
    coverage = extraction.coverage
    assert coverage.start_seconds == start
    assert coverage.end_seconds == pytest.approx(last)
    assert coverage.windows == 2


def test_part_of_a_long_clip_is_sampled_more_densely(extract: Extract, clip: Clip) -> None:
    path = clip("four_people.mp4")
    whole, part = (extract(path, part=found, windows_max=4) for found in (WHOLE_CLIP, ClipPart(6.0, 12.0)))
    assert whole.coverage.windows == part.coverage.windows == 4
    assert min(times_of(part)) >= 5.99


@pytest.mark.parametrize("start", [4.01, 100.0])
def test_part_behind_the_end_of_the_clip_is_named(extract: Extract, clip: Clip, start: float) -> None:
    with pytest.raises(ClipError, match=r"The clip has 4\.0 s") as caught:
        extract(clip("speaker.mp4"), part=ClipPart(start, None))
    assert caught.value.code is FailureCode.PART_OUTSIDE
