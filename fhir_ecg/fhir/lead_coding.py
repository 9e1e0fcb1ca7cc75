"""Which lead a component is: the codings of leads, which its texts must not contradict.

MDC numbers are not consecutive: 131072 + 256 + id for potentials, 131072 + id for leads, where III, aVR, aVL
and aVF have the ids 61 to 64 (ISO/IEEE 11073-10101).
"""

import csv
import re
from importlib.resources import files
from typing import Any

from fhir_ecg.ecg.leads import CHEST_LEADS, ExtraLead, Lead
from fhir_ecg.fhir.lead_names import (
    LEAD_BY_NAME,
    LEAD_NAME,
    changes_sign,
    read_names,
    says_right_sided,
    texts_of,
    whole_name,
)
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
_SCP_NUMBER = re.compile(r"\d{1,3}", re.ASCII)
_SCP_SYSTEM = "urn:iso:std:iso:11073:91064"
# The reference id in place of the number, as annotated ECGs of HL7 version 3 code a lead.
_REFERENCE_ID = re.compile(rf"MDC_ECG_(?:LEAD|ELEC_POTL)_({LEAD_NAME}|[XYZ]|aVRneg)", re.IGNORECASE)
AnyLead = Lead | ExtraLead

# As in Cabrera's order: another signal than aVR, which is known to be refused with the reason.
_MINUS_AVR = "-aVR"
_LEAD_ID = {1: Lead.I, 2: Lead.II, 61: Lead.III, 62: Lead.AVR, 63: Lead.AVL, 64: Lead.AVF} | {
    2 + n: Lead(f"V{n}") for n in range(1, 7)
}
# SCP-ECG's and MDC's numbers go on: 9 is V7, 10 V2R ... 15 V7R, 16 to 18 Frank's X, Y, Z, 66 V8, 67 V9, 68 V8R, 69 V9R.
_EXTRA_LEAD_ID = {9: ExtraLead.V7, 16: ExtraLead.X, 17: ExtraLead.Y, 18: ExtraLead.Z} | {
    66: ExtraLead.V8, 67: ExtraLead.V9, 68: ExtraLead.V8R, 69: ExtraLead.V9R
} | {8 + n: ExtraLead(f"V{n}R") for n in range(2, 8)}  # fmt: skip
_UNREAD_ID: dict[int, str] = {**_EXTRA_LEAD_ID, 65: _MINUS_AVR}
_NAME_BY_ID: dict[int, str] = {**_LEAD_ID, **_UNREAD_ID}
_NAME_BY_REFERENCE: dict[str, str] = {**LEAD_BY_NAME, "AVRNEG": _MINUS_AVR}


def _read() -> list[dict[str, str]]:
    with files(__package__).joinpath("leads.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


_ROWS = _read()
_NAME_BY_CODE: dict[tuple[str, str], str] = {
    (system, row[column]): row["lead"] for system, columns in _SYSTEMS.items() for column in columns for row in _ROWS
} | {
    (system, str(base + number)): name
    for system in _MDC_SYSTEMS
    for base in (131072, 131072 + 256)
    for number, name in _UNREAD_ID.items()
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
    codings, texts = code.get("coding") or [], texts_of(code)
    coded = [
        (str(coding.get("code")), name)
        for coding in codings
        if (name := _coded_name(coding.get("system"), str(coding.get("code"))))
    ]
    if not any("code" in coding for coding in codings):
        coded = [(text, lead) for text in texts if (lead := whole_name(text))]
    if problem := _changed_sign(coded, texts):
        return problem
    if not coded:
        return _unknown(codings, texts)
    return _contradiction(coded, texts) or LEAD_BY_NAME[coded[0][1].upper()]


def _coded_name(system: str | None, code: str) -> str | None:
    if scp := _SCP_IN_DICOM.fullmatch(code):
        return _NAME_BY_ID.get(int(scp[1]))
    if system == _SCP_SYSTEM and _SCP_NUMBER.fullmatch(code):
        return _NAME_BY_ID.get(int(code))
    if system in _MDC_SYSTEMS and (name := _REFERENCE_ID.fullmatch(code)):
        return _NAME_BY_REFERENCE[name[1].upper()]
    if system in _MDC_SYSTEMS and (parts := _PARTITIONED.fullmatch(code)):
        code = str(int(parts[1]) * 65536 + int(parts[2]))
    return _NAME_BY_CODE.get((str(system), code))


def _changed_sign(coded: list[tuple[str, str]], texts: list[str]) -> Problem | None:
    """Refuse a lead that a code or a text calls inverted."""
    inverted = [code for code, name in coded if name == _MINUS_AVR]
    inverted += [text for text in texts if (coded or read_names(text).leads) and changes_sign(text)]
    if not inverted:
        return None
    text = f"{inverted[0][:80]!r} means a lead with its sign changed. Send the lead itself, with its own sign."
    return Problem("value", text, "code")


def _unknown(codings: list[dict[str, Any]], texts: list[str]) -> Problem:
    """Say what names no lead, and which coding to add."""
    local = [f"{c.get('system')}|{c.get('code')}"[:80] for c in codings if "code" in c]
    shown = ", ".join(local) or ", text ".join(["no coding", *(repr(text[:80]) for text in texts)])
    lead = next((lead for text in texts if isinstance(lead := whole_name(text), Lead)), Lead.I)
    mend = "Add a coding beside it" if local else "Code it"
    text = (
        f"The component's code ({shown}) is no lead known here. {mend} in {MDC}, such as {_POTENTIAL[lead]} for lead "
        f"{lead}."
    )
    return Problem("code-invalid", text, "code")


def _contradiction(coded: list[tuple[str, str]], texts: list[str]) -> Problem | None:
    """Name every side where the codes are of several leads, or a text is of another lead than they."""
    leads = {name for _, name in coded}
    others = [(text[:80], meaning) for text in texts if (meaning := _other_meaning(text, leads))]
    if len(leads) == 1 and not others:
        return None
    sides = " but ".join(f"{side!r} means {meaning}" for side, meaning in dict.fromkeys([*coded, *others]))
    return Problem("value", f"The component's code contradicts itself: {sides}. Correct the wrong one.", "code")


def _other_meaning(text: str, leads: set[str]) -> str | None:
    """Say what a text means if it is none of the leads."""
    names = read_names(text).leads
    if names:
        return None if leads & set(names) else " or ".join(dict.fromkeys(names))
    return "a lead of the right side" if says_right_sided(text) and leads & set(CHEST_LEADS[1:]) else None
