"""Our codes as resources: the code systems, the value sets over them, the map of the statements to SNOMED CT."""

from collections import defaultdict
from typing import Any

from fhir_ecg.ecg.leads import TWELVE_LEADS
from fhir_ecg.ecg.statements import STATEMENT_BY_CODE, STATEMENTS
from fhir_ecg.fhir.definitions.heading import VERSION, heading
from fhir_ecg.fhir.lead_coding import MDC, lead_code
from fhir_ecg.fhir.terminology import (
    CANONICAL,
    READING_CONCEPTS,
    SNOMED,
    STATEMENT_SYSTEM,
    snomed_rows,
)

STATEMENTS_VALUE_SET = f"{CANONICAL}/ValueSet/scp-ecg-statements"
LEADS_VALUE_SET = f"{CANONICAL}/ValueSet/ecg-leads"
_SNOMED_COPYRIGHT = (
    "This map holds codes of SNOMED CT, which is the property of SNOMED International; their use needs its licence "
    "in some countries."
)


def code_systems() -> list[dict[str, Any]]:
    """Build our CodeSystem resources."""
    statements = [
        {
            "code": statement.code,
            "display": statement.display,
            "property": [{"code": "kind", "valueString": statement.kind}],
        }
        for statement in STATEMENTS
    ]
    reading = [{"code": code, "display": display} for code, display in READING_CONCEPTS.items()]
    kind = {"code": "kind", "type": "string", "description": "diagnostic, form, rhythm or diagnostic+form"}
    text = "The 71 statements of PTB-XL (Wagner et al., PhysioNet, CC BY 4.0), coded after SCP-ECG (EN 1064)."
    return [
        heading("CodeSystem", "scp-ecg-statements", "ScpEcgStatements", "SCP-ECG statements of PTB-XL", text)
        | {"valueSet": STATEMENTS_VALUE_SET}
        | _concepts(statements, [kind]),
        heading(
            "CodeSystem",
            "ecg-reading",
            "EcgReading",
            "Results of an ECG reading",
            "What a reading by machine gives, and is done with it.",
        )
        | _concepts(reading, []),
    ]


def _concepts(concepts: list[dict[str, Any]], properties: list[dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {"caseSensitive": True, "content": "complete", "count": len(concepts)}
    if properties:
        content["property"] = properties
    return content | {"concept": concepts}


def value_sets() -> list[dict[str, Any]]:
    """Build our ValueSet resources: every statement, and the leads as an ECG sent to us names them best."""
    leads = [lead_code(lead)["coding"][0] for lead in TWELVE_LEADS]
    concepts = [{"code": coding["code"], "display": coding["display"]} for coding in leads]
    return [
        heading(
            "ValueSet", "scp-ecg-statements", "ScpEcgStatements", "SCP-ECG statements", "Every statement of PTB-XL."
        )
        | {"immutable": False, "compose": {"include": [{"system": STATEMENT_SYSTEM}]}},
        heading(
            "ValueSet",
            "ecg-leads",
            "EcgLeads",
            "The twelve leads of an ECG",
            "The electric potentials of the twelve leads as ISO/IEEE 11073-10101 codes them.",
        )
        | {"compose": {"include": [{"system": MDC, "concept": concepts}]}},
    ]


def concept_maps() -> list[dict[str, Any]]:
    """Build the ConceptMap of the statements to SNOMED CT; R4's equivalence says what the target is to the source."""
    targets: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in snomed_rows():
        # https://hl7.org/fhir/R4/conceptmap.html#invs cmd-1: what is no match must be commented.
        comment = _COMMENTS.get(row["relationship"])
        target = {"code": row["snomed"], "equivalence": row["relationship"]}
        targets[row["statement"]].append(target | ({"comment": comment} if comment else {}))
    elements = [
        {"code": code, "display": STATEMENT_BY_CODE[code].display, "target": found} for code, found in targets.items()
    ]
    text = (
        "Where a statement of SCP-ECG has a concept of SNOMED CT. A report carries a SNOMED CT code only where it is "
        "equivalent or wider."
    )
    identity = "scp-ecg-statements-to-snomed-ct"
    return [
        heading("ConceptMap", identity, "ScpEcgStatementsToSnomedCt", "SCP-ECG statements to SNOMED CT", text)
        | {
            "copyright": _SNOMED_COPYRIGHT,
            "sourceCanonical": STATEMENTS_VALUE_SET,
            "targetCanonical": f"{SNOMED}?fhir_vs",
        }
        | {"group": [{"source": STATEMENT_SYSTEM, "sourceVersion": VERSION, "target": SNOMED, "element": elements}]}
    ]


_COMMENTS = {
    "narrower": "The concept says more than the statement; no report carries it.",
    "inexact": "The concept says something else beside what both say; no report carries it.",
}
