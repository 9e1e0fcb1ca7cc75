"""fhir-kit-client, the client of JavaScript; tests/javascript/kit_client.mjs drives it."""

import json
from typing import Any

import pytest
from e2e.deployed_service import Deployment
from javascript.node_programs import NodeAbsentError, run_node


def test_the_way_of_an_integration(service: Deployment, ecg: dict[str, Any]) -> None:
    try:
        told = json.loads(run_node("kit_client.mjs", service.base, text=json.dumps(ecg)))
    except NodeAbsentError as absent:
        pytest.skip(str(absent))

    assert told == {
        "fhirVersion": "4.0.1",
        "createdStatus": 201,
        "createdAgainStatus": 200,
        "createdAgainId": True,
        "readEqual": True,
        "vread": "1",
        "missing": 404,
        "history": "history",
        "report": "partial",
        "resolved": True,
        "pages": 3,
        "found": 5,
        "foundByPost": 5,
        "exportStatus": 202,
        "exportTypes": ["DiagnosticReport"],
        "exportHasReports": True,
        "asyncStatus": 202,
    }
