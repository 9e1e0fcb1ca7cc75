"""The search parameters that are served: one table for the index, the parser and the CapabilityStatement.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["token", "reference", "date"]


@dataclass(frozen=True)
class SearchParameter:
    """One parameter of one resource type."""

    name: str
    kind: Kind
    elements: tuple[str, ...]
    """Paths below the resource, names joined by dots."""
    targets: tuple[str, ...] = ()
    """Types that a reference is taken to point to; the first is meant where only an id is given."""


_IDENTIFIER = SearchParameter("identifier", "token", ("identifier",))
_STATUS = SearchParameter("status", "token", ("status",))
_CATEGORY = SearchParameter("category", "token", ("category",))
_CODE = SearchParameter("code", "token", ("code",))
_SUBJECT = SearchParameter("subject", "reference", ("subject",), ("Patient", "Group", "Device", "Location"))
_PATIENT = SearchParameter("patient", "reference", ("subject",), ("Patient",))
_ENCOUNTER = SearchParameter("encounter", "reference", ("encounter",), ("Encounter",))
_DATE = SearchParameter("date", "date", ("effectiveDateTime", "effectivePeriod", "effectiveInstant"))
_ORDER_TARGETS = (
    "ServiceRequest",
    "CarePlan",
    "ImmunizationRecommendation",
    "MedicationRequest",
    "NutritionOrder",
)
_BASED_ON = SearchParameter("based-on", "reference", ("basedOn",), _ORDER_TARGETS)

_TABLE: dict[str, tuple[SearchParameter, ...]] = {
    "Observation": (
        _IDENTIFIER, _STATUS, _CATEGORY, _CODE, _SUBJECT, _PATIENT, _ENCOUNTER, _DATE, _BASED_ON,
        SearchParameter("derived-from", "reference", ("derivedFrom",), ("Observation",)),
        SearchParameter("device", "reference", ("device",), ("Device",)),
    ),
    "DiagnosticReport": (
        _IDENTIFIER, _STATUS, _CATEGORY, _CODE, _SUBJECT, _PATIENT, _ENCOUNTER, _DATE, _BASED_ON,
        SearchParameter("conclusion", "token", ("conclusionCode",)),
        SearchParameter("issued", "date", ("issued",)),
        SearchParameter("result", "reference", ("result",), ("Observation",)),
    ),
    "Device": (_IDENTIFIER,),
    "Provenance": (
        SearchParameter("target", "reference", ("target",), ("DiagnosticReport", "Observation")),
        SearchParameter("recorded", "date", ("recorded",)),
    ),
}  # fmt: skip

SEARCH_PARAMETERS: dict[str, dict[str, SearchParameter]] = {
    resource_type: {parameter.name: parameter for parameter in parameters}
    for resource_type, parameters in _TABLE.items()
}
SEARCHABLE_TYPES: tuple[str, ...] = tuple(SEARCH_PARAMETERS)
