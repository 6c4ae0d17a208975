"""All tables, imported together, because relationships and foreign keys refer to tables of other modules."""

from app.db.tables import audit, batches, idempotency, jobs, keys, policies, results, uploads, webhooks

__all__ = ["audit", "batches", "idempotency", "jobs", "keys", "policies", "results", "uploads", "webhooks"]
