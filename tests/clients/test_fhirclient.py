"""fhirclient, the SMART client for Python: its models are R4 and strict."""

from typing import Any

import pytest
from e2e.deployed_service import Deployment
from fhirclient.client import FHIRClient
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.fhirabstractresource import FHIRAbstractResource
from fhirclient.models.observation import Observation
from fhirclient.server import FHIRNotFoundException

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:fhirclient")


@pytest.fixture
def smart(service: Deployment) -> FHIRClient:
    client = FHIRClient(settings={"app_id": "tests", "api_base": service.base})
    client.prepare()
    return client


def test_capabilities_are_understood(smart: FHIRClient) -> None:
    assert smart.ready
    assert smart.server.capabilityStatement.fhirVersion == "4.0.1"


def test_created_ecg_is_read_back_whole(smart: FHIRClient, ecg: dict[str, Any]) -> None:
    answer = Observation(ecg).create(smart.server)
    found = Observation.read(answer["id"], smart.server).as_json()

    assert {name: found[name] for name in ecg} == ecg
    assert found["meta"]["versionId"] == "1"


def test_search_goes_through_all_pages(smart: FHIRClient, patient_of_five: str) -> None:
    search = DiagnosticReport.where({"subject": patient_of_five, "_count": "2"})

    pages = list(search.perform_iter(smart.server))
    reports = list(search.perform_resources_iter(smart.server))

    assert [len(page.entry) for page in pages] == [2, 2, 1]
    assert all(page.total == 5 for page in pages)
    assert len({report.id for report in reports}) == 5
    assert {report.subject.reference for report in reports} == {patient_of_five}


def test_results_of_a_report_are_resolved(smart: FHIRClient, patient_of_five: str) -> None:
    report = DiagnosticReport.where({"subject": patient_of_five}).perform_resources(smart.server)[0]
    waveform, scores = (
        Observation.read(result.reference.removeprefix("Observation/"), smart.server) for result in report.result
    )

    assert len(waveform.component) == 12
    assert len(scores.component) == 71


def test_what_is_not_there_is_not_found(smart: FHIRClient) -> None:
    with pytest.raises(FHIRNotFoundException):
        Observation.read("none", smart.server)


def test_unknown_resource_is_told_as_an_outcome(smart: FHIRClient) -> None:
    with pytest.raises(FHIRNotFoundException) as refusal:
        FHIRAbstractResource.read_from("Medication/1", smart.server)
    assert refusal.value.response.json()["resourceType"] == "OperationOutcome"
