"""The ImplementationGuide: what belongs together, and the name of the package that it is shipped in."""

from typing import Any

from fhir_ecg.fhir.definitions.heading import heading

PACKAGE = "org.fhir-ecg.r4"


def implementation_guide(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Build the ImplementationGuide of the other definitions."""
    text = "How ECGs are sent to fhir-ecg, and what it answers: profiles, codes, their map to SNOMED CT, operations."
    guide = heading("ImplementationGuide", "fhir-ecg", "FhirEcg", "fhir-ecg", text)
    definition = {
        "resource": [
            {
                "reference": {"reference": f"{resource['resourceType']}/{resource['id']}"},
                "name": resource["title"],
                "exampleBoolean": False,
            }
            for resource in resources
        ]
    }
    return guide | {
        "packageId": PACKAGE,
        "license": "Apache-2.0",
        "fhirVersion": ["4.0.1"],
        "definition": definition,
    }
