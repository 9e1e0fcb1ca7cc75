"""The search parameters that are served: one table for the index, the parser and the CapabilityStatement.

https://hl7.org/fhir/R4/searchparameter-registry.html

Left out, on purpose: what looks into the components of an Observation (`component-code`, the `combo-` and composite
ones). Each report has an Observation with 71 scores, whose rows would outnumber all others; `conclusion` finds a report
by what was found.
"""

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["token", "reference", "date", "string", "uri"]

_REGISTRY = "http://hl7.org/fhir/SearchParameter/"


@dataclass(frozen=True)
class SearchParameter:
    """One parameter of one resource type."""

    name: str
    kind: Kind
    elements: tuple[str, ...]
    """Paths below the resource, names joined by dots."""
    targets: tuple[str, ...] = ()
    """Types that a reference is taken to point to; the first is meant where only an id is given."""
    definition: str = ""
    """Canonical address of its SearchParameter, from the standard."""


# Where the standard says "any resource", these are tried for an id without a type.
_ANY = (
    "Observation", "DiagnosticReport", "Patient", "Device", "Encounter", "ServiceRequest", "Task", "Provenance",
    "DocumentReference", "AuditEvent", "Procedure", "Organization", "Practitioner", "PractitionerRole", "Group",
    "Location", "Specimen", "Media", "CarePlan", "MedicationRequest",
)  # fmt: skip
_PEOPLE = ("Practitioner", "PractitionerRole", "Organization", "CareTeam")
_AGENTS = ("Practitioner", "PractitionerRole", "Organization", "Device", "Patient", "RelatedPerson")
_ORDERS = ("ServiceRequest", "CarePlan", "ImmunizationRecommendation", "MedicationRequest", "NutritionOrder")

# R4 defines these once for many clinical types, under names of their own.
_CLINICAL = {"code", "date", "encounter", "identifier", "patient"}
_CLINICAL_TYPES = {"DiagnosticReport", "Observation"}

_COMMON = (
    SearchParameter("_tag", "token", ("meta.tag",), definition=f"{_REGISTRY}Resource-tag"),
    SearchParameter("_security", "token", ("meta.security",), definition=f"{_REGISTRY}Resource-security"),
    SearchParameter("_profile", "uri", ("meta.profile",), definition=f"{_REGISTRY}Resource-profile"),
    SearchParameter("_source", "uri", ("meta.source",), definition=f"{_REGISTRY}Resource-source"),
)


def _token(name: str, *elements: str) -> SearchParameter:
    return SearchParameter(name, "token", elements or (name,))


def _date(name: str, *elements: str) -> SearchParameter:
    return SearchParameter(name, "date", elements)


def _text(name: str, *elements: str) -> SearchParameter:
    return SearchParameter(name, "string", elements)


def _to(name: str, element: str, *targets: str) -> SearchParameter:
    return SearchParameter(name, "reference", (element,), targets)


_CLINICAL_BASICS = (
    _token("identifier"), _token("status"), _token("category"), _token("code"),
    _to("subject", "subject", "Patient", "Group", "Device", "Location"),
    _to("patient", "subject", "Patient"),
    _to("encounter", "encounter", "Encounter", "EpisodeOfCare"),
    _date("date", "effectiveDateTime", "effectivePeriod", "effectiveInstant"),
)  # fmt: skip

