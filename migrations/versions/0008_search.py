"""search: strings, sorting, indexes that answer alone"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# What has been indexed before and is sorted by.
_SORTED = (
    ("DiagnosticReport", "date"),
    ("DiagnosticReport", "issued"),
    ("Observation", "date"),
    ("Provenance", "recorded"),
)
_OLD_INDEXES = {
    "resource": (["type", "last_updated", "id"],),
    "search_token": (["resource_type", "parameter", "code", "system"], ["resource_type", "resource_id"]),
    "search_reference": (["resource_type", "parameter", "target"], ["resource_type", "resource_id"]),
    "search_date": (["resource_type", "parameter", "low", "high"], ["resource_type", "resource_id"]),
}
_OF_RESOURCE = ["resource_type", "resource_id", "parameter"]
_NEW_INDEXES = {
    "resource": (["type", "last_updated", "id", "deleted"],),
    "search_token": (["resource_type", "parameter", "code", "resource_id", "system"], _OF_RESOURCE),
    "search_reference": (["resource_type", "parameter", "target", "resource_id"], _OF_RESOURCE),
    "search_date": (
        ["resource_type", "parameter", "low", "high", "resource_id"],
        ["resource_type", "parameter", "high", "low", "resource_id"],
        [*_OF_RESOURCE, "low", "high"],
    ),
}


def upgrade() -> None:
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.add_column(sa.Column("index_version", sa.Integer(), server_default="0", nullable=False))
    by_code_point = sa.String(length=200).with_variant(sa.String(length=200, collation="C"), "postgresql")
    op.create_table(
        "search_string",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("resource_type", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("parameter", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=200), nullable=False),
        sa.Column("folded", by_code_point, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_search_string")),
    )
    _create_index("search_string", ["resource_type", "parameter", "folded", "resource_id"])
    _create_index("search_string", [*_OF_RESOURCE, "folded"])
    op.create_table(
        "search_sort",
        sa.Column("resource_type", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("parameter", sa.String(length=64), nullable=False),
        sa.Column("value", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("resource_type", "resource_id", "parameter", name=op.f("pk_search_sort")),
    )
    _swap_indexes(_OLD_INDEXES, _NEW_INDEXES)
    _fill_sort()
    _create_index("search_sort", ["resource_type", "parameter", "value", "resource_id"])


def downgrade() -> None:
    _swap_indexes(_NEW_INDEXES, _OLD_INDEXES)
    op.drop_table("search_sort")
    op.drop_table("search_string")
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.drop_column("index_version")


def _fill_sort() -> None:
    """Give every resource its place, as far as older versions have indexed it."""
    statement = sa.text(
        """
        INSERT INTO search_sort (resource_type, resource_id, parameter, value)
        SELECT resource.type, resource.id, :parameter, coalesce(min(search_date.low), :earliest)
        FROM resource LEFT JOIN search_date ON search_date.resource_type = resource.type
            AND search_date.resource_id = resource.id AND search_date.parameter = :parameter
        WHERE resource.type = :kind AND NOT resource.deleted
        GROUP BY resource.type, resource.id
        """
    ).bindparams(
        sa.bindparam("earliest", type_=sa.DateTime(timezone=True)),
        sa.bindparam("parameter", type_=sa.String()),
        sa.bindparam("kind", type_=sa.String()),
    )
    for kind, parameter in _SORTED:
        values = {"kind": kind, "parameter": parameter, "earliest": datetime(1, 1, 1, tzinfo=UTC)}
        op.get_bind().execute(statement, values)


def _swap_indexes(old: dict[str, tuple[list[str], ...]], new: dict[str, tuple[list[str], ...]]) -> None:
    for table, indexes in old.items():
        for columns in indexes:
            op.drop_index(op.f(_name(table, columns)), table)
    for table, indexes in new.items():
        for columns in indexes:
            _create_index(table, columns)


def _create_index(table: str, columns: list[str]) -> None:
    op.create_index(op.f(_name(table, columns)), table, columns)


def _name(table: str, columns: list[str]) -> str:
    return "_".join(["ix", table, *columns])
