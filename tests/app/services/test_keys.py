"""API keys: validity, digests, and the pepper."""

from datetime import timedelta

from fastapi.testclient import TestClient
from sqlalchemy import update

from app.core.enums import Scope
from app.core.settings import Settings
from app.db.tables.keys import ApiKey
from app.main import create_app
from app.services import keys
from tests.support.api import MakeKey, Sessions, problem


def test_expired_or_revoked_key_is_unauthorized(keyless_api: TestClient, make_key: MakeKey, sessions: Sessions) -> None:
    short, long = make_key(Scope.ADMIN, lifetime=timedelta(days=1)), make_key(Scope.ADMIN)
    assert keyless_api.get("/v1/jobs", headers=short).status_code == 200
    with sessions() as session, session.begin():
        session.execute(update(ApiKey).where(ApiKey.expires_at.is_not(None)).values(expires_at=ApiKey.created_at))
    problem(keyless_api.get("/v1/jobs", headers=short), 401, "unauthorized")
    with sessions() as session:
        unlimited = next(key for key in keys.list_keys(session) if key.expires_at is None)
        keys.revoke_key(session, unlimited.id)
    problem(keyless_api.get("/v1/jobs", headers=long), 401, "unauthorized")


def test_incomplete_or_altered_key_is_unauthorized(
    keyless_api: TestClient, make_key: MakeKey, sessions: Sessions
) -> None:
    text = make_key(Scope.ADMIN)["Authorization"].removeprefix("Bearer ")
    prefix, key_id, secret = text.split("_", 2)
    for wrong in [
        text[:-1],
        f"{prefix}_{key_id}_{secret[::-1]}",
        f"{prefix}_{key_id}_",
        f"x_{key_id}_{secret}",
        key_id,
    ]:
        problem(keyless_api.get("/v1/jobs", headers={"X-API-Key": wrong}), 401, "unauthorized")
    assert keyless_api.get("/v1/jobs", headers={"X-API-Key": text}).status_code == 200
    with sessions() as session:
        (stored,) = keys.list_keys(session)
    assert secret.encode() not in stored.digest
    assert stored.last_used_at is not None


def test_key_of_another_pepper_is_unauthorized(settings: Settings, make_key: MakeKey) -> None:
    headers = make_key(Scope.ADMIN)
    other = Settings.model_validate(settings.model_dump() | {"key_pepper": "another"})
    with TestClient(create_app(other)) as api:
        problem(api.get("/v1/jobs", headers=headers), 401, "unauthorized")
