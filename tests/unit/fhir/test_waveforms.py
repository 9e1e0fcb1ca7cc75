"""Which leads are found in an Observation, and that one mistake is one problem."""

from typing import Any

import pytest
from sent_ecg import component, observation, problems_of, sampled_data

from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.fhir.lead_coding import MDC
from fhir_ecg.fhir.repairs import NONE
from fhir_ecg.fhir.waveforms import find_waveforms

TWELVE = ", ".join(TWELVE_LEADS)
DATA = " ".join(["1 2 3 4 5 6 7 8 9 10 11 12"] * 4)
DIMENSIONS = "Observation.component[0].value.ofType(SampledData).dimensions"


def interlaced(text: str, dimensions: int, **coded: Any) -> dict[str, Any]:
    sampled = sampled_data(DATA) | {"dimensions": dimensions}
    return observation(component=[{"code": {"text": text} | coded, "valueSampledData": sampled}])


def single(code: dict[str, Any], **elements: Any) -> dict[str, Any]:
    """An Observation of one lead, as a Bundle has it."""
    document = observation(code=code, valueSampledData=sampled_data(), **elements)
    del document["component"]
    return document


@pytest.mark.parametrize(
    ("document", "code", "expression", "shown"),
    [
        (interlaced("ECG", 12), "value", DIMENSIONS, "12 dimensions"),
        (interlaced(TWELVE, 8), "value", DIMENSIONS, "no text of its code lists 8 different leads"),
        (interlaced("Lead I", 12), "value", DIMENSIONS, "the longest lists 1"),
        (interlaced(TWELVE, 1), "value", DIMENSIONS, "lists 12 leads (I, II, III, "),
        (interlaced("V1-V6", 1, coding=[{"code": "x"}]), "value", DIMENSIONS, "lists 6 leads (V1, V2, "),
        (
            interlaced(TWELVE, 12, coding=[{"display": "II, I, III, aVR, aVL, aVF, V1-V6"}]),
            "value",
            "Observation.component[0].code",
            "'II, I, III, aVR, aVL, aVF, V1-V6' means II, I, III",
        ),
        (
            single({"text": "ECG"}, method={"text": TWELVE}),
            "value",
            "Observation.value.ofType(SampledData).dimensions",
            "but dimensions is 1",
        ),
    ],
)
def test_dimensions_that_fit_no_text_are_one_problem(
    document: dict[str, Any], code: str, expression: str, shown: str
) -> None:
    [problem] = problems_of(document)
    assert (problem.code, problem.expression) == (code, expression)
    assert shown in problem.diagnostics


def test_other_leads_are_still_judged() -> None:
    document = interlaced("ECG", 12)
    document["component"].append(component(Lead.V1, "1 2 x"))
    found = find_waveforms(document, "Observation", NONE)
    assert (found.untold, found.named) == (True, {Lead.V1})
    assert [problem.expression for problem in found.problems] == [
        DIMENSIONS,
        "Observation.component[1].value.ofType(SampledData).data",
    ]


V3, V3R, V1, LEAD_I = ({"coding": [{"system": MDC, "code": code}]} for code in ("131333", "131083", "131331", "131329"))
RIGHT = {"text": "Right side of chest"}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (observation(code={"text": "Right-sided 12-lead ECG"}), ["Observation.code"]),
        (observation(code={"coding": [{"display": "EKG 12 leads right side"}]}), ["Observation.code"]),
        (observation(bodySite=RIGHT), ["Observation.bodySite"]),
        (observation(bodySite={"text": "rechter Thorax"}), ["Observation.bodySite"]),
        (single(V3, bodySite=RIGHT), ["Observation.bodySite"]),
        (single(V3 | {"text": "V3, right-sided"}), ["Observation.code"]),
        # One that names others and has no samples itself.
        ({"code": {"text": "right-sided ECG"}, "hasMember": [{"reference": "urn:uuid:1"}]}, ["Observation.code"]),
        (observation(code={"text": "ECG in right bundle branch block"}, bodySite={"text": "Right arm"}), []),
        (observation(bodySite={"text": "Left side of chest"}), []),
        (single(V3R | {"text": "V3R, right-sided"}, bodySite=RIGHT), []),
        (single(LEAD_I, bodySite=RIGHT), []),
        (single(V1, bodySite={"text": "right parasternal"}), []),
    ],
)
def test_chest_leads_of_the_right_side_are_not_sent_as_v1_to_v6(document: dict[str, Any], where: list[str]) -> None:
    found = find_waveforms(document, "Observation", NONE)
    assert [problem.expression for problem in found.problems] == where
    assert all(problem.code == "value" for problem in found.problems)


def test_chest_leads_of_the_right_side_beside_the_twelve_are_read_as_such() -> None:
    document = observation()
    document["component"].append({"code": {"text": "V3R"}, "valueSampledData": sampled_data()})
    found = find_waveforms(document, "Observation", NONE)
    assert found.named >= {*CHEST_LEADS, "V3R"}
    assert not found.problems
