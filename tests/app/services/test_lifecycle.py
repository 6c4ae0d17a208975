"""Lifecycle of jobs: the two writers of a status, what they publish, and the invariants of random histories."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, select, text

from app.core.enums import EventType, FailureCode, JobStatus, Phase
from app.core.errors import NotCancelableError
from app.db.queries.transitions import JOB_CHANNEL
from app.db.tables.jobs import IllegalTransitionError, Job, Transition
from app.db.tables.results import Result
from app.db.tables.webhooks import WebhookEndpoint, WebhookEvent
from app.infra.egress import EgressPolicy
from app.schemas.webhooks import WebhookEndpointRequest
from app.services import attempts, jobs, models
from app.services.attempts import Attempt
from app.services.keys import DEFAULT_TENANT
from app.services.lifecycle import create_job, move_job
from app.services.webhooks import create_endpoint
from tests.support.api import Sessions
from tests.support.factories import make_attempt_result
from tests.support.jobs import EXPIRED, LEASE, claim_next, make_job, queue_job, read_job, requeue_lost

ROOT = Path(__file__).parents[3]
WRITERS = {"app/db/tables/jobs.py", "app/services/lifecycle.py"}
"""Modules that may change the status of a job."""
PROGRESS = (Phase.EXTRACTING, 1, 16)


@pytest.fixture
def notifications(engine: Engine) -> Iterator[psycopg.Connection]:
    """Listen to notifications of jobs."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"LISTEN {JOB_CHANNEL}".encode())
        yield connection


@pytest.fixture
def endpoint(sessions: Sessions) -> WebhookEndpoint:
    """Create a webhook endpoint for all jobs."""
    request = WebhookEndpointRequest(url="https://webhooks.example/")
    with sessions() as session:
        return create_endpoint(session, EgressPolicy(()), tenant=DEFAULT_TENANT, request=request)


def read_published(
    sessions: Sessions, notifications: psycopg.Connection
) -> tuple[list[JobStatus], list[EventType], list[str]]:
    """Return the committed transitions and events, and the notifications since the last call."""
    with sessions() as session:
        transitions = list(session.scalars(select(Transition.status).order_by(Transition.id)))
        events = list(session.scalars(select(WebhookEvent.type).order_by(WebhookEvent.created_at)))
    return transitions, events, [notice.payload for notice in notifications.notifies(timeout=0.3)]


@pytest.mark.usefixtures("endpoint")
def test_created_job_is_published_at_the_commit(sessions: Sessions, notifications: psycopg.Connection) -> None:
    with sessions() as session:
        with session.begin():
            job = make_job()
            create_job(session, job)
            assert read_published(sessions, notifications) == ([], [], [])
        job_id = job.id
    assert read_published(sessions, notifications) == ([JobStatus.QUEUED], [EventType.JOB_QUEUED], [str(job_id)])
    assert read_job(sessions, job_id).status is JobStatus.QUEUED


@pytest.mark.usefixtures("endpoint")
def test_created_job_is_not_published_after_rollback(sessions: Sessions, notifications: psycopg.Connection) -> None:
    with sessions() as session:
        create_job(session, make_job())
        session.rollback()
    assert read_published(sessions, notifications) == ([], [], [])
    with sessions() as session:
        assert session.scalars(select(Job)).all() == []


@pytest.mark.usefixtures("endpoint")
def test_moved_job_is_published_at_the_commit(sessions: Sessions, notifications: psycopg.Connection) -> None:
    job_id = queue_job(sessions)
    queued = read_published(sessions, notifications)
    with sessions() as session, session.begin():
        transition = move_job(session, session.get_one(Job, job_id), JobStatus.RUNNING, worker="w", lease=LEASE)
        started_at = transition.at
        assert read_published(sessions, notifications) == (queued[0], queued[1], [])
    transitions, events, notified = read_published(sessions, notifications)
    assert transitions == [JobStatus.QUEUED, JobStatus.RUNNING]
    assert events == [EventType.JOB_QUEUED, EventType.JOB_STARTED]
    assert notified == [str(job_id)]
    job = read_job(sessions, job_id)
    assert (job.status, job.lease_owner, job.lease_until) == (JobStatus.RUNNING, "w", started_at + LEASE)


@pytest.mark.usefixtures("endpoint")
def test_moved_job_is_not_published_after_rollback(sessions: Sessions, notifications: psycopg.Connection) -> None:
    job_id = queue_job(sessions)
    queued = read_published(sessions, notifications)
    with sessions() as session:
        move_job(session, session.get_one(Job, job_id), JobStatus.CANCELED)
        session.rollback()
    assert read_published(sessions, notifications) == (queued[0], queued[1], [])
    assert read_job(sessions, job_id).status is JobStatus.QUEUED


