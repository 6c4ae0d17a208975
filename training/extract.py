"""Folders of videos to face crops and a manifest, through the detector's own sampling, faces, tracks and crops.

What is done of a clip stands in a record of its own, so a run that was interrupted goes on, and several machines can
share a folder. The manifest is what all records say.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import cv2
from rich.progress import track as show_progress

from app.states import FailureCode, ReasonCode
from training.layouts import LabelledClip
from training.manifest import MANIFEST_NAME, CropRow, FailureRow, ManifestError, find_crossings, write_rows
from worker.detector.config import DetectorConfig
from worker.detector.sandbox import Sandbox, SandboxOptions
from worker.detector.types import ClipError, Extraction

FAILURES_NAME = "failures.csv"
_RECORDS = "records"
_PNG_QUICK = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def extract(
    clips: Sequence[LabelledClip], failures: Sequence[FailureRow], out: Path, config: DetectorConfig, *, processes: int
) -> tuple[int, int]:
    """Extracts the clips that are not extracted yet, then writes the manifest of all that are.

    Args:
        clips: What to extract.
        failures: Rows of lists that could not be used; they are told beside the clips that gave no crop.
        out: Gets crops as PNG, records, ``manifest.csv`` and ``failures.csv``.
        config: How to sample, find and crop.
        processes: How many clips at a time.

    Returns:
        The numbers of crops and of clips that gave none, in the manifest.

    Raises:
        SandboxError: Clips cannot be decoded on this machine.
    """
    (out / _RECORDS).mkdir(parents=True, exist_ok=True)
    missing = [clip for clip in clips if not _record_path(clip, out).exists()]
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start_process, initargs=(config, out)
    ) as pool:
        for _ in show_progress(pool.map(_extract_clip, missing), "clips", total=len(missing)):
            pass
    return _write_manifest(out, failures)


def take_shard(clips: Sequence[LabelledClip], shard: str) -> list[LabelledClip]:
    """Every n-th clip from the i-th on, for ``i/n`` with i from 1. Raises ManifestError."""
    index, _, count = shard.partition("/")
    if not (index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise ManifestError(f"{shard!r} is no shard: write i/n with i from 1 to n, as in 2/4.")
    return list(clips[int(index) - 1 :: int(count)])


_process: list[tuple[Sandbox, DetectorConfig, Path]] = []
"""At most one: a pool gives its functions no other way to what their process holds."""


def _start_process(config: DetectorConfig, out: Path) -> None:
    _process.append((Sandbox(config, SandboxOptions()), config, out))


def _extract_clip(clip: LabelledClip) -> None:
    ((sandbox, config, out),) = _process
    rows: list[CropRow] = []
    failure: FailureRow | None = None
    try:
        with clip.path.open("rb") as file:
            extraction = sandbox.extract(file, lambda _done, _total: None)
        rows = list(_save(extraction, clip, config, out))
        if not rows:
            failure = FailureRow(str(clip.path), _why_no_crop(extraction), "The clip has no face that can be used.")
    except ClipError as error:
        failure = FailureRow(str(clip.path), error.code, error.message)
    except OSError as error:
        failure = FailureRow(str(clip.path), FailureCode.INPUT_MISSING, f"The clip cannot be read: {error.strerror}.")
    content = {"crops": [asdict(row) for row in rows], "failure": asdict(failure) if failure else None}
    path = _record_path(clip, out)
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(content))
    unfinished.replace(path)


def _save(extraction: Extraction, clip: LabelledClip, config: DetectorConfig, out: Path) -> Iterator[CropRow]:
    name = _name_of(clip)
    face = 1 / config.crop.scale  # in widths of the crop, in whose middle it is
    for track in extraction.tracks:
        for index, crop in enumerate(track.usable):
            path = Path("crops", name, f"{track.track_id}-{index:03}.png")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(out / path), cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR), _PNG_QUICK)
            yield CropRow(
                path=str(path),
                dataset=clip.dataset,
                method=clip.method,
                label=clip.label,
                split=clip.split,
                group=clip.group,
                person=clip.person,
                clip=name,
                track_id=track.track_id,
                window=crop.window,
                pts_seconds=crop.pts_seconds,
                box_x=(1 - face) / 2,
                box_y=(1 - face) / 2,
                box_w=face,
            )


def _write_manifest(out: Path, failures: Sequence[FailureRow]) -> tuple[int, int]:
    records = [json.loads(path.read_text()) for path in sorted((out / _RECORDS).glob("*.json"))]
    rows = [CropRow(**crop) for record in records for crop in record["crops"]]
    failed = [*failures, *(FailureRow(**record["failure"]) for record in records if record["failure"])]
    write_rows(out / MANIFEST_NAME, CropRow, rows)
    write_rows(out / FAILURES_NAME, FailureRow, failed)
    return len(rows), len(failed)


def check_splits(clips: Sequence[LabelledClip]) -> None:
    """Raises ManifestError where a group or a person is in more than one split, and says which."""
    named = (
        CropRow(path="", dataset=clip.dataset, label=clip.label, split=clip.split, group=clip.group,
                person=clip.person, clip="")
        for clip in clips
    )  # fmt: skip
    if crossings := find_crossings(named):
        shown = "; ".join(crossings[:10])
        raise ManifestError(f"The split is worthless, {len(crossings)} groups or people are on both sides: {shown}")


def _why_no_crop(extraction: Extraction) -> str:
    flaws = [crop.unusable for track in extraction.tracks for crop in track.crops if crop.unusable]
    return max(flaws, key=flaws.count) if flaws else ReasonCode.NO_FACE


def _name_of(clip: LabelledClip) -> str:
    """Readable, and one a clip: two folders may have clips of one name."""
    digest = hashlib.sha256(str(clip.path.absolute()).encode()).hexdigest()[:8]
    return f"{clip.dataset}/{clip.method or 'real'}-{clip.path.stem}-{digest}"


def _record_path(clip: LabelledClip, out: Path) -> Path:
    return out / _RECORDS / f"{_name_of(clip).replace('/', '-')}.json"
