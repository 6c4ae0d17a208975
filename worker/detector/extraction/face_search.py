"""Search for faces in the frames of a clip: in the whole picture, and for small faces in tiles of it."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from worker.detector.extraction.faces import FaceDetector
from worker.detector.types import Box, Face, Frame, Image

_SURE_SHARE = 1 / 16
"""Width of a face, as a share of the longer side of the picture, above which the detector finds and places it well."""
_TILE_PX = 480
"""Side of the smallest tiles: faces of 32 px are a fifteenth of it."""
_TILE_OVERLAP = 0.25
"""Overlap of neighbouring tiles. A face of at most this share of a side is whole in at least one tile."""
_CLOSE_UP_SCALE = 5.0
"""Side of the picture in which a small face must be found again, as a multiple of its width."""
_CLOSE_UP_CONFIDENCE_MIN = 0.7
"""Minimum confidence there. Faces of a gallery call reach 0.8; two of 31 pictures of textures reach 0.7."""
_SAME_FACE_OVERLAP = 0.5
"""Intersection of two boxes, as a share of the smaller one, above which they are of one face."""


class FaceSearch:
    """Search for the faces of one frame after the other.

    The whole picture comes first. If it shows no face, or one that is near the limit of the detector, the first frame
    of a window is searched in tiles, and the other frames in those tiles that had faces.
    """

    def __init__(self, detector: FaceDetector, *, size_min_px: float) -> None:
        self._detector = detector
        self._size_min_px = size_min_px
        self._window = -1
        self._tiles: list[Box] = []

    def find_faces(self, frame: Frame) -> list[Face]:
        """Return the faces of a frame, the largest first."""
        faces = self._detector.detect_faces(frame.image)
        height, width = frame.image.shape[:2]
        sure_px = _SURE_SHARE * max(width, height)
        is_first = frame.window != self._window
        self._window = frame.window
        if is_first:
            self._tiles = []
        sure = [face for face in faces if face.box.width >= sure_px]
        if sure_px <= self._size_min_px or max(width, height) <= _TILE_PX:
            return faces
        if is_first and (not faces or len(sure) < len(faces)):
            searched = {tile: self._search_tile(frame.image, tile) for tile in _plan_tiles(width, height, sure_px)}
            self._tiles = [tile for tile, found in searched.items() if found]
        elif self._tiles:
            searched = {tile: self._search_tile(frame.image, tile) for tile in self._tiles}
        else:
            confirmed = [self._confirm(frame.image, face) for face in faces if face not in sure]
            return _drop_duplicates(sure, [face for face in confirmed if face is not None])
        small = [face for found in searched.values() for face in found]
        return _drop_duplicates(sure, small)

    def _search_tile(self, image: Image, tile: Box) -> list[Face]:
        return [
            confirmed
            for face in self._detect(image, tile)
            if face.box.width <= _TILE_OVERLAP * tile.width and (confirmed := self._confirm(image, face))
        ]

    def _confirm(self, image: Image, face: Face) -> Face | None:
        """Find a small face again, close up: its box becomes exact, and false detections are not found again."""
        side = _CLOSE_UP_SCALE * face.box.width
        x, y = face.box.center
        close_up = Box(max(x - side / 2, 0), max(y - side / 2, 0), side, side)
        again = [
            found
            for found in self._detect(image, close_up)
            if found.confidence >= _CLOSE_UP_CONFIDENCE_MIN and _overlap(found.box, face.box) > _SAME_FACE_OVERLAP
        ]
        return max(again, key=lambda found: found.confidence, default=None)

    def _detect(self, image: Image, part: Box) -> list[Face]:
        """Return the faces in a part of the picture, in coordinates of the picture."""
        x, y = int(part.x), int(part.y)
        pixels = np.ascontiguousarray(image[y : y + int(part.height), x : x + int(part.width)])
        return [replace(face, box=face.box.scale(1.0, x=x, y=y)) for face in self._detector.detect_faces(pixels)]


def _plan_tiles(width: int, height: int, sure_px: float) -> Iterator[Box]:
    """Yield overlapping square tiles, of doubled sides until the faces of the whole picture are reached."""
    side = _TILE_PX
    while True:
        for y in _spread(height, side):
            for x in _spread(width, side):
                yield Box(x, y, min(side, width), min(side, height))
        if side * _TILE_OVERLAP >= sure_px:
            return
        side *= 2


def _spread(length: int, side: int) -> list[int]:
    """Return the starts of the fewest tiles that cover a length with the overlap."""
    count = max(math.ceil((length - side) / (side * (1 - _TILE_OVERLAP))), 0) + 1
    return [round(start) for start in np.linspace(0, max(length - side, 0), count)]


def _drop_duplicates(sure: list[Face], small: list[Face]) -> list[Face]:
    """Return the faces without those that overlap a surer one, the largest first."""
    kept = list(sure)
    for face in sorted(small, key=lambda face: -face.confidence):
        if all(_overlap(face.box, other.box) < _SAME_FACE_OVERLAP for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.box.width)


def _overlap(one: Box, other: Box) -> float:
    return one.intersect(other) / min(one.width * one.height, other.width * other.height)
