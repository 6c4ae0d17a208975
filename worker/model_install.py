"""Installation of a released model for the workers."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from worker.detector.model.manifest import MANIFEST_NAME, CheckpointError, Manifest, load_model_manifest
from worker.detector.sandbox.parent import make_environment
from worker.model_check import CHECK_TIMEOUT_SECONDS

_MESSAGE_MAX_CHARACTERS = 1000
"""The message may come from a foreign graph."""


def install_model(model: Path, folder: Path, *, layers_required: frozenset[str] = frozenset()) -> Manifest:
    """Verify a released model, run it once in a confined process, and copy it to the installed models.

    An installed model of the same name is replaced.

    Args:
        model: Directory of the released model.
        folder: Directory of the installed models.
        layers_required: Layers of the confinement without which the model is not run.

    Raises:
        CheckpointError: This version cannot run the model. The message names the difference.
    """
    manifest = load_model_manifest(model)
    _check_model(model, layers_required)
    folder.mkdir(parents=True, exist_ok=True)
    incoming = Path(mkdtemp(prefix=".new-", dir=folder))
    try:
        for name in (*manifest.files, MANIFEST_NAME):
            shutil.copyfile(model / name, incoming / name)
        incoming.chmod(0o755)
        _replace(folder / manifest.name, incoming)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return manifest


def _replace(target: Path, incoming: Path) -> None:
    """Move a folder to its place, one process at a time."""
    outgoing = target.with_name(f".old-{target.name}")
    lock = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(outgoing, ignore_errors=True)
        if target.exists():
            target.rename(outgoing)
        incoming.rename(target)
        shutil.rmtree(outgoing, ignore_errors=True)
    finally:
        os.close(lock)


def _check_model(model: Path, layers_required: frozenset[str]) -> None:
    """Run ``worker.model_check``. Raises CheckpointError with its message."""
    arguments = [str(model.resolve()), str(os.getpid()), ",".join(sorted(layers_required))]
    try:
        done = subprocess.run(  # noqa: S603 (own module)
            [sys.executable, "-P", "-m", "worker.model_check", *arguments],
            env=make_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(
            f"{model} did not answer within {CHECK_TIMEOUT_SECONDS} s. Use a smaller network."
        ) from error
    if done.returncode:
        crash = f"{model} crashed the process that ran it ({done.returncode}). Export it again."
        found = done.stdout.strip()[:_MESSAGE_MAX_CHARACTERS].replace(str(model.resolve()), str(model))
        raise CheckpointError(found or crash)
