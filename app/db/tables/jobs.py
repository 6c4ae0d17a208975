"""Tables of jobs, their transitions and feedback."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, func, text, true
from sqlalchemy.orm import Mapped, mapped_column, relationship
from uuid_utils.compat import uuid7

from app.core.enums import NEXT_STATUSES, FailureCode, FeedbackLabel, JobStatus, Phase, Priority, Verdict
from app.core.ids import IdPrefix, format_id
from app.db.engine import Base, enum_column

if TYPE_CHECKING:
    from app.db.tables.results import Result


class IllegalTransitionError(Exception):
    """Transition that ``NEXT_STATUSES`` does not allow: a defect of the caller."""


class Job(Base):
    """Request to analyze one clip. This row is authoritative; a message in Redis is only a hint."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("(status = 'running') = (lease_until IS NOT NULL)", name="lease_while_running"),
        Index("ix_jobs_queue", "turn_at", postgresql_where=text("status = 'queued'")),
        Index("ix_jobs_with_clip", "finished_at", postgresql_where=text("clip_deleted_at IS NULL")),
        Index("ix_jobs_lease", "lease_until", postgresql_where=text("status = 'running'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    tenant: Mapped[str] = mapped_column(index=True)
    """Owner of the job. Other tenants cannot see that it exists."""
    status: Mapped[JobStatus] = mapped_column(enum_column(JobStatus), default=JobStatus.QUEUED)
    priority: Mapped[Priority] = mapped_column(enum_column(Priority), default=Priority.LIVE, server_default="live")
    turn_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Sort key of the queue: the time of submission, plus ``batch_delay`` for batch jobs."""
    start_before: Mapped[datetime | None]
    """Deadline; a job that has not started by then expires."""
    external_id: Mapped[str | None] = mapped_column(index=True)
    client_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    model: Mapped[str | None]
    """Name of the requested model; None selects the workers' default."""
    start_seconds: Mapped[float | None]
    end_seconds: Mapped[float | None]
    """Part of the clip that is analyzed; None: its begin, its end."""
    allow_reuse: Mapped[bool] = mapped_column(default=True, server_default=true())
    """True if the job may reuse a finished result for the same bytes."""
    deduplicated_from: Mapped[UUID | None]
    """Job whose result this one reuses."""
    webhook_endpoint_id: Mapped[UUID | None] = mapped_column(index=True)
    """Endpoint of the job's ``webhook_url``.

    No foreign key: deleting an endpoint would deadlock with jobs that insert events for it.
    """
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policies.id"))
    """Policy that decides the verdict; None selects the model's own thresholds."""
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="SET NULL"), index=True)
    reanalysis_of: Mapped[UUID | None]
    """Job whose clip this one reanalyzes."""
    clip_name: Mapped[str | None]
    clip_url: Mapped[str | None]
    """URL from which a worker fetches the clip; fetched once ``clip_sha256`` is set."""
    clip_sha256: Mapped[str | None] = mapped_column(index=True)
    clip_bytes: Mapped[int | None] = mapped_column(BigInteger)
    clip_deleted_at: Mapped[datetime | None]
    """Time at which the file was deleted; the result may be kept longer."""

    attempt: Mapped[int] = mapped_column(default=0)
    """Number of the latest attempt; the fence against writes of earlier ones."""
    lost_attempts: Mapped[int] = mapped_column(default=0)
    """Number of attempts with a lost worker. A worker that shut down regularly does not count."""
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
        """Id that clients see."""
        return format_id(IdPrefix.JOB, self.id)

    def move_to(self, status: JobStatus, *, at: datetime, worker: str | None = None) -> "Transition":
        """Change the status. Only ``services.lifecycle`` calls this.

        Args:
            status: The next status.
            at: The time of the database.
            worker: Name of the worker, if one caused the transition.

        Returns:
            The transition; the caller adds it to its session.

        Raises:
            IllegalTransitionError: ``NEXT_STATUSES`` does not allow the transition.
        """
        if status not in NEXT_STATUSES[self.status]:
            raise IllegalTransitionError(f"{self.public_id}: {self.status} -> {status}")
        self.status = status
        self.lease_owner = self.lease_until = self.phase = self.progress_done = self.progress_total = None
        if status is JobStatus.QUEUED:
            self.queued_at = at
        if status is JobStatus.RUNNING:
            self.phase, self.progress_done = Phase.FETCHING, 0
            self.started_at = self.started_at or at
        if status.is_final:
            self.finished_at = at
        return Transition(job_id=self.id, status=status, attempt=self.attempt, worker=worker, at=at)

    def mark_deleted(self, *, at: datetime) -> None:
        """Turn the job into a tombstone: remove the client's data, keep the fact that the job existed."""
        self.deleted_at = at
        self.clip_deleted_at = self.clip_deleted_at or at
        self.clip_name = self.clip_url = self.external_id = None
        self.client_metadata = {}


class Transition(Base):
    """Change of a job's status, in an append-only history."""

    __tablename__ = "transitions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    status: Mapped[JobStatus] = mapped_column(enum_column(JobStatus))
    attempt: Mapped[int]
    worker: Mapped[str | None]
    at: Mapped[datetime]


class Feedback(Base):
    """Label that a person gave a clip. Append-only: new feedback does not replace earlier feedback."""

    __tablename__ = "feedback"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    label: Mapped[FeedbackLabel] = mapped_column(enum_column(FeedbackLabel))
    category: Mapped[str | None]
    note: Mapped[str | None]
    key_id: Mapped[str]
    """API key of the request."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
