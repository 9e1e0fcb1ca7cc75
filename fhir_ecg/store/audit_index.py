"""What audit entries are found by, written beside them. It follows from the entries, so that it can be made anew."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from fhir_ecg.fhir.audit_event import index_values
from fhir_ecg.store.tables import AuditReferenceRow


def index_rows(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the rows of entries, from their columns by name."""
    return [
        {"role": role, "value": value, "recorded": entry["recorded"], "event_id": entry["id"]}
        for entry in entries
        for role, value in index_values(entry["entities"], entry["detail"])
    ]


def write_audit_index(session: Session, entries: Iterable[Mapping[str, Any]]) -> None:
    """Let entries be found, in the transaction that writes them."""
    if rows := index_rows(entries):
        session.connection().execute(insert(AuditReferenceRow), rows)
