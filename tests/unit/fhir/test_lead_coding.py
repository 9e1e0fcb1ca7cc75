"""Which lead a code means, in every system that is known, and that contradictions are refused."""

from typing import Any

import pytest

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead
from fhir_ecg.fhir.lead_coding import MDC, identify_lead, lead_code
from fhir_ecg.fhir.lead_order import leads_in_order
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
        (code((MDC, "131075"), text="V1-V6"), "V1"),
        (code((MDC, "131078"), text="V1 to V6"), "V4"),
        (code((MDC, "131331"), text="C1"), "V1"),
        (code((MDC, "131330"), text="DII"), "II"),
        (code((MDC, "131330"), text="Ch 3, lead 2"), "II"),
        (code((MDC, "131331"), text="12-lead 3-channel ECG"), "V1"),
        # What is inverted, negative or on the right is not the lead.
        (code((MDC, "131331"), text="V1 - T wave inverted"), "V1"),
        (code((MDC, "131331"), text="V1, inverted T waves"), "V1"),
        (code((MDC, "131331"), text="T-Welle negativ"), "V1"),
        (code((MDC, "131329"), text="Lead I (positive electrode LA, negative electrode RA)"), "I"),
        (code((MDC, "131331"), text="V1 (4th intercostal space, right sternal border)"), "V1"),
        (code((MDC, "131331"), text="V1, 4. ICR rechts parasternal"), "V1"),
        (code((MDC, "131134", "aVR augmented voltage right")), "aVR"),
        (code((MDC, "131084"), text="right-sided V4"), "V4R"),
        (code((MDC, "131084"), text="V4-R"), "V4R"),
        # The reference id in place of the number.
        (code((OLD_MDC, "MDC_ECG_LEAD_III")), "III"),
        (code((MDC, "MDC_ECG_ELEC_POTL_AVF", "aVF")), "aVF"),
        (code((MDC, "MDC_ECG_LEAD_X")), "X"),
        (code((OLD_MDC, "MDC_ECG_LEAD_Y", "Frank's Y")), "Y"),
        (code((MDC, "MDC_ECG_ELEC_POTL_Z", "MDC_ECG_ELEC_POTL_Z")), "Z"),
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
        (code(text="Lead-I"), "I"),
        (code(text="ECG I"), "I"),
        (code(text="EKG lead II"), "II"),
        (code(text="Ableitung aVR"), "aVR"),
        (code(text="D\u00e9rivation I"), "I"),
        (code(text="De\u0301rivation I"), "I"),
        (code(text="Derivaci\u00f3n V1"), "V1"),
        (code(text="Deriva\u00e7\u00e3o III"), "III"),
        (code(text="Derivazione V6"), "V6"),
        (code(text="Afleiding V4R"), "V4R"),
    ],
)
def test_texts_that_agree_or_name_no_single_lead(concept: dict[str, Any], lead: str) -> None:
    assert identify_lead(concept) == lead


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
        (code((MDC, "131331"), text="III (= II - I)"), ["'131331' means V1", "'III (= II - I)' means III or II or I"]),
        (code((MDC, "131331"), text="V2 or V3"), ["'131331' means V1", "'V2 or V3' means V2 or V3"]),
        (code((MDC, "131329"), text="V1-V3"), ["'V1-V3' means V1 or V2 or V3"]),
        (code(text="Lead I") | {"coding": [{"display": "Lead II"}]}, ["'Lead I' means I", "'Lead II' means II"]),
        # Names by which no lead is told.
        (code((MDC, "131331"), text="C2"), ["'C2' means V2"]),
        (code((MDC, "131331"), text="V\u2082"), ["means V2"]),
        (code((MDC, "131329"), text="Lead 2"), ["'Lead 2' means II"]),
        (code((MDC, "131329"), text="Ableitung 3"), ["'Ableitung 3' means III"]),
        (code((MDC, "131389"), text="DII"), ["'DII' means II"]),
        (code((MDC, "131389"), text="D I"), ["'D I' means I"]),
        (code((MDC, "131329"), text="D2"), ["'D2' means II"]),
        (code((MDC, "131329"), text="MDC_ECG_LEAD_X"), ["'MDC_ECG_LEAD_X' means X"]),
        # V1R lies where V2 does.
        (code((MDC, "131331"), text="V1R"), ["'131331' means V1", "'V1R' means V1R"]),
        (code((MDC, "131333"), text="right-sided"), ["'right-sided' means a lead of the right side"]),
        *(
            (code((MDC, "131333"), text=text), ["'131333' means V3", f"{text!r} means V3R"])
            for text in [
                "V3-R",
                "V3 R",
                "V3 (R)",
                "V3_R",
                "rV3",
                "RV3",
                "R-V3",
                "C3R",
                "right-sided V3",
                "V3 rechts",
                "V3 right",
                "V3, right precordial",
                "V3 (rechtsseitig)",
                "V3 droite",
                "V3 derecha",
                "V3 destra",
            ]
        ),
    ],
)
def test_a_code_that_contradicts_itself_is_refused_and_both_sides_named(
    concept: dict[str, Any], sides: list[str]
) -> None:
    found = identify_lead(concept)
    assert isinstance(found, Problem)
    assert (found.code, found.expression) == ("value", "code")
    assert all(side in found.diagnostics for side in sides)


SIGNS = [
    "-aVR", "Lead aVR, inverted", "aVR (\u2212aVR)", "negated aVR", "aVR (inverted)", "aVR (neg)", "neg. aVR",
    "minus aVR", "aVR x -1", "-1 x aVR", "aVR \u00d7 (\u22121)", "aVR (-)", "aVR invertiert", "aVR invers\u00e9",
    "aVR negative polarity", "aVR upside down", "MDC_ECG_LEAD_AVRneg", "aVR inverted, T wave inverted",
]  # fmt: skip


@pytest.mark.parametrize(
    ("concept", "shown"),
    [
        *((code((MDC, "131134"), text=text), repr(text)) for text in SIGNS),
        *((code((MDC, "131134", text)), repr(text)) for text in ["inverted", "polarity inverted", "Inverted signal"]),
        # No code, or one that is not known: the sign is what is wrong with it.
        (code(text="-aVR"), "'-aVR'"),
        (code(text="aVR (inverted)"), "'aVR (inverted)'"),
        (code(("http://device.example", "3"), text="-aVR"), "'-aVR'"),
        (code((MDC, "131137")), "'131137'"),
        (code((OLD_MDC, "131393", "-aVR")), "'131393'"),
        (code((MDC, "2:65")), "'2:65'"),
        (code((MDC, "MDC_ECG_LEAD_AVRneg")), "'MDC_ECG_LEAD_AVRneg'"),
        (code(("http://dicom.example/SCPECG", "5.6.3-9-65")), "'5.6.3-9-65'"),
        (code(("urn:iso:std:iso:11073:91064", "65")), "'65'"),
    ],
)
def test_a_lead_with_its_sign_changed_is_not_taken_for_the_lead(concept: dict[str, Any], shown: str) -> None:
    found = identify_lead(concept)
    assert isinstance(found, Problem)
    assert (found.code, found.expression) == ("value", "code")
    assert found.diagnostics.startswith(f"{shown} means a lead with its sign changed")


