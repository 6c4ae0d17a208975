"""``unmask keys``: create, list and revoke keys."""

import os
import subprocess
import sys
from pathlib import Path

from fastapi.testclient import TestClient

from app.core.settings import Settings
from tests.conftest import API_KEY


def test_command_line_creates_lists_and_revokes_key(
    settings: Settings, keyless_api: TestClient, tmp_path: Path
) -> None:
    environment = os.environ | {"UNMASK_DATABASE_URL": str(settings.database_url), "UNMASK_API_KEY": API_KEY}

    def run_keys(*arguments: str) -> str:
        command = [sys.executable, "-m", "app.cli.main", "keys", *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        ).stdout.strip()

    text = run_keys("create", "pipeline", "--tenant", "acme", "--scope", "jobs:read", "--days", "30")
    headers = {"Authorization": f"Bearer {text}"}
    assert keyless_api.get("/v1/jobs", headers=headers).status_code == 200
    key_id, tenant, scopes, validity, name = run_keys("list").split("\t")
    assert (tenant, scopes, name) == ("acme", "jobs:read", "pipeline")
    assert validity.startswith("until ")
    assert text.split("_")[1] == key_id
    run_keys("revoke", key_id)
    assert keyless_api.get("/v1/jobs", headers=headers).status_code == 401
    assert "revoked" in run_keys("list")
