"""The resources that define what is sent and answered here: profiles, codes, maps, operations, the guide to them."""

from functools import cache
from typing import Any

from fhir_ecg.fhir.definitions.guide import implementation_guide
from fhir_ecg.fhir.definitions.operations import operation_definitions
from fhir_ecg.fhir.definitions.profiles import profiles
from fhir_ecg.fhir.definitions.terminologies import code_systems, concept_maps, value_sets

DEFINITION_TYPES = (
    "CodeSystem", "ConceptMap", "ImplementationGuide", "OperationDefinition", "StructureDefinition", "ValueSet",
)  # fmt: skip


@cache
def definitions(*, snomed: bool = True) -> dict[str, dict[str, dict[str, Any]]]:
    """Give every definition by type and id; without `snomed` the map to SNOMED CT is left out."""
    resources = [
        *code_systems(),
        *value_sets(),
        *(concept_maps() if snomed else ()),
        *profiles(),
        *operation_definitions(),
    ]
    by_type: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in DEFINITION_TYPES}
    for resource in [*resources, implementation_guide(resources)]:
        by_type[resource["resourceType"]][resource["id"]] = resource
    return by_type
