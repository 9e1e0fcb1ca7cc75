"""the audit chain"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from fhir_ecg.store.audit_chain import LANES, digest_of_genesis

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COUNTED = ("submission", "resource_version", "prediction", "job", "admission", "audit_event")


def upgrade() -> None:
    with op.batch_alter_table("audit_event", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lane", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("position", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("previous", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("digests", sa.JSON(), nullable=True))
        batch_op.create_index(batch_op.f("ix_audit_event_lane_position"), ["lane", "position"], unique=True)
    lanes = op.create_table(
        "audit_lane",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.String(length=64), nullable=False),
        sa.Column("genesis", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("lane", name=op.f("pk_audit_lane")),
    )
    op.bulk_insert(lanes, _geneses(op.get_bind()))


def downgrade() -> None:
    op.drop_table("audit_lane")
    with op.batch_alter_table("audit_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_event_lane_position"))
        for column in ("digests", "digest", "previous", "position", "lane"):
            batch_op.drop_column(column)


def _geneses(connection: sa.Connection) -> list[dict[str, Any]]:
    lanes = 1 if connection.dialect.name == "sqlite" else LANES
    rows = {
        table: connection.scalar(sa.select(sa.func.count()).select_from(sa.table(table)))  # all from before the chain
        for table in _COUNTED
    }
    genesis = {"time": datetime.now(UTC).isoformat(), "lanes": lanes, "rows": rows}
    return [
        {"lane": lane, "position": 0, "head": digest_of_genesis(lane, genesis), "genesis": genesis}
        for lane in range(lanes)
    ]
