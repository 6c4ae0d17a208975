"""Delete jobs, uploads and clips: tombstones in the transaction, files after the commit."""

from sqlalchemy.orm import Session

from app.core.enums import EventType
from app.db.engine import advisory_lock, db_now
from app.db.queries import jobs as job_queries
from app.db.queries import results as result_queries
from app.db.queries import webhooks as webhook_queries
from app.db.tables.jobs import Job
from app.db.tables.uploads import ClipUpload
from app.infra.clip_storage import ClipStorage
from app.services import audit
from app.services.webhook_events import emit_job_event


def mark_deleted(session: Session, job: Job) -> None:
    """Turn a job that has ended into a tombstone, in the caller's transaction.

    Call ``delete_clip_if_unreferenced`` after the commit.
    """
    job.mark_deleted(at=db_now(session))
    audit.record(session, "job.deleted", job.public_id, tenant=job.tenant)
    result_queries.delete_result(session, job.id)
    # Endpoints before events: the deletion of an endpoint locks them in this order.
    emit_job_event(session, job, EventType.MEDIA_DELETED)
    webhook_queries.erase_events(session, job.id)


def release_clip(session: Session, job: Job) -> None:
    """Record that a job no longer references its clip, in the caller's transaction. Its result stays."""
    job.clip_deleted_at = db_now(session)
    audit.record(session, "clip.deleted", job.public_id, tenant=job.tenant)
    emit_job_event(session, job, EventType.MEDIA_DELETED)


def delete_upload_files(session: Session, storage: ClipStorage, upload: ClipUpload) -> None:
    """Delete the files of an upload whose row was deleted. Call it after the commit."""
    storage.partial.delete(upload.public_id)
    delete_clip_if_unreferenced(session, storage, upload.clip_sha256)


def delete_clip_if_unreferenced(session: Session, storage: ClipStorage, sha256: str | None) -> None:
    """Delete a clip if no job or upload references its bytes.

    Call it after the commit: a job whose deletion failed still needs its clip.
    """
    if sha256 is None:
        return
    with session.begin():
        advisory_lock(session, sha256)
        if not job_queries.list_used_clips(session, [sha256]):
            storage.delete_clip(sha256)
