"""The unit of work: one transaction and the repositories in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fhir_ecg.fhir.search import Search
from fhir_ecg.store import search as search_sql
from fhir_ecg.store.admissions import Admissions
from fhir_ecg.store.audit import AuditTrail
from fhir_ecg.store.engine import WRITES
from fhir_ecg.store.jobs import Jobs
from fhir_ecg.store.resources import Resources
from fhir_ecg.store.tables import PredictionRow, SubmissionRow
from fhir_ecg.store.workers import Workers


class UnitOfWork:
    """Repositories that share a transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.resources = Resources(session)
        self.jobs = Jobs(session)
        self.audit = AuditTrail(session)
        self.workers = Workers(session)
        self.admissions = Admissions(session)

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

    def add_prediction(self, prediction: PredictionRow) -> None:
        """Keep a prediction; its report can have only one."""
        self._session.add(prediction)

    def find(self, search: Search) -> search_sql.Page:
        """Search among the current versions."""
        return search_sql.find(self._session, search)


class Store:
    """A database that hands out units of work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[UnitOfWork]:
        """Begin a transaction; it is committed at the end of the block, or rolled back by an exception."""
        engine = self.engine.execution_options(**{WRITES: writes})
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield UnitOfWork(session)
