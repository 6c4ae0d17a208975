"""How good a model is on what it has not seen: figures with intervals, tables, pictures, every prediction."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from training.augmentation.augment import Degradation
from training.config import HISTORY_NAME
from training.data.images import ImageStore
from training.data.manifest import CropRow, ManifestError, is_one_of, load_manifest
from training.data.splits import hold_out, rows_of_part
from training.evaluation.predict import (
    LabelledFile,
    Prediction,
    predict_clips,
    predict_crops,
    predict_stills,
    read_list,
)
from training.evaluation.report import Evaluated, write_report
from training.evaluation.robustness import VARIANTS, UnreadableVideoError, encode_variant
from training.evaluation.summary import Report, measure_aucs, summarise
from worker.detector.model.engine import make_engine
from worker.detector.model.manifest import BUNDLED_MODEL, Manifest
from worker.detector.model.manifest import load_manifest as load_model

DEGRADATIONS = {
    "JPEG quality 50": Degradation(jpeg_quality=50),
    "JPEG quality 30": Degradation(jpeg_quality=30),
    "blur, sigma 1 px": Degradation(blur_sigma_px=1.0),
    "half size": Degradation(small_scale=0.5),
    "noise, sigma 5 of 255": Degradation(noise_sigma=5.0),
}
"""What is done to crops of 112 px for the table of robustness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is evaluated: one of a manifest of crops, a list of stills, a list of videos."""

    model: Path | None = None
    manifest: Path | None = None
    frames: Path | None = None
    clips: Path | None = None
    rows: Literal["unseen", "all"] = "unseen"
    only: tuple[str, ...] = ()
    """Patterns of data sets; empty: all."""
    robustness: bool = False
    processes: int = 1


def run_evaluation(evaluation: Evaluation, out: Path) -> Report:
    """Judges everything and writes the report; returns the figures of each data set.

    Raises:
        ManifestError: A list cannot be used, or there is nothing that the model has not seen.
        CheckpointError: The model cannot be run.
    """
    folder = evaluation.model or BUNDLED_MODEL
    model = load_model(folder)
    predict = _make_predictor(evaluation, folder, model)
    predictions = predict(None)
    degraded: dict[str, Report] = {}
    if evaluation.robustness:
        names = VARIANTS if evaluation.clips else DEGRADATIONS
        table = {"clean": predictions} | {name: predict(name) for name in names}
        degraded = {name: measure_aucs(scores, model.detector.scoring) for name, scores in table.items()}
    datasets = summarise(predictions, model.detector.scoring)
    rows = evaluation.rows if evaluation.manifest else "unchecked"
    history = folder.parent / HISTORY_NAME
    evaluated = Evaluated(model=model, predictions=predictions, datasets=datasets, robustness=degraded, rows=rows)
    write_report(out, evaluated, history=history)
    return datasets


def _make_predictor(evaluation: Evaluation, folder: Path, model: Manifest) -> Callable[[str | None], list[Prediction]]:
    """Judges the predictions, clean or under a degradation by its name."""
    if evaluation.clips is not None:
        files = read_list(evaluation.clips)
        return lambda change: _predict_variant(files, folder, change, evaluation.processes)
    engine = make_engine(folder, model, device="auto")
    if evaluation.frames is not None:
        stills = read_list(evaluation.frames)
        return lambda change: predict_stills(
            stills, engine, model, processes=evaluation.processes, degradation=DEGRADATIONS[change] if change else None
        )
    assert evaluation.manifest is not None
    rows = load_manifest(evaluation.manifest)
    if evaluation.rows == "unseen":
        rows = choose_unseen(rows, model)
    if evaluation.only:
        rows = [row for row in rows if is_one_of(row.dataset, evaluation.only)]
    if not rows:
        raise ManifestError(f"{evaluation.manifest} has nothing that the model has not seen. Give --rows all.")
    store = ImageStore(evaluation.manifest.parent)
    return lambda change: predict_crops(rows, store, engine, model, DEGRADATIONS[change] if change else None)


def _predict_variant(
    files: Sequence[LabelledFile], folder: Path, change: str | None, processes: int
) -> list[Prediction]:
    if change is None:
        return predict_clips(files, folder, processes=processes)
    with tempfile.TemporaryDirectory() as scratch:
        encoded, unreadable = [], []
        for number, file in enumerate(files):
            path = Path(scratch, f"{number}.mp4")
            try:
                encode_variant(file.path, path, VARIANTS[change])
            except UnreadableVideoError:
                unreadable.append(file)
                continue
            encoded.append(replace(file, path=path))
        return [*predict_clips(encoded, folder, processes=processes), *map(_not_encoded, unreadable)]


def _not_encoded(file: LabelledFile) -> Prediction:
    return Prediction(
        path=file.name, label=file.label, dataset=file.dataset, group=file.group, is_sequence=True, code="not_encoded"
    )


def left_out(manifest: Manifest) -> list[str]:
    """The patterns of data sets that a model was not trained on, so that it can be measured on them."""
    config = manifest.provenance.config if manifest.provenance else {}
    without: list[str] = config.get("data", {}).get("without", [])
    return without


def choose_unseen(rows: Sequence[CropRow], manifest: Manifest) -> list[CropRow]:
    """What a model was neither trained, stopped nor calibrated on, by the configuration of its training.

    That is the reported half of ``val``, ``test`` with the people that were held out, and all of a data set that was
    left out. A model that does not say how it was trained gets the rows of ``val`` and ``test``.
    """
    data = manifest.provenance.config.get("data", {}) if manifest.provenance else {}
    rows = hold_out(rows, data.get("hold_out", {}))
    reported = (
        [row for row in rows if row.split == "val"] if manifest.provenance is None else rows_of_part(rows, "report")
    )
    chosen = {row.path for row in reported} | {row.path for row in rows if row.split == "test"}
    chosen |= {row.path for row in rows if is_one_of(row.dataset, left_out(manifest))}
    return [row for row in rows if row.path in chosen]
