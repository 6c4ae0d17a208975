"""Delete clips, jobs and records after their retention. The last reference to a clip deletes its file."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from sqlalchemy.orm import Session

from app.core.logging import make_logger
from app.core.settings import Settings
from app.db.queries import audit as audit_queries
from app.db.queries import jobs as job_queries
from app.db.queries import uploads as upload_queries
from app.db.queries import webhooks as webhook_queries
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage
from app.infra.model_imports import delete_stale_imports
from app.services.deletion import delete_clip_if_unreferenced, delete_upload_files, mark_deleted, release_clip

_ROWS_PER_SWEEP = 100
"""Jobs or files per sweep: retention must not delay the search for lost jobs."""
_ORPHAN_AGE = timedelta(hours=1)
"""Minimum age of an orphan. A younger file may belong to a job that is being inserted."""
_IMPORT_AGE = timedelta(days=1)
"""Minimum age of the files of an import that are deleted. A younger one may wait for a worker."""


class Retention:
    """Maintenance task that deletes old clips, jobs, uploads, events, audit records, and files without a reference."""

    def __init__(self, storage: ClipStorage, settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._stored: Iterator[str] = iter(())
        self._log = make_logger(part="retention")

    def __call__(self, session: Session) -> None:
        """Delete a limited number of each kind."""
        settings = self._settings
        self._delete_ended(session, "clip_deleted", release_clip, older_than=settings.clip_retention, with_clip=True)
        if settings.result_retention is not None:
            older_than = settings.result_retention
            self._delete_ended(session, "job_deleted", mark_deleted, older_than=older_than, with_clip=False)
        with session.begin():
            webhook_queries.delete_old_events(session, older_than=settings.webhook_retention, limit=_ROWS_PER_SWEEP)
        self._delete_uploads(session)
        with session.begin():
            audit_queries.delete_audit_events(session, older_than=settings.audit_retention)
        self._delete_orphans(session)
        self._storage.sweep_incoming(older_than=_ORPHAN_AGE)
        self._storage.partial.sweep(older_than=settings.upload_retention)
        delete_stale_imports(settings.installed_models, older_than=_IMPORT_AGE)

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
        log_event: str,
        delete: Callable[[Session, Job], None],
        *,
        older_than: timedelta,
        with_clip: bool,
    ) -> None:
        """Apply ``delete`` to jobs that ended long ago, then delete their clips after the commit."""
        with session.begin():
            jobs = job_queries.list_ended(session, older_than=older_than, with_clip=with_clip, limit=_ROWS_PER_SWEEP)
            for job in jobs:
                delete(session, job)
        for job in jobs:
            delete_clip_if_unreferenced(session, self._storage, job.clip_sha256)
            self._log.info(log_event, job_id=job.public_id)

    def _delete_orphans(self, session: Session) -> None:
        """Delete clips whose process died between writing the file and inserting the job."""
        stored = list(islice(self._stored, _ROWS_PER_SWEEP))
        if not stored:
            self._stored = self._storage.list_clips(older_than=_ORPHAN_AGE)
            return
        with session.begin():
            used = job_queries.list_used_clips(session, stored)
        for sha256 in set(stored) - used:
            delete_clip_if_unreferenced(session, self._storage, sha256)
            self._log.warning("orphan_deleted", clip_sha256=sha256)
