"""tenants_and_keys."""

import sqlalchemy as sa
from alembic import op

revision = "202611250250"
down_revision = "202611242359"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.add_column("jobs", sa.Column("tenant", sa.String(), server_default="default", nullable=False))
    op.alter_column("jobs", "tenant", server_default=None)
    op.create_index(op.f("ix_jobs_tenant"), "jobs", ["tenant"])


def downgrade() -> None:
    op.drop_index(op.f("ix_jobs_tenant"), table_name="jobs")
    op.drop_column("jobs", "tenant")
    op.drop_table("api_keys")
