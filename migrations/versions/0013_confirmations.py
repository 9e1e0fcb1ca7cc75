"""what persons decided about reports"""

import sqlalchemy as sa
from alembic import op

from fhir_ecg.store.base import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "confirmation",
        sa.Column("report_id", sa.String(length=64), nullable=False),
        sa.Column("report_version", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("interpreters", sa.JSON(), nullable=False),
        sa.Column("client", sa.String(length=255), nullable=True),
        sa.Column("machine_version", sa.Integer(), nullable=True),
        sa.Column("read_at", UtcDateTime(), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("report_id", "report_version", name=op.f("pk_confirmation")),
    )
    op.create_index(op.f("ix_confirmation_read_at_report_id"), "confirmation", ["read_at", "report_id"])


def downgrade() -> None:
    op.drop_table("confirmation")
