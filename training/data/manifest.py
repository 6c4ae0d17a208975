"""Manifest of face crops: a CSV file with one row per crop. Label 1 is fake, 0 is real."""

import csv
import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from training.data.tables import read_table
from training.errors import TrainingError
from training.files import atomic_write

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

MANIFEST_NAME = "manifest.csv"

LABELS = {"real": 0, "fake": 1, "0": 0, "1": 1}
_FRAME_RATE = 30.0
"""Assumed frames per second of a list of shards, which has frame numbers and no times."""


class ManifestError(TrainingError):
    """The list cannot be used; the message names the file, the row and the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropRow:
    """A face crop and its source."""

    path: str
    """Path relative to the manifest; the image may be a member of a tar file or an uncompressed zip file:
    ``shard.tar/name.jpg``."""
    dataset: str
    method: str = ""
    """Manipulation method of the fake, if known."""
    label: int
    split: str
    """``train``, ``val`` or ``test``; or ``early_stopping``, one part of ``val``. Rows of other splits are not used."""
    group: str
    """Name that clips made of one another share. A group is in one split."""
    person: str = ""
    """Person in the crop, if known; the two people of a swap are separated by a space. A person is in one split."""
    clip: str
    track_id: str = "t0"
    window: int = 0
    """Number of the window; frames of one window are neighbours."""
    pts_seconds: float = 0.0
    box_x: float = 0.0
    box_y: float = 0.0
    box_w: float = 1.0
    """Width of the square face box; box values are in widths of the image."""

    @property
    def sequence(self) -> tuple[str, int, str, str]:
        """Key of the sequence: one person in one clip."""
        return self.dataset, self.label, self.clip, self.track_id


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A clip without a crop, with the reason."""

    clip: str
    code: str
    message: str


def write_rows(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write rows, instances of a dataclass, as CSV with a header, atomically."""
    with atomic_write(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def load_crop_manifest(path: Path) -> list[CropRow]:
    """Load a manifest that ``extract`` wrote, or a list of shards (``shard,member,...,video,frame,box_*``).

    Rows without a face box are left out. Raises ManifestError.
    """
    table = list(read_table(path, required=("label",)))
    parse = _parse_shard_row if table and "shard" in table[0][1] else _parse_row
    rows = [row for line, cells in table if (row := _parse(parse, cells, f"{path}, line {line}"))]
    if not rows:
        raise ManifestError(f"{path} lists no face crop.")
    return list(_number_windows(rows)) if parse is _parse_shard_row else rows


def is_one_of(dataset: str, patterns: Iterable[str]) -> bool:
    """Return whether a data set matches one of the names or patterns, such as ``dfdc*``."""
    return any(fnmatch.fnmatch(dataset, pattern) for pattern in patterns)


def sequences_of(rows: Iterable[CropRow]) -> list[list[CropRow]]:
    """Return the rows of each person in each clip, in the order of time."""
    sequences: dict[tuple[str, int, str, str], list[CropRow]] = defaultdict(list)
    for row in rows:
        sequences[row.sequence].append(row)
    return [sorted(sequence, key=lambda row: row.pts_seconds) for sequence in sequences.values()]


def _parse(parse: Any, cells: dict[str, str], place: str) -> CropRow | None:
    try:
        row: CropRow | None = parse(cells)
    except (KeyError, ValueError, TypeError) as error:
        raise ManifestError(f"{place} cannot be read: {type(error).__name__} {error}") from error
    return row


def _parse_row(cells: dict[str, str]) -> CropRow:
    numbers = {name: float(cells[name]) for name in ("pts_seconds", "box_x", "box_y", "box_w")}
    texts = {
        name: cells[name] for name in ("path", "dataset", "method", "split", "group", "person", "clip", "track_id")
    }
    return CropRow(label=LABELS[cells["label"]], window=int(cells["window"]), **texts, **numbers)  # type: ignore[arg-type]


def _parse_shard_row(cells: dict[str, str]) -> CropRow | None:
    if not cells["box_w"]:
        return None
    return CropRow(
        path=f"{cells['shard']}/{cells['member']}",
        dataset=cells["dataset"],
        method=cells["method"],
        label=LABELS[cells["label"]],
        split=cells["split"],
        group=cells["group"],
        person=cells["person"],
        clip=cells["video"] or cells["member"],  # a still is a clip of one frame
        pts_seconds=float(cells["frame"] or 0) / _FRAME_RATE,
        box_x=float(cells["box_x"]),
        box_y=float(cells["box_y"]),
        box_w=float(cells["box_w"]),
    )


def _number_windows(rows: Iterable[CropRow]) -> Iterator[CropRow]:
    """Yield the rows with the number of their window; a gap in the frame numbers starts a window."""
    for sequence in sequences_of(rows):
        window, before = 0, sequence[0].pts_seconds
        for row in sequence:
            window += row.pts_seconds - before > 4 / _FRAME_RATE
            before = row.pts_seconds
            yield replace(row, window=window)
