"""All tables, imported together, because relationships and foreign keys refer to tables of other modules."""

from app.db.tables import (
    audit,
    batches,
    calibrations,
    idempotency,
    jobs,
    keys,
    models,
    policies,
    results,
    uploads,
    webhooks,
    workers,
)

__all__ = [
    "audit",
    "batches",
    "calibrations",
    "idempotency",
    "jobs",
    "keys",
    "models",
    "policies",
    "results",
    "uploads",
    "webhooks",
    "workers",
]
