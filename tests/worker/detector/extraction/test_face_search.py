"""Search for faces: small faces in large pictures."""

from collections.abc import Iterator

import pytest

from tests.support.clips import gallery, padded, speaker
from worker.detector.extraction.face_search import FaceSearch
from worker.detector.extraction.faces import FaceDetector
from worker.detector.types import Frame, Image


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    detector = FaceDetector(confidence_min=0.5)
    yield detector
    detector.close()


def find(detector: FaceDetector, *images: Image) -> list[list[float]]:
    """Return the widths of the faces in each frame of a window."""
    search = FaceSearch(detector, size_min_px=32)
    return [
        [face.box.width for face in search.find_faces(Frame(0, index / 25, image))]
        for index, image in enumerate(images)
    ]


@pytest.mark.parametrize(
    ("face_px", "width", "height"),
    [(40, 1920, 1080), (60, 1920, 1080), (80, 1280, 720), (60, 3840, 2160), (150, 3840, 2160)],
)
def test_small_face_in_a_large_picture_is_found_with_its_size(
    detector: FaceDetector, face_px: int, width: int, height: int
) -> None:
    zoom, side = face_px / 106, 4 * face_px
    scene = padded(lambda seconds: speaker(seconds, zoom=zoom, width=side, height=side), width, height)
    for widths in find(detector, *(scene(index / 25) for index in range(3))):
        assert len(widths) == 1
        assert widths[0] == pytest.approx(face_px, rel=0.25)


def test_gallery_of_25_people_has_nearly_as_many_faces(detector: FaceDetector) -> None:
    assert all(23 <= len(widths) <= 25 for widths in find(detector, gallery(0), gallery(0.04)))


def test_large_face_alone_is_searched_in_the_whole_picture_only(detector: FaceDetector) -> None:
    class Counter:
        calls = 0

        def detect_faces(self, image: Image) -> object:
            self.calls += 1
            return detector.detect_faces(image)

    counter = Counter()
    search = FaceSearch(counter, size_min_px=32)  # type: ignore[arg-type]
    image = speaker(0, zoom=4, width=1920, height=1080)
    assert len(search.find_faces(Frame(0, 0.0, image))) == len(search.find_faces(Frame(0, 0.04, image))) == 1
    assert counter.calls == 2
