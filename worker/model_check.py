"""``python -m worker.model_check DIR PARENT LAYERS``: verify a model and run it once, without network and other files.

PARENT is the id of the process that waits, LAYERS the required layers of the confinement, separated by commas. Prints
what is wrong with the model and exits with 1, or exits with 0.
"""

import sys
from pathlib import Path

import numpy as np

import app
import worker
from worker.detector.model.engine import make_engine
from worker.detector.model.manifest import CheckpointError, load_model_manifest
from worker.detector.sandbox.confinement import allow_cpu_seconds, confine, die_with_parent

CHECK_TIMEOUT_SECONDS = 120
"""A run takes a second; loading the libraries takes longer on a busy machine."""
_MEMORY_MAX_BYTES = 4 * 2**30
"""A released model needs a tenth of it."""


def find_problem(model: Path) -> str | None:
    """Run a model on a sequence of black crops, and return what is wrong with it."""
    try:
        manifest = load_model_manifest(model)
        size = manifest.detector.crop.size_px
        crops = np.zeros((manifest.detector.faces.frames_min, size, size, 3), np.uint8)
        engine = make_engine(model, manifest, device="cpu")
        score = engine.score(crops, np.arange(len(crops), dtype=np.float32))
    except CheckpointError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 (a foreign graph may raise anything)
        return f"{model} cannot be run ({type(error).__name__}: {error}). Export it again."
    if not np.isfinite([score.logit, *score.frame_logits]).all():
        return f"{model} returns logits that are not finite ({score.logit}): export it again"
    return None


def main() -> None:
    """Confine this process and check the model."""
    model = Path(sys.argv[1])
    die_with_parent(int(sys.argv[2]))
    # The engine is imported afterwards: ONNX Runtime starts a thread, which would escape from the confinement.
    readable = [model, *(Path(package.__path__[0]) for package in (app, worker))]
    layers = confine(memory_max_bytes=_MEMORY_MAX_BYTES, readable=readable)
    allow_cpu_seconds(CHECK_TIMEOUT_SECONDS)
    missing = set(filter(None, sys.argv[3].split(","))).difference(layers)
    if missing:
        problem: str | None = f"This machine lacks {', '.join(sorted(missing))}, which UNMASK_SANDBOX requires."
    else:
        problem = find_problem(model)
    if problem is not None:
        print(problem, flush=True)  # noqa: T201 (the output)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
