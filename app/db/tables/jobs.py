"""The tables of jobs: transitions, results and what they were judged by, frames, feedback."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from app.core.enums import NEXT_STATUSES, FailureCode, FeedbackLabel, JobStatus, Phase, Priority, Verdict
from app.db.engine import Base, enum_column

if TYPE_CHECKING:
    from app.db.tables.results import Result


def format_job_id(job_id: UUID) -> str:
    """The id that clients see."""
    return f"job_{job_id.hex}"


class IllegalTransitionError(Exception):
    """A defect in the caller: the job cannot move from its status to that one."""


class Job(Base):
    """One request to judge one clip. The row is the truth; a message in Redis only carries its id."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease_while_running"),
        Index("ix_jobs_queue", "turn_at", postgresql_where=text("status = 'queued'")),
        Index("ix_jobs_with_clip", "finished_at", postgresql_where=text("clip_deleted_at IS NULL")),
        Index("ix_jobs_lease", "lease_until", postgresql_where=text("status = 'running'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str] = mapped_column(index=True)
    """Whose it is: nobody else learns that it exists."""
    status: Mapped[JobStatus] = mapped_column(enum_column(JobStatus), default=JobStatus.QUEUED)
    priority: Mapped[Priority] = mapped_column(enum_column(Priority), default=Priority.LIVE, server_default="live")
    turn_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Jobs are claimed in this order: when they came, plus the time for which a batch job lets others pass."""
    start_before: Mapped[datetime | None]
    """A job that has not started by then expires."""
    external_id: Mapped[str | None] = mapped_column(index=True)
    client_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    model: Mapped[str | None]
    """Name of the installed model that was asked for."""
    allow_reuse: Mapped[bool] = mapped_column(default=True, server_default=true())
    """Whether a finished result for the same bytes will do."""
    deduplicated_from: Mapped[UUID | None]
    """The job whose result this one was given."""
    webhook_endpoint_id: Mapped[UUID | None] = mapped_column(index=True)
    """The endpoint that the job named. No foreign key: whoever deletes an endpoint must not wait for its jobs, which
    wait for it when they tell of themselves."""
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policies.id"))
    """What turns probabilities into a verdict; None: the model's own thresholds."""
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="SET NULL"), index=True)
    reanalysis_of: Mapped[UUID | None]
    """The job whose clip this one looks at again."""
    clip_name: Mapped[str | None]
    clip_url: Mapped[str | None]
    """Where a worker gets the clip, and has got it once there is a SHA-256."""
    clip_sha256: Mapped[str | None] = mapped_column(index=True)
    clip_bytes: Mapped[int | None] = mapped_column(BigInteger)
    clip_deleted_at: Mapped[datetime | None]
    """When the file was deleted; the result may outlive it."""

    attempt: Mapped[int] = mapped_column(default=0)
    """Number of the latest attempt; it fences off the writes of earlier ones."""
    lost_attempts: Mapped[int] = mapped_column(default=0)
    """Attempts whose worker vanished; one that was asked to stop does not count."""
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    phase: Mapped[Phase | None] = mapped_column(enum_column(Phase))
    progress_done: Mapped[int | None] = mapped_column(BigInteger)
    progress_total: Mapped[int | None] = mapped_column(BigInteger)

    verdict: Mapped[Verdict | None] = mapped_column(enum_column(Verdict), index=True)
    failure_code: Mapped[FailureCode | None] = mapped_column(enum_column(FailureCode))
    failure_message: Mapped[str | None]
    failure_retryable: Mapped[bool | None]

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    transitions: Mapped[list["Transition"]] = relationship(lazy="raise", order_by="Transition.id")
    result: Mapped["Result | None"] = relationship("Result", lazy="raise")

    @property
    def public_id(self) -> str:
        """The id that clients see."""
        return format_job_id(self.id)

    def move_to(self, status: JobStatus, *, at: datetime, worker: str | None = None) -> "Transition":
        """Changes the status; the only place that does.

        Args:
            status: The next status.
            at: The database's time.
            worker: Who moved the job, where it was a worker.

        Returns:
            The record of the move; the caller adds it to its session.

        Raises:
            IllegalTransitionError: The move is not in ``NEXT_STATUSES``.
        """
        if status not in NEXT_STATUSES[self.status]:
            raise IllegalTransitionError(f"{self.public_id}: {self.status} -> {status}")
        self.status = status
        self.lease_owner = self.lease_until = self.phase = self.progress_done = self.progress_total = None
        if status is JobStatus.QUEUED:
            self.queued_at = at
        if status.is_final:
            self.finished_at = at
        return Transition(job_id=self.id, status=status, attempt=self.attempt, worker=worker, at=at)

    def mark_deleted(self, *, at: datetime) -> None:
        """Leaves a tombstone: what the client said about the clip goes, the fact that there was a job stays."""
        self.deleted_at = at
        self.clip_deleted_at = self.clip_deleted_at or at
        self.clip_name = self.clip_url = self.external_id = None
        self.client_metadata = {}


class Transition(Base):
    """One change of a job's status: append-only history."""

    __tablename__ = "transitions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    status: Mapped[JobStatus] = mapped_column(enum_column(JobStatus))
    attempt: Mapped[int]
    worker: Mapped[str | None]
    at: Mapped[datetime]


class Feedback(Base):
    """What a person said of a clip: kept, never overwritten."""

    __tablename__ = "feedback"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    label: Mapped[FeedbackLabel] = mapped_column(enum_column(FeedbackLabel))
    category: Mapped[str | None]
    note: Mapped[str | None]
    key_id: Mapped[str]
    """The API key that it came with."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
