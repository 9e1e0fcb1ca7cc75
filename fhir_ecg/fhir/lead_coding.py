"""Which lead a component is: the codings of leads, and what its texts say of them.

MDC numbers are not consecutive: 131072 + 256 + id for potentials, 131072 + id for leads, where III, aVR, aVL
and aVF have the ids 61 to 64 (ISO/IEEE 11073-10101).
"""

import csv
import re
from importlib.resources import files
from typing import Any

from fhir_ecg.ecg.leads import TWELVE_LEADS, ExtraLead, Lead
from fhir_ecg.fhir.outcome import Problem

MDC = "urn:iso:std:iso:11073:10101"
_MDC_SYSTEMS = {MDC, "urn:oid:2.16.840.1.113883.6.24"}
_SYSTEMS = {
    MDC: ("mdc_elec_potl", "mdc_lead"),
    "urn:oid:2.16.840.1.113883.6.24": ("mdc_elec_potl", "mdc_lead"),
    "http://snomed.info/sct": ("snomed",),
    "http://loinc.org": ("loinc_part",),
}

# DICOM (CID 3001) writes an MDC code as partition:code, where 2:1 is 2 x 65536 + 1 = 131073.
_PARTITIONED = re.compile(r"(\d{1,2}):(\d{1,5})")
# DICOM's older coding of leads is by SCP-ECG's numbers; of the numbers alone, the system must tell that they are that.
_SCP_IN_DICOM = re.compile(r"5\.6\.3-9-(\d{1,3})")
_SCP_SYSTEM = "urn:iso:std:iso:11073:91064"
AnyLead = Lead | ExtraLead

_LEAD_ID = {1: Lead.I, 2: Lead.II, 61: Lead.III, 62: Lead.AVR, 63: Lead.AVL, 64: Lead.AVF} | {
    2 + n: Lead(f"V{n}") for n in range(1, 7)
}
# SCP-ECG's and MDC's numbers go on: 9 is V7, 10 V2R ... 15 V7R, 16 to 18 Frank's X, Y, Z, 66 V8, 67 V9, 68 V8R, 69 V9R.
_EXTRA_LEAD_ID = {9: ExtraLead.V7, 16: ExtraLead.X, 17: ExtraLead.Y, 18: ExtraLead.Z} | {
    66: ExtraLead.V8, 67: ExtraLead.V9, 68: ExtraLead.V8R, 69: ExtraLead.V9R
} | {8 + n: ExtraLead(f"V{n}R") for n in range(2, 8)}  # fmt: skip
_LEAD_BY_ID: dict[int, AnyLead] = {**_LEAD_ID, **_EXTRA_LEAD_ID}
# A text that says nothing but the lead. X, Y and Z are too short to be taken from a text.
_LEAD_NAME = r"(III|II|I|aVR|aVL|aVF|V[1-9]|V[2-9]R)"
_WHOLE_NAME = re.compile(
    rf"\s*(?:MDC_ECG_(?:LEAD|ELEC_POTL)_|(?:ECG\s+)?(?:lead|channel)\s+)?{_LEAD_NAME}\s*", re.IGNORECASE
)
# The reference id in place of the number, as annotated ECGs of HL7 version 3 code a lead.
_REFERENCE_ID = re.compile(rf"MDC_ECG_(?:LEAD|ELEC_POTL)_{_LEAD_NAME}", re.IGNORECASE)
# -aVR, as in Cabrera's order, is another signal than aVR. In `V1-V6` and `ECG-II` the sign only joins.
_INVERTED = re.compile(
    rf"(?<![A-Za-z0-9])[-\u2010-\u2015\u2212]{_LEAD_NAME}(?![A-Za-z0-9])|\b(?:inverted|inverse|reversed|negated)\b",
    re.IGNORECASE,
)
_NAME = re.compile(rf"(?<![A-Za-z0-9]){_LEAD_NAME}(?![A-Za-z0-9])", re.IGNORECASE)
_BY_NAME: dict[str, AnyLead] = {lead.upper(): lead for lead in (*TWELVE_LEADS, *ExtraLead)}


