"""The unit of work: one transaction and the repositories in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fhir_ecg.fhir.search import Include, Search
from fhir_ecg.store import inclusion
from fhir_ecg.store import search as search_sql
from fhir_ecg.store.admissions import Admissions
from fhir_ecg.store.adoption import Adoption
from fhir_ecg.store.audit import AuditTrail
from fhir_ecg.store.audit_chain import AuditedSession
from fhir_ecg.store.audit_events import AuditEvents
from fhir_ecg.store.confirmations import Confirmations
from fhir_ecg.store.engine import WRITES
from fhir_ecg.store.expiry import Expiries
from fhir_ecg.store.exports import Exports
from fhir_ecg.store.holds import Holds
from fhir_ecg.store.inclusion import Included
from fhir_ecg.store.jobs import Jobs
from fhir_ecg.store.last_n import newest_of_each_code
from fhir_ecg.store.patient_trail import PatientTrail
from fhir_ecg.store.readings import Readings
from fhir_ecg.store.resources import Resources, StoredResource
from fhir_ecg.store.tables import SubmissionRow
from fhir_ecg.store.weights import WeightsArchive
from fhir_ecg.store.workers import Workers


class UnitOfWork:
    """Repositories that share a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.resources = Resources(session)
        self.jobs = Jobs(session)
        self.audit = AuditTrail(session)
        self.audit_events = AuditEvents(session)
        self.adoption = Adoption(session)
        self.workers = Workers(session)
        self.admissions = Admissions(session)
        self.exports = Exports(session, self.resources)
        self.readings = Readings(session)
        self.confirmations = Confirmations(session)
        self.patient_trail = PatientTrail(session)
        self.weights = WeightsArchive(session)
        self.expiries = Expiries(session)
        self.holds = Holds(session)

    def add_submission(self, body: bytes, media_type: str, client: str | None, moment: datetime) -> str:
        """Keep the bytes as sent; returns the submission's id."""
        row = SubmissionRow(
            id=str(uuid4()),
            received_at=moment,
            media_type=media_type,
            sha256=sha256(body).hexdigest(),
            body=body,
            client=client,
        )
        self._session.add(row)
        self._session.flush()  # its resource refers to it
        return row.id

    def find(self, search: Search) -> search_sql.Page:
        """Search among the current versions."""
        return search_sql.find(self._session, search)

    def include(self, matches: Sequence[StoredResource], includes: Sequence[Include]) -> Included:
        """Find what stands beside matches."""
        return inclusion.include(self._session, matches, includes)

    def newest_of_each_code(self, ids: Sequence[str], most: int) -> list[str]:
        """Choose, of the Observations with these ids, the newest of each code."""
        return newest_of_each_code(self._session, self.resources, ids, most)


class Store:
    """A database that hands out units of work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[UnitOfWork]:
        """Begin a transaction; it is committed at the end of the block, or rolled back by an exception."""
        engine = self.engine.execution_options(**{WRITES: writes})
        with AuditedSession(engine, expire_on_commit=False) as session, session.begin():
            work = UnitOfWork(session)
            yield work
            work.audit.close()


class JoinedStore(Store):
    """Hands out a unit of work that has begun: what is done in it is a part of that transaction, and ends with it."""

    def __init__(self, store: Store, work: UnitOfWork) -> None:
        super().__init__(store.engine)
        self._work = work

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[UnitOfWork]:  # noqa: ARG002 - it has begun as it has
        """Go on with the transaction; whoever began it ends it."""
        yield self._work
