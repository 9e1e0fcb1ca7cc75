"""What follows from the rows that the chain holds: current versions, search index, jobs, predictions, admissions."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Row, and_, exists, func, select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.outcome import RefusedError
from fhir_ecg.store.resources import Resources
from fhir_ecg.store.search_index import INDEX_TABLES, INDEX_VERSION, Table, index_rows
from fhir_ecg.store.tables import (
    AdmissionRow,
    JobRow,
    PredictionRow,
    ResourceRow,
    ResourceVersionRow,
)
from fhir_ecg.store.verification.finding import Finding, What
from fhir_ecg.store.verification.readings import reports_agree
from fhir_ecg.store.verification.snapshot import UNREADABLE

Contents = dict[str, dict[str, Any]]
"""Resources of a type by their ids."""

_REPORT = "DiagnosticReport"


def current_versions_agree(session: Session, versions: Sequence[ResourceVersionRow]) -> Iterator[Finding]:
    """Check what follows from those of these versions that are current."""
    current = _current(session, versions)
    contents: dict[str, Contents] = {}
    for version in versions:
        row = current.get((version.type, version.id))
        if row is None or row.version != version.version or version.deleted or version.expired_at is not None:
            continue
        key = f"{version.type}/{version.id}"
        if row.index_version < INDEX_VERSION:
            text = f"{key} is not found by all search parameters; run `fhir-ecg db reindex`, then verify again."
            yield Finding("resource", key, "outdated", text)
            continue
        try:
            contents.setdefault(version.type, {})[version.id] = Resources(session).stored(version).content
        except (RefusedError, LookupError, ValueError, TypeError, AttributeError):  # SQLite keeps text as bytes, too
            yield Finding("resource_version", f"{key}/_history/{version.version}", "unreadable", f"{key} is no JSON.")
    for kind, resources in contents.items():
        for table in INDEX_TABLES:
            check = partial(_index_agrees, session, kind, table)
            yield from _apart(check, kind, resources, table.__tablename__)
    if _REPORT in contents:
        yield from _apart(partial(reports_agree, session), _REPORT, contents[_REPORT], "job")


def _apart(
    check: Callable[[Contents], Iterator[Finding]], kind: str, resources: Contents, table: str
) -> Iterator[Finding]:
    """Check resources together; where something cannot be read, each by itself, to name it."""
    try:
        yield from list(check(resources))
    except UNREADABLE:
        if len(resources) == 1:
            key = f"{kind}/{next(iter(resources))}"
            text = f"Rows of {key} cannot be read: a value is none of its column's type."
            yield Finding(table, key, "unreadable", text)
            return
        for identity, resource in resources.items():
            yield from _apart(check, kind, {identity: resource}, table)


def _current(session: Session, versions: Sequence[ResourceVersionRow]) -> dict[tuple[str, str], Row[Any]]:
    rows: dict[tuple[str, str], Row[Any]] = {}
    columns = (ResourceRow.type, ResourceRow.id, ResourceRow.version, ResourceRow.index_version)
    for kind in {version.type for version in versions}:
        ids = {version.id for version in versions if version.type == kind}
        wanted = select(*columns).where(ResourceRow.type == kind, ResourceRow.id.in_(ids))
        rows |= {(row.type, row.id): row for row in session.execute(wanted)}
    return rows


def _index_agrees(session: Session, kind: str, table: Table, resources: Contents) -> Iterator[Finding]:
    columns = [column for column in table.__table__.columns if column.key != "key"]
    where = (table.resource_type == kind, table.resource_id.in_(resources))
    stored: dict[str, Counter[tuple[Any, ...]]] = {identity: Counter() for identity in resources}
    for row in session.execute(select(*columns).where(*where)):
        stored[row.resource_id][tuple(row)] += 1
    place = [column.key for column in columns].index("parameter")
    for identity, resource in resources.items():
        wanted = Counter(tuple(row[column.key] for column in columns) for row in index_rows(resource)[table])
        removed, inserted = wanted - stored[identity], stored[identity] - wanted
        if not removed and not inserted:
            continue
        names = ", ".join(sorted({row[place] for row in (*removed, *inserted)}))
        key = f"{kind}/{identity}"
        text = f"The rows by which {key} is found are not those of its content: {names}."
        what: What = "changed" if removed and inserted else "removed" if removed else "inserted"
        yield Finding(table.__tablename__, key, what, text)


def tables_agree(session: Session) -> Iterator[Finding]:
    """Check what one statement can tell of whole tables."""
    yield from _resources_agree(session)
    yield from _orphans(session)


def _resources_agree(session: Session) -> Iterator[Finding]:
    version = ResourceVersionRow
    newest = (
        select(version.type, version.id, func.max(version.version).label("version"), func.count().label("count"))
        .group_by(version.type, version.id)
        .subquery()
    )
    same = and_(ResourceRow.type == newest.c.type, ResourceRow.id == newest.c.id)
    current = and_(version.type == newest.c.type, version.id == newest.c.id, version.version == newest.c.version)
    wrong = (
        (ResourceRow.version != newest.c.version)
        | (newest.c.count != newest.c.version)
        | (ResourceRow.last_updated != version.last_updated)
        | (ResourceRow.deleted != version.deleted)
    )
    joined = select(newest.c.type, newest.c.id).join(ResourceRow, same).join(version, current).where(wrong)
    for kind, identity in session.execute(joined):
        text = f"{kind}/{identity}: the row of its current version is not that of its newest one."
        yield Finding("resource", f"{kind}/{identity}", "disagrees", text)
    alone = select(newest.c.type, newest.c.id).where(~exists().where(same))
    for kind, identity in session.execute(alone):
        yield Finding("resource", f"{kind}/{identity}", "removed", f"{kind}/{identity} has versions, but no row.")
    empty = select(ResourceRow.type, ResourceRow.id).where(
        ~exists().where(version.type == ResourceRow.type, version.id == ResourceRow.id)
    )
    for kind, identity in session.execute(empty):
        yield Finding("resource", f"{kind}/{identity}", "inserted", f"{kind}/{identity} has a row, but no version.")


def _orphans(session: Session) -> Iterator[Finding]:
    """Name what belongs to a resource that is not stored, or was deleted."""
    for table in INDEX_TABLES:
        stored = exists().where(
            ResourceRow.type == table.resource_type, ResourceRow.id == table.resource_id, ResourceRow.deleted.is_(False)
        )
        wanted = select(table.resource_type, table.resource_id).where(~stored).distinct()
        for kind, identity in session.execute(wanted):
            text = f"{kind}/{identity} is found by a search, but not stored."
            yield Finding(table.__tablename__, f"{kind}/{identity}", "inserted", text)
    yield from _of_no_report(session, "job", JobRow.id, JobRow.report_id)
    yield from _of_no_report(session, "prediction", PredictionRow.report_id, PredictionRow.report_id)
    stored = exists().where(
        ResourceRow.type == "Observation", ResourceRow.id == AdmissionRow.observation_id, ResourceRow.deleted.is_(False)
    )
    for admission in session.scalars(select(AdmissionRow).where(~stored)):
        key = f"admission/{admission.scope}/{admission.key_sha256}/{admission.observation_id}"
        text = f"{key} lets in Observation/{admission.observation_id}, which is not stored."
        yield Finding("admission", key, "disagrees", text)


def _of_no_report(session: Session, table: str, own: Any, report: Any) -> Iterator[Finding]:
    stored = exists().where(ResourceRow.type == _REPORT, ResourceRow.id == report)
    for identity, report_id in session.execute(select(own, report).where(~stored)):
        text = f"{table}/{identity} names DiagnosticReport/{report_id}, which is not stored."
        yield Finding(table, f"{table}/{identity}", "disagrees", text)