def _read() -> list[dict[str, str]]:
    with files(__package__).joinpath("leads.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


_ROWS = _read()
_BY_CODE: dict[tuple[str, str], AnyLead] = {
    (system, row[column]): Lead(row["lead"])
    for system, columns in _SYSTEMS.items()
    for column in columns
    for row in _ROWS
} | {
    (system, str(base + number)): lead
    for system in _MDC_SYSTEMS
    for base in (131072, 131072 + 256)
    for number, lead in _EXTRA_LEAD_ID.items()
}
_POTENTIAL = {Lead(row["lead"]): row["mdc_elec_potl"] for row in _ROWS}


def lead_code(lead: Lead) -> dict[str, Any]:
    """Code a lead as MDC writes its electric potential."""
    display = f"MDC_ECG_ELEC_POTL_{lead.upper()}"
    return {"coding": [{"system": MDC, "code": _POTENTIAL[lead], "display": display}], "text": f"Lead {lead}"}


def identify_lead(code: dict[str, Any]) -> AnyLead | Problem:
    """Find the lead that a component's code names; every coding and text must agree on it.

    Returns:
        The lead, or a problem whose expression is relative to the component.
    """
    codings = code.get("coding") or []
    coded = {
        (str(coding.get("code")), lead)
        for coding in codings
        if (lead := _coded_lead(coding.get("system"), str(coding.get("code"))))
    }
    named = {
        (text, lead)
        for text in (code.get("text"), *(coding.get("display") for coding in codings))
        if text and (lead := _named_lead(text))
    }
    if not coded and not any("code" in coding for coding in codings):
        coded = {(text, lead) for text, lead in named if _WHOLE_NAME.fullmatch(text)}
    if not coded:
        shown = ", ".join(f"{c.get('system')}|{c.get('code')}"[:80] for c in codings) or "no coding"
        text = f"The component's code ({shown}) is no lead known here. Code it in {MDC}, such as 131329 for lead I."
        return Problem("code-invalid", text, "code")
    if inverted := [text for text, _ in sorted(named) if is_inverted(text)]:
        text = f"{inverted[0][:80]!r} is a lead with its sign changed. Send the lead itself, with its own sign."
        return Problem("value", text, "code")
    leads = {lead for _, lead in coded | named}
    if len(leads) > 1:
        sides = " but ".join(f"{text!r} means {lead}" for text, lead in sorted(coded | named))
        return Problem("value", f"The component's code contradicts itself: {sides}. Correct the wrong one.", "code")
    return leads.pop()


def _coded_lead(system: str | None, code: str) -> AnyLead | None:
    if scp := _SCP_IN_DICOM.fullmatch(code):
        return _LEAD_BY_ID.get(int(scp[1]))
    if system == _SCP_SYSTEM and code.isascii() and code.isdigit():
        return _LEAD_BY_ID.get(int(code))
    if system in _MDC_SYSTEMS and (name := _REFERENCE_ID.fullmatch(code)):
        return _BY_NAME[name[1].upper()]
    if system in _MDC_SYSTEMS and (parts := _PARTITIONED.fullmatch(code)):
        code = str(int(parts[1]) * 65536 + int(parts[2]))
    return _BY_CODE.get((str(system), code))


def _named_lead(text: str) -> AnyLead | None:
    """Read a lead's name out of a display; None where it names none, or several."""
    names = {_BY_NAME[name.upper()] for name in _NAME.findall(text.replace("_", " "))}
    return names.pop() if len(names) == 1 else None


def is_inverted(text: str) -> bool:
    """Tell whether a text calls a lead inverted, such as `-aVR`."""
    return _INVERTED.search(text) is not None


def leads_in_order(concepts: list[dict[str, Any]]) -> tuple[AnyLead, ...]:
    """Read a list of different leads, such as `I, II, V1`, out of the texts of codes; the longest one counts.

    A list with an inverted lead is none.
    """
    texts = [
        text
        for concept in concepts
        for text in (concept.get("text"), *(coding.get("display") for coding in concept.get("coding") or []))
        if text and not is_inverted(text)
    ]
    lists = [tuple(_BY_NAME[name.upper()] for name in _NAME.findall(text.replace("_", " "))) for text in texts]
    return max((leads for leads in lists if len(set(leads)) == len(leads)), key=len, default=())
