"""Evaluation of a model on data that it has not seen: metrics with intervals, tables, plots, all predictions."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from training.config import HISTORY_NAME
from training.data.images import ImageStore
from training.data.manifest import CropRow, ManifestError, is_one_of, load_crop_manifest
from training.data.splits import hold_out, rows_of_part
from training.evaluation.predict import (
    LabelledFile,
    Prediction,
    load_labelled_files,
    predict_clips,
    predict_crops,
    predict_stills,
)
from training.evaluation.report import EvaluationResult, write_report
from training.evaluation.robustness import DEGRADATIONS, VARIANTS, UnreadableVideoError, encode_variant
from training.evaluation.summary import Report, compare_variant, summarise
from worker.detector.model.engine import make_engine
from worker.detector.model.manifest import BUNDLED_MODEL, Manifest, load_model_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Options of an evaluation; exactly one of a manifest of crops, a list of stills and a list of videos is set."""

    model: Path | None = None
    manifest: Path | None = None
    frames: Path | None = None
    clips: Path | None = None
    rows: Literal["unseen", "all"] = "unseen"
    only: tuple[str, ...] = ()
    """Patterns of the data sets to evaluate; empty: all."""
    robustness: bool = False
    processes: int = 1


def evaluate_model(evaluation: Evaluation, out: Path) -> Report:
    """Run the model on all data, write the report, and return the metrics per data set.

    Raises:
        ManifestError: A list cannot be used, or the model has seen all of its rows.
        CheckpointError: The model cannot be run.
    """
    folder = evaluation.model or BUNDLED_MODEL
    model = load_model_manifest(folder)
    predict = _make_predictor(evaluation, folder, model)
    predictions = predict(None)
    robustness: dict[str, Report] = {}
    if evaluation.robustness:
        names = VARIANTS if evaluation.clips else DEGRADATIONS
        table = {"clean": predictions} | {name: predict(name) for name in names}
        robustness = {
            name: compare_variant(predictions, changed, model.detector.scoring) for name, changed in table.items()
        }
    datasets = summarise(predictions, model.detector.scoring)
    rows = evaluation.rows if evaluation.manifest else "unchecked"
    history = folder.parent / HISTORY_NAME
    result = EvaluationResult(model=model, predictions=predictions, datasets=datasets, robustness=robustness, rows=rows)
    write_report(out, result, history=history)
    return datasets


def _make_predictor(evaluation: Evaluation, folder: Path, model: Manifest) -> Callable[[str | None], list[Prediction]]:
    """Return a function that runs the model on the data, clean (None) or under the degradation of a name."""
    if evaluation.clips is not None:
        files = load_labelled_files(evaluation.clips)
        return lambda name: predict_variant(files, folder, name, processes=evaluation.processes)
    engine = make_engine(folder, model, device="auto")
    if evaluation.frames is not None:
        stills = load_labelled_files(evaluation.frames)
        return lambda name: predict_stills(
            stills, engine, model, processes=evaluation.processes, degradation=DEGRADATIONS[name] if name else None
        )
    assert evaluation.manifest is not None
    rows = load_crop_manifest(evaluation.manifest)
    if evaluation.rows == "unseen":
        rows = choose_unseen(rows, model)
    if evaluation.only:
        rows = [row for row in rows if is_one_of(row.dataset, evaluation.only)]
    if not rows:
        raise ManifestError(f"{evaluation.manifest} has no row that the model has not seen. Give --rows all.")
    store = ImageStore(evaluation.manifest.parent)
    if missing := store.find_missing(row.path for row in rows):
        shown = ", ".join(missing[:5])
        raise ManifestError(f"{len(missing)} of {len(rows)} images of {evaluation.manifest} are missing: {shown}.")
    return lambda name: predict_crops(rows, store, engine, model, DEGRADATIONS[name] if name else None)


def predict_variant(
    files: Sequence[LabelledFile], folder: Path, name: str | None, *, processes: int
) -> list[Prediction]:
    """Run a model on videos as they are (None), or on copies with a change of ``VARIANTS``."""
    if name is None:
        return predict_clips(files, folder, processes=processes)
    with tempfile.TemporaryDirectory() as scratch:
        encoded, unreadable = [], []
        for number, file in enumerate(files):
            path = Path(scratch, f"{number}.mp4")
            try:
                encode_variant(file.path, path, VARIANTS[name])
            except UnreadableVideoError:
                unreadable.append(file)
                continue
            encoded.append(replace(file, path=path))
        return [*predict_clips(encoded, folder, processes=processes), *map(_make_not_encoded, unreadable)]


def _make_not_encoded(file: LabelledFile) -> Prediction:
    return Prediction(
        path=file.name, label=file.label, dataset=file.dataset, group=file.group, is_sequence=True, code="not_encoded"
    )


def left_out_patterns(manifest: Manifest) -> list[str]:
    """Return the patterns of the data sets that were left out of the training of a model."""
    config = manifest.provenance.config if manifest.provenance else {}
    without: list[str] = config.get("data", {}).get("without", [])
    return without


def choose_unseen(rows: Sequence[CropRow], manifest: Manifest) -> list[CropRow]:
    """Return the rows that were used neither for training, early stopping nor calibration of a model.

    By the configuration of its training, these are the reported half of ``val``, ``test`` with the people that were
    held out, and all of a data set that was left out. A model without provenance gets the rows of ``val`` and ``test``.
    """
    data = manifest.provenance.config.get("data", {}) if manifest.provenance else {}
    rows = hold_out(rows, data.get("hold_out", {}))
    reported = (
        [row for row in rows if row.split == "val"] if manifest.provenance is None else rows_of_part(rows, "report")
    )
    chosen = {row.path for row in reported} | {row.path for row in rows if row.split == "test"}
    chosen |= {row.path for row in rows if is_one_of(row.dataset, left_out_patterns(manifest))}
    return [row for row in rows if row.path in chosen]
