"""Extraction of face crops and a manifest from videos, with the sampling, faces, tracks and crops of the detector.

Each extracted clip has a record file, so that an interrupted run resumes, and several machines can share a folder. The
manifest joins the records with the labels of the data set.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
from pydantic import TypeAdapter
from rich.progress import track as show_progress

from app.core.enums import FailureCode, ReasonCode
from training.data.layouts import DatasetListing, LabelledClip, to_text
from training.data.manifest import MANIFEST_NAME, CropRow, FailureRow, ManifestError, write_rows
from training.data.splits import find_split_leaks
from training.errors import TrainingError
from training.files import atomic_write
from worker.detector.config import DetectorConfig
from worker.detector.sandbox.parent import Sandbox, SandboxOptions
from worker.detector.types import ClipError, Extraction

FAILURES_NAME = "failures.csv"
_RECORDS = "records"
_STEM_MAX_BYTES = 150
"""Maximum length of a clip's name in file names, which a file system limits to 255 bytes with all that is added."""
_PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_RETRYABLE_CODES = {FailureCode.INPUT_MISSING, FailureCode.DECODE_TIMEOUT, FailureCode.RESOURCE_LIMIT}
"""Failures that the machine may have caused; a later run tries these clips again."""


class ExtractError(TrainingError):
    """The crops cannot be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crop:
    """Crop in a record. Labels are only in the list of clips, so that they can change without a new extraction."""

    path: str
    track_id: str
    window: int
    pts_seconds: float


@dataclass(frozen=True, slots=True)
class _Record:
    """Result of the extraction of one clip."""

    crops: list[_Crop]
    failure: FailureRow | None


_RECORD = TypeAdapter(_Record)


def extract_crops(
    listing: DatasetListing, out: Path, config: DetectorConfig, *, shard: str = "1/1", processes: int
) -> tuple[int, int]:
    """Extract the clips that have no record yet, then write the manifest of all that have one.

    Args:
        listing: Clips of the data set, and the unusable rows of its lists.
        out: Folder for crops as PNG, records, ``manifest.csv`` and ``failures.csv``.
        config: Configuration of sampling, face detector and crops.
        shard: Part of the clips, ``i/n`` with i from 1, so that several machines can share the work and the folder.
        processes: Number of clips that are extracted in parallel.

    Returns:
        The number of crops in the manifest, and the number of clips and rows without a crop.

    Raises:
        ManifestError: The shard is invalid, or a group or a person is in more than one split.
        ExtractError: The disk is full.
        SandboxError: Clips cannot be decoded on this machine.
    """
    check_splits(listing.clips)
    clips = select_shard(listing.clips, shard)
    (out / _RECORDS).mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in clips if not _is_done(_load_record(clip, out))]
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start_process, initargs=(config, out)) as pool:
        for _ in show_progress(pool.map(_extract_clip, missing), "clips", total=len(missing)):
            pass
    return _write_manifest(listing, out, config)


def select_shard(clips: Sequence[LabelledClip], shard: str) -> list[LabelledClip]:
    """Return every n-th clip from the i-th on, for ``i/n`` with i from 1. Raises ManifestError."""
    index, _, count = shard.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise ManifestError(f"{shard!r} is not a shard. Write i/n with i from 1 to n, as in 2/4.")
    return list(clips[int(index) - 1 :: int(count)])


def check_splits(clips: Sequence[LabelledClip]) -> None:
    """Raise ManifestError if a group or a person is in more than one split, and name them."""
    if leaks := find_split_leaks(_to_row(clip, _Crop(path="", track_id="", window=0, pts_seconds=0)) for clip in clips):
        shown = "; ".join(leaks[:10])
        raise ManifestError(f"{len(leaks)} groups or people are in more than one split: {shown}. Correct the splits.")


_process: list[tuple[Sandbox, Path]] = []
"""At most one entry, the sandbox of a pool process: pool functions reach it only through a global."""


def _start_process(config: DetectorConfig, out: Path) -> None:
    _process.append((Sandbox(config, SandboxOptions()), out))


def _extract_clip(clip: LabelledClip) -> None:
    ((sandbox, out),) = _process
    crops: list[_Crop] = []
    failure: FailureRow | None = None
    try:
        with clip.path.open("rb") as file:
            extraction = sandbox.extract(file, lambda _done, _total: None)
    except ClipError as error:
        failure = _make_failure(clip, error.code, error.message)
    except OSError as error:
        failure = _make_failure(clip, FailureCode.INPUT_MISSING, f"The clip cannot be read: {error.strerror}.")
    else:
        crops = list(_save(extraction, _name_of(clip), out))
        if not crops:
            failure = _make_failure(clip, _reason_without_crop(extraction), "The clip has no usable face.")
    with atomic_write(_record_path(clip, out)) as unfinished:
        unfinished.write_bytes(_RECORD.dump_json(_Record(crops, failure)))


def _make_failure(clip: LabelledClip, code: str, message: str) -> FailureRow:
    return FailureRow(to_text(str(clip.path)), code, message)


def _save(extraction: Extraction, name: str, out: Path) -> Iterator[_Crop]:
    for track in extraction.tracks:
        for index, crop in enumerate(track.usable):
            path = Path("crops", name, f"{track.track_id}-{index:03}.png")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            if not cv2.imwrite(str(out / path), cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR), _PNG_OPTIONS):
                raise ExtractError(f"{out / path} cannot be written. Is the disk full?")
            yield _Crop(path=str(path), track_id=track.track_id, window=crop.window, pts_seconds=crop.pts_seconds)


def _write_manifest(listing: DatasetListing, out: Path, config: DetectorConfig) -> tuple[int, int]:
    face = 1 / config.crop.scale  # width of the face box, in widths of the crop; it is in the middle of the crop
    rows, failures = [], list(listing.failures)
    for clip in listing.clips:
        record = _load_record(clip, out)
        if record is not None:
            rows += [_to_row(clip, crop, face) for crop in record.crops]
            failures += [record.failure] if record.failure else []
    write_rows(out / MANIFEST_NAME, CropRow, rows)
    write_rows(out / FAILURES_NAME, FailureRow, failures)
    return len(rows), len(failures)


def _to_row(clip: LabelledClip, crop: _Crop, face: float = 1.0) -> CropRow:
    return CropRow(
        path=crop.path,
        dataset=clip.dataset,
        method=clip.method,
        label=clip.label,
        split=clip.split,
        group=clip.group,
        person=clip.person,
        clip=_name_of(clip),
        track_id=crop.track_id,
        window=crop.window,
        pts_seconds=crop.pts_seconds,
        box_x=(1 - face) / 2,
        box_y=(1 - face) / 2,
        box_w=face,
    )


def _reason_without_crop(extraction: Extraction) -> str:
    reasons = [crop.unusable for track in extraction.tracks for crop in track.crops if crop.unusable]
    return max(reasons, key=reasons.count) if reasons else ReasonCode.NO_FACE


def _name_of(clip: LabelledClip) -> str:
    """Return a readable, unique name; a hash of the path distinguishes clips of one name in two folders."""
    digest = hashlib.sha256(os.fsencode(clip.path.absolute())).hexdigest()[:8]
    stem = to_text(clip.path.stem).encode()[:_STEM_MAX_BYTES].decode(errors="ignore")
    return f"{clip.dataset}/{stem}-{digest}"


def _record_path(clip: LabelledClip, out: Path) -> Path:
    return out / _RECORDS / f"{_name_of(clip).replace('/', '-')}.json"


def _load_record(clip: LabelledClip, out: Path) -> _Record | None:
    path = _record_path(clip, out)
    return _RECORD.validate_json(path.read_bytes()) if path.exists() else None


def _is_done(record: _Record | None) -> bool:
    return record is not None and (record.failure is None or record.failure.code not in _RETRYABLE_CODES)
