"""Delete jobs, uploads and clips: tombstones in the transaction, files after the commit."""

from sqlalchemy.orm import Session

from app.core.enums import EventType
from app.db.engine import advisory_lock, db_now
from app.db.queries import jobs as job_queries
from app.db.queries import results as result_queries
from app.db.queries import webhook_outbox
from app.db.queries import webhooks as webhook_queries
from app.db.tables.jobs import Job
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.services import audit


def mark_deleted(session: Session, job: Job) -> None:
    """Leaves a tombstone of a job that has ended, in the caller's transaction; ``delete_clip_if_unreferenced`` comes after it."""
    job.mark_deleted(at=db_now(session))
    audit.record(session, "job.deleted", job.public_id, tenant=job.tenant)
    result_queries.delete_result(session, job.id)
    # In this order: whoever deletes an endpoint holds it, and goes on to its events.
    webhook_outbox.add_job_event(session, job.id, EventType.MEDIA_DELETED)
    webhook_queries.blank_events(session, job.id)


def delete_upload_files(session: Session, storage: ClipStorage, upload: ClipUpload) -> None:
    """Deletes what came of an upload that is no more; as ``delete_clip_if_unreferenced``, only after a commit."""
    storage.partial.delete(upload.public_id)
    delete_clip_if_unreferenced(session, storage, upload.clip_sha256)


def delete_clip_if_unreferenced(session: Session, storage: ClipStorage, sha256: str | None) -> None:
    """Deletes a clip, if there is one and no other job holds the same bytes.

    Only after a commit: a job that could not be deleted still needs its clip.
    """
    if sha256 is None:
        return
    with session.begin():
        advisory_lock(session, sha256)
        if not job_queries.list_used_clips(session, [sha256]):
            storage.delete_clip(sha256)
