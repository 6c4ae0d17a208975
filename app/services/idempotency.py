"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a request that is sent twice creates one job."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.core.errors import IdempotencyInProgressError, IdempotencyMismatchError
from app.db.queries import idempotency as idempotency_queries


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """A request's exclusive right to submit with its key, or the object that the key created before."""

    tenant: str
    key: str
    token: UUID
    job_id: UUID | None
    batch_id: UUID | None
    fingerprint: str | None

    @property
    def is_used(self) -> bool:
        """True if the key has created a job or batch."""
        return self.job_id is not None or self.batch_id is not None

    def job_of(self, fingerprint: str) -> UUID:
        """Return the job that the key created. Raises IdempotencyMismatchError."""
        return self._require(self.job_id, fingerprint)

    def batch_of(self, fingerprint: str) -> UUID:
        """Return the batch that the key created. Raises IdempotencyMismatchError."""
        return self._require(self.batch_id, fingerprint)

    def _require(self, found: UUID | None, fingerprint: str) -> UUID:
        if found is None or fingerprint != self.fingerprint:
            raise IdempotencyMismatchError(
                "This Idempotency-Key was used with another clip or other options. Use a new key for a new submission."
            )
        return found


def claim_key(session: Session, *, tenant: str, key: str, lock: timedelta) -> IdempotencyClaim:
    """Claim a key for a request, before its body is read.

    Raises IdempotencyInProgressError: another request has claimed it less than ``lock`` ago.
    """
    token = uuid7()
    with session.begin():
        row = idempotency_queries.claim_idempotency_key(session, tenant=tenant, key=key, token=token, lock=lock)
        claim = IdempotencyClaim(tenant, key, token, row.job_id, row.batch_id, row.fingerprint)
        if not claim.is_used and row.token != token:
            raise IdempotencyInProgressError(
                "A request with this Idempotency-Key is in progress. Wait for its answer, or try again.",
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
    """Bind a key to the job or batch that was just created, in the caller's transaction.

    Raises IdempotencyInProgressError: the claim expired and another request has the key.
    """
    row = idempotency_queries.find_idempotency_key(session, tenant=claim.tenant, key=claim.key, token=claim.token)
    if row is None:
        raise IdempotencyInProgressError("Another request with this Idempotency-Key was faster. Read its answer.")
    row.job_id, row.batch_id, row.fingerprint = job_id, batch_id, fingerprint


def release_key(session: Session, claim: IdempotencyClaim) -> None:
    """Release the key of a request that failed, so that it can be sent again at once."""
    with session.begin():
        row = idempotency_queries.find_idempotency_key(session, tenant=claim.tenant, key=claim.key, token=claim.token)
        if row is not None and row.job_id is None and row.batch_id is None:
            session.delete(row)


def fingerprint_of(*parts: str | BaseModel | None) -> str:
    """Return a digest that is equal for two equal requests. The order of the keys of JSON objects does not count."""
    described = [
        json.dumps(part.model_dump(mode="json"), sort_keys=True) if isinstance(part, BaseModel) else part or ""
        for part in parts
    ]
    return hashlib.sha256(" ".join(described).encode()).hexdigest()
