"""All tables, imported together: relationships and foreign keys name tables of other modules."""

from app.db.tables import audit, batches, idempotency, jobs, keys, policies, results, uploads, webhooks

__all__ = ["audit", "batches", "idempotency", "jobs", "keys", "policies", "results", "uploads", "webhooks"]
