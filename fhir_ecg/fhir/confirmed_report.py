"""The report that a person has confirmed, edited or rejected, and the Provenance that says so."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from lxml import etree

from fhir_ecg.ecg.statements import STATEMENT_BY_CODE
from fhir_ecg.fhir.confirmation import CONFIRMED, READ, Verdict, codes_of
from fhir_ecg.fhir.invariants import parse_narrative
from fhir_ecg.fhir.report import UNCONFIRMED, instant, narrative
from fhir_ecg.fhir.terminology import (
    AI_ASSERTED,
    CLINICIAN_ASSERTED,
    LABELLED_INSIDE,
    SECURITY_LABEL,
    statement_concept,
)
from fhir_ecg.fhir.xml_members import XHTML
from fhir_ecg.fhir.xml_narrative import narrative_string

Resource = dict[str, Any]

_DONE = {"confirm": "Confirmed", "edit": "Edited and confirmed", "reject": "Rejected"}
_ACTIVITIES = {
    "confirm": "Confirmation of an ECG report by a person",
    "edit": "Change and confirmation of an ECG report by a person",
    "reject": "Rejection of an ECG report by a person",
}
_CODED = "Coded findings: "
_POINTER = "The reading by machine stands in version "
# Lines of a machine's conclusion that say what it found; the others say how.
_FINDINGS = ("Findings:", "- ", "Withheld:", _CODED)
_OWN_LABELS = {label["code"] for label in (AI_ASSERTED, CLINICIAN_ASSERTED, LABELLED_INSIDE)}
_AGENT_TYPES = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def decided_report(
    current: Resource, verdict: Verdict, *, machine: Resource | None, decided: datetime, snomed: bool
) -> Resource:
    """Build a report's next version from what a person decided.

    Args:
        current: The report's present version.
        verdict: What was decided.
        machine: The report's newest version that the model wrote; None where it wrote none.
        decided: When.
        snomed: Whether codes of SNOMED CT are sent.
    """
    codes = codes_of(current) if verdict.codes is None else verdict.codes
    pointer = [f"{_POINTER}{machine['meta']['versionId']} of this report."] if machine else []
    comment = [f"Comment: {verdict.comment}"] if verdict.comment else []
    done = _decided_line(current, verdict, decided)
    if verdict.decision == "reject":
        words = _words(current, verdict.conclusion) if verdict.conclusion else []
        said = f"What it said stands in its version {current['meta']['versionId']}."
        lines = ["THIS REPORT IS VOID.", f"{done} [rejected]", *words, *comment, said]
        codes = ()
    else:
        lines = [done, *_findings(current, verdict, codes), *comment, *pointer]
    kept = {name: value for name, value in current.items() if name not in {"conclusionCode", "text"}}
    report = kept | {
        "meta": current["meta"],
        "text": _narrative(verdict.text, done, lines),
        "status": verdict.status,
        "issued": verdict.issued or instant(decided),
        "resultsInterpreter": list(verdict.interpreters),
        "conclusion": "\n".join(lines),
    }
    if verdict.status not in CONFIRMED:
        return report
    return report | _coded(report["meta"], codes, codes_of(machine or {}), snomed=snomed)


def decision_provenance(
    provenance_id: str, target: str, sources: Sequence[str], verdict: Verdict, recorded: datetime
) -> Resource:
    """Build the Provenance of what a person decided.

    Args:
        provenance_id: Its id.
        target: The versioned reference of the report that came of it.
        sources: Those of the version before, and of the one that the model wrote where that is another.
        verdict: What was decided.
        recorded: When.
    """
    role = {"code": "author", "display": "Author"} if verdict.decision == "edit" else _VERIFIER
    kind = {"coding": [{"system": _AGENT_TYPES, **role}]}
    before, *machine = sources
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [{"reference": target}],
        "recorded": instant(recorded),
        "activity": {"text": _ACTIVITIES[verdict.decision]},
        "agent": [{"type": kind, "who": person} for person in verdict.interpreters],
        "entity": [
            {"role": "revision", "what": {"reference": before}},
            *({"role": "source", "what": {"reference": source}} for source in machine),
        ],
    }


_VERIFIER = {"code": "verifier", "display": "Verifier"}


def _decided_line(current: Resource, verdict: Verdict, decided: datetime) -> str:
    people = ", ".join(_name(person) for person in verdict.interpreters)
    again = verdict.decision == "edit" and current["status"] not in READ
    done = verdict.status.capitalize() if again else _DONE[verdict.decision]
    return f"{done} by {people}, {decided.strftime('%Y-%m-%d %H:%M:%S')} UTC."


def _name(person: Resource) -> str:
    name = person.get("display") or person.get("reference") or person["identifier"]["value"]
    return " ".join(str(name).split())


def _findings(current: Resource, verdict: Verdict, codes: Sequence[str]) -> list[str]:
    """Write what holds: in the person's words, or else in the report's own as far as they still hold."""
    shown = [f"{STATEMENT_BY_CODE[code].display} ({code})" for code in codes]
    if verdict.conclusion is not None:
        return [*_words(current, verdict.conclusion), f"{_CODED}{'; '.join(shown) or 'none'}."]
    said = _words(current, current["conclusion"])
    if verdict.codes is None:
        return said
    how = [line for line in said if not line.startswith(_FINDINGS)]
    return ["Findings:" if shown else "Findings: none.", *(f"- {each}" for each in shown), *how]


def _words(current: Resource, conclusion: str) -> list[str]:
    """Leave out what an earlier version said of its own making."""
    earlier = current["conclusion"].partition("\n")[0] if current["status"] not in READ else UNCONFIRMED
    lines = (line.strip() for line in conclusion.splitlines())
    return [
        line
        for line in lines
        if line and line not in {UNCONFIRMED, earlier} and not line.startswith((_CODED, _POINTER))
    ]


def _coded(meta: Resource, codes: Sequence[str], machine: Sequence[str], *, snomed: bool) -> Resource:
    """Code what a person asserts, and label as much of it as the model had reported.

    How sure the model is of a finding stays in its own version: the person asserts without. `AIAST` alone would find
    the report among the unconfirmed. https://build.fhir.org/ig/HL7/aitransparency-ig/en/general_guidance.html

    Args:
        meta: That of the version before.
        codes: What the person asserts.
        machine: What the model asserted.
        snomed: Whether codes of SNOMED CT are sent.
    """
    kept = set(codes) & set(machine)
    whole = kept == set(codes) and bool(kept or not machine)
    labels = [label for label in meta.get("security", []) if label.get("code") not in _OWN_LABELS]
    labels += [CLINICIAN_ASSERTED] if whole else [LABELLED_INSIDE] if kept else []
    inside = {"extension": [{"url": SECURITY_LABEL, "valueCoding": CLINICIAN_ASSERTED}]}
    concepts = [
        (inside if code in kept and not whole else {}) | statement_concept(code, snomed=snomed) for code in codes
    ]
    rest = {name: value for name, value in meta.items() if name != "security"}
    return {"meta": rest | ({"security": labels} if labels else {})} | ({"conclusionCode": concepts} if codes else {})


def _narrative(own: Resource | None, done: str, lines: Sequence[str]) -> Resource:
    """Write the narrative, or add to the person's own who decided."""
    if own is None:
        return narrative(lines)
    div = parse_narrative(own["div"])
    first = etree.Element(f"{{{XHTML}}}p")
    first.text, first.tail, div.text = done, div.text, None
    div.insert(0, first)
    return {"status": "additional", "div": narrative_string(div)}
