"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a request that is sent twice makes one job."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.core.errors import IdempotencyInProgressError, IdempotencyMismatchError
from app.db.queries import idempotency as idempotency_queries
from app.schemas.submissions import JobOptions


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """What a request may do with its key: submit a job, or learn which job it has submitted before."""

    tenant: str
    key: str
    token: UUID
    job_id: UUID | None
    batch_id: UUID | None
    fingerprint: str | None

    @property
    def is_used(self) -> bool:
        """Whether something was submitted with the key before."""
        return self.job_id is not None or self.batch_id is not None

    def job_of(self, fingerprint: str) -> UUID:
        """The job that was submitted. Raises IdempotencyMismatchError where the key belongs to something else."""
        return self._find(self.job_id, fingerprint)

    def batch_of(self, fingerprint: str) -> UUID:
        """The batch that was submitted. Raises as ``job_of``."""
        return self._find(self.batch_id, fingerprint)

    def _find(self, found: UUID | None, fingerprint: str) -> UUID:
        if found is None or fingerprint != self.fingerprint:
            raise IdempotencyMismatchError(
                "This Idempotency-Key was used with another clip or other options. Use a new key for a new submission."
            )
        return found


def claim_key(session: Session, *, tenant: str, key: str, lock: timedelta) -> IdempotencyClaim:
    """Takes a key for a request, before its body is read.

    Raises IdempotencyInProgressError: another request has it in hand.
    """
    token = uuid7()
    with session.begin():
        row = idempotency_queries.claim_idempotency_key(session, tenant=tenant, key=key, token=token, lock=lock)
        claim = IdempotencyClaim(tenant, key, token, row.job_id, row.batch_id, row.fingerprint)
        if not claim.is_used and row.token != token:
            raise IdempotencyInProgressError(
                "A request with this Idempotency-Key is on its way. Wait for its answer, or try again.",
                retry_after_seconds=1,
            )
        return claim


def bind_key(
    session: Session,
    claim: IdempotencyClaim,
    *,
    fingerprint: str,
    job_id: UUID | None = None,
    batch_id: UUID | None = None,
) -> None:
    """Ties a key to the job or the batch that was just made, in its transaction.

    Raises IdempotencyInProgressError: the request took so long that another one has the key now.
    """
    row = idempotency_queries.find_idempotency_key(session, tenant=claim.tenant, key=claim.key, token=claim.token)
    if row is None:
        raise IdempotencyInProgressError("Another request with this Idempotency-Key has overtaken this one.")
    row.job_id, row.batch_id, row.fingerprint = job_id, batch_id, fingerprint


def release_key(session: Session, claim: IdempotencyClaim) -> None:
    """Frees a key whose request failed, so that it can be sent again at once."""
    with session.begin():
        row = idempotency_queries.find_idempotency_key(session, tenant=claim.tenant, key=claim.key, token=claim.token)
        if row is not None and row.job_id is None and row.batch_id is None:
            session.delete(row)


def fingerprint_of(what: str, options: JobOptions | None) -> str:
    """What must be equal for two submissions to be the same: the clip or where it is, and the options."""
    said = options.model_dump_json() if options else ""
    return hashlib.sha256(f"{what} {said}".encode()).hexdigest()
