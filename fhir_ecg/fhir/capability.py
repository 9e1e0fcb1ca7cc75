"""The CapabilityStatement: exactly what works. https://hl7.org/fhir/R4/capabilitystatement.html"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_ecg.fhir.definitions import DEFINITION_TYPES, definitions
from fhir_ecg.fhir.definitions.search import DEFINITION_PARAMETERS
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, parameters_of
from fhir_ecg.fhir.terminology import (
    CANONICAL,
    ECG_PROFILE,
    MODEL_PROFILE,
    PROVENANCE_PROFILE,
    REPORT_PROFILE,
    SCORES_PROFILE,
)

_KEPT = ("read", "vread", "history-instance", "history-type", "search-type")

INTERACTIONS: dict[str, tuple[str, ...]] = {
    "Observation": ("create", "update", "delete", *_KEPT),
    "DiagnosticReport": ("update", *_KEPT),
    "Task": _KEPT,
    "Device": _KEPT,
    "Provenance": _KEPT,
    "DocumentReference": _KEPT,
    "AuditEvent": ("read", "vread", "search-type"),
    **dict.fromkeys(DEFINITION_TYPES, ("read", "search-type")),
}
"""What can be done with each type; other types are unknown here."""

SYSTEM_INTERACTIONS = ("transaction", "batch", "history-system")

_PROFILES: dict[str, tuple[str, ...]] = {
    "Observation": (ECG_PROFILE, SCORES_PROFILE),
    "DiagnosticReport": (REPORT_PROFILE,),
    "Device": (MODEL_PROFILE,),
    "Provenance": (PROVENANCE_PROFILE,),
}
DOCUMENTATION = {
    "Observation": "12-lead ECGs as they were sent, and the probabilities that the model gave to each statement. "
    "A created ECG is read at once, or refused with 422 and every element at fault.",
    "DiagnosticReport": "The reading of each ECG, found by `result` from the moment that the ECG is accepted: "
    "registered, then partial until a person confirms it, or cancelled with a reason. An update confirms, edits or "
    "rejects it, and needs If-Match.",
    "Task": "How far the reading of each ECG is.",
    "Device": "The models that read ECGs.",
    "Provenance": "Which model made which report from which ECG.",
    "DocumentReference": "The cards of the models: what each is for, how it was measured, and where it fails.",
    "AuditEvent": "Who did what, after IHE's Basic Audit Log Patterns; the newest first. Nobody can write one. "
    "The operator may have named the clients that read them; for others it is 403.",
}
"""What is said of each type."""
_RESOURCE_SEARCH = (
    {"name": "_id", "definition": "http://hl7.org/fhir/SearchParameter/Resource-id", "type": "token"},
    {
        "name": "_lastUpdated",
        "definition": "http://hl7.org/fhir/SearchParameter/Resource-lastUpdated",
        "type": "date",
    },
)
# Of the types here: https://hl7.org/fhir/R4/ marks their pages with N.
_NORMATIVE = {"Observation", "CodeSystem", "OperationDefinition", "StructureDefinition", "ValueSet"}


@dataclass(frozen=True)
class Server:
    """What differs from server to server."""

    base: str
    version: str
    date: str
    secured: bool = False
    snomed: bool = True
    cors: bool = False


def capability_statement(server: Server, *, normative: bool = False) -> dict[str, Any]:
    """Build the statement of one server; with `normative` only of types that R4 will not change any more."""
    kinds = [kind for kind in INTERACTIONS if kind in _NORMATIVE or not normative]
    return _heading(server, "CapabilityStatement", "metadata") | {
        "software": {"name": "fhir-ecg", "version": server.version},
        "implementation": {"description": "A second reader for 12-lead ECGs", "url": server.base},
        "fhirVersion": "4.0.1",
        "format": ["json", "xml"],
        "implementationGuide": [f"{CANONICAL}/ImplementationGuide/fhir-ecg"],
        "rest": [
            {
                "mode": "server",
                "documentation": "R4; answers are in R5's form where Accept has fhirVersion=5.0, and an ECG may be "
                "sent in either. Every refusal is an OperationOutcome.",
                "security": _security(server),
                "resource": [_resource(kind, server) for kind in kinds],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "operation": _operations(None),
            }
        ],
    }


def terminology_capabilities(server: Server) -> dict[str, Any]:
    """Build the statement of which code systems are here; nothing is expanded, looked up or translated."""
    systems = definitions(snomed=server.snomed)["CodeSystem"].values()
    return _heading(server, "TerminologyCapabilities", "metadata?mode=terminology") | {
        "software": {"name": "fhir-ecg", "version": server.version},
        "implementation": {"description": "A second reader for 12-lead ECGs", "url": server.base},
        "codeSystem": [
            {"uri": system["url"], "version": [{"code": system["version"], "isDefault": True}]} for system in systems
        ],
        "codeSearch": "explicit",
    }


def _heading(server: Server, kind: str, path: str) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "url": f"{server.base}/{path}",
        "version": server.version,
        "name": "FhirEcg",
        "title": "fhir-ecg",
        "status": "active",
        "experimental": False,
        "date": server.date,
        "publisher": "fhir-ecg",
        "description": "Reads 12-lead ECGs and answers with unconfirmed reports. It is not a medical device.",
        "kind": "instance",
    }


def _security(server: Server) -> dict[str, Any]:
    text = "A bearer token in the Authorization header, issued by the operator." if server.secured else "None."
    return {"cors": server.cors, "description": text}


def _resource(kind: str, server: Server) -> dict[str, Any]:
    codes = INTERACTIONS[kind]
    resource: dict[str, Any] = {"type": kind}
    if kind in _PROFILES:
        resource["supportedProfile"] = list(_PROFILES[kind])
    if kind in DOCUMENTATION:
        resource["documentation"] = DOCUMENTATION[kind]
    resource["interaction"] = [{"code": code} for code in codes]
    kept = "vread" in codes
    resource |= {"versioning": "versioned" if kept else "no-version", "readHistory": kept, "updateCreate": False}
    resource |= {"conditionalCreate": "create" in codes, "conditionalUpdate": False}
    resource |= {"conditionalRead": "full-support" if kept else "not-supported"}
    resource |= {"conditionalDelete": "not-supported"}
    resource |= _included(kind)
    resource["searchParam"] = _search_parameters(kind)
    if kind in DEFINITION_TYPES and not definitions(snomed=server.snomed)[kind]:
        resource["documentation"] = "None: SNOMED CT is turned off."
    return resource | ({"operation": found} if (found := _operations(kind)) else {})


def _search_parameters(kind: str) -> list[dict[str, str]]:
    if kind in DEFINITION_TYPES:
        return [_parameter(p.name, p.definition, p.kind) for p in DEFINITION_PARAMETERS.values()]
    own = [_parameter(p.name, p.definition, p.kind) for p in parameters_of(kind).values()]
    return [*own, *_RESOURCE_SEARCH]


def _parameter(name: str, definition: str, kind: str) -> dict[str, str]:
    return {"name": name, "definition": definition, "type": kind}


def references() -> Mapping[str, list[tuple[str, tuple[str, ...]]]]:
    """Give the search parameters of each type that may lead to types which are stored here, with those types."""
    return {
        kind: [
            (parameter.name, held)
            for parameter in parameters.values()
            if (held := tuple(target for target in parameter.targets if target in SEARCH_PARAMETERS))
        ]
        for kind, parameters in SEARCH_PARAMETERS.items()
    }


def _included(kind: str) -> dict[str, list[str]]:
    include = [f"{kind}:{name}" for name, _ in references().get(kind, [])]
    reverse = [f"{other}:{name}" for other, found in references().items() for name, held in found if kind in held]
    return ({"searchInclude": include} if include else {}) | ({"searchRevInclude": reverse} if reverse else {})


def _operations(kind: str | None) -> list[dict[str, str]]:
    """List the operations on a type, or with None on the whole system."""
    return [
        {"name": definition["code"], "definition": definition["url"], "documentation": definition["description"]}
        for definition in definitions()["OperationDefinition"].values()
        if (definition["system"] if kind is None else kind in definition.get("resource", []))
    ]
