"""The list of extracted face crops: one CSV row a crop."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

MANIFEST_NAME = "manifest.csv"


@dataclass(frozen=True, slots=True)
class CropRow:
    """One face crop and where it came from. Label: 1 is fake, 0 is real."""

    path: str
    label: int
    group: str
    clip: str
    track_id: str
    window: int
    pts_seconds: float
    size_px: float
    sharpness: float
    brightness: float


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A clip that gave no crop, and why."""

    clip: str
    code: str
    message: str


def write_rows(path: Path, kind: type[CropRow] | type[FailureRow], rows: Iterable[CropRow | FailureRow]) -> None:
    """Writes the rows with a heading."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
