"""What persons decided about reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from fhir_ecg.fhir.parsing import parse_json
from fhir_ecg.store.tables import ConfirmationRow, ResourceVersionRow

_BATCH = 200


@dataclass(frozen=True)
class Confirmation:
    """The last decision about a report that the model had read."""

    report_id: str
    decision: str
    read_at: datetime
    by_machine: dict[str, Any]
    """The report as the model wrote it."""
    by_person: dict[str, Any]
    """The report as it was decided."""


class Confirmations:
    """The decisions of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, confirmation: ConfirmationRow) -> None:
        """Keep a decision."""
        self._session.add(confirmation)

    def count(self, since: datetime | None, until: datetime | None) -> int:
        """Count the reports that were read in that time, and that a person has decided about."""
        return self._session.scalar(select(func.count()).where(*_last(since, until))) or 0

    def last_of_each_report(self, since: datetime | None, until: datetime | None) -> Iterator[Confirmation]:
        """Give the last decision about each report that was read in that time, by the reports' ids."""
        after = ""
        while True:
            wanted = select(ConfirmationRow).where(*_last(since, until), ConfirmationRow.report_id > after)
            rows = self._session.scalars(wanted.order_by(ConfirmationRow.report_id).limit(_BATCH)).all()
            contents = self._contents([row.report_id for row in rows])
            for row in rows:
                machine = contents.get((row.report_id, row.machine_version))
                person = contents.get((row.report_id, row.report_version))
                if row.read_at is not None and machine is not None and person is not None:
                    yield Confirmation(
                        row.report_id, row.decision, row.read_at, parse_json(machine), parse_json(person)
                    )
            if len(rows) < _BATCH:
                return
            after = rows[-1].report_id
            self._session.expunge_all()

    def _contents(self, ids: list[str]) -> dict[tuple[str, int | None], bytes | None]:
        columns = (ResourceVersionRow.id, ResourceVersionRow.version, ResourceVersionRow.content)
        wanted = select(*columns).where(ResourceVersionRow.type == "DiagnosticReport", ResourceVersionRow.id.in_(ids))
        return {(identity, version): content for identity, version, content in self._session.execute(wanted)}


def _last(since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    later = aliased(ConfirmationRow)
    replaced = and_(later.report_id == ConfirmationRow.report_id, later.report_version > ConfirmationRow.report_version)
    clauses = [ConfirmationRow.read_at.is_not(None), ~exists().where(replaced)]
    if since is not None:
        clauses.append(ConfirmationRow.read_at >= since)
    if until is not None:
        clauses.append(ConfirmationRow.read_at < until)
    return clauses
