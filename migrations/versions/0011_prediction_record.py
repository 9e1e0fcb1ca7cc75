"""prediction record: circumstances of readings, cancellations, weights"""

import sqlalchemy as sa
from alembic import op

from fhir_ecg.store.base import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BY_TIME = "ix_prediction_finished_at_report_id"


def _circumstances() -> list[sa.Column]:
    return [
        sa.Column("report_version", sa.Integer(), nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        *(sa.Column(name, sa.JSON(), nullable=True) for name in ("environment", "policy", "sources", "timings")),
    ]


def upgrade() -> None:
    op.create_table(
        "weights",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("added_at", UtcDateTime(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_weights")),
    )
    op.create_table(
        "cancellation",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("report_id", sa.String(length=64), nullable=False),
        sa.Column("observation_id", sa.String(length=64), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("software_version", sa.String(length=255), nullable=False),
        sa.Column("recording_sha256", sa.String(length=64), nullable=True),
        sa.Column("repairs", sa.JSON(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=False),
        *_circumstances(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cancellation")),
    )
    for columns in (["report_id"], ["observation_id"], ["finished_at", "report_id"]):
        op.create_index(op.f("_".join(["ix", "cancellation", *columns])), "cancellation", columns)
    with op.batch_alter_table("prediction", schema=None) as batch_op:
        for column in _circumstances():
            batch_op.add_column(column)
        batch_op.create_index(batch_op.f(_BY_TIME), ["finished_at", "report_id"])


def downgrade() -> None:
    with op.batch_alter_table("prediction", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f(_BY_TIME))
        for column in reversed(_circumstances()):
            batch_op.drop_column(column.name)
    op.drop_table("cancellation")
    op.drop_table("weights")
