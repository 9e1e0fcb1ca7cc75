"""Every form in which an ECG may arrive: what is taken with which leads and repairs, what is refused and where."""

import copy
import json
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sent_ecg import observation, take

from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead, complete_leads
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise
from fhir_ecg.fhir.document import Form, read_observation
from fhir_ecg.fhir.ecg_observation import ecg_observation
from fhir_ecg.fhir.lead_coding import MDC, lead_code
from fhir_ecg.fhir.outcome import RefusedError
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import Release, r4_form
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.xml_form import serialise_xml

RECORDING = synthesise(EXAMPLES["normal-sinus-rhythm"], 4, 100, seed=1)
RESOLUTION = 0.005
EIGHT = (Lead.I, Lead.II, *CHEST_LEADS)
UCUM = "http://unitsofmeasure.org"
SAMPLED = "Observation.component[{}].value.ofType(SampledData)"

Document = dict[str, Any]
Change = Callable[[Document], None]


def sound() -> Document:
    """Twelve leads of 4 s at 100 Hz in steps of 5 microvolts, in the form to choose."""
    written = ecg_observation(RECORDING, RESOLUTION, effective="2026-01-01T08:30:00Z", subject="Patient/1")
    document: Document = json.loads(serialise(written))
    return document


def each(change: Change) -> Change:
    """The same change to every lead's SampledData."""

    def change_all(document: Document) -> None:
        for component in document["component"]:
            change(component["valueSampledData"])

    return change_all


def one(index: int, change: Change) -> Change:
    def change_one(document: Document) -> None:
        change(document["component"][index]["valueSampledData"])

    return change_one


def put(**elements: Any) -> Change:
    return lambda node: node.update(elements)


def r5(unit: str = "ms", interval: float = 10) -> Change:
    def change(sampled: Document) -> None:
        del sampled["period"]
        sampled |= {"interval": interval, "intervalUnit": unit}

    return each(change)


