"""The CapabilityStatement: exactly what works. https://hl7.org/fhir/R4/capabilitystatement.html"""

from typing import Any

from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS

_INTERACTIONS: dict[str, tuple[str, ...]] = {
    "CodeSystem": ("read",),
    "Device": ("read", "vread", "search-type"),
    "DiagnosticReport": ("read", "vread", "search-type"),
    "Observation": ("create", "read", "vread", "search-type"),
    "Provenance": ("read", "vread", "search-type"),
}
_FROM_PARAMETERS: list[dict[str, str]] = [
    {"name": "_id", "type": "token"},
    {"name": "_lastUpdated", "type": "date"},
]


def capability_statement(base: str, version: str, date: str, *, secured: bool) -> dict[str, Any]:
    """Build the statement of one server at the address `base`."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "fhir-ecg", "version": version},
        "implementation": {"description": "A second reader for 12-lead ECGs", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", "xml"],
        "rest": [
            {"mode": "server"}
            | _security(secured)
            | {
                "resource": [_resource(t) for t in _INTERACTIONS],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
            }
        ],
    }


def _security(secured: bool) -> dict[str, Any]:
    if not secured:
        return {}
    return {"security": {"description": "A bearer token in the Authorization header, issued by the operator."}}


def _resource(resource_type: str) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "type": resource_type,
        "interaction": [{"code": code} for code in _INTERACTIONS[resource_type]],
    }
    if "create" in _INTERACTIONS[resource_type]:
        resource["conditionalCreate"] = True
    if "vread" in _INTERACTIONS[resource_type]:
        resource["versioning"] = "versioned"
    if resource_type in SEARCH_PARAMETERS:
        parameters = SEARCH_PARAMETERS[resource_type].values()
        resource["searchParam"] = [{"name": p.name, "type": p.kind} for p in parameters] + _FROM_PARAMETERS
    return resource
