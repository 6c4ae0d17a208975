"""Installation of a released model for the workers."""

import shutil
from pathlib import Path

import numpy as np

from worker.detector.model.engine import Device, make_engine
from worker.detector.model.manifest import MANIFEST_NAME, CheckpointError, Manifest, load_model_manifest


def install_model(model: Path, folder: Path, *, device: Device) -> Manifest:
    """Verify a released model, run it once, and copy it to the installed models.

    An installed model of the same name is replaced.

    Args:
        model: Directory of the released model.
        folder: Directory of the installed models.
        device: Device of the test run.

    Raises:
        CheckpointError: This version cannot run the model. The message names the difference.
        EngineError: The device cannot be used.
    """
    manifest = load_model_manifest(model)
    size = manifest.detector.crop.size_px
    crops = np.zeros((manifest.detector.faces.frames_min, size, size, 3), np.uint8)
    score = make_engine(model, manifest, device=device).score(crops, np.arange(len(crops), dtype=np.float32))
    if not np.isfinite([score.logit, *score.frame_logits]).all():
        raise CheckpointError(f"{model} returns logits that are not finite ({score.logit}): export it again")
    folder.mkdir(parents=True, exist_ok=True)
    target, incoming, outgoing = (folder / f"{prefix}{manifest.name}" for prefix in ("", ".new-", ".old-"))
    for leftover in (incoming, outgoing):
        shutil.rmtree(leftover, ignore_errors=True)
    incoming.mkdir()
    for name in (*manifest.files, MANIFEST_NAME):
        shutil.copyfile(model / name, incoming / name)
    if target.exists():
        target.rename(outgoing)
    incoming.rename(target)
    shutil.rmtree(outgoing, ignore_errors=True)
    return manifest
