"""Predictions of a model for crops, stills and clips, made with the library that the service uses."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.progress import track as show_progress

from app.core.enums import Verdict
from training.augmentation.augment import Degradation, degrade
from training.data.images import Clip, ImageError, ImageStore, load_crops
from training.data.manifest import LABELS, CropRow, ManifestError, sequences_of
from training.data.tables import read_table
from training.evaluation.stills import UNREADABLE, extract_face_crops
from worker.detector.model.engine import Engine
from worker.detector.model.manifest import Manifest
from worker.detector.pipeline import Detector, make_detector
from worker.detector.sandbox.parent import SandboxOptions
from worker.detector.scoring import score_sequence
from worker.detector.types import ClipError, FaceCrop, Floats, SequenceScore

_FRAME_RATE = 30.0
"""Assumed frames per second of stills, whose lists have frame numbers and no times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A clip, or a still in its place, and the output of the detector for it."""

    path: str
    label: int
    dataset: str
    group: str
    """Unit of the bootstrap for intervals: a person, else clips made of one another."""
    is_sequence: bool
    """True for a sequence of frames; else only the frame level counts."""
    frame_logits: tuple[float | None, ...] = ()
    """Logit per frame; None if the frame has no usable face."""
    logit: float | None = None
    mean_logit: float | None = None
    """Mean of the frame logits of the deciding person: the logit of the clip without the Transformer."""
    probability: float | None = None
    verdict: Verdict = Verdict.NOT_EVALUATED
    reasons: tuple[str, ...] = ()
    code: str | None = None
    """Reason why the file could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFile:
    """A row of a list of videos or stills."""

    path: Path
    name: str
    label: int
    dataset: str
    group: str
    video: str
    frame: float


def load_labelled_files(path: Path) -> list[LabelledFile]:
    """Load a CSV ``path,label`` (real or fake) with optional ``dataset,group,video,frame``.

    Paths are relative to its folder.

    Raises:
        TableError: The list cannot be read.
        ManifestError: The list is empty, a row is invalid, or a file is missing: a figure must not rest on it.
    """
    files = [_parse_file(cells, path, line) for line, cells in read_table(path, required=("path", "label"))]
    if not files:
        raise ManifestError(f"{path} lists no file.")
    if missing := [file.name for file in files if not file.path.is_file()]:
        shown = ", ".join(missing[:5])
        raise ManifestError(f"{len(missing)} of {len(files)} files of {path} are missing: {shown}. Correct the list.")
    return files


def predict_crops(
    rows: Iterable[CropRow],
    store: ImageStore,
    engine: Engine,
    manifest: Manifest,
    degradation: Degradation | None = None,
) -> list[Prediction]:
    """Run a model on the clips of a manifest, after ``degradation`` of their crops."""
    detector = manifest.detector
    clips: dict[tuple[str, int, str], list[Prediction]] = defaultdict(list)
    for sequence in show_progress(sequences_of(rows), "sequences"):
        prediction = _make_prediction(sequence, detector.faces.frames_min)
        try:
            crops = load_crops(sequence, store, detector.crop)
        except ImageError:
            prediction = replace(prediction, frame_logits=(None,) * len(sequence), code=UNREADABLE)
        else:
            if degradation is not None:
                crops = np.stack(degrade(list(crops), degradation))
            times: Floats = np.array([row.pts_seconds for row in sequence], np.float32)
            prediction = _with_score(prediction, score_sequence(engine, crops, times, detector), manifest)
        clips[prediction.dataset, prediction.label, sequence[0].clip].append(prediction)
    return [_merge(people) for people in clips.values()]


def predict_stills(
    files: Sequence[LabelledFile],
    engine: Engine,
    manifest: Manifest,
    *,
    processes: int,
    degradation: Degradation | None = None,
) -> list[Prediction]:
    """Run a model on still images; the faces of one video, in the order of its frames, are one sequence."""
    contents = (file.path.read_bytes() if file.path.is_file() else b"" for file in files)
    crops = extract_face_crops(contents, manifest.detector, processes=processes)
    videos: dict[tuple[str, int, str], list[tuple[LabelledFile, FaceCrop | str]]] = defaultdict(list)
    for file, crop in zip(files, show_progress(crops, "stills", total=len(files)), strict=True):
        if degradation is not None and isinstance(crop, FaceCrop):
            crop = replace(crop, image=degrade([crop.image], degradation)[0])  # noqa: PLW2901
        videos[file.dataset, file.label, file.video].append((file, crop))
    return [
        _predict_video(sorted(video, key=lambda pair: pair[0].frame), engine, manifest)
        for video in show_progress(videos.values(), "sequences")
    ]


