"""What verification of the audit chain finds in a database, or in a transaction that is not committed."""

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from fhir_ecg.service.application import Application
from fhir_ecg.store.verification.finding import Finding
from fhir_ecg.store.verification.verify import Verification, verification


def findings(application: Application) -> list[Finding]:
    with verification(application.store.engine) as view:
        return list(view.findings({}, lambda _: None))


def findings_within(connection: Connection) -> list[Finding]:
    with Session(connection, autoflush=False, expire_on_commit=False) as session:
        return list(Verification(session).findings({}, lambda _: None))
