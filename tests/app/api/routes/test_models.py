"""Routes of models: installed models are listed, and only they can be requested."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from tests.support.api import Sessions, make_client, post_clip, problem, submit


def install_model(settings: Settings, folder_name: str, **manifest: Any) -> None:
    folder = settings.installed_models / folder_name
    folder.mkdir(parents=True)
    content = {"name": folder_name, "version": "1.0", "trained": True, "files": {}} | manifest
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
    assert api.get("/v1/models").json() == {"items": [{"name": "mine", "version": "1.0", "trained": True}]}
    assert submit(api, model="mine")["model"] == "mine"
    assert submit(api)["model"] is None


@pytest.mark.parametrize("name", ["absent", "renamed", "../mine", ""])
def test_model_that_is_not_installed_is_refused(api: TestClient, name: str) -> None:
    body = problem(post_clip(api, model=name), 400, "invalid_request")
    assert body["errors"][0]["pointer"] == "/options/model"
    if name == "absent":
        assert "Installed models: mine." in body["detail"]
