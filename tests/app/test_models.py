"""Installed models over HTTP: those that are listed can be named, others are refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from app.main import create_app
from tests.conftest import API_KEY
from tests.support.api import MP4, Sessions, problem, submit


def install(settings: Settings, place: str, **manifest: Any) -> None:
    folder = settings.installed_models / place
    folder.mkdir(parents=True)
    content = {"name": place, "version": "1.0", "trained": True, "files": {}} | manifest
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.fixture
def api_with_models(settings: Settings, sessions: Sessions, tmp_path: Path) -> Iterator[TestClient]:
    assert sessions
    settings = settings.model_copy(update={"models_dir": tmp_path / "models"})
    install(settings, "mine")
    install(settings, "renamed", name="other")
    (settings.installed_models / "broken").mkdir()
    (settings.installed_models / "broken" / "manifest.json").write_text("{")
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        yield client


def test_installed_models_are_listed_and_what_is_none_is_not(api_with_models: TestClient) -> None:
    assert api_with_models.get("/v1/models").json() == {"items": [{"name": "mine", "version": "1.0", "trained": True}]}
    assert submit(api_with_models, model="mine")["model"] == "mine"
    assert submit(api_with_models)["model"] is None


@pytest.mark.parametrize("name", ["absent", "renamed", "../mine", ""])
def test_a_model_that_is_not_installed_is_refused(api_with_models: TestClient, name: str) -> None:
    files: Any = {"file": ("a.mp4", MP4), "options": (None, json.dumps({"model": name}), "application/json")}
    body = problem(api_with_models.post("/v1/jobs", files=files), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/options/model"
    if name == "absent":
        assert "Installed are: mine." in body["detail"]
