"""Jobs: may_reuse is named allow_reuse, as the option."""

from alembic import op

revision = "202611280030"
down_revision = "202611250749"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("jobs", "may_reuse", new_column_name="allow_reuse")


def downgrade() -> None:
    op.alter_column("jobs", "allow_reuse", new_column_name="may_reuse")
