"""Choice of donors: faces of other people with a similar shape, for swaps and mixed faces."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from training.augmentation.augment import Rng
from training.data.images import Clip
from training.data.manifest import CropRow
from worker.detector.types import Floats

_TRIES = 6
"""Number of faces that are compared per donor."""


class DonorSampler:
    """Random donors from real clips of the same data set.

    Args:
        clips: Real clips.
        landmarks: Landmarks per path of an image; faces without them are no donors.
    """

    def __init__(self, clips: Iterable[Clip], landmarks: Mapping[str, Floats]) -> None:
        self._landmarks = landmarks
        self._clips: dict[str, list[Clip]] = defaultdict(list)
        for clip in clips:
            self._clips[clip[0].dataset].append(clip)

    def sample(self, target: CropRow, rng: Rng) -> CropRow | None:
        """Return the face of another person with the most similar shape, of a few; None if there is none."""
        target_shape = self._normalised_shape(target)
        if target_shape is None:
            return None
        clips = self._clips[target.dataset]
        best, best_distance = None, np.inf
        for _ in range(_TRIES):
            row = (clip := clips[rng.integers(len(clips))])[rng.integers(len(clip))]
            shape = self._normalised_shape(row)
            if shape is None or row.group == target.group or (row.person and row.person == target.person):
                continue
            if (distance := float(np.square(shape - target_shape).sum())) < best_distance:
                best, best_distance = row, distance
        return best

    def _normalised_shape(self, row: CropRow) -> Floats | None:
        """Return the landmarks, centred and with norm 1; None if the row has none."""
        points = self._landmarks.get(row.path)
        if points is None:
            return None
        shape: Floats = points - points.mean(0)
        return shape / np.float32(np.linalg.norm(shape))
