"""Imports of each entry point: the API loads no ML code, a worker on the CPU no torch, the client almost nothing."""

import subprocess
import sys

import pytest

from app.infra.job_queue import TASK_ANALYZE
from worker.celery import make_worker
from worker.settings import WorkerSettings

TORCH = {"safetensors", "timm", "torch"}
ML = {"av", "cv2", "mediapipe", "numpy", "onnxruntime", "safetensors", "streamlit", "timm", "torch"}


@pytest.mark.parametrize(
    ("entry_point", "forbidden"),
    [
        ("app.main", ML),
        ("app.cli.main", ML | {"celery", "fastapi", "sqlalchemy"}),
        ("app.cli.scan", ML | {"celery", "fastapi", "sqlalchemy"}),
        ("app.local.serve", ML | {"fastapi"}),
        ("worker.celery", {"cv2", "fastapi", "mediapipe", "streamlit", "timm", "torch"}),
        ("worker.resources", TORCH | {"fastapi", "mediapipe"}),
        ("worker.detector.pipeline", TORCH | {"celery", "fastapi", "mediapipe", "sqlalchemy"}),
        ("worker.detector.model.onnx_engine", TORCH | {"celery", "fastapi", "mediapipe", "sqlalchemy"}),
        ("worker.detector.sandbox.child", {"celery", "sqlalchemy", "timm", "torch"}),
        ("training.__main__", {"celery", "fastapi", "sqlalchemy"}),
        ("training.evaluation.evaluate", TORCH | {"celery", "fastapi", "mediapipe", "sqlalchemy"}),
    ],
)
def test_entry_point_does_not_import_forbidden_packages(entry_point: str, forbidden: set[str]) -> None:
    code = f"import {entry_point}, sys; print(*sorted({forbidden!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_worker_registers_tasks_of_service() -> None:
    settings = WorkerSettings(_env_file=None, redis_url="redis://unused", database_url="postgresql://unused")
    worker = make_worker(settings)
    worker.loader.import_default_modules()
    assert TASK_ANALYZE in worker.tasks
