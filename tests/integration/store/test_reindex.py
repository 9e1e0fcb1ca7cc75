"""The index of older versions: what is found right after the upgrade, and after it was written anew."""

from chain_findings import findings
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from fhir_ecg.fhir.audit_search import parse_audit_search
from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.submit import submit
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.migrations import downgrade, upgrade
from fhir_ecg.store.reindex import count_audit_index, outdated, reindex, reindex_audit
from fhir_ecg.store.search_tables import DateRow, ReferenceRow, SortRow, StringRow, TokenRow
from fhir_ecg.store.tables import AuditReferenceRow, ResourceRow

TABLES = (TokenRow, ReferenceRow, DateRow, StringRow, SortRow)
# In the order of their dates.
NAMES = ("normal-sinus-rhythm", "sinus-bradycardia", "atrial-fibrillation")


def fill(application: Application, examples: dict[str, bytes]) -> list[str]:
    reports = [submit(application, examples[name], Form(), Caller()).report.content["id"] for name in NAMES]
    return [str(report) for report in reports]


def found(application: Application, *query: tuple[str, str]) -> list[str]:
    with application.store.transaction(writes=False) as work:
        return work.find(parse_search("DiagnosticReport", query)).ids


def rows(application: Application) -> dict[str, set[tuple[object, ...]]]:
    with Session(application.store.engine) as session:
        return {
            table.__tablename__: {
                tuple(row) for row in session.execute(select(*[c for c in table.__table__.columns if c.key != "key"]))
            }
            for table in TABLES
        }


def test_what_an_older_version_stored_is_found_and_sorted_after_the_upgrade(
    application: Application, examples: dict[str, bytes]
) -> None:
    reports = fill(application, examples)
    before = rows(application)
    downgrade(application.store.engine, "0007")
    upgrade(application.store.engine)

    assert outdated(application.store.engine) > 0
    assert found(application, ("_sort", "date")) == reports
    assert found(application, ("patient", "example-4"), ("_sort", "-date")) == [reports[2]]
    assert sum(reindex(application.store.engine)) >= 2 * len(NAMES)
    assert outdated(application.store.engine) == 0
    assert rows(application) == before


def test_it_goes_on_where_it_was_interrupted(application: Application, examples: dict[str, bytes]) -> None:
    fill(application, examples)
    engine, whole = application.store.engine, rows(application)
    with Session(engine) as session, session.begin():
        session.execute(update(ResourceRow).values(index_version=0))
        for table in TABLES:
            session.execute(delete(table))
    everything = outdated(engine)
    steps = reindex(engine)
    done = next(steps)
    steps.close()
    assert outdated(engine) == everything - done
    list(reindex(engine))
    assert rows(application) == whole
    assert list(reindex(engine)) == []


def test_rows_that_stay_are_not_written_again(application: Application, examples: dict[str, bytes]) -> None:
    report = fill(application, examples)[0]

    def keys() -> set[int]:
        with Session(application.store.engine) as session:
            return set(session.scalars(select(TokenRow.key).where(TokenRow.resource_id == report)))

    before = keys()
    with application.store.transaction() as work:
        stored = work.resources.get("DiagnosticReport", report)
        assert stored is not None
        work.resources.put(stored.content | {"status": "cancelled"}, stored.last_updated)
    assert len(before - keys()) == 1
    assert len(keys() - before) == 1
    assert found(application, ("status", "cancelled")) == [report]


def test_every_resource_has_a_place_in_every_order(application: Application, examples: dict[str, bytes]) -> None:
    fill(application, examples)
    with Session(application.store.engine) as session:
        reports = session.scalar(
            select(func.count()).select_from(ResourceRow).where(ResourceRow.type == "DiagnosticReport")
        )
        places = session.execute(
            select(SortRow.parameter, func.count())
            .where(SortRow.resource_type == "DiagnosticReport")
            .group_by(SortRow.parameter)
        ).all()
    assert sorted((name, count) for name, count in places) == [("date", reports), ("issued", reports)]


def audit_index(application: Application) -> set[tuple[object, ...]]:
    table = AuditReferenceRow
    with Session(application.store.engine) as session:
        columns = (table.role, table.value, table.recorded, table.event_id)
        return {tuple(row) for row in session.execute(select(*columns))}


def events_about(application: Application, reference: str) -> int:
    with application.store.transaction(writes=False) as work:
        return len(work.audit_events.find(parse_audit_search([("entity", reference)], lenient=False)).records)


def unsound(application: Application) -> set[str]:
    return {finding.table for finding in findings(application)}


def test_what_audit_entries_are_found_by_is_written_anew(application: Application, examples: dict[str, bytes]) -> None:
    reports = fill(application, examples)
    moment = now()
    with application.store.transaction() as work:
        for number in range(600):  # more than one page
            work.audit.add(AuditEntry("read", entities=(f"Observation/{number}/_history/1",)), moment)
    engine, whole, reference = application.store.engine, audit_index(application), f"DiagnosticReport/{reports[0]}"
    table = AuditReferenceRow
    with Session(engine) as session, session.begin():
        session.execute(delete(table).where(table.value == reference))
        session.execute(delete(table).where(table.value.like("Observation/5%")))
        [(event, recorded), *_] = session.execute(select(table.event_id, table.recorded).where(table.role == "entity"))
        for wrong in ({"event_id": event}, {"event_id": "none"}):
            row = {"role": "entity", "value": "DiagnosticReport/other", "recorded": recorded} | wrong
            session.execute(insert(table).values(row))
    assert (events_about(application, reference), unsound(application)) == (0, {"audit_reference"})

    steps = reindex_audit(engine)
    first = next(steps)
    steps.close()  # as with Ctrl-C
    assert first.added > 0
    rows = count_audit_index(engine)
    rest = list(reindex_audit(engine))
    assert sum(step.seen for step in rest) == rows
    assert sum(step.added for step in rest) > 0
    assert sum(step.removed for step in rest) == 2
    assert audit_index(application) == whole
    assert (events_about(application, reference), unsound(application)) == (1, set())
    assert {(step.added, step.removed) for step in reindex_audit(engine)} == {(0, 0)}
