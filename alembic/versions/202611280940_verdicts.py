"""Five verdicts with rates of calibrations that have counts; default models, own calibrations, workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "202611280940"
down_revision = "202611280400"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nothing is released: calibrations without counts give no verdict. Their results are deleted, their jobs stay.
    op.execute("DELETE FROM frame_scores")
    op.execute("DELETE FROM results")
    op.execute("DELETE FROM calibrations")
    op.add_column("jobs", sa.Column("start_seconds", sa.Float()))
    op.add_column("jobs", sa.Column("end_seconds", sa.Float()))
    op.create_table(
        "default_models",
        sa.Column("sha256", sa.String(), primary_key=True),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("calibration_sha256", sa.String(), sa.ForeignKey("calibrations.sha256"), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "own_calibrations",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.String(), nullable=False, index=True),
        sa.Column("model_calibration_sha256", sa.String(), sa.ForeignKey("calibrations.sha256"), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    op.create_index(
        "ix_own_calibrations_active",
        "own_calibrations",
        ["tenant", "model_calibration_sha256"],
        unique=True,
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "model_imports",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("queued", "checking", "ready", "failed", name="importstatus", native_enum=False, length=32),
            nullable=False,
            index=True,
        ),
        sa.Column("name", sa.String()),
        sa.Column("version", sa.String()),
        sa.Column("reason", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
    )


def downgrade() -> None:
    op.drop_column("jobs", "end_seconds")
    op.drop_column("jobs", "start_seconds")
    op.drop_table("model_imports")
    op.drop_table("workers")
    op.drop_table("own_calibrations")
    op.drop_table("default_models")