_TABLE: dict[str, tuple[SearchParameter, ...]] = {
    "Observation": (
        *_CLINICAL_BASICS,
        _to("based-on", "basedOn", *_ORDERS, "DeviceRequest"),
        _token("data-absent-reason", "dataAbsentReason"),
        _to(
            "derived-from", "derivedFrom", "Observation", "DocumentReference", "ImagingStudy", "Media",
            "MolecularSequence", "QuestionnaireResponse",
        ),
        _to("device", "device", "Device", "DeviceMetric"),
        _to("focus", "focus", *_ANY),
        _to("has-member", "hasMember", "Observation", "MolecularSequence", "QuestionnaireResponse"),
        _token("method"),
        _to(
            "part-of", "partOf", "Procedure", "ImagingStudy", "Immunization", "MedicationAdministration",
            "MedicationDispense", "MedicationStatement",
        ),
        _to("performer", "performer", *_PEOPLE, "Patient", "RelatedPerson"),
        _to("specimen", "specimen", "Specimen"),
        _token("value-concept", "valueCodeableConcept"),
    ),
    "DiagnosticReport": (
        *_CLINICAL_BASICS,
        _to("based-on", "basedOn", *_ORDERS),
        _token("conclusion", "conclusionCode"),
        _date("issued", "issued"),
        _to("media", "media.link", "Media"),
        _to("performer", "performer", *_PEOPLE),
        _to("result", "result", "Observation"),
        _to("results-interpreter", "resultsInterpreter", *_PEOPLE),
        _to("specimen", "specimen", "Specimen"),
    ),
    "Device": (
        _token("identifier"), _token("status"), _token("type"),
        _text("device-name", "deviceName.name", "type.coding.display", "type.text"),
        _text("manufacturer", "manufacturer"),
        _text("model", "modelNumber"),
        SearchParameter("url", "uri", ("url",)),
    ),
    "DocumentReference": (
        _token("category"), _token("contenttype", "content.attachment.contentType"), _date("date", "date"),
        _text("description", "description"), _token("identifier", "masterIdentifier", "identifier"),
        _token("status"), _token("type"),
    ),
    "Provenance": (
        _to("agent", "agent.who", *_AGENTS),
        _token("agent-type", "agent.type"),
        _to("entity", "entity.what", *_ANY),
        _to("patient", "target", "Patient"),
        _date("recorded", "recorded"),
        _to("target", "target", "DiagnosticReport", *(target for target in _ANY if target != "DiagnosticReport")),
    ),
    "Task": (
        _date("authored-on", "authoredOn"),
        _to("based-on", "basedOn", *_ANY),
        _token("business-status", "businessStatus"),
        _token("code"),
        _to("focus", "focus", *_ANY),
        _token("group-identifier", "groupIdentifier"),
        _token("identifier"), _token("intent"),
        _date("modified", "lastModified"),
        _to("owner", "owner", *_AGENTS, "CareTeam", "HealthcareService"),
        _to("patient", "for", "Patient"),
        _token("performer", "performerType"),
        _to("requester", "requester", *_AGENTS),
        _token("status"),
        _to("subject", "for", "Patient", *(target for target in _ANY if target != "Patient")),
    ),
}  # fmt: skip


def _definition(resource_type: str, parameter: SearchParameter) -> str:
    if parameter.definition:
        return parameter.definition
    shared = resource_type in _CLINICAL_TYPES and parameter.name in _CLINICAL
    return f"{_REGISTRY}{'clinical' if shared else resource_type}-{parameter.name}"


SEARCH_PARAMETERS: dict[str, dict[str, SearchParameter]] = {
    resource_type: {
        parameter.name: replace(parameter, definition=_definition(resource_type, parameter))
        for parameter in (*parameters, *_COMMON)
    }
    for resource_type, parameters in _TABLE.items()
}
"""By type and name; `_id` and `_lastUpdated`, which need no index of their own, work on every type beside these."""

SEARCHABLE_TYPES: tuple[str, ...] = tuple(SEARCH_PARAMETERS)

AUDIT_PARAMETERS: dict[str, SearchParameter] = {
    parameter.name: replace(parameter, definition=f"{_REGISTRY}AuditEvent-{parameter.name}")
    for parameter in (
        _token("action"),
        _to("agent", "agent.who", *_AGENTS, "PractitionerRole"),
        _text("agent-name", "agent.name"),
        _date("date", "recorded"),
        _to("entity", "entity.what", *_ANY),
        _token("outcome"),
        _to("patient", "entity.what", "Patient"),
        _token("subtype"),
        _token("type"),
    )
}
"""Of AuditEvent, which is no stored resource: store/audit_events.py finds the audit entries."""


def parameters_of(resource_type: str) -> dict[str, SearchParameter]:
    """List the parameters of a type by name."""
    return AUDIT_PARAMETERS if resource_type == "AuditEvent" else SEARCH_PARAMETERS[resource_type]


def date_parameters(resource_type: str) -> list[str]:
    """List the parameters of a type that it can be sorted by, beside `_id` and `_lastUpdated`."""
    parameters = SEARCH_PARAMETERS.get(resource_type, {}).values()
    return [parameter.name for parameter in parameters if parameter.kind == "date"]
