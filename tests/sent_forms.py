"""An ECG in every form in which it can be sent."""

import json
from collections.abc import Callable
from typing import Any

from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.r5_form import r5_form
from fhir_ecg.fhir.release import Release
from fhir_ecg.fhir.xml_form import serialise_xml


def sent_form(name: str, example: bytes) -> tuple[bytes, str, str]:
    """Write an example in a form: its body, media type, and the address below the base that takes it."""
    syntax = "xml" if name.endswith("XML") else "json"
    release = "5.0" if name.startswith("R5") else "4.0"
    address = {"Parameters": "Observation/$classify", "Bundle of leads": ""}.get(name, "Observation")
    return _WRITERS[name](parse_json(example)), f"application/fhir+{syntax}; fhirVersion={release}", address


def bundle(*resources: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    """Put Observations into a Bundle that creates them."""
    request = {"method": "POST", "url": "Observation"}
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": resource, "request": request} for resource in resources],
    }


def leads_of(example: bytes) -> list[dict[str, Any]]:
    """Write an example as one Observation for each lead; at one time, as otherwise nothing would join them."""
    whole = {"effectiveDateTime": "2026-01-04T08:30:00Z"} | json.loads(example)
    shared = {name: value for name, value in whole.items() if name not in {"component", "identifier", "code"}}
    return [shared | component for component in whole["component"]]


_WRITERS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "R4 JSON": serialise,
    "R4 XML": serialise_xml,
    "R5 JSON": lambda r4: serialise(r5_form(r4)),
    "R5 XML": lambda r4: serialise_xml(r5_form(r4), Release.R5),
    "R5 in seconds": lambda r4: serialise(_in_seconds(r5_form(r4))),
    "Parameters": lambda r4: serialise(
        {"resourceType": "Parameters", "parameter": [{"name": "observation", "resource": r4}]}
    ),
    "Bundle of leads": lambda r4: serialise(bundle(*leads_of(serialise(r4)))),
}
FORMS = tuple(_WRITERS)


def _in_seconds(r5: dict[str, Any]) -> dict[str, Any]:
    for component in r5["component"]:
        sampled = component["valueSampledData"]
        component["valueSampledData"] = sampled | {"interval": sampled["interval"] / 1000, "intervalUnit": "s"}
    return r5
