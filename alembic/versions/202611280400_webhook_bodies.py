"""Webhook events: the body is stored with the event, so that each delivery sends the same."""

import sqlalchemy as sa
from alembic import op

revision = "202611280400"
down_revision = "202611280030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_events", sa.Column("body", sa.String()))
    op.execute(
        "UPDATE webhook_events SET body = json_build_object("
        "'type', type, 'timestamp', created_at, 'data', coalesce(data, '{}'::jsonb))::text WHERE next_at IS NOT NULL"
    )
    op.drop_column("webhook_events", "data")


def downgrade() -> None:
    op.add_column("webhook_events", sa.Column("data", sa.dialects.postgresql.JSONB()))
    op.execute("UPDATE webhook_events SET data = body::jsonb -> 'data'")
    op.drop_column("webhook_events", "body")
