"""Choice of donors: other people of the same data set, with a similar face."""

import numpy as np

from tests.support.training import make_row
from training.augmentation.donors import DonorSampler
from training.data.landmarks import POINTS


def test_donor_is_another_person_with_the_most_similar_shape() -> None:
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)
    shapes = {"target": 1.0, "same": 1.0, "near": 1.1, "far": 2.0}
    landmarks = {name: circle * np.array([1, height], np.float32) for name, height in shapes.items()}
    rows = {name: make_row(name, person=name) for name in [*shapes, "blank"]}
    rows["same"] = make_row("same", person="target")
    other_set = make_row("other", dataset="e")
    donors = DonorSampler([[row] for row in [*rows.values(), other_set]], landmarks)
    rng = np.random.default_rng(0)
    drawn = [donors.sample(rows["target"], rng) for _ in range(40)]
    names = [row.path for row in drawn if row is not None]
    assert set(names) == {"near", "far"}
    assert names.count("near") > 2 * names.count("far")
    assert donors.sample(rows["blank"], rng) is None
