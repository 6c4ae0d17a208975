"""Linking: one track per person."""

from collections.abc import Mapping, Sequence

import numpy as np

from worker.detector.config import DetectorConfig
from worker.detector.extraction.crops import make_crop
from worker.detector.extraction.shots import make_thumbnail
from worker.detector.extraction.tracks import Tracker
from worker.detector.types import Box, Face, Frame

CONFIG = DetectorConfig()
SIZE = 400
People = Mapping[str, float]


def draw_scene(people: People, *, shift: int = 0) -> tuple[np.ndarray, list[Face]]:
    """Draw squares of one colour on grey, at x positions, as faces of 80 px."""
    image = np.full((SIZE, SIZE, 3), 90 + shift, np.uint8)
    colours = {"red": (200, 60, 50), "green": (70, 170, 80), "pale": (210, 200, 190)}
    faces = []
    for colour, x in people.items():
        left = int(x)
        image[150:230, left : left + 80] = colours[colour]
        faces.append(Face(Box(float(left), 150.0, 80.0, 80.0), confidence=0.9))
    return image, faces


def track_positions(steps: Sequence[tuple[int, People]]) -> list[list[float]]:
    """Return the x positions of each track."""
    tracker = Tracker()
    for index, (window, people) in enumerate(steps):
        image, faces = draw_scene(people)
        frame = Frame(window, index / 25, image)
        tracker.add_frame(
            window, make_thumbnail(image), [make_crop(frame, face, CONFIG.crop, CONFIG.faces) for face in faces]
        )
    return [[crop.face.box.x for crop in track.crops] for track in tracker.tracks]


def test_moving_face_stays_in_one_track() -> None:
    assert len(track_positions([(0, {"red": 20 * step}) for step in range(8)])) == 1


def test_crossing_faces_keep_their_tracks() -> None:
    steps: Sequence[tuple[int, People]] = [(0, {"red": 20 + 30 * step, "green": 280 - 30 * step}) for step in range(9)]
    tracks = track_positions(steps)
    assert [track[0] for track in tracks] == [20, 280]
    assert tracks[0][-1] == 20 + 30 * 8


def test_two_people_in_one_place_in_different_windows_are_two_tracks() -> None:
    steps: Sequence[tuple[int, People]] = [(0, {"red": 100}) for _ in range(8)] + [
        (1, {"green": 100}) for _ in range(8)
    ]
    assert [len(track) for track in track_positions(steps)] == [8, 8]


def test_person_who_moved_between_windows_keeps_the_track() -> None:
    steps: Sequence[tuple[int, People]] = [(0, {"red": 10}) for _ in range(8)] + [(1, {"red": 290}) for _ in range(8)]
    assert [len(track) for track in track_positions(steps)] == [16]


def test_shot_cut_inside_a_window_starts_a_new_track() -> None:
    tracker = Tracker()
    for index in range(4):
        image, faces = draw_scene({"red" if index < 2 else "pale": 100}, shift=0 if index < 2 else 120)
        frame = Frame(0, index / 25, image)
        tracker.add_frame(
            0, make_thumbnail(image), [make_crop(frame, face, CONFIG.crop, CONFIG.faces) for face in faces]
        )
    assert [len(track.crops) for track in tracker.tracks] == [2, 2]


def test_face_missing_in_one_frame_keeps_its_track() -> None:
    steps: Sequence[tuple[int, People]] = [(0, {"red": 100}), (0, {}), (0, {"red": 104})]
    assert [len(track) for track in track_positions(steps)] == [2]
