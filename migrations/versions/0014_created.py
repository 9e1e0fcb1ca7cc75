"""the moment of a resource's first version, by which searches are ordered"""

import sqlalchemy as sa
from alembic import op

from fhir_ecg.store.base import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_INDEX = "ix_resource_type_created_id_deleted"
# What older processes do not write. On SQLite in the form of all moments, since they are compared as text.
_NOW = {"postgresql": "now()", "sqlite": "(strftime('%Y-%m-%d %H:%M:%f000', 'now'))"}


def upgrade() -> None:
    default = sa.text(_NOW[op.get_bind().dialect.name])
    # SQLite adds a column with such a default only to a table that is made anew.
    recreate = "always" if op.get_bind().dialect.name == "sqlite" else "auto"
    with op.batch_alter_table("resource", schema=None, recreate=recreate) as batch_op:
        batch_op.add_column(sa.Column("created", UtcDateTime(), server_default=default, nullable=False))
    # In one statement, which runs in the database: in batches it would hold the same locks up to the same commit.
    op.execute(
        """
        UPDATE resource SET created = coalesce(
            (SELECT resource_version.last_updated FROM resource_version
             WHERE resource_version.type = resource.type AND resource_version.id = resource.id
             ORDER BY resource_version.version LIMIT 1),
            last_updated)
        """
    )
    op.create_index(op.f(_INDEX), "resource", ["type", "created", "id", "deleted"])


def downgrade() -> None:
    op.drop_index(op.f(_INDEX), table_name="resource")
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.drop_column("created")
