"""Webhook events: the body is stored with the event, so that each delivery sends the same."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "202611280400"
down_revision = "202611280030"
branch_labels = None
depends_on = None

_JOB_BODIES = """
UPDATE webhook_events e SET body = jsonb_build_object(
    'type', e.type, 'timestamp', e.created_at,
    'data', jsonb_build_object(
        'id', 'job_' || replace(j.id::text, '-', ''),
        'status', CASE e.type WHEN 'job.queued' THEN 'queued' WHEN 'job.started' THEN 'running'
            WHEN 'job.succeeded' THEN 'succeeded' WHEN 'job.failed' THEN 'failed'
            WHEN 'job.canceled' THEN 'canceled' WHEN 'job.expired' THEN 'expired' ELSE j.status END,
        'external_id', j.external_id,
        'links', jsonb_build_object('self', '/v1/jobs/job_' || replace(j.id::text, '-', ''))
    )
    || CASE e.type WHEN 'job.succeeded' THEN jsonb_build_object('verdict', j.verdict,
        'probability', (SELECT r.payload -> 'probability' FROM results r WHERE r.job_id = j.id),
        'recommended_action', (SELECT r.payload -> 'recommended_action' FROM results r WHERE r.job_id = j.id))
       WHEN 'job.failed' THEN jsonb_build_object('failure', jsonb_build_object(
        'code', j.failure_code, 'retryable', j.failure_retryable))
       ELSE '{}'::jsonb END
    || coalesce(e.data, '{}'::jsonb)
)::text
FROM jobs j WHERE j.id = e.job_id AND (j.deleted_at IS NULL OR e.type = 'media.deleted')
"""
_OTHER_BODIES = """
UPDATE webhook_events SET body = jsonb_build_object(
    'type', type, 'timestamp', created_at, 'data', coalesce(data, '{}'::jsonb))::text
WHERE job_id IS NULL
"""


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("body", sa.String()))
    op.execute(_JOB_BODIES)
    op.execute(_OTHER_BODIES)
    op.execute("UPDATE webhook_events SET next_at = NULL WHERE body IS NULL")
    op.drop_column("webhook_events", "data")


def downgrade() -> None:
    op.add_column("webhook_events", sa.Column("data", JSONB()))
    op.execute("UPDATE webhook_events SET data = body::jsonb -> 'data'")
    op.drop_column("webhook_events", "body")
