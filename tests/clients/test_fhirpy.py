"""fhirpy, the client for Python that speaks application/json and has no models of its own."""

from typing import Any

import pytest
from e2e.deployed_service import Deployment
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound


@pytest.fixture
def fhirpy(service: Deployment) -> SyncFHIRClient:
    return SyncFHIRClient(service.base)


def test_created_ecg_is_read_back_whole(fhirpy: SyncFHIRClient, ecg: dict[str, Any]) -> None:
    created = fhirpy.resource(**_by_type(ecg)).create()
    found = fhirpy.reference("Observation", created["id"]).to_resource().serialize()

    assert {name: found[name] for name in ecg} == ecg


def test_search_goes_through_all_pages(fhirpy: SyncFHIRClient, patient_of_five: str) -> None:
    search = fhirpy.resources("DiagnosticReport").search(subject=patient_of_five).sort("-date")

    assert len(search.limit(2).fetch()) == 2
    assert len({report["id"] for report in search.limit(2).fetch_all()}) == 5
    assert search.first()["status"] == "partial"


def test_matches_are_counted(fhirpy: SyncFHIRClient, patient_of_five: str) -> None:
    assert fhirpy.resources("DiagnosticReport").search(subject=patient_of_five).count() == 5


def test_included_results_come_along(fhirpy: SyncFHIRClient, patient_of_five: str) -> None:
    search = fhirpy.resources("DiagnosticReport").search(subject=patient_of_five).include("DiagnosticReport", "result")
    bundle = search.limit(1).fetch_raw()

    assert [entry["search"]["mode"] for entry in bundle["entry"]] == ["match", "include", "include"]


def test_same_identifier_is_created_once(fhirpy: SyncFHIRClient, ecg: dict[str, Any]) -> None:
    [identifier] = ecg["identifier"]
    search = fhirpy.resources("Observation").search(identifier=f"{identifier['system']}|{identifier['value']}")

    first, created = search.get_or_create(fhirpy.resource(**_by_type(ecg)))
    again, created_again = search.get_or_create(fhirpy.resource(**_by_type(ecg)))

    assert (created, created_again) == (True, False)
    assert first["id"] == again["id"]
    assert len(search.fetch_all()) == 1


def test_classify_answers_with_the_report(fhirpy: SyncFHIRClient, ecg: dict[str, Any]) -> None:
    report = fhirpy.execute("Observation/$classify", data=ecg)

    assert report["resourceType"] == "DiagnosticReport"
    assert report["status"] == "partial"


def test_deleted_ecg_is_gone(fhirpy: SyncFHIRClient, ecg: dict[str, Any]) -> None:
    created = fhirpy.resource(**_by_type(ecg)).create()
    fhirpy.delete("Observation", created["id"])

    with pytest.raises(ResourceNotFound, match="deleted"):
        fhirpy.get("Observation", created["id"])


def test_refusal_is_told(fhirpy: SyncFHIRClient) -> None:
    with pytest.raises(OperationOutcome, match="SampledData"):
        fhirpy.resource("Observation", status="final", code={"text": "ECG"}).create()


def _by_type(resource: dict[str, Any]) -> dict[str, Any]:
    """Name the type as fhirpy's factory does."""
    return {"resource_type": resource["resourceType"], **{n: v for n, v in resource.items() if n != "resourceType"}}
