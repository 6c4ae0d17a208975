"""Import of a model that was sent over the API."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from uuid_utils.compat import uuid7

from app.core.enums import ImportStatus
from app.db.tables.models import ModelImport
from app.infra.model_imports import delete_stale_imports, import_path
from app.services import models
from tests.support.api import Sessions
from tests.support.models import edit_manifest
from worker.detector.model.manifest import load_model_manifest, sha256_of
from worker.model_import import import_next_model
from worker.settings import WorkerSettings


def import_model(sessions: Sessions, folder: Path, models_dir: Path) -> ModelImport:
    """Import a directory as a worker does, and return the end of it."""
    import_id = uuid7()
    path = import_path(models_dir, import_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"released/{file.name}")
    with sessions() as session:
        models.add_import(session, tenant="default", import_id=import_id)
    settings = WorkerSettings(models_dir=models_dir, _env_file=None)
    import_next_model(sessions, settings)
    import_next_model(sessions, settings)  # the queue is empty
    assert list(path.parent.iterdir()) == []
    with sessions() as session:
        return models.get_import(session, import_id, tenant="default")


def test_verified_model_is_installed(sessions: Sessions, model_copy: Path, tmp_path: Path) -> None:
    ended = import_model(sessions, model_copy, tmp_path / "models")
    assert (ended.status, ended.name, ended.version, ended.reason) == (ImportStatus.READY, "tiny", "1", None)
    assert load_model_manifest(tmp_path / "models" / "tiny") == load_model_manifest(model_copy)


def flip_byte(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def replace_graph(folder: Path, content: bytes) -> None:
    (folder / "model.onnx").write_bytes(content)
    files = load_model_manifest(folder).files
    edit_manifest(folder, files=files | {"model.onnx": sha256_of(folder / "model.onnx")})


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a flipped byte": (flip_byte, "model.safetensors does not match the manifest"),
    "an old format": (lambda folder: edit_manifest(folder, format=1), "python -m training calibrate --model"),
    "a manifest of another kind": (lambda folder: edit_manifest(folder, surprise=1), "surprise"),
    "a graph that cannot be run": (lambda folder: replace_graph(folder, b"graph"), "cannot be run"),
    "a manifest that is nested deeply": (
        lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
        "manifest.json is not JSON",
    ),
}


@pytest.mark.parametrize(("change", "reason"), BROKEN.values(), ids=BROKEN)
def test_model_that_cannot_be_run_is_refused_with_the_reason(
    sessions: Sessions, model_copy: Path, tmp_path: Path, change: Callable[[Path], Any], reason: str
) -> None:
    change(model_copy)
    ended = import_model(sessions, model_copy, tmp_path / "models")
    assert ended.status is ImportStatus.FAILED
    assert reason in (ended.reason or "")
    assert str(tmp_path) not in (ended.reason or "")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".imports"]


def test_import_whose_worker_was_lost_is_failed(sessions: Sessions) -> None:
    import_id = uuid7()
    with sessions() as session:
        models.add_import(session, tenant="default", import_id=import_id)
        assert models.claim_import(session) == import_id
        assert models.claim_import(session) is None
    with sessions() as session, session.begin():
        row = session.get_one(ModelImport, import_id)
        row.started_at = row.created_at.replace(year=2020)
    with sessions() as session:
        assert list(models.fail_lost_imports(session, older_than=models.IMPORT_TIMEOUT)) == [import_id]
        models.finish_import(session, import_id, name="late", version="1")
        ended = models.get_import(session, import_id, tenant="default")
    assert (ended.status, ended.name) == (ImportStatus.FAILED, None)


def test_archive_that_the_worker_does_not_see_names_the_setting(sessions: Sessions, tmp_path: Path) -> None:
    import_id = uuid7()
    with sessions() as session:
        models.add_import(session, tenant="default", import_id=import_id)
    import_next_model(sessions, WorkerSettings(models_dir=tmp_path, _env_file=None))
    with sessions() as session:
        assert "UNMASK_MODELS_DIR" in (models.get_import(session, import_id, tenant="default").reason or "")


def test_leftovers_of_killed_workers_are_deleted_and_installed_models_are_not(tmp_path: Path) -> None:
    leftovers = [tmp_path / name for name in (".imports/a.zip", ".imports/b/model/manifest.json", ".new-x/model.onnx")]
    kept = tmp_path / "mine" / "manifest.json"
    for path in (*leftovers, kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    delete_stale_imports(tmp_path, older_than=timedelta(hours=1))
    assert all(path.exists() for path in leftovers)
    delete_stale_imports(tmp_path, older_than=timedelta(seconds=-1))
    assert not any(path.exists() for path in leftovers)
    assert kept.exists()
