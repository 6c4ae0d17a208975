"""Folders of videos to face crops and a manifest, through the detector's own sampling, faces, tracks and crops.

What is done of a clip stands in a record of its own, so a run that was interrupted goes on, and several machines can
share a folder. The manifest joins the records with what the data set says of its clips.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
from pydantic import TypeAdapter
from rich.progress import track as show_progress

from app.core.enums import FailureCode, ReasonCode
from training.data.layouts import DatasetListing, LabelledClip
from training.data.manifest import MANIFEST_NAME, CropRow, FailureRow, ManifestError, write_rows
from training.data.splits import find_split_leaks
from training.errors import TrainingError
from worker.detector.config import DetectorConfig
from worker.detector.sandbox.parent import Sandbox, SandboxOptions
from worker.detector.types import ClipError, Extraction

FAILURES_NAME = "failures.csv"
_RECORDS = "records"
_PNG_QUICK = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_WORTH_ANOTHER_TRY = {FailureCode.INPUT_MISSING, FailureCode.DECODE_TIMEOUT, FailureCode.RESOURCE_LIMIT}
"""What may have been the machine's fault: a later run tries again."""


class ExtractError(TrainingError):
    """Crops cannot be written; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crop:
    """A crop as its record has it; what the clip is labelled stands in the list of clips alone."""

    path: str
    track_id: str
    window: int
    pts_seconds: float


@dataclass(frozen=True, slots=True)
class _Record:
    """What was done of a clip."""

    crops: list[_Crop]
    failure: FailureRow | None


_RECORD = TypeAdapter(_Record)


def extract(
    found: DatasetListing, out: Path, config: DetectorConfig, *, shard: str = "1/1", processes: int
) -> tuple[int, int]:
    """Extracts the clips that are not extracted yet, then writes the manifest of all that are.

    Args:
        found: The clips, and the rows of their lists that could not be used.
        out: Gets crops as PNG, records, ``manifest.csv`` and ``failures.csv``.
        config: How to sample, find and crop.
        shard: Which part of the clips, ``i/n`` with i from 1: several machines may share the folder.
        processes: How many clips at a time.

    Returns:
        The numbers of crops and of clips and rows that gave none, in the manifest.

    Raises:
        ManifestError: The shard is none, or a group or a person is in more than one split.
        ExtractError: The disk is full.
        SandboxError: Clips cannot be decoded on this machine.
    """
    check_splits(found.clips)
    part = take_shard(found.clips, shard)
    (out / _RECORDS).mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in part if not _is_done(_read_record(clip, out))]
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start_process, initargs=(config, out)) as pool:
        for _ in show_progress(pool.map(_extract_clip, missing), "clips", total=len(missing)):
            pass
    return _write_manifest(found, out, config)


def take_shard(clips: Sequence[LabelledClip], shard: str) -> list[LabelledClip]:
    """Every n-th clip from the i-th on, for ``i/n`` with i from 1. Raises ManifestError."""
    index, _, count = shard.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise ManifestError(f"{shard!r} is no shard: write i/n with i from 1 to n, as in 2/4.")
    return list(clips[int(index) - 1 :: int(count)])


def check_splits(clips: Sequence[LabelledClip]) -> None:
    """Raises ManifestError where a group or a person is in more than one split, and says which."""
    if leaks := find_split_leaks(_to_row(clip, _Crop(path="", track_id="", window=0, pts_seconds=0)) for clip in clips):
        shown = "; ".join(leaks[:10])
        raise ManifestError(f"The split is worthless, {len(leaks)} groups or people are on both sides: {shown}")


_process: list[tuple[Sandbox, Path]] = []
"""At most one: a pool gives its functions no other way to what their process holds."""


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
        failure = FailureRow(str(clip.path), error.code, error.message)
    except OSError as error:
        failure = FailureRow(str(clip.path), FailureCode.INPUT_MISSING, f"The clip cannot be read: {error.strerror}.")
    else:
        crops = list(_save(extraction, _name_of(clip), out))
        if not crops:
            failure = FailureRow(str(clip.path), _why_no_crop(extraction), "The clip has no face that can be used.")
    path = _record_path(clip, out)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(_RECORD.dump_json(_Record(crops, failure)))
    unfinished.replace(path)


def _save(extraction: Extraction, name: str, out: Path) -> Iterator[_Crop]:
    for track in extraction.tracks:
        for index, crop in enumerate(track.usable):
            path = Path("crops", name, f"{track.track_id}-{index:03}.png")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            if not cv2.imwrite(str(out / path), cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR), _PNG_QUICK):
                raise ExtractError(f"{out / path} cannot be written. Is the disk full?")
            yield _Crop(path=str(path), track_id=track.track_id, window=crop.window, pts_seconds=crop.pts_seconds)


def _write_manifest(found: DatasetListing, out: Path, config: DetectorConfig) -> tuple[int, int]:
    face = 1 / config.crop.scale  # in widths of the crop, in whose middle it is
    rows, failures = [], list(found.failures)
    for clip in found.clips:
        record = _read_record(clip, out)
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


def _why_no_crop(extraction: Extraction) -> str:
    flaws = [crop.unusable for track in extraction.tracks for crop in track.crops if crop.unusable]
    return max(flaws, key=flaws.count) if flaws else ReasonCode.NO_FACE


def _name_of(clip: LabelledClip) -> str:
    """Readable, and one a clip: two folders may have clips of one name."""
    digest = hashlib.sha256(str(clip.path.absolute()).encode()).hexdigest()[:8]
    return f"{clip.dataset}/{clip.path.stem}-{digest}"


def _record_path(clip: LabelledClip, out: Path) -> Path:
    return out / _RECORDS / f"{_name_of(clip).replace('/', '-')}.json"


def _read_record(clip: LabelledClip, out: Path) -> _Record | None:
    path = _record_path(clip, out)
    return _RECORD.validate_json(path.read_bytes()) if path.exists() else None


def _is_done(record: _Record | None) -> bool:
    return record is not None and (record.failure is None or record.failure.code not in _WORTH_ANOTHER_TRY)
