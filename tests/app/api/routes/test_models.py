"""Routes of models: installed models are listed, and only they can be requested; archives are checked."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.calibration import Calibration
from app.core.enums import Scope
from app.core.settings import Settings
from app.services.models import register_default_model
from tests.support.api import (
    MODEL_FILES,
    MakeKey,
    Response,
    Sessions,
    make_client,
    make_zip,
    post_clip,
    problem,
    read_audit_log,
    submit,
)
from tests.support.factories import make_calibration, make_model


def install_model(settings: Settings, folder_name: str, **manifest: Any) -> None:
    folder = settings.installed_models / folder_name
    folder.mkdir(parents=True)
    calibration = Calibration(curve=make_calibration().curve).model_dump(mode="json")
    content = {
        "name": folder_name,
        "version": "1.0",
        "trained": True,
        "files": {},
        "detector": {"crop": {}, "scoring": {"clips": calibration}},
        "provenance": {"data_terms": "Mine alone.", "config": {}},
    }
    content |= manifest
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.fixture
def api(settings: Settings, sessions: Sessions, tmp_path: Path) -> Iterator[TestClient]:
    """Run the API with one valid model, one in a folder of another name, and one with a damaged manifest."""
    assert sessions
    settings = settings.model_copy(update={"models_dir": tmp_path / "models"})
    install_model(settings, "mine")
    install_model(settings, "renamed", name="other")
    (settings.installed_models / "broken").mkdir()
    (settings.installed_models / "broken" / "manifest.json").write_text("{")
    with make_client(settings) as client:
        yield client


def test_only_valid_models_are_listed(api: TestClient) -> None:
    (mine,) = api.get("/v1/models").json()["items"]
    assert (mine["name"], mine["version"], mine["trained"], mine["default"]) == ("mine", "1.0", True, False)
    assert (mine["data_terms"], mine["real_clips"], mine["fake_clips"]) == ("Mine alone.", 400, 40)
    assert mine["thresholds"] == make_calibration().thresholds.model_dump()
    assert submit(api, model="mine")["model"] == "mine"
    assert submit(api)["model"] is None


def test_newest_default_model_is_listed_first(api: TestClient, sessions: Sessions) -> None:
    for number in (0, 1, 0):
        with sessions() as session:
            model = make_model(name=f"bundled-{number}")
            register_default_model(session, sha256=str(number), model=model, calibration=make_calibration())
    items = api.get("/v1/models").json()["items"]
    assert [(item["name"], item["default"]) for item in items] == [("bundled-0", True), ("mine", False)]


@pytest.mark.parametrize("name", ["absent", "renamed", "../mine", ""])
def test_model_that_is_not_installed_is_refused(api: TestClient, name: str) -> None:
    body = problem(post_clip(api, model=name), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/options/model"
    if name == "absent":
        assert "Installed models: mine." in body["detail"]


def post_model(api: TestClient, files: dict[str, bytes], headers: dict[str, str] | None = None) -> Response:
    content = make_zip(files)
    return api.post("/v1/models", content=content, headers={"Content-Type": "application/zip"} | (headers or {}))


def test_archive_of_a_model_waits_for_a_worker(api: TestClient, tmp_path: Path) -> None:
    answer = post_model(api, MODEL_FILES)
    made = answer.json()
    assert (answer.status_code, made["status"], made["name"]) == (202, "queued", None)
    assert api.get(answer.headers["location"]).json() == made
    assert len(list((tmp_path / "models" / ".imports").iterdir())) == 1
    assert [record["action"] for record in read_audit_log(api)] == ["model.import_queued"]


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({"../manifest.json": b""}, (422, "invalid_archive")),
        (MODEL_FILES | {"model.pkl": b""}, (422, "invalid_archive")),
        (MODEL_FILES | {"model.onnx": bytes(2**20)}, (413, "model_too_large")),
        (MODEL_FILES | {"model.onnx": os.urandom(2**19)}, (413, "model_too_large")),
    ],
)
def test_archive_that_is_no_model_is_refused_and_deleted(
    settings: Settings, sessions: Sessions, tmp_path: Path, files: dict[str, bytes], answer: tuple[int, str]
) -> None:
    assert sessions
    small = settings.model_copy(update={"models_dir": tmp_path / "models", "model_max_bytes": 2**18})
    with make_client(small) as api:
        problem(post_model(api, files), *answer)
    assert list((tmp_path / "models" / ".imports").iterdir()) == []


def test_model_needs_scope_tenant_and_type(keyless_api: TestClient, make_key: MakeKey) -> None:
    refused = post_model(keyless_api, MODEL_FILES, make_key(Scope.JOBS_WRITE))
    problem(refused, 403, "forbidden_scope")
    refused = post_model(keyless_api, MODEL_FILES, make_key(Scope.MODELS_WRITE, tenant="acme"))
    assert "'default'" in problem(refused, 403, "forbidden_scope")["detail"]
    wrong = keyless_api.post("/v1/models", content=b"{}", headers=make_key(Scope.MODELS_WRITE, tenant="default"))
    problem(wrong, 415, "unsupported_media")
