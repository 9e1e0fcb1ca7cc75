"""The search index: the rows by which current versions are found."""

from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.dates import EARLIEST
from fhir_ecg.fhir.search_index import DateEntry, IndexEntry, ReferenceEntry, StringEntry, TokenEntry, index_entries
from fhir_ecg.fhir.search_parameters import date_parameters
from fhir_ecg.store.search_tables import DateRow, ReferenceRow, SortRow, StringRow, TokenRow

INDEX_VERSION = 1
"""Rises with each release whose parameters need rows that older ones have not written; see `fhir-ecg db reindex`."""

Table = type[TokenRow] | type[ReferenceRow] | type[DateRow] | type[StringRow] | type[SortRow]
Row = dict[str, Any]
_TABLE_OF: dict[type[IndexEntry], Table] = {
    TokenEntry: TokenRow,
    ReferenceEntry: ReferenceRow,
    DateEntry: DateRow,
    StringEntry: StringRow,
}
INDEX_TABLES: tuple[Table, ...] = (*_TABLE_OF.values(), SortRow)


def index_rows(resource: dict[str, Any]) -> dict[Table, list[Row]]:
    """List the rows of a resource, by table."""
    key = {"resource_type": resource["resourceType"], "resource_id": resource["id"]}
    rows: dict[Table, list[Row]] = {table: [] for table in INDEX_TABLES}
    places = dict.fromkeys(date_parameters(resource["resourceType"]), EARLIEST)
    for entry in index_entries(resource):
        rows[_TABLE_OF[type(entry)]].append(key | vars(entry))
        if isinstance(entry, DateEntry):
            places[entry.parameter] = entry.low
    rows[SortRow] = [key | {"parameter": parameter, "value": value} for parameter, value in places.items()]
    return rows


def write_index(session: Session, resource: dict[str, Any], *, new: bool) -> None:
    """Let a resource's current version be found; of one that is not new, rows that stay are not written again."""
    for table, rows in index_rows(resource).items():
        wanted = rows if new else _not_written(session, table, resource["resourceType"], resource["id"], rows)
        if wanted:
            session.execute(insert(table), wanted)


def clear_index(session: Session, resource_type: str, resource_id: str) -> None:
    """Let a resource be found no longer."""
    for table in INDEX_TABLES:
        session.execute(delete(table).where(table.resource_type == resource_type, table.resource_id == resource_id))


def _not_written(session: Session, table: Table, kind: str, identity: str, rows: list[Row]) -> list[Row]:
    """Delete the rows that hold no longer; returns those that are not there yet."""
    same = (table.resource_type == kind, table.resource_id == identity)
    handle: Any = table.parameter if table is SortRow else getattr(table, "key")  # noqa: B009 - SortRow has none
    columns = [column for column in table.__table__.columns if column.key != "key"]
    written = {tuple(row[1:]): row[0] for row in session.execute(select(handle, *columns).where(*same))}
    wanted = {tuple(row[column.key] for column in columns): row for row in rows}
    gone = [key for values, key in written.items() if values not in wanted]
    if gone:
        session.execute(delete(table).where(*same, handle.in_(gone)))
    return [row for values, row in wanted.items() if values not in written]