@pytest.mark.usefixtures("endpoint")
def test_illegal_transition_raises_and_publishes_nothing(sessions: Sessions, notifications: psycopg.Connection) -> None:
    job_id = queue_job(sessions)
    queued = read_published(sessions, notifications)
    with sessions() as session, session.begin(), pytest.raises(IllegalTransitionError, match="queued -> queued"):
        move_job(session, session.get_one(Job, job_id), JobStatus.QUEUED)
    assert read_published(sessions, notifications) == (queued[0], queued[1], [])
    assert read_job(sessions, job_id).status is JobStatus.QUEUED


def find_status_writes(path: Path) -> Iterator[str]:
    """Yield the statements of a module that change the status of a job."""
    for node in ast.walk(ast.parse(path.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        assigns = any(isinstance(target, ast.Attribute) and target.attr == "status" for target in targets)
        keywords = {keyword.arg for keyword in node.keywords} if isinstance(node, ast.Call) else set()
        called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        creates = name == "Job" and "status" in keywords
        sets = name == "setattr" and "'status'" in ast.unparse(node)
        updates = called == "values" and ("status" in keywords or "Job.status:" in ast.unparse(node))
        # Files have a method 'move_to', too; only the one of jobs takes a time.
        if assigns or creates or sets or updates or (called == "move_to" and "at" in keywords):
            yield ast.unparse(node)


def test_only_lifecycle_changes_the_status_of_a_job() -> None:
    paths = [path for folder in ("app", "worker") for path in (ROOT / folder).rglob("*.py")]
    paths.remove(ROOT / "app/services/models.py")  # the imports of models have a status, too
    assert "Job" not in vars(models)
    found = {str(path.relative_to(ROOT)): list(find_status_writes(path)) for path in paths}
    assert {path for path, statements in found.items() if statements} == WRITERS


class JobHistory(RuleBasedStateMachine):
    """Random histories of submissions, claims, crashes, commits and cancellations."""

    sessions: Sessions

    def __init__(self) -> None:
        super().__init__()
        with self.sessions() as session, session.begin():
            session.execute(text("TRUNCATE jobs CASCADE"))
        self.attempts: list[Attempt] = []
        self.stored: list[UUID] = []
        self.ended: dict[UUID, JobStatus] = {}

    @rule()
    def submit(self) -> None:
        queue_job(self.sessions)

    @rule(lease=st.sampled_from([LEASE, EXPIRED]))
    def claim(self, lease: timedelta) -> None:
        if (attempt := claim_next(self.sessions, lease=lease)) is not None:
            self.attempts.append(attempt)

    @rule(data=st.data(), outcome=st.sampled_from(["succeed", "fail", "release", "renew", "cancel"]))
    def end_attempt(self, data: Any, outcome: str) -> None:
        if not self.attempts:
            return
        attempt = data.draw(st.sampled_from(self.attempts))
        with self.sessions() as session:
            if outcome == "succeed" and attempts.succeed(session, attempt, make_attempt_result(frames=2)):
                self.stored.append(attempt.job_id)
            elif outcome == "fail":
                attempts.fail(session, attempt, code=FailureCode.DECODE_ERROR, message="", retryable=False)
            elif outcome == "release":
                attempts.release(session, attempt)
            elif outcome == "renew":
                attempts.renew_lease(session, attempt, lease=LEASE, progress=PROGRESS, emit_progress=False)
            elif outcome == "cancel":
                with suppress(NotCancelableError):
                    jobs.cancel_job(session, attempt.job_id, tenant=DEFAULT_TENANT)

    @rule()
    def sweep(self) -> None:
        requeue_lost(self.sessions)

    @invariant()
    def job_has_one_result_at_most_and_keeps_its_final_status(self) -> None:
        assert len(self.stored) == len(set(self.stored))
        with self.sessions() as session:
            found = session.scalars(select(Job)).all()
            results = set(session.scalars(select(Result.job_id)).all())
        assert results == set(self.stored) == {job.id for job in found if job.status is JobStatus.SUCCEEDED}
        for job in found:
            assert self.ended.setdefault(job.id, job.status) == job.status or not self.ended[job.id].is_final
            self.ended[job.id] = job.status
            assert job.lost_attempts <= 3


def test_random_histories_keep_the_invariants(sessions: Sessions) -> None:
    JobHistory.sessions = sessions
    run_state_machine_as_test(
        JobHistory,
        settings=settings(max_examples=25, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )
