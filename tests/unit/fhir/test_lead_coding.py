"""Which lead a code means, in every system that is known, and that contradictions are refused."""

from typing import Any

import pytest

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead
from fhir_ecg.fhir.lead_coding import MDC, identify_lead, lead_code
from fhir_ecg.fhir.outcome import Problem

OLD_MDC = "urn:oid:2.16.840.1.113883.6.24"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"

# ISO/IEEE 11073-10101: the number of a lead, and of its electric potential; SNOMED CT; part of LOINC.
TABLE = [
    ("I", 131073, 131329, "272729005", "LP7386-8"),
    ("II", 131074, 131330, "272730000", "LP7387-6"),
    ("III", 131133, 131389, "272731001", "LP7388-4"),
    ("aVR", 131134, 131390, "257474006", "LP7385-0"),
    ("aVL", 131135, 131391, "257473000", "LP7384-3"),
    ("aVF", 131136, 131392, "257472005", "LP7383-5"),
    ("V1", 131075, 131331, "257475007", "LP7389-2"),
    ("V2", 131076, 131332, "257476008", "LP7390-0"),
    ("V3", 131077, 131333, "257477004", "LP7391-8"),
    ("V4", 131078, 131334, "257478009", "LP7392-6"),
    ("V5", 131079, 131335, "257479001", "LP7393-4"),
    ("V6", 131080, 131336, "257480003", "LP7394-2"),
]
CODES = [
    (lead, system, str(code))
    for lead, number, potential, snomed, loinc in TABLE
    for system, code in [
        (MDC, number), (MDC, potential), (OLD_MDC, number), (OLD_MDC, potential), (SNOMED, snomed), (LOINC, loinc),
    ]
]  # fmt: skip


def code(*codings: tuple[str, str] | tuple[str, str, str], text: str | None = None) -> dict[str, Any]:
    """A CodeableConcept of (system, code) or (system, code, display)."""
    written = [dict(zip(("system", "code", "display"), coding, strict=False)) for coding in codings]
    return {"coding": written} | ({"text": text} if text else {})


@pytest.mark.parametrize(("lead", "system", "number"), CODES)
def test_every_code_of_every_lead(lead: str, system: str, number: str) -> None:
    assert identify_lead(code((system, number))) == Lead(lead)
    assert identify_lead(code((system, number), text=f"Lead {lead}")) == Lead(lead)
    assert identify_lead(code((system, number, f"MDC_ECG_LEAD_{lead.upper()}"))) == Lead(lead)


@pytest.mark.parametrize("lead", TWELVE_LEADS)
def test_what_we_write_is_the_potential_and_is_read_again(lead: Lead) -> None:
    written = lead_code(lead)
    potential = next(str(row[2]) for row in TABLE if row[0] == lead)
    assert written["coding"] == [{"system": MDC, "code": potential, "display": f"MDC_ECG_ELEC_POTL_{lead.upper()}"}]
    assert identify_lead(written) is lead


@pytest.mark.parametrize(
    ("concept", "lead"),
    [
        (code((MDC, "131329"), (SNOMED, "272729005", "Lead I"), text="Channel 1"), "I"),
        (code(("http://device.example", "ch-1"), (MDC, "131331")), "V1"),
        (code((MDC, "131389", "Ableitung III")), "III"),
        (code((MDC, "131391", "MDC_ECG_ELEC_POTL_AVL"), text="avl"), "aVL"),
        (code((MDC, "131330"), text="I, II and III are limb leads"), "II"),
        (code((MDC, "131330"), text="Einthoven"), "II"),
        (code((MDC, "131336"), text="V61"), "V6"),
        (code((MDC, "131134"), text="ECG-aVR"), "aVR"),
        # The reference id in place of the number.
        (code((OLD_MDC, "MDC_ECG_LEAD_III")), "III"),
        (code((MDC, "MDC_ECG_ELEC_POTL_AVF", "aVF")), "aVF"),
        # DICOM: MDC as partition:code, or SCP-ECG's numbers.
        (code((MDC, "2:1")), "I"),
        (code((MDC, "2:317")), "III"),
        (code(("urn:oid:2.16.840.1.113883.6.24", "2:64")), "aVF"),
        (code(("http://dicom.example/SCPECG", "5.6.3-9-61")), "III"),
        (code(("urn:iso:std:iso:11073:91064", "8")), "V6"),
        # No code, and a text that says nothing but the lead.
        (code(text="Lead I"), "I"),
        (code(text="avr"), "aVR"),
        (code(text="MDC_ECG_LEAD_V3"), "V3"),
        ({"coding": [{"display": "ECG lead V6"}]}, "V6"),
    ],
)
def test_texts_that_agree_or_name_no_single_lead(concept: dict[str, Any], lead: str) -> None:
    assert identify_lead(concept) == Lead(lead)


