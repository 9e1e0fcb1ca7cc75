"""An ECG as an EHR sends it, to be changed by tests, and what the door answers."""

import json
from typing import Any

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.document import Form, read_observation
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.lead_coding import lead_code
from fhir_ecg.fhir.outcome import Problem, RefusedError
from fhir_ecg.fhir.repairs import NONE, Repair

Path = tuple[str | int, ...]

JSON = Form()

ABSENT = object()
"""Set at a place, it removes what stands there."""


def sampled_data(data: str = "1 -2 30 4") -> dict[str, Any]:
    return {
        "origin": {"value": 0, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mV"},
        "period": 2,
        "factor": 0.005,
        "dimensions": 1,
        "data": data,
    }


def component(lead: Lead, data: str = "1 -2 30 4") -> dict[str, Any]:
    return {"code": lead_code(lead), "valueSampledData": sampled_data(data)}


def observation(**elements: Any) -> dict[str, Any]:
    """Twelve leads of four samples at 500 Hz, with what an EHR usually sends beside them."""
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "http://hospital.example/ecg", "value": "E-1"}],
        "basedOn": [{"reference": "ServiceRequest/order-1"}],
        "status": "final",
        "category": [{"coding": [{"system": "http://hl7.org/x", "code": "procedure"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "11524-6", "display": "EKG study"}]},
        "subject": {"reference": "Patient/7"},
        "encounter": {"reference": "Encounter/8"},
        "effectiveDateTime": "2026-11-22T09:30:00+01:00",
        "component": [component(lead) for lead in TWELVE_LEADS],
    } | elements


def with_change(path: Path, value: Any, **elements: Any) -> dict[str, Any]:
    """The Observation with another value at a path; an index of the length of its array appends."""
    changed = observation(**elements)
    node: Any = changed
    for step in path[:-1]:
        node = node[step]
    if value is ABSENT:
        del node[path[-1]]
    elif isinstance(node, list) and path[-1] == len(node):
        node.append(value)
    else:
        node[path[-1]] = value
    return changed


def take(body: bytes, form: Form = JSON, allowed: frozenset[Repair] = NONE) -> tuple[dict[str, Any], Recording]:
    """What happens at the door: parse, check, decode."""
    resource, _ = read_observation(body, form)
    return resource, read_joined([Sent(resource)], allowed)


def problems_of(resource: dict[str, Any]) -> tuple[Problem, ...]:
    """The problems for which a resource is refused; none where it is taken."""
    try:
        take(json.dumps(resource).encode())
    except RefusedError as error:
        return error.problems
    return ()


def refusal(resource: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.expression) for problem in problems_of(resource)]
