"""Code systems and the concepts that reports are coded with."""

import csv
from importlib.resources import files
from typing import Any

from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENTS

CANONICAL = "http://fhir-ecg.org/fhir"
STATEMENT_SYSTEM = f"{CANONICAL}/CodeSystem/scp-ecg-statements"
READING_SYSTEM = f"{CANONICAL}/CodeSystem/ecg-reading"
WEIGHTS_IDENTIFIER_SYSTEM = f"{CANONICAL}/sid/weights-sha256"

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
AI_ASSERTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
EKG_STUDY = {"coding": [{"system": LOINC, "code": "11524-6", "display": "EKG study"}], "text": "ECG report"}
ELECTROCARDIAC = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
            "code": "EC",
            "display": "Electrocardiac (e.g., EKG,  EEC, Holter)",
        }
    ]
}
PROCEDURE = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/observation-category",
            "code": "procedure",
            "display": "Procedure",
        }
    ]
}
_READING_CONCEPTS = {"statement-probabilities": "Probabilities of the ECG statements"}
STATEMENT_PROBABILITIES = {
    "coding": [
        {"system": READING_SYSTEM, "code": code, "display": display} for code, display in _READING_CONCEPTS.items()
    ],
    "text": "Probability of each ECG statement, by machine",
}

# A SNOMED code is sent only where it is true whenever the statement is: the same, or wider. It has no display:
# the mapping names concepts in its own words, and a validator would rightly refuse those.
_TRUE_RELATIONSHIPS = {"equivalent", "wider"}


def _read_snomed() -> dict[str, dict[str, str]]:
    with files(__package__).joinpath("snomed.csv").open(encoding="utf-8") as lines:
        return {
            row["statement"]: {"system": SNOMED, "code": row["snomed"]}
            for row in csv.DictReader(lines)
            if row["relationship"] in _TRUE_RELATIONSHIPS
        }


_SNOMED_BY_STATEMENT = _read_snomed()


def statement_concept(code: str, *, snomed: bool = True) -> dict[str, Any]:
    """Code a statement: its SCP code always, its SNOMED CT code where that is true and allowed."""
    display = STATEMENT_BY_CODE[code].display
    coding = [{"system": STATEMENT_SYSTEM, "code": code, "display": display}]
    if snomed and code in _SNOMED_BY_STATEMENT:
        coding.append(_SNOMED_BY_STATEMENT[code])
    return {"coding": coding, "text": display}


def code_systems() -> dict[str, dict[str, Any]]:
    """Build our CodeSystem resources by id."""
    statements = [
        {
            "code": statement.code,
            "display": statement.display,
            "property": [{"code": "kind", "valueString": statement.kind}],
        }
        for statement in STATEMENTS
    ]
    reading = [{"code": code, "display": display} for code, display in _READING_CONCEPTS.items()]
    kind = {"code": "kind", "type": "string", "description": "diagnostic, form, rhythm or diagnostic+form"}
    return {
        "scp-ecg-statements": _code_system(
            "scp-ecg-statements", "ScpEcgStatements", "SCP-ECG statements of PTB-XL", statements, [kind]
        ),
        "ecg-reading": _code_system("ecg-reading", "EcgReading", "Results of an ECG reading", reading, []),
    }


def _code_system(
    identity: str, name: str, title: str, concepts: list[dict[str, Any]], properties: list[dict[str, Any]]
) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "CodeSystem",
        "id": identity,
        "url": f"{CANONICAL}/CodeSystem/{identity}",
        "version": "1.0.0",
        "name": name,
        "title": title,
        "status": "active",
        "caseSensitive": True,
        "content": "complete",
        "count": len(concepts),
    }
    if properties:
        resource["property"] = properties
    return resource | {"concept": concepts}