def offsets(step: float = 10, jitter: float = 0) -> Change:
    def change(sampled: Document) -> None:
        del sampled["period"]
        count = len(sampled["data"].split())
        places = [round(i * step + (jitter if i == count // 2 else 0), 3) for i in range(count)]
        sampled |= {"offsets": " ".join(f"{place:g}" for place in places), "intervalUnit": "ms"}

    return each(change)


def in_unit(unit: str, factor: float) -> Change:
    return each(put(origin={"value": 0, "system": "http://unitsofmeasure.org", "code": unit}, factor=factor))


def without(*names: str) -> Change:
    def change(sampled: Document) -> None:
        for name in names:
            sampled["origin"].pop(name, None)

    return each(change)


def eight_leads(document: Document) -> None:
    document["component"] = [c for c in document["component"] if c["code"]["text"].split()[1] in EIGHT]


def interlaced(*leads: Lead, where: str = "component", text: str | None = None) -> Change:
    """All leads in one SampledData."""

    def change(document: Document) -> None:
        by_name = {c["code"]["text"].split()[1]: c["valueSampledData"] for c in document["component"]}
        columns = [by_name[lead]["data"].split() for lead in leads]
        data = " ".join(point for moment in zip(*columns, strict=True) for point in moment)
        sampled = by_name[leads[0]] | {"dimensions": len(leads), "data": data}
        named = {"text": ", ".join(leads) if text is None else text}
        if where == "component":
            document["component"] = [{"code": named, "valueSampledData": sampled}]
        else:
            del document["component"]
            document |= {"valueSampledData": sampled, "method": named}

    return change


def in_parts(count: int, leads: tuple[int, ...] = tuple(range(12)), repeat: bool = False) -> Change:
    """Each lead as consecutive components, lead by lead or part by part."""

    def change(document: Document) -> None:
        parts = []
        for index, component in enumerate(document["component"]):
            points = component["valueSampledData"]["data"].split()
            length = len(points) // count
            for part in range(count if index in leads else 1):
                piece = copy.deepcopy(component)
                begin = 0 if repeat else part * length
                piece["valueSampledData"]["data"] = " ".join(points[begin : begin + length])
                parts.append(piece)
        document["component"] = parts

    return change


def of_lengths(*lengths: int) -> Change:
    """Each lead as consecutive components of these lengths."""

    def change(document: Document) -> None:
        parts = []
        for length, begin in zip(lengths, accumulate((0, *lengths)), strict=False):
            for component in document["component"]:
                points = component["valueSampledData"]["data"].split()[begin : begin + length]
                parts.append(copy.deepcopy(component))
                parts[-1]["valueSampledData"]["data"] = " ".join(points)
        document["component"] = parts

    return change


def also_as(name: str, change: Callable[[list[str]], list[str]]) -> Change:
    """Each lead a second time, changed, and called by another name too."""

    def add(document: Document) -> None:
        others = copy.deepcopy(document["component"])
        for component in others:
            component["code"]["text"] += f" {name}"
            sampled = component["valueSampledData"]
            sampled["data"] = " ".join(change(sampled["data"].split()))
        document["component"] = others + document["component"]

    return add


def coded(system: str, codes: dict[Lead, str]) -> Change:
    def change(document: Document) -> None:
        for lead, component in zip(TWELVE_LEADS, document["component"], strict=True):
            component["code"] = {"coding": [{"system": system, "code": codes[lead]}]}

    return change


def swapped(one_lead: int, other: int) -> Change:
    def change(document: Document) -> None:
        components = document["component"]
        components[one_lead]["code"], components[other]["code"] = (
            components[other]["code"],
            components[one_lead]["code"],
        )

    return change


def extra(*codes: Document) -> Change:
    """Further components like the last one, with codes of their own."""

    def change(document: Document) -> None:
        last = document["component"][-1]
        document["component"] += [copy.deepcopy(last) | {"code": code} for code in codes]

    return change


def lasting(start: str, end: str) -> Change:
    def change(document: Document) -> None:
        del document["effectiveDateTime"]
        document["effectivePeriod"] = {"start": start, "end": end}

    return change


SNOMED_CODES = dict(
    zip(
        TWELVE_LEADS,
        (
            272729005,
            272730000,
            272731001,
            257474006,
            257473000,
            257472005,
            257475007,
            257476008,
            257477004,
            257478009,
            257479001,
            257480003,
        ),
        strict=True,
    )
)
IDS = dict(zip(TWELVE_LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))

TAKEN: dict[str, tuple[Change, dict[str, Any]]] = {
    "as it should be": (lambda _: None, {}),
    "R5 in milliseconds": (r5(), {}),
    "R5 in seconds": (r5("s", 0.01), {}),
    "R5 in microseconds": (r5("us", 10_000), {}),
    "R5 with even offsets": (offsets(), {}),
    "R5 with rounded offsets": (offsets(jitter=0.3), {}),
    "microvolts": (in_unit("uV", 5), {}),
    "volts": (in_unit("V", 0.000005), {}),
    "nanovolts": (in_unit("nV", 5000), {}),
    "the unit as text alone": (without("code", "system"), {}),
    "MDC's unit": (
        each(put(origin={"value": 0, "system": MDC, "code": "266419", "unit": "MDC_DIM_MICRO_VOLT"}, factor=5)), {}),
    "MDC's unit under its old identifier": (
        each(put(origin={"value": 0, "system": "urn:oid:2.16.840.1.113883.6.24", "code": "266419"}, factor=5)), {}),
    "UCUM by its object identifier": (
        each(put(origin={"value": 0, "system": "urn:oid:2.16.840.1.113883.6.8", "code": "uV"}, factor=5)), {}),
    "a unit in words beside its code": (
        each(put(origin={"value": 0, "system": UCUM, "code": "uV", "unit": "Microvolts"}, factor=5)), {}),
    "an origin": (each(put(origin={"value": 0.5, "code": "mV", "system": UCUM})), {"shift": 0.5}),
    "a factor of 1 left out": (each(lambda s: s.update(factor=1) or s.pop("factor")), {"scale": 200}),
    "eight leads": (eight_leads, {"derived": 4}),
    "all leads interlaced in one component": (interlaced(*TWELVE_LEADS), {}),
    "eight leads interlaced in value[x]": (interlaced(*EIGHT, where="value"), {"derived": 4}),
    "two parts": (in_parts(2), {"parts": 2}),
    "three parts, of which the last is shorter": (of_lengths(150, 150, 100), {"parts": 3}),
    "MDC leads": (coded(MDC, {lead: str(131072 + i) for lead, i in IDS.items()}), {}),
    "MDC under its old identifier": (
        coded("urn:oid:2.16.840.1.113883.6.24", {lead: str(131328 + i) for lead, i in IDS.items()}), {}),
    "MDC as DICOM writes it": (coded(MDC, {lead: f"2:{i}" for lead, i in IDS.items()}), {}),
    "SCP-ECG in DICOM": (coded("http://x.example", {lead: f"5.6.3-9-{i}" for lead, i in IDS.items()}), {}),
    "SCP-ECG": (coded("urn:iso:std:iso:11073:91064", {lead: str(i) for lead, i in IDS.items()}), {}),
    "MDC's reference ids": (coded(MDC, {lead: f"MDC_ECG_LEAD_{lead}" for lead in TWELVE_LEADS}), {}),
    "SNOMED CT": (coded("http://snomed.info/sct", {lead: str(code) for lead, code in SNOMED_CODES.items()}), {}),
    "a time as long as the samples": (lasting("2026-01-01T08:30:00Z", "2026-01-01T08:30:04Z"), {}),
    "a time by the day": (lasting("2026-01-01", "2026-01-01"), {}),
    "leads beyond the twelve by MDC": (
        extra({"coding": [{"system": MDC, "code": "131337", "display": "Lead V7"}]},
              {"coding": [{"system": MDC, "code": "131083"}]}, {"coding": [{"system": MDC, "code": "2:66"}]}),
        {"unread": ("V7", "V8", "V3R")}),
    "leads beyond the twelve by text and SCP-ECG": (
        extra({"text": "Lead V4R"}, {"coding": [{"system": "urn:iso:std:iso:11073:91064", "code": "16"}]}),
        {"unread": ("V4R", "X")}),
    "nine leads interlaced, one beyond the twelve": (
        interlaced(*EIGHT, Lead.V6, text=f"{', '.join(EIGHT)}, V3R"),
        {"derived": 4, "unread": ("V3R",)}),
    "Frank's leads by MDC's reference ids": (
        extra(*({"coding": [{"system": MDC, "code": f"MDC_ECG_LEAD_{name}"}]} for name in "XYZ")),
        {"unread": ("X", "Y", "Z")}),
    "leads interlaced, named by a range": (interlaced(*EIGHT, text="I, II, V1\u2013V6"), {"derived": 4}),
    "an ECG with leads of the right side, which is not one of them": (
        lambda d: (extra({"text": "V3R"})(d), d.update(bodySite={"text": "Chest; right bundle branch block"}))[0],
        {"unread": ("V3R",)}),
    "a limit that holds": (each(put(upperLimit=10, lowerLimit=-10)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str) -> None:
    change, expected = TAKEN[name]
    document = sound()
    change(document)
    recording = take(json.dumps(document).encode())[1]

    leads = np.rint(RECORDING.leads / RESOLUTION) * RESOLUTION
    if "derived" in expected:
        assert len(recording.derived) == expected["derived"]
    wanted = leads * expected.get("scale", 1) + expected.get("shift", 0)
    tolerance = RESOLUTION * 1.6 if "derived" in expected else 1e-9  # derived from rounded leads
    np.testing.assert_allclose(recording.leads, wanted[:, : recording.samples], atol=tolerance)
    assert (recording.samples, recording.sampling_rate) == (400, 100)
    assert (recording.repairs, recording.parts) == ((), expected.get("parts", 1))
    assert recording.unread == expected.get("unread", ())


REFUSED: dict[str, tuple[Change, str, str]] = {
    "R4's and R5's spacing in one lead": (one(3, put(interval=10, intervalUnit="ms")), "structure", ".interval"),
    "R5 in one lead alone": (one(3, lambda s: s.update(interval=s.pop("period"))), "structure", ".interval"),
    "R5 without a unit": (each(lambda s: s.update(interval=s.pop("period"))), "required", ".intervalUnit"),
    "R5 in metres": (r5("m"), "code-invalid", ".intervalUnit"),
    "R5 with interval 0": (r5(interval=0), "value", ".interval"),
    "R5 with a negative interval": (r5(interval=-10), "value", ".interval"),
    "R5 in milliseconds that are seconds": (r5(interval=0.01), "value", ".interval"),
    "uneven offsets": (offsets(jitter=4), "not-supported", ".offsets"),
    "offsets that fall": (offsets(-10), "value", ".offsets"),
    "too few offsets": (
        each(lambda s: s.pop("period") and s.update(offsets="0 10", intervalUnit="ms")), "value", ".offsets"),
    "offsets with an exponent": (
        each(lambda s: s.pop("period") and s.update(offsets="0 1E+999999999", intervalUnit="ms")), "value", ".offsets"),
    "offsets by commas": (
        each(lambda s: s.pop("period") and s.update(offsets="0,10", intervalUnit="ms")), "value", ".offsets"),
    "limits swapped": (one(3, put(upperLimit=-10, lowerLimit=10)), "value", ".lowerLimit"),
    "interval and offsets": (
        each(lambda s: s.pop("period") and s.update(offsets="0 10", interval=10, intervalUnit="ms")),
        "invariant", ".offsets"),
    "no unit": (without("code", "unit", "system"), "required", ".origin.code"),
    "a unit of pressure": (in_unit("mm[Hg]", 1), "code-invalid", ".origin.code"),
    "another system of units": (
        each(put(origin={"value": 0, "system": "urn:x", "code": "mV"})), "code-invalid", ".system"),
    "code and text of the unit differ": (
        each(put(origin={"value": 0, "code": "mV", "unit": "uV", "system": UCUM})), "value", ".origin.unit"),
    "steps of a converter as the unit's text": (
        each(put(origin={"value": 0, "code": "mV", "unit": "LSB", "system": UCUM})), "value", ".origin.unit"),
    "MDC's unit and text differ": (
        each(put(origin={"value": 0, "code": "266419", "unit": "mV", "system": MDC})), "value", ".origin.unit"),
    "no unit of MDC's": (
        each(put(origin={"value": 0, "code": "mV", "system": MDC})), "code-invalid", ".origin.code"),
    "an inverted lead among those interlaced": (
        interlaced(*EIGHT, Lead.AVR, text=f"{', '.join(EIGHT)}, -aVR"), "value", ".dimensions"),
    "leads interlaced in two orders": (
        lambda d: (interlaced(*EIGHT, where="value")(d), d["code"].update(text="II, I, V1, V2, V3, V4, V5, V6"))[0],
        "value", "Observation.code"),
    "leads interlaced that are numbered in another order": (
        interlaced(*EIGHT, text="ch2=II, ch1=I, ch3=V1, ch4=V2, ch5=V3, ch6=V4, ch7=V5, ch8=V6"),
        "value", ".dimensions"),
    "leads interlaced, some of the right side": (
        interlaced(*EIGHT, text="I, II, V1, V2, V3-R, V4-R, V5-R, V6-R"), "value", ".dimensions"),
    "leads interlaced in one dimension": (
        lambda d: (interlaced(*EIGHT)(d), one(0, put(dimensions=1))(d))[0], "value", ".dimensions"),
    "an ECG of the right side": (
        lambda d: d["code"].update(text="Right-sided 12-lead ECG"), "value", "Observation.code"),
    "an ECG at the right side": (
        lambda d: d.update(bodySite={"text": "Right side of chest"}), "value", "Observation.bodySite"),
    "V3 at the right side": (
        lambda d: d["component"][8].update(code={"coding": [{"system": MDC, "code": "131333"}], "text": "V3 (R)"}),
        "value", "Observation.component[8].code"),
    "a modifier extension": (
        lambda d: d["component"][0].update(modifierExtension=[{"url": "http://x.example", "valueBoolean": True}]),
        "extension", "Observation.component[0].modifierExtension[0]"),
    "period in seconds": (each(put(period=0.01)), "value", ".period"),
    "the whole duration as period": (each(put(period=4000)), "value", ".period"),
    "another rate in one lead": (one(3, put(period=5)), "value", "[3].value.ofType(SampledData).period"),
    "factor 0": (one(3, put(factor=0)), "value", ".factor"),
    "outside its limits": (one(3, put(upperLimit=0.01, lowerLimit=-0.01)), "value", ".data"),
    "an ADC offset": (
        one(
        3, put(origin={"value": 2048}, data="2048 " * 399 + "2049", upperLimit=5, lowerLimit=-5)),
        "value", ".data"),
    "U without its limit": (one(3, put(data="1 U " * 199 + "1 1")), "required", ".upperLimit"),
    "an exponent": (one(3, put(data="1e3 " * 399 + "1")), "value", ".data"),
    "a trailing space": (one(3, lambda s: s.update(data=s["data"] + " ")), "value", ".data"),
    "a line break": (one(3, lambda s: s.update(data=s["data"].replace(" ", "\n", 1))), "value", ".data"),
    "a question mark": (one(3, put(data="? " * 399 + "1")), "value", ".data"),
    "two dimensions of one lead": (one(3, put(dimensions=2)), "value", ".dimensions"),
    "more dimensions than leads named": (interlaced(*TWELVE_LEADS, text="I, II"), "value", ".dimensions"),
    "dimensions without names": (interlaced(*TWELVE_LEADS, text="ECG"), "value", ".dimensions"),
    "a lead named twice": (interlaced(*EIGHT, text="I, I, V1, V2, V3, V4, V5, V6"), "value", ".dimensions"),
    "a point too few": (
        lambda d: (interlaced(*EIGHT)(d), one(0, lambda s: s.update(data=s["data"].rpartition(" ")[0]))(d))[0],
        "value", ".data"),
    "parts of one lead alone": (in_parts(2, leads=(3,)), "duplicate", "Observation.component[4]"),
    "the same part twice": (in_parts(2, repeat=True), "duplicate", "Observation.component[1]"),
    "a first part that is shorter": (of_lengths(100, 300), "duplicate", "Observation.component[12]"),
    "two parts of which the last is shorter": (of_lengths(300, 100), "duplicate", "Observation.component[12]"),
    "median beats beside the rhythm": (
        also_as("median beat", lambda points: points[:100]), "duplicate", "Observation.component[12]"),
    "a filtered copy": (
        also_as("filtered", lambda points: [str(int(p) // 2 * 2) for p in points]),
        "duplicate", "Observation.component[12]"),
    "consecutive MDC numbers": (
        lambda d: d["component"][2]["code"]["coding"][0].update(code="131331"),
        "value", "Observation.component[2].code"),
    "a lead beyond the twelve that is called by another": (
        extra({"coding": [{"system": MDC, "code": "131337", "display": "Lead V3"}]}), "value",
        "Observation.component[12].code"),
    "X by a text alone": (extra({"text": "X"}), "code-invalid", "Observation.component[12].code"),
    "a lead beyond the twelve that cannot be decoded": (
        lambda d: (extra({"text": "V7"})(d), one(12, put(data="1 2 x"))(d))[0], "value", ".data"),
    "a time that is too short": (
        lasting("2026-01-01T08:30:00.000Z", "2026-01-01T08:30:01.000Z"), "value", "ofType(Period)"),
    "a time that is too long": (lasting("2026-01-01T08:30:00Z", "2026-01-01T08:31:00Z"), "value", "ofType(Period)"),
    "a time that runs backwards": (
        lasting("2026-01-01T08:30:04Z", "2026-01-01T08:30:00Z"), "invariant", "ofType(Period)"),
    "I and II exchanged": (swapped(0, 1), "value", "Observation.component"),
    "aVR and aVF exchanged": (swapped(3, 5), "value", "Observation.component"),
    "aVR inverted": (one(3, put(factor=-0.005)), "value", "Observation.component"),
    "aVL in another gain": (one(4, put(factor=0.01)), "value", "Observation.component"),
    "microvolts called millivolts": (each(put(factor=5)), "value", "Observation.component"),
    "millivolts called microvolts": (in_unit("uV", 0.005), "value", "Observation.component"),
    "MDC potentials numbered through": (
        coded(MDC, {lead: str(131329 + n) for n, lead in enumerate(TWELVE_LEADS)}), "value", "Observation.component"),
    "MDC leads numbered through": (
        coded(MDC, {lead: str(131073 + n) for n, lead in enumerate(TWELVE_LEADS)}), "value", "Observation.component"),
    "MDC as DICOM writes it, numbered through": (
        coded(MDC, {lead: f"2:{1 + n}" for n, lead in enumerate(TWELVE_LEADS)}), "value", "Observation.component"),
    "SCP-ECG numbered through": (
        coded("urn:iso:std:iso:11073:91064", {lead: str(1 + n) for n, lead in enumerate(TWELVE_LEADS)}),
        "value", "Observation.component"),
    "SCP-ECG in DICOM numbered through": (
        coded("http://x.example", {lead: f"5.6.3-9-{1 + n}" for n, lead in enumerate(TWELVE_LEADS)}),
        "value", "Observation.component"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    change, code, where = REFUSED[name]
    document = sound()
    change(document)
    with pytest.raises(RefusedError) as caught:
        check_plausibility(take(json.dumps(document).encode())[1], "Observation")

    problems = caught.value.problems
    assert any(p.code == code and str(p.expression).endswith(where) for p in problems), problems
    assert all(problem.expression for problem in problems)


def test_the_tables_are_wide_enough() -> None:
    assert len(TAKEN) + len(REFUSED) >= 40


def test_a_swap_is_explained() -> None:
    document = sound()
    swapped(3, 5)(document)
    with pytest.raises(RefusedError, match="leads aVR and aVF are swapped"):
        check_plausibility(take(json.dumps(document).encode())[1], "Observation")


REPAIRED: dict[Repair, Change] = {
    Repair.PERIOD_IN_SECONDS: each(put(period=0.01)),
    Repair.ORIGIN_AS_ADC_OFFSET: each(
        lambda s: s.update(
            origin={"value": 2048, "code": "mV", "system": UCUM},
            data=" ".join(str(int(point) + 2048) for point in s["data"].split()),
            upperLimit=5,
            lowerLimit=-5,
        )
    ),
    Repair.UNIT_FROM_AMPLITUDE: without("code", "unit", "system"),
    Repair.SPACES_COLLAPSED: each(lambda s: s.update(data="  " + s["data"].replace(" ", " \n", 3) + " ")),
    Repair.QUESTION_MARK_AS_GAP: each(lambda s: s.update(data="? " + s["data"].partition(" ")[2])),
    Repair.EFFECTIVE_PERIOD_IGNORED: lasting("2026-01-01T08:30:04Z", "2026-01-01T08:30:00Z"),
}


@pytest.mark.parametrize("repair", Repair)
def test_a_repair_is_refused_unless_allowed_and_then_named(repair: Repair) -> None:
    document = sound()
    REPAIRED[repair](document)
    body = json.dumps(document).encode()

    others = frozenset(Repair) - {repair}
    with pytest.raises(RefusedError) as caught:
        take(body, allowed=others)
    if repair not in {Repair.SPACES_COLLAPSED, Repair.QUESTION_MARK_AS_GAP}:
        assert any(f"`{repair}`" in problem.diagnostics for problem in caught.value.problems)
    recording = take(body, allowed=frozenset({repair}))[1]
    assert recording.repairs == (repair,)
    leads = np.rint(RECORDING.leads / RESOLUTION) * RESOLUTION
    if repair is Repair.QUESTION_MARK_AS_GAP:
        leads[:, 0] = np.nan
    np.testing.assert_allclose(recording.leads, leads, atol=1e-9)


def test_a_repair_that_is_allowed_changes_no_sound_ecg() -> None:
    body = json.dumps(sound()).encode()
    assert take(body, allowed=frozenset(Repair))[1].repairs == ()


@pytest.mark.parametrize("change", [r5(), r5("s", 0.01), offsets()])
def test_an_r5_observation_is_served_in_r4_s_form(change: Change) -> None:
    document = sound()
    change(document)
    sent, form = read_observation(json.dumps(document).encode(), Form())

    assert form.release is Release.R5
    served = r4_form(sent)
    assert (
        read_observation(serialise(served), Form("json", Release.R4))[0]["component"][0]["valueSampledData"]["period"]
        == 10
    )


@pytest.mark.parametrize(("declared", "change"), [(Release.R4, r5()), (Release.R5, lambda _: None)])
def test_what_is_declared_must_be_true(declared: Release, change: Change) -> None:
    document = sound()
    change(document)
    with pytest.raises(RefusedError, match="declares fhirVersion"):
        read_observation(json.dumps(document).encode(), Form("json", declared))


_TIME_UNITS = ("ns", "us", "ms", "cs", "ds", "s", "min", "h")
_POWERS = ("1e-6", "1e-3", "1", "1e1", "1e2", "1e3", "6e4", "36e5")
_MILLISECONDS = dict(
    zip(_TIME_UNITS, map(Decimal, ["1e-6", "1e-3", "1", "1e1", "1e2", "1e3", "6e4", "36e5"]), strict=True)
)
_VOLTAGES = {"V": Decimal(1000), "mV": Decimal(1), "uV": Decimal("1e-3"), "nV": Decimal("1e-6")}
_OLD_MDC = "urn:oid:2.16.840.1.113883.6.24"
_SCP = "urn:iso:std:iso:11073:91064"
_LOINC_PARTS = dict(zip(TWELVE_LEADS, (7386, 7387, 7388, 7385, 7384, 7383, *range(7389, 7395)), strict=True))
_CHECK_DIGITS = dict(zip(TWELVE_LEADS, "864035208642", strict=True))
CODINGS: dict[str, Callable[[Lead], Document]] = {
    "MDC potential": lead_code,
    "MDC lead": lambda lead: {"coding": [{"system": MDC, "code": str(131072 + IDS[lead])}]},
    "MDC's old identifier": lambda lead: {"coding": [{"system": _OLD_MDC, "code": str(131328 + IDS[lead])}]},
    "DICOM": lambda lead: {"coding": [{"system": MDC, "code": f"2:{IDS[lead]}"}]},
    "SCP-ECG in DICOM": lambda lead: {"coding": [{"system": "http://x.example", "code": f"5.6.3-9-{IDS[lead]}"}]},
    "SCP-ECG": lambda lead: {"coding": [{"system": _SCP, "code": str(IDS[lead])}]},
    "SNOMED CT": lambda lead: {"coding": [{"system": "http://snomed.info/sct", "code": str(SNOMED_CODES[lead])}]},
    "LOINC part": lambda lead: {
        "coding": [{"system": "http://loinc.org", "code": f"LP{_LOINC_PARTS[lead]}-{_CHECK_DIGITS[lead]}"}]
    },
    "text": lambda lead: {"text": f"Lead {lead}"},
    "display": lambda lead: {"coding": [{"display": f"MDC_ECG_LEAD_{lead.upper()}"}]},
}


def as_written(number: Decimal) -> float:
    """A number of JSON, which has few enough digits to lose none."""
    assert Decimal(repr(float(number))) == number
    return float(number)


@st.composite
def spacings(draw: st.DrawFn, count: int) -> tuple[Document, Decimal]:
    """A spacing of samples of either release, and the milliseconds that it means."""
    milliseconds = draw(st.decimals("0.51", "19.9", places=6))
    kind = draw(st.sampled_from(["period", "interval", "offsets"]))
    if kind == "period":
        return {"period": as_written(milliseconds)}, milliseconds
    unit = draw(st.sampled_from(_TIME_UNITS))
    if kind == "interval":
        interval = (milliseconds / _MILLISECONDS[unit]).quantize(Decimal("1e-12"))
        return {"interval": as_written(interval), "intervalUnit": unit}, interval * _MILLISECONDS[unit]
    start = draw(st.integers(0, 1000))
    places = " ".join(str(start + i * milliseconds) for i in range(count))
    return {"offsets": places, "intervalUnit": "ms"}, milliseconds


@st.composite
def scales(draw: st.DrawFn) -> tuple[Document, Decimal, Decimal]:
    """An origin and a factor of either sign in a unit of voltage, and what they are in mV."""
    unit, millivolts = draw(st.sampled_from(sorted(_VOLTAGES.items())))
    step = draw(st.decimals("0.0001", "0.05", places=8)) * draw(st.sampled_from([1, -1]))
    origin = draw(st.decimals("-5", "5", places=4))
    named = draw(
        st.sampled_from([{"code": unit, "system": UCUM}, {"unit": unit}, {"code": unit, "system": UCUM, "unit": unit}])
    )
    if unit == "uV" and "unit" in named and draw(st.booleans()):
        named = named | {"unit": draw(st.sampled_from(["\u00b5V", "\u03bcV"]))}
    scale: Document = {"origin": {"value": as_written(origin / millivolts), **named}, "dimensions": 1}
    if step / millivolts != 1 or draw(st.booleans()):
        scale["factor"] = as_written(step / millivolts)
    return scale, origin, step


@st.composite
def sent_in_any_form(draw: st.DrawFn) -> tuple[bytes, Form, Recording, float]:
    """A Recording in a form drawn at random, and the step of its numbers in mV."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts = draw(st.integers(1, 4))
    length = draw(st.integers(2, 6))
    scale, origin, step = draw(scales())
    limb = generator.normal(0, 0.5, (2, parts * length))
    leads = np.stack([*complete_leads({Lead.I: limb[0], Lead.II: limb[1]} | dict.fromkeys(CHEST_LEADS, limb[0]))[0]])
    leads[6:] = generator.normal(0, 0.5, (6, parts * length))
    raw = np.rint((leads - float(origin)) / float(step)).astype(int)
    sent = TWELVE_LEADS if draw(st.booleans()) else EIGHT
    order = draw(st.permutations(sent))
    rows = {lead: raw[TWELVE_LEADS.index(lead)] for lead in sent}
    layout = draw(st.sampled_from(["components", "interlaced", "interlaced in value[x]"]))
    spacing, milliseconds = draw(spacings(length if layout == "components" else parts * length))
    sampled = scale | spacing
    if layout == "components":
        coding = CODINGS[draw(st.sampled_from(sorted(CODINGS)))]
        document = observation(
            component=[
                {"code": coding(lead), "valueSampledData": sampled | {"data": " ".join(map(str, piece))}}
                for part in range(parts)
                for lead in order
                for piece in [np.split(rows[lead], parts)[part]]
            ]
        )
    else:
        points = " ".join(map(str, np.stack([rows[lead] for lead in order]).T.reshape(-1)))
        sampled = sampled | {"dimensions": len(order), "data": points}
        named = {"text": draw(st.sampled_from([", ", " ", "/", "\n"])).join(order)}
        document = observation(component=[{"code": named, "valueSampledData": sampled}])
        if layout != "interlaced":
            del document["component"]
            document |= {"valueSampledData": sampled, "method": named}
    release = Release.R4 if "period" in spacing else Release.R5
    syntax = draw(st.sampled_from(["json", "xml"]))
    body = json.dumps(document).encode()
    if syntax == "xml":
        body = serialise_xml(json.loads(body, parse_float=Decimal), release)
    form = Form(syntax, draw(st.sampled_from([None, release])))
    return body, form, Recording(leads, float(1000 / milliseconds)), abs(float(step))


@given(sent=sent_in_any_form())
@settings(max_examples=300)
def test_a_recording_in_any_form_is_read_back_within_half_a_step(sent: tuple[bytes, Form, Recording, float]) -> None:
    body, form, recording, step = sent
    document, _ = read_observation(body, form)
    decoded = take(serialise(document))[1]

    assert decoded.sampling_rate == pytest.approx(recording.sampling_rate)
    # A lead that was not sent is the sum of two that were, with the rounding of both.
    sent_leads = [lead not in decoded.derived for lead in TWELVE_LEADS]
    error = np.abs(decoded.leads - recording.leads)
    assert error[sent_leads].max() <= step / 2 + 1e-9
    assert error.max() <= step * 1.5 + 1e-9
