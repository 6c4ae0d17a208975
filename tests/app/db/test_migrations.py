"""Migrations: they create the schema of the tables and can be reverted."""

from alembic import command
from sqlalchemy import inspect, select, text
from uuid_utils.compat import uuid7

from app.core.ids import IdPrefix, format_id
from app.db.engine import make_engine, make_sessions
from app.db.migrations import make_config, migrate
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.local.embedded_servers import create_database
from app.local.embedded_servers import database_url as url_of
from tests.support.api import read_body


def test_migrated_schema_matches_the_tables(database_url: str) -> None:
    command.check(make_config(database_url))


def test_migrations_can_be_reverted_and_applied_again(database_url: str) -> None:
    create_database(database_url, "migrations")
    url = url_of(database_url, "migrations")
    config = make_config(url)
    migrate(url)
    command.downgrade(config, "base")
    engine = make_engine(url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(url)
    assert "jobs" in inspect(engine).get_table_names()
    engine.dispose()


def test_pending_events_get_their_bodies(database_url: str) -> None:
    create_database(database_url, "bodies")
    url = url_of(database_url, "bodies")
    command.upgrade(make_config(url), "202611280030")
    engine = make_engine(url)
    with make_sessions(engine)() as session, session.begin():
        job_id = uuid7()
        # By SQL: the class has columns of later versions.
        insert = text(
            "INSERT INTO jobs (id, tenant, status, attempt, lost_attempts, client_metadata, external_id, failure_code, "
            "failure_retryable) VALUES (:id, 'default', 'failed', 1, 0, '{}', 'post-1', 'not_a_video', false)"
        )
        session.execute(insert, {"id": job_id})
        endpoint = WebhookEndpoint(tenant="default", url="https://webhooks.example/", secret="whsec_")  # noqa: S106
        session.add(endpoint)
        session.flush()
        insert = text(
            "INSERT INTO webhook_events (id, endpoint_id, type, job_id, next_at) "
            "SELECT gen_random_uuid(), :endpoint, type, :job, now() FROM unnest(ARRAY['job.queued', 'job.failed']) type"
        )
        session.execute(insert, {"endpoint": endpoint.id, "job": job_id})
        public_id = format_id(IdPrefix.JOB, job_id)
    migrate(url)
    with make_sessions(engine)() as session:
        bodies = [read_body(event) for event in session.scalars(select(WebhookEvent))]
    engine.dispose()
    data = {body["type"]: body["data"] for body in bodies}
    job_fields = {"id": public_id, "external_id": "post-1", "links": {"self": f"/v1/jobs/{public_id}"}}
    assert data["job.queued"] == job_fields | {"status": "queued"}
    described = {"status": "failed", "failure": {"code": "not_a_video", "retryable": False}}
    assert data["job.failed"] == job_fields | described
