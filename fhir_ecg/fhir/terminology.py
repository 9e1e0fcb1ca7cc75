"""Code systems and the concepts that reports are coded with."""

import csv
from importlib.resources import files
from typing import Any

from fhir_ecg.ecg.statements import STATEMENT_BY_CODE

CANONICAL = "http://fhir-ecg.org/fhir"
STATEMENT_SYSTEM = f"{CANONICAL}/CodeSystem/scp-ecg-statements"
READING_SYSTEM = f"{CANONICAL}/CodeSystem/ecg-reading"
WEIGHTS_IDENTIFIER_SYSTEM = f"{CANONICAL}/sid/weights-sha256"

ECG_PROFILE = f"{CANONICAL}/StructureDefinition/ecg-in"
REPORT_PROFILE = f"{CANONICAL}/StructureDefinition/ecg-report"
SCORES_PROFILE = f"{CANONICAL}/StructureDefinition/ecg-statement-probabilities"
MODEL_PROFILE = f"{CANONICAL}/StructureDefinition/ai-model-device"
PROVENANCE_PROFILE = f"{CANONICAL}/StructureDefinition/ecg-reading-provenance"

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
AI_ASSERTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
CLINICIAN_ASSERTED = {
    "system": "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AddedProvenanceCS",
    "code": "CLINAST_AIRPT",
    "display": "Clinician Asserted from AI Reported",
}
SECURITY_LABEL = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
"""The extension that labels one element. https://hl7.org/fhir/uv/security-label-ds4p/inline_security_labels.html"""
LABELLED_INSIDE = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "code": "PROCESSINLINELABEL",
    "display": "process inline security label",
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
READING_CONCEPTS = {
    "statement-probabilities": "Probabilities of the ECG statements",
    "read-ecg": "Read an ECG by machine",
    "waveform-expired": "The samples were removed when their retention ended",
}
# HL7's AI Transparency on FHIR, 1.0.0-ballot. https://build.fhir.org/ig/HL7/aitransparency-ig/en/
_AI = "http://hl7.org/fhir/uv/aitransparency"
AI_DEVICE_PROFILE = f"{_AI}/StructureDefinition/AI-Device"
AI_CARD_PROFILE = f"{_AI}/StructureDefinition/AI-ModelCard"
AI_PROVENANCE_PROFILE = f"{_AI}/StructureDefinition/AI-Provenance"
AI_CONFIDENCE = f"{_AI}/StructureDefinition/AIconfidence"
AI_KIND = f"{_AI}/StructureDefinition/aitransparency.AIKind"
AI_MODEL_CARD = f"{_AI}/StructureDefinition/aitransparency.modelCardDescription"
_AI_DEVICE_TYPES = f"{_AI}/CodeSystem/AIdeviceTypeCS"
_AI_INPUTS = f"{_AI}/CodeSystem/AIinputsCS"
ARTIFICIAL_INTELLIGENCE = {
    "system": _AI_DEVICE_TYPES,
    "code": "Artificial-Intelligence",
    "display": "All kinds of Artificial Intelligence",
}
DEEP_LEARNING = {"system": _AI_DEVICE_TYPES, "code": "Deep-Learning-Models", "display": "Deep Learning Models"}
MODEL_CARD = {"system": _AI_INPUTS, "code": "AIModelCard", "display": "AI Model-Card"}
MARKDOWN_CARD = {"system": _AI_INPUTS, "code": "AIModelCardMarkdownFormat", "display": "Markdown Format"}
CARD_IDENTIFIER_SYSTEM = f"{CANONICAL}/sid/model-card-sha256"

READ_ECG = {"system": READING_SYSTEM, "code": "read-ecg", "display": READING_CONCEPTS["read-ecg"]}
SOFTWARE_IDENTIFIER_SYSTEM = f"{CANONICAL}/sid/software"
# In AuditEvent.subtype, where no other code system has what was done.
AUDIT_CONCEPTS = {
    "retry": "A failed reading is to be tried again",
    "verify": "The audit trail was verified",
    "adopt": "Rows that no audit entry held were taken into the audit chain",
    "replay": "Stored readings were computed again and compared",
    "agreement": "The findings of model and readers were compared",
    "patient-export": "Everything about a patient was given out",
    "store": "Something was stored that no other entry tells of",
    "expire": "The samples, or all that was stored, of an ECG were removed when their retention ended",
    "hold": "A legal hold was placed",
    "release": "A legal hold was released",
    "keep-weights": "The weights of a model were kept",
    "checkpoint": "The heads of the audit chain were written down",
}
READING_CONCEPTS |= AUDIT_CONCEPTS
STATEMENT_PROBABILITIES = {
    "coding": [
        {
            "system": READING_SYSTEM,
            "code": "statement-probabilities",
            "display": READING_CONCEPTS["statement-probabilities"],
        }
    ],
    "text": "Probability of each ECG statement, by machine",
}

# A SNOMED code is sent only where it is true whenever the statement is: the same, or wider. It has no display:
# the mapping names concepts in its own words, and a validator would rightly refuse those.
_TRUE_RELATIONSHIPS = {"equivalent", "wider"}


def snomed_rows() -> list[dict[str, str]]:
    """Read the map to SNOMED CT; its relationship says what the concept is to the statement."""
    with files(__package__).joinpath("snomed.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


_SNOMED_BY_STATEMENT = {
    row["statement"]: {"system": SNOMED, "code": row["snomed"]}
    for row in snomed_rows()
    if row["relationship"] in _TRUE_RELATIONSHIPS
}


_STATEMENT_BY_SNOMED = {row["snomed"]: row["statement"] for row in snomed_rows() if row["relationship"] == "equivalent"}


def coded_statement(concept: dict[str, Any]) -> str | None:
    """Find the statement that a concept codes, by its SCP code or a SNOMED CT code that means the same.

    None where there is no such code, where codes contradict each other, or where one is of another system: with the
    statement alone it would be lost.
    """
    codings = concept.get("coding", [])
    scp = {coding.get("code") for coding in codings if coding.get("system") == STATEMENT_SYSTEM}
    snomed = {coding.get("code") for coding in codings if coding.get("system") == SNOMED}
    found = scp or {_STATEMENT_BY_SNOMED.get(code) for code in snomed}
    [code] = found if len(found) == 1 else [None]
    if code not in STATEMENT_BY_CODE or any(c.get("system") not in {STATEMENT_SYSTEM, SNOMED} for c in codings):
        return None
    true = {_SNOMED_BY_STATEMENT[code]["code"]} if code in _SNOMED_BY_STATEMENT else set()
    return code if snomed <= true else None


def statement_concept(code: str, *, snomed: bool = True) -> dict[str, Any]:
    """Code a statement: its SCP code always, its SNOMED CT code where that is true and allowed."""
    display = STATEMENT_BY_CODE[code].display
    coding = [{"system": STATEMENT_SYSTEM, "code": code, "display": display}]
    if snomed and code in _SNOMED_BY_STATEMENT:
        coding.append(_SNOMED_BY_STATEMENT[code])
    return {"coding": coding, "text": display}
