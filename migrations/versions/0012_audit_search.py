"""audit entries as AuditEvents, and what they are found by"""

import sqlalchemy as sa
from alembic import op

from fhir_ecg.store.audit_index import index_rows

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_BATCH = 500
_EVENTS = sa.table(
    "audit_event",
    sa.column("sequence", sa.BigInteger),
    sa.column("id", sa.String),
    sa.column("recorded", sa.DateTime(timezone=True)),
    sa.column("entities", sa.JSON),
    sa.column("detail", sa.JSON),
)


def upgrade() -> None:
    references = op.create_table(
        "audit_reference",
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column(
            "value",
            sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("recorded", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("role", "value", "recorded", "event_id", name=op.f("pk_audit_reference")),
    )
    op.create_index(op.f("ix_audit_event_recorded_id"), "audit_event", ["recorded", "id"])
    op.create_index(op.f("ix_audit_event_action_recorded_id"), "audit_event", ["action", "recorded", "id"])
    op.create_index(op.f("ix_audit_event_client_recorded_id"), "audit_event", ["client", "recorded", "id"])
    failed = sa.text("outcome <> 'success'")
    op.create_index(
        "ix_audit_event_failures", "audit_event", ["recorded", "id"], postgresql_where=failed, sqlite_where=failed
    )
    _index_what_is_there(op.get_bind(), references)


def _index_what_is_there(connection: sa.Connection, references: sa.Table) -> None:
    last = 0
    while True:
        batch = sa.select(_EVENTS).where(_EVENTS.c.sequence > last).order_by(_EVENTS.c.sequence).limit(_BATCH)
        rows = list(connection.execute(batch).mappings())
        if not rows:
            return
        last = rows[-1]["sequence"]
        if found := index_rows(rows):
            connection.execute(sa.insert(references), found)


def downgrade() -> None:
    op.drop_index("ix_audit_event_failures", table_name="audit_event")
    op.drop_index(op.f("ix_audit_event_client_recorded_id"), table_name="audit_event")
    op.drop_index(op.f("ix_audit_event_action_recorded_id"), table_name="audit_event")
    op.drop_index(op.f("ix_audit_event_recorded_id"), table_name="audit_event")
    op.drop_table("audit_reference")