def predict_clips(files: Sequence[LabelledFile], model: Path, *, processes: int) -> list[Prediction]:
    """Run a model on videos exactly as a worker does."""
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_start_process, initargs=(model,)) as pool:
        return list(show_progress(pool.map(_predict_clip, files), "clips", total=len(files)))


_process: list[Detector] = []
"""At most one entry, the detector of a pool process: pool functions reach it only through a global."""


def _start_process(model: Path) -> None:
    _process.append(make_detector(model, SandboxOptions(), device="auto"))


def _predict_clip(file: LabelledFile) -> Prediction:
    (detector,) = _process
    prediction = Prediction(path=file.name, label=file.label, dataset=file.dataset, group=file.group, is_sequence=True)
    try:
        with file.path.open("rb") as clip:
            score = detector.analyze(clip, lambda _phase, _done, _total: None).score
    except ClipError as error:
        return replace(prediction, code=error.code)
    except OSError:
        return replace(prediction, code="input_missing")
    deciding = [frame.logit for frame in score.frames if frame.track_id == score.decided_by]
    known = [logit for logit in deciding if logit is not None]
    calibration = detector.manifest.detector.scoring.clips
    people = max(sum(track.probability is not None for track in score.tracks), 1)
    return replace(
        prediction,
        frame_logits=tuple(deciding),
        mean_logit=float(np.mean(known)) if known else None,
        logit=next((track.logit for track in score.tracks if track.track_id == score.decided_by), None),
        probability=score.probability,
        verdict=calibration.curve.make_thresholds(calibration.rates, people=people).decide(score.probability),
        reasons=tuple(reason.code for reason in score.reasons),
    )


def _predict_video(
    video: Sequence[tuple[LabelledFile, FaceCrop | str]], engine: Engine, manifest: Manifest
) -> Prediction:
    first = video[0][0]
    prediction = Prediction(
        path=first.video, label=first.label, dataset=first.dataset, group=first.group, is_sequence=len(video) > 1
    )
    usable = [(file, crop) for file, crop in video if isinstance(crop, FaceCrop) and crop.unusable is None]
    if not usable:
        codes = [crop.unusable if isinstance(crop, FaceCrop) else crop for _, crop in video]
        return replace(prediction, frame_logits=(None,) * len(video), reasons=tuple(dict.fromkeys(map(str, codes))))
    times: Floats = np.array([file.frame / _FRAME_RATE for file, _ in usable], np.float32)
    score = score_sequence(engine, np.stack([crop.image for _, crop in usable]), times, manifest.detector)
    prediction = _with_score(prediction, score, manifest)
    unseen: repeat[float | None] = repeat(None, len(video) - len(usable))
    return replace(prediction, frame_logits=(*prediction.frame_logits, *unseen))


def _make_prediction(sequence: Clip, frames_min: int) -> Prediction:
    first = sequence[0]
    return Prediction(
        path=first.path if len(sequence) == 1 else first.clip,
        label=first.label,
        dataset=first.dataset,
        group=first.person or first.group,
        is_sequence=len(sequence) >= frames_min,
    )


def _merge(people: Sequence[Prediction]) -> Prediction:
    """Return the prediction of a clip from those of its people: as in the service, the most manipulated decides."""
    worst = max(
        people,
        key=lambda prediction: (
            prediction.is_sequence,
            -1.0 if prediction.probability is None else prediction.probability,
        ),
    )
    return replace(worst, frame_logits=tuple(logit for prediction in people for logit in prediction.frame_logits))


def _with_score(prediction: Prediction, score: SequenceScore, manifest: Manifest) -> Prediction:
    scoring = manifest.detector.scoring
    calibration = scoring.clips if prediction.is_sequence else scoring.stills
    probability = calibration.to_probability(score.logit)
    return replace(
        prediction,
        frame_logits=tuple(score.frame_logits.tolist()),
        logit=score.logit,
        mean_logit=float(score.frame_logits.mean()),
        probability=probability,
        verdict=calibration.thresholds.decide(probability),
    )


def _parse_file(cells: dict[str, str], path: Path, line: int) -> LabelledFile:
    name, label = cells.get("path") or "", cells.get("label") or ""
    if not name or label not in LABELS:
        raise ManifestError(f"{path}, line {line}: give 'path' and 'label' (real or fake), not {name!r}, {label!r}.")
    video = cells.get("video") or name
    frame = cells.get("frame") or ""
    if frame and not frame.replace(".", "", 1).isdigit():
        raise ManifestError(f"{path}, line {line}: {frame!r} is not a frame number.")
    return LabelledFile(
        path=path.parent / name,
        name=name,
        label=LABELS[label],
        dataset=cells.get("dataset") or "all",
        group=cells.get("group") or video,
        video=video,
        frame=float(frame or line),
    )
