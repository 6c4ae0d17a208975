"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a request that is sent twice makes one job."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from app.db import repositories
from app.errors import IdempotencyInProgressError, IdempotencyMismatchError
from app.schemas import JobOptions


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a request may do with its key: submit a job, or learn which job it has submitted before."""

    tenant: str
    key: str
    token: UUID
    job_id: UUID | None
    fingerprint: str | None

    def check(self, fingerprint: str) -> None:
        """Raises IdempotencyMismatchError where the key belongs to another submission."""
        if fingerprint != self.fingerprint:
            raise IdempotencyMismatchError(
                "This Idempotency-Key was used with another clip or other options. Use a new key for a new submission."
            )


def take_key(session: Session, *, tenant: str, key: str, lock: timedelta) -> Ticket:
    """Takes a key for a request, before its body is read.

    Raises IdempotencyInProgressError: another request has it in hand.
    """
    token = uuid7()
    with session.begin():
        row = repositories.take_idempotency_key(session, tenant=tenant, key=key, token=token, lock=lock)
        if row.job_id is None and row.token != token:
            raise IdempotencyInProgressError(
                "A request with this Idempotency-Key is on its way. Wait for its answer, or try again.",
                retry_after_seconds=1,
            )
        return Ticket(tenant, key, token, row.job_id, row.fingerprint)


def use_key(session: Session, ticket: Ticket, *, job_id: UUID, fingerprint: str) -> None:
    """Ties a key to the job that was just made, in the job's transaction.

    Raises IdempotencyInProgressError: the request took so long that another one has the key now.
    """
    row = repositories.find_idempotency_key(session, tenant=ticket.tenant, key=ticket.key, token=ticket.token)
    if row is None:
        raise IdempotencyInProgressError("Another request with this Idempotency-Key has overtaken this one.")
    row.job_id, row.fingerprint = job_id, fingerprint


def give_back_key(session: Session, ticket: Ticket) -> None:
    """Frees a key whose request failed, so that it can be sent again at once."""
    with session.begin():
        row = repositories.find_idempotency_key(session, tenant=ticket.tenant, key=ticket.key, token=ticket.token)
        if row is not None and row.job_id is None:
            session.delete(row)


def fingerprint_of(clip_sha256: str, options: JobOptions) -> str:
    """What must be equal for two submissions to be the same."""
    return hashlib.sha256(f"{clip_sha256} {options.model_dump_json()}".encode()).hexdigest()
