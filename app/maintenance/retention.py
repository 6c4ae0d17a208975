"""How long clips and results are kept. Clips are shared by content: the last job that holds one takes it along."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from sqlalchemy.orm import Session

from app.core.enums import EventType
from app.core.logging import make_logger
from app.core.settings import Settings
from app.db.engine import db_now
from app.db.queries import audit as audit_queries
from app.db.queries import jobs as job_queries
from app.db.queries import uploads as upload_queries
from app.db.queries import webhook_outbox
from app.db.queries import webhooks as webhook_queries
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage
from app.services import audit
from app.services.deletion import delete_clip_if_unreferenced, delete_upload_files, mark_deleted

_ROWS_PER_SWEEP = 100
"""Jobs, or files, that one sweep looks at: it must not hold up the search for lost jobs."""
_ORPHAN_AGE = timedelta(hours=1)
"""A younger file may be one whose job is being written."""


class Retention:
    """Deletes what is older than the settings keep it, and what nobody holds; called at each sweep."""

    def __init__(self, storage: ClipStorage, settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._stored: Iterator[str] = iter(())
        self._log = make_logger(part="retention")

    def __call__(self, session: Session) -> None:
        """One round."""
        settings = self._settings
        self._delete_ended(session, "clip_deleted", release_clip, older_than=settings.clip_retention, with_clip=True)
        if settings.result_retention is not None:
            self._delete_ended(
                session, "job_deleted", mark_deleted, older_than=settings.result_retention, with_clip=False
            )
        with session.begin():
            webhook_queries.delete_old(session, older_than=settings.webhook_retention, limit=_ROWS_PER_SWEEP)
        self._delete_uploads(session)
        with session.begin():
            audit_queries.delete_audit_events(session, older_than=settings.audit_retention)
        self._delete_orphans(session)
        self._storage.sweep_incoming(older_than=_ORPHAN_AGE)
        self._storage.partial.sweep(older_than=settings.upload_retention)

    def _delete_uploads(self, session: Session) -> None:
        with session.begin():
            expired = upload_queries.list_expired_uploads(session, limit=_ROWS_PER_SWEEP)
            for upload in expired:
                session.delete(upload)
        for upload in expired:
            delete_upload_files(session, self._storage, upload)

    def _delete_ended(
        self,
        session: Session,
        event: str,
        delete: Callable[[Session, Job], None],
        *,
        older_than: timedelta,
        with_clip: bool,
    ) -> None:
        """Deletes of jobs that ended long ago; their clips after the commit."""
        with session.begin():
            jobs = job_queries.list_ended(session, older_than=older_than, with_clip=with_clip, limit=_ROWS_PER_SWEEP)
            for job in jobs:
                delete(session, job)
        for job in jobs:
            delete_clip_if_unreferenced(session, self._storage, job.clip_sha256)
            self._log.info(event, job_id=job.public_id)

    def _delete_orphans(self, session: Session) -> None:
        """Clips that a process left which died between the disk and the database; some are looked at in each round."""
        stored = list(islice(self._stored, _ROWS_PER_SWEEP))
        if not stored:
            self._stored = self._storage.list_clips(older_than=_ORPHAN_AGE)
            return
        with session.begin():
            used = job_queries.list_used_clips(session, stored)
        for sha256 in set(stored) - used:
            delete_clip_if_unreferenced(session, self._storage, sha256)
            self._log.warning("orphan_deleted", clip_sha256=sha256)


def release_clip(session: Session, job: Job) -> None:
    """The job holds its clip no longer; its result stays."""
    job.clip_deleted_at = db_now(session)
    audit.record(session, "clip.deleted", job.public_id, tenant=job.tenant)
    webhook_outbox.add_job_event(session, job.id, EventType.MEDIA_DELETED)
