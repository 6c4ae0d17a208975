"""Sweeper: one sweep runs the maintenance tasks."""

from datetime import timedelta

from fastapi.testclient import TestClient
from sqlalchemy import update

from app.db.tables.idempotency import IdempotencyKey
from app.maintenance.sweeper import Sweeper
from tests.support.api import Sessions, submit


def test_sweep_deletes_old_idempotency_keys(api: TestClient, sessions: Sessions) -> None:
    key = {"Idempotency-Key": "k"}
    first = submit(api, headers=key)["id"]
    with sessions() as session, session.begin():
        session.execute(update(IdempotencyKey).values(created_at=IdempotencyKey.created_at - timedelta(days=2)))
    resources = api.app.state.resources  # type: ignore[attr-defined]
    Sweeper(sessions, resources.notifier, interval=timedelta(minutes=1), max_attempts=3).sweep()
    assert submit(api, headers=key)["id"] != first
