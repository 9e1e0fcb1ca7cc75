"""Everything that is stored about one patient: for the patient, or for who moves to another system."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_ecg.fhir.audit_event import audit_event, patient_reference
from fhir_ecg.fhir.search import Include, Search, parse_search
from fhir_ecg.fhir.search_index import indexed
from fhir_ecg.service.application import Application, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.resources import HistoryKey, HistoryWanted
from fhir_ecg.store.unit_of_work import UnitOfWork

_PAGE = 50
_OUT = Include(None, None, None, reverse=False, iterate=False)
_BACK = Include(None, None, None, reverse=True, iterate=False)
# What belongs to a report; an Observation only where the report's `result` names it.
_BELONGING = ("Provenance", "Task", "Device", "DocumentReference")

Key = tuple[str, str]
"""A resource's type and id."""


@dataclass(frozen=True)
class Patient:
    """How a patient is named: by a reference, or by an identifier as `system|value`."""

    name: str

    @property
    def query(self) -> tuple[str, str]:
        """The criterion that finds the patient's reports."""
        return ("subject:identifier" if "|" in self.name else "subject", self.name)

    @property
    def reference(self) -> dict[str, Any] | None:
        """The same as a Reference; None where it is none to a patient."""
        if "|" not in self.name:
            return patient_reference({"reference": self.name})
        system, _, value = self.name.partition("|")
        return patient_reference({"identifier": ({"system": system} if system else {}) | {"value": value}})


def patient_named(text: str) -> Patient:
    """Read `Patient/123`, `123`, the address of a Patient, or `system|value`."""
    return Patient(text if "|" in text or "/" in text else f"Patient/{text}")


@dataclass
class PatientExport:
    """The resources of a patient, as they are asked for."""

    application: Application
    patient: Patient
    base: str
    """The address of this FHIR server."""
    every_version: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    """How many were given, by type."""

    def count_reports(self) -> int:
        """Count the patient's reports."""
        with self.application.store.transaction(writes=False) as work:
            return work.find(replace(self._reports(), total="accurate")).total or 0

    def is_known(self) -> bool:
        """Tell whether a report is about the patient, or the audit trail names them, as where all has expired."""
        if self.count_reports():
            return True
        with self.application.store.transaction(writes=False) as work:
            return bool(self._events_of_patient(work))

    def entries(self, advance: Callable[[int], object]) -> Iterator[dict[str, Any]]:
        """Give each resource as an entry of a Bundle; `advance` is told how many reports are done."""
        seen: dict[Key, None] = {}
        search: Search | None = self._reports()
        while search is not None:
            with self.application.store.transaction(writes=False) as work:
                page = work.find(search)
                for identity in page.ids:
                    for key in _case(work, identity):
                        if key not in seen:
                            seen[key] = None
                            yield from self._versions(work, key)
                    advance(1)
            search = replace(search, cursor=page.next_cursor) if page.next_cursor else None
        yield from self._trail(seen)

    def record(self) -> None:
        """Leave the trace of what was given out."""
        about = {"patients": [self.patient.reference]} if self.patient.reference else {}
        detail = {"counts": dict(self.counts), "every_version": self.every_version} | about
        with self.application.store.transaction() as work:
            work.audit.add(AuditEntry("patient-export", detail=detail), now())

    def _reports(self) -> Search:
        return parse_search("DiagnosticReport", [self.patient.query, ("_count", str(_PAGE)), ("_sort", "_id")])

    def _versions(self, work: UnitOfWork, key: Key) -> Iterator[dict[str, Any]]:
        """Give the versions of a resource, the newest first; a deletion has nothing to give."""
        before: HistoryKey | None = None
        while True:
            count = _PAGE if self.every_version else 1
            page = work.resources.history(HistoryWanted((key[0],), key[1], count, before=before))
            for version in page.versions:
                if version.content is not None:
                    yield self._entry(version.content)
            before = page.last if self.every_version else None
            if before is None:
                return

    def _trail(self, seen: dict[Key, None]) -> Iterator[dict[str, Any]]:
        """Give the AuditEvents about these resources, or about the patient."""
        names = [f"{kind}/{identity}" for kind, identity in seen if kind not in {"Device", "DocumentReference"}]
        with self.application.store.transaction(writes=False) as work:
            ids = work.patient_trail.ids("entity", [indexed(name) for name in names])
            ids |= self._events_of_patient(work)
            for record in work.patient_trail.records(ids):
                yield self._entry(audit_event(record, self.base))

    def _events_of_patient(self, work: UnitOfWork) -> set[str]:
        role = "patient-system" if "|" in self.patient.name else "entity"
        return work.patient_trail.ids(role, [indexed(self.patient.name)])

    def _entry(self, resource: dict[str, Any]) -> dict[str, Any]:
        self.counts[resource["resourceType"]] += 1
        return {"fullUrl": f"{self.base}/{resource['resourceType']}/{resource['id']}", "resource": resource}


def _case(work: UnitOfWork, report_id: str) -> Iterator[Key]:
    """List what belongs to a report: its ECG also where that was withdrawn."""
    report = work.resources.get("DiagnosticReport", report_id)
    if report is None:
        return
    yield "DiagnosticReport", report_id
    for result in report.content["result"]:
        yield "Observation", result["reference"].removeprefix("Observation/")
    near = work.include([report], [_OUT, _BACK]).resources
    for stored in [*near, *work.include([report, *near], [_OUT]).resources]:
        if stored.content["resourceType"] in _BELONGING:
            yield stored.content["resourceType"], stored.content["id"]