@pytest.mark.parametrize(
    ("concept", "shown"),
    [
        ({}, "no coding"),
        (code(text="Lead I, II"), "no coding, text 'Lead I, II'"),
        (code(text="lead I and its noise"), "no coding, text 'lead I and its noise'"),
        (code(text="V10"), "no coding"),
        # Names by which no lead is told.
        *((code(text=text), text) for text in ["C1", "Lead 1", "DI", "D I", "V3 R", "rV3", "right-sided V3", "X"]),
        (code((MDC, "2:19")), f"{MDC}|2:19"),
        (code(("http://device.example", "2:1")), "http://device.example|2:1"),
        (code(("http://device.example", "61")), "http://device.example|61"),
        (code(("urn:iso:std:iso:11073:91064", "70")), "urn:iso:std:iso:11073:91064|70"),
        (code(("urn:iso:std:iso:11073:91064", "9" * 5000)), "urn:iso:std:iso:11073:91064|9"),
        (code((MDC, "131328")), f"{MDC}|131328"),
        (code((MDC, "MDC_ECG_LEAD_CONFIG")), f"{MDC}|MDC_ECG_LEAD_CONFIG"),
        (code(("http://device.example", "MDC_ECG_LEAD_I")), "http://device.example|MDC_ECG_LEAD_I"),
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


@pytest.mark.parametrize(
    ("concept", "mend"),
    [
        (code(text="the first lead"), f"Code it in {MDC}, such as 131329 for lead I."),
        (code(("http://device.example", "ch-7"), text="Lead V1"), "Add a coding beside it in"),
        (code(("http://device.example", "ch-7"), text="Lead V1"), "such as 131331 for lead V1."),
        (code(("http://device.example", "ch-7")), "such as 131329 for lead I."),
    ],
)
def test_a_code_that_is_unknown_is_told_what_to_add(concept: dict[str, Any], mend: str) -> None:
    found = identify_lead(concept)
    assert isinstance(found, Problem)
    assert mend in found.diagnostics


EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
NAMED = ", ".join(EIGHT)


@pytest.mark.parametrize(
    "texts",
    [
        [NAMED],
        ["I, II, V1-V6"],
        ["I, II, V1\u2013V6"],
        ["I, II, V1 to V6"],
        ["12-lead ECG, of which I; II; V1 bis V6"],
        ["I-II-V1-V2-V3-V4-V5-V6"],
        ["- I\n- II\n- V1\n- V2\n- V3\n- V4\n- V5\n- V6"],
        ["Eight-lead rhythm ECG; channel order " + NAMED],
        [NAMED, "I/II/V1-V6", "EKG study, 25 mm/s"],
        [NAMED, "I, II, C1-C6"],
        [NAMED, "T wave inverted"],
        [", ".join(f"MDC_ECG_LEAD_{lead}" for lead in EIGHT)],
    ],
)
def test_lists_of_one_order(texts: list[str]) -> None:
    assert leads_in_order([code(text=text) for text in texts], 8) == EIGHT


SWAPPED = "II, I, V1, V2, V3, V4, V5, V6"
DIMENSIONS = "value.ofType(SampledData).dimensions"


@pytest.mark.parametrize(
    ("texts", "expression", "shown"),
    [
        ([NAMED, SWAPPED], "code", ["'II, I, V1", "means II, I, V1", "means I, II, V1"]),
        ([NAMED, "I, II, V1, V2, V3-R, V4-R, V5-R, V6-R"], "code", ["V3R"]),
        ([NAMED, "I, II, C2, C1, C3-C6"], "code", ["means I, II, V2, V1"]),
        ([NAMED, "DII, DI, V1-V6"], "code", ["means II, I, V1"]),
        ([NAMED, "Right-sided chest leads"], "code", ["'Right-sided chest leads' means leads of the right side"]),
        ([NAMED, "I, minus aVR"], DIMENSIONS, ["sign"]),
        ([NAMED, "signal inverted"], DIMENSIONS, ["sign"]),
        (["I, minus aVR, V1, V2, V3, V4, V5, V6"], DIMENSIONS, ["sign"]),
        (["I, aVR (neg), V1, V2, V3, V4, V5, V6"], DIMENSIONS, ["sign"]),
        (["I, II, V1, V2, V3-R, V4-R, V5-R, V6-R"], DIMENSIONS, ["lists 8 different leads"]),
        (["I, II, V1, V2, V3 right, V4 right, V5 right, V6 right"], DIMENSIONS, ["lists 8 different leads"]),
        (["I, II, C1-C6"], DIMENSIONS, ["lists 8 different leads"]),
        (["DI, DII, V1-V6"], DIMENSIONS, ["lists 8 different leads"]),
        (["ch2=II, ch1=I, ch3=V1, ch4=V2, ch5=V3, ch6=V4, ch7=V5, ch8=V6"], DIMENSIONS, ["numbers beside the leads"]),
        ([NAMED, "2 I, 1 II, 3 V1, 4 V2, 5 V3, 6 V4, 7 V5, 8 V6"], DIMENSIONS, ["numbers beside the leads"]),
        (["I, II, V6-V1"], DIMENSIONS, ["the longest lists 4"]),
        (["ECG"], DIMENSIONS, ["the longest lists 0"]),
    ],
)
def test_lists_of_no_order_or_two(texts: list[str], expression: str, shown: list[str]) -> None:
    found = leads_in_order([code(text=text) for text in texts], 8)
    assert isinstance(found, Problem)
    assert (found.code, found.expression) == ("value", expression)
    assert all(part in found.diagnostics for part in shown)


@pytest.mark.parametrize(
    ("number", "text", "lead"),
    [
        # V1 is right of the sternum.
        ("131331", "V1: 4. EIC derecho", "V1"),
        ("131331", "V1 : 4e EIC droit", "V1"),
        ("131331", "V1, 4th rib space, right of breastbone", "V1"),
        ("131331", "Right precordial lead V1", "V1"),
        ("131331", "rechts parasternal, 4. ICR", "V1"),
        ("131331", "Right side of sternum, fourth intercostal space", "V1"),
        ("131331", "V1 R/S", "V1"),
        ("131333", "V3 R-wave", "V3"),
        # Electrodes have polarities.
        ("131329", "Lead I: left arm positive, right arm negative", "I"),
        ("131329", "Lead I RA(-) LA(+)", "I"),
        ("131330", "Lead II (RA: negative, LL: positive)", "II"),
        ("131329", "Lead I, negative RA electrode", "I"),
        ("131134", "aVR, not inverted", "aVR"),
        # A formula is no sign.
        ("131389", "III = II minus I", "III"),
        ("131331", "Chest lead 1", "V1"),
    ],
)
def test_descriptions_that_say_nothing_else_than_the_code(number: str, text: str, lead: str) -> None:
    assert identify_lead(code((MDC, number), text=text)) == Lead(lead)
