"""what has expired, and what a legal hold keeps from that"""

import sqlalchemy as sa
from alembic import op

from fhir_ecg.store.base import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_EXPIRING = ("submission", "resource_version")


def upgrade() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("patient", sa.JSON(), nullable=True),
        sa.Column("observation_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=4000), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("release_reason", sa.String(length=4000), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_hold")),
    )
    for table in _EXPIRING:
        op.add_column(table, sa.Column("expired_at", UtcDateTime(), nullable=True))
    op.create_index(op.f("ix_job_created_at_id"), "job", ["created_at", "id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_job_created_at_id"), table_name="job")
    # Not in a batch, which would make the tables anew on SQLite while others refer to them.
    for table in _EXPIRING:
        op.drop_column(table, "expired_at")
    op.drop_table("legal_hold")