@pytest.mark.parametrize(
    ("concept", "sides"),
    [
        # Whoever counts on after II takes V1's number for III, and so on.
        (code((MDC, "131331", "MDC_ECG_ELEC_POTL_III")), ["'131331' means V1", "'MDC_ECG_ELEC_POTL_III' means III"]),
        (code((MDC, "131332", "aVR")), ["'131332' means V2", "'aVR' means aVR"]),
        (code((MDC, "131335"), text="V1"), ["'131335' means V5", "'V1' means V1"]),
        (code((MDC, "131077", "lead III")), ["'131077' means V3", "'lead III' means III"]),
        (code((LOINC, "LP7386-8", "Lead II")), ["'LP7386-8' means I", "'Lead II' means II"]),
        (code((MDC, "131329"), (MDC, "131330")), ["'131329' means I", "'131330' means II"]),
        (code((MDC, "131329"), (SNOMED, "257475007")), ["'131329' means I", "'257475007' means V1"]),
        (code((MDC, "131329", "Lead I"), text="Lead II"), ["'Lead II' means II"]),
    ],
)
def test_a_code_that_contradicts_itself_is_refused_and_both_sides_named(
    concept: dict[str, Any], sides: list[str]
) -> None:
    found = identify_lead(concept)
    assert isinstance(found, Problem)
    assert (found.code, found.expression) == ("value", "code")
    assert all(side in found.diagnostics for side in sides)


@pytest.mark.parametrize("text", ["-aVR", "Lead aVR, inverted", "aVR (\u2212aVR)", "negated aVR"])
def test_a_lead_with_its_sign_changed_is_not_taken_for_the_lead(text: str) -> None:
    found = identify_lead(code((MDC, "131134"), text=text))
    assert isinstance(found, Problem)
    assert (found.code, found.expression) == ("value", "code")
    assert "sign" in found.diagnostics


@pytest.mark.parametrize(
    ("concept", "shown"),
    [
        ({}, "no coding"),
        (code(text="Lead I, II"), "no coding"),
        (code(text="lead I and its noise"), "no coding"),
        (code(text="V10"), "no coding"),
        (code((MDC, "2:19")), f"{MDC}|2:19"),
        (code(("http://device.example", "2:1")), "http://device.example|2:1"),
        (code(("http://device.example", "61")), "http://device.example|61"),
        (code(("urn:iso:std:iso:11073:91064", "65")), "urn:iso:std:iso:11073:91064|65"),
        (code((MDC, "131328")), f"{MDC}|131328"),
        (code((MDC, "MDC_ECG_LEAD_CONFIG")), f"{MDC}|MDC_ECG_LEAD_CONFIG"),
        (code(("http://device.example", "MDC_ECG_LEAD_I")), "http://device.example|MDC_ECG_LEAD_I"),
        (code(text="-aVR"), "no coding"),
        (code((MDC, "131347", "Lead CC5")), f"{MDC}|131347"),
        (code(("http://device.example", "131329", "Lead I")), "http://device.example|131329"),
        (code((SNOMED, "131329")), f"{SNOMED}|131329"),
        ({"coding": [{"code": "131329"}]}, "None|131329"),
        (code((LOINC, "LP7386-6", "Lead II")), f"{LOINC}|LP7386-6"),
    ],
)
def test_a_code_that_is_unknown_is_refused_whatever_its_text_says(concept: dict[str, Any], shown: str) -> None:
    found = identify_lead(concept)
    assert isinstance(found, Problem)
    assert (found.code, found.expression) == ("code-invalid", "code")
    assert shown in found.diagnostics
