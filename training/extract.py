"""Folders of videos to face crops and a manifest, through the detector's own sampling, faces, tracks and crops."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
from rich.progress import track as show_progress

from app.states import ReasonCode
from training.manifest import MANIFEST_NAME, CropRow, FailureRow, write_rows
from worker.detector.sandbox import Sandbox
from worker.detector.types import ClipError, Extraction

LABELS = {"real": 0, "fake": 1}
FAILURES_NAME = "failures.csv"


class EmptyFolderError(Exception):
    """There is nothing to extract; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A video and its label; clips of one group must not be split between training and evaluation."""

    path: Path
    label: int
    group: str


def find_clips(folder: Path) -> list[LabelledClip]:
    """The clips below ``real/`` and ``fake/``, in a stable order. Raises EmptyFolderError."""
    clips = [
        LabelledClip(path, label, group=path.stem)
        for name, label in LABELS.items()
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    ]
    if not clips:
        raise EmptyFolderError(f"{folder} has no videos below 'real' or 'fake'.")
    return clips


def extract(folder: Path, out: Path, sandbox: Sandbox) -> tuple[int, int]:
    """Extracts every clip of a folder.

    Args:
        folder: Has the folders ``real`` and ``fake``.
        out: Gets the crops as PNG, the manifest and the list of failures.
        sandbox: Decodes the clips.

    Returns:
        The numbers of crops and of clips that gave none.

    Raises:
        EmptyFolderError: There is no clip.
    """
    crops: list[CropRow] = []
    failures: list[FailureRow] = []
    out.mkdir(parents=True, exist_ok=True)
    for clip in show_progress(find_clips(folder), description="clips"):
        name = str(clip.path.relative_to(folder))
        try:
            with clip.path.open("rb") as file:
                extraction = sandbox.extract(file, lambda _done, _total: None)
        except ClipError as error:
            failures.append(FailureRow(name, error.code, error.message))
            continue
        rows = list(_save(extraction, clip, name, out))
        crops += rows
        if not rows:
            failures.append(FailureRow(name, ReasonCode.NO_FACE, "No usable face was found."))
    write_rows(out / MANIFEST_NAME, CropRow, crops)
    write_rows(out / FAILURES_NAME, FailureRow, failures)
    return len(crops), len(failures)


def _save(extraction: Extraction, clip: LabelledClip, name: str, out: Path) -> Iterator[CropRow]:
    for track in extraction.tracks:
        for index, crop in enumerate(track.usable):
            path = Path("crops", name, f"{track.track_id}-{index:03}.png")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(out / path), cv2.cvtColor(crop.image, cv2.COLOR_RGB2BGR))
            yield CropRow(
                path=str(path),
                label=clip.label,
                group=clip.group,
                clip=name,
                track_id=track.track_id,
                window=crop.window,
                pts_seconds=crop.pts_seconds,
                size_px=crop.face.box.width,
                sharpness=crop.sharpness,
                brightness=crop.brightness,
            )
