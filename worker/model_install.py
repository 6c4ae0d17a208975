"""Install a released model for the workers."""

import shutil
from pathlib import Path

import numpy as np

from worker.detector.model.engine import Device, make_engine
from worker.detector.model.manifest import MANIFEST_NAME, CheckpointError, Manifest, load_manifest


def install(model: Path, folder: Path, *, device: Device) -> Manifest:
    """Checks a released model, runs it once, and copies it to the installed ones; one of the same name is replaced.

    Raises:
        CheckpointError: It does not fit; the message says what differs.
        EngineError: The device cannot be used.
    """
    manifest = load_manifest(model)
    size = manifest.detector.crop.size_px
    crops = np.zeros((manifest.detector.faces.frames_min, size, size, 3), np.uint8)
    score = make_engine(model, manifest, device=device).score(crops, np.arange(len(crops), dtype=np.float32))
    if not np.isfinite([score.logit, *score.frame_logits]).all():
        raise CheckpointError(f"{model} answers a grey picture with {score.logit}, not with a number")
    folder.mkdir(parents=True, exist_ok=True)
    target, incoming, outgoing = (folder / f"{dot}{manifest.name}" for dot in ("", ".new-", ".old-"))
    for rest in (incoming, outgoing):
        shutil.rmtree(rest, ignore_errors=True)
    incoming.mkdir()
    for name in (*manifest.files, MANIFEST_NAME):
        shutil.copyfile(model / name, incoming / name)
    if target.exists():
        target.rename(outgoing)
    incoming.rename(target)
    shutil.rmtree(outgoing, ignore_errors=True)
    return manifest
