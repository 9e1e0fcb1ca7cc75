"""deletions and histories"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("resource", "resource_version"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("resource_version", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_resource_version_type_last_updated_id_version"), ["type", "last_updated", "id", "version"]
        )
        batch_op.create_index(batch_op.f("ix_resource_version_last_updated_type_id"), ["last_updated", "type", "id"])
    with op.batch_alter_table("admission", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_admission_observation_id"), ["observation_id"])


def downgrade() -> None:
    with op.batch_alter_table("admission", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_admission_observation_id"))
    with op.batch_alter_table("resource_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_resource_version_last_updated_type_id"))
        batch_op.drop_index(batch_op.f("ix_resource_version_type_last_updated_id_version"))
    for table in ("resource_version", "resource"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("deleted")
