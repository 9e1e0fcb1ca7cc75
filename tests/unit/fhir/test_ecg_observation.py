"""Observation to Recording: what is one ECG of twelve leads, and every reason why it is not."""

import json
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from fhir.resources.R4B.observation import Observation
from hypothesis import given
from hypothesis import strategies as st
from sent_ecg import ABSENT, Path, component, observation, problems_of, refusal, sampled_data, take, with_change

from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.ecg_observation import Sent, ecg_observation, read_joined
from fhir_ecg.fhir.parsing import check_observation, parse_json, serialise

VALUE = "Observation.component[{}].value.ofType(SampledData)"
EIGHT: tuple[Lead, ...] = (Lead.I, Lead.II, *CHEST_LEADS)


def components(*leads: Lead) -> list[dict[str, Any]]:
    """Each lead with data of its own: lead number k has the samples k, -k, 2k."""
    return [component(lead, f"{k} {-k} {2 * k}") for lead in leads for k in [TWELVE_LEADS.index(lead) + 1]]


def recording_of(resource: dict[str, Any]) -> Recording:
    return take(json.dumps(resource).encode())[1]


def test_twelve_leads_in_millivolts() -> None:
    recording = recording_of(observation(component=components(*TWELVE_LEADS)))
    np.testing.assert_allclose(recording.leads, np.outer(np.arange(1, 13), [1, -1, 2]) * 0.005)
    assert (recording.sampling_rate, recording.derived, recording.repairs) == (500.0, (), ())


def test_eight_leads_are_completed_to_twelve() -> None:
    recording = recording_of(observation(component=components(*EIGHT)))
    assert recording.derived == (Lead.III, Lead.AVR, Lead.AVL, Lead.AVF)
    multiples = [1, 2, 2 - 1, -(1 + 2) / 2, 1 - 2 / 2, 2 - 1 / 2, 7, 8, 9, 10, 11, 12]
    np.testing.assert_allclose(recording.leads, np.outer(multiples, [1, -1, 2]) * 0.005, atol=1e-15)


@given(order=st.permutations(range(12)), kept=st.sets(st.sampled_from(TWELVE_LEADS[:6]), min_size=2))
def test_the_order_of_the_components_changes_nothing(order: list[int], kept: set[Lead]) -> None:
    sent = components(*(lead for lead in TWELVE_LEADS if lead in kept or lead in CHEST_LEADS))
    expected = recording_of(observation(component=sent))
    shuffled = [sent[k] for k in order if k < len(sent)]
    recording = recording_of(observation(component=shuffled))
    np.testing.assert_array_equal(recording.leads, expected.leads)
    assert recording.sha256() == expected.sha256()
    assert recording.derived == expected.derived


def test_each_lead_may_have_a_unit_factor_and_origin_of_its_own() -> None:
    sent = components(*TWELVE_LEADS)
    microvolts = {"value": 0, "system": "http://unitsofmeasure.org", "code": "uV"}
    sent[3]["valueSampledData"] |= {"origin": microvolts, "factor": 5}
    assert recording_of(observation(component=sent)).leads[3].tolist() == pytest.approx([0.02, -0.02, 0.04])


def test_components_without_a_waveform_are_passed_over() -> None:
    rate = {"code": {"text": "Heart rate"}, "valueQuantity": {"value": 61, "unit": "/min"}}
    recording = recording_of(observation(component=[rate, *components(*TWELVE_LEADS), rate]))
    assert recording.samples == 3


def test_a_gap_stays_in_its_lead() -> None:
    recording = recording_of(with_change(("component", 7, "valueSampledData", "data"), "1 E 3 4"))
    assert np.argwhere(np.isnan(recording.leads)).tolist() == [[7, 1]]


@pytest.mark.parametrize("status", ["preliminary", "final", "amended", "corrected", "unknown"])
def test_a_status_with_a_result_is_read(status: str) -> None:
    assert recording_of(observation(status=status)).samples == 4


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ("entered-in-error", "business-rule", "is void"),
        ("cancelled", "business-rule", "was cancelled"),
        ("registered", "business-rule", "has no result yet"),
        ("bogus", "code-invalid", "'bogus' is none of registered, preliminary"),
        ("Final", "code-invalid", "'Final' is none of"),
    ],
)
def test_a_status_without_a_result_is_refused(status: str, code: str, text: str) -> None:
    (problem,) = problems_of(observation(status=status))
    assert (problem.code, problem.expression) == (code, "Observation.status")
    assert text in problem.diagnostics


def test_a_status_that_is_only_an_extension_is_required() -> None:
    sent = with_change(("status",), ABSENT, _status={"id": "a"})
    assert refusal(sent)[0][1] == "Observation.status"


SHORT = sampled_data("1 2 3")
SLOW = sampled_data() | {"period": 4}
DEVIATING = sampled_data() | {"period": 2.00000001}
BROKEN = sampled_data("1 x") | {"period": 0}


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param(
            observation(component=components(*TWELVE_LEADS)[:3]),
            [("required", "Observation.component", "V1, V2, V3, V4, V5, V6 are missing (sent: I, II, III)")],
            id="three leads",
        ),
        pytest.param(
            observation(component=components(Lead.II, *CHEST_LEADS)),
            [("required", "Observation.component", "Leads I, III, aVR, aVL, aVF are missing")],
            id="one limb lead",
        ),
        pytest.param(
            observation(component=[*components(*TWELVE_LEADS), component(Lead.V2)]),
            [("duplicate", "Observation.component[12]", "Lead V2 stands twice: in component 7 and in component 12.")],
            id="a lead twice",
        ),
        pytest.param(
            with_change(("component", 5, "valueSampledData"), SHORT),
            [("value", f"{VALUE.format(5)}.data", "Lead aVF has 3 samples, lead I 4.")],
            id="a shorter lead",
        ),
        pytest.param(
            with_change(("component", 5, "valueSampledData"), SLOW),
            [("value", f"{VALUE.format(5)}.period", "Lead aVF has 250 Hz, lead I 500 Hz.")],
            id="a slower lead",
        ),
        pytest.param(
            with_change(("component", 5, "valueSampledData"), DEVIATING),
            [("value", f"{VALUE.format(5)}.period", "Lead aVF has 500 Hz")],
            id="a lead a little slower",
        ),
        pytest.param(
            with_change(("component", 0, "valueSampledData", "period"), 0.002),
            [("value", f"{VALUE.format(0)}.period", "period is the time between two samples in milliseconds")],
            id="a period in seconds",
        ),
        pytest.param(
            with_change(("component", 0, "valueSampledData", "period"), 29000),
            [("value", f"{VALUE.format(0)}.period", "0.0344828 samples a second")],
            id="the whole duration as period",
        ),
        pytest.param(
            with_change(("component", 3, "valueSampledData"), BROKEN),
            [
                ("value", f"{VALUE.format(3)}.period", "above 0"),
                ("value", f"{VALUE.format(3)}.data", "character 2 ('x')"),
            ],
            id="two faults of one lead",
        ),
        pytest.param(
            with_change(("component", 3, "code", "coding", 0, "code"), "131333"),
            [("value", "Observation.component[3].code", "contradicts itself")],
            id="a number shifted against its display",
        ),
        pytest.param(
            with_change(("component", 9, "code"), {"text": "the fourth chest lead"}),
            [
                ("code-invalid", "Observation.component[9].code", "no coding"),
                ("required", "Observation.component", "Leads V4 are missing"),
            ],
            id="a lead without a code",
        ),
        pytest.param(
            observation(component=[{"code": {"text": "Pleth"}, "valueSampledData": SHORT}]),
            [
                ("code-invalid", "Observation.component[0].code", "no lead known here"),
                ("required", "Observation.component", "(sent: none)"),
            ],
            id="no ECG",
        ),
        pytest.param(
            with_change(("component",), ABSENT, valueSampledData=sampled_data()),
            [
                ("business-rule", "Observation.value.ofType(SampledData)", "A single SampledData stands in value[x]"),
                ("required", "Observation.component", "(sent: none)"),
            ],
            id="one lead as the value",
        ),
        pytest.param(
            with_change(("component",), ABSENT, valueString="sinus rhythm"),
            [("required", "Observation.component", "No component holds a SampledData")],
            id="no waveform",
        ),
        pytest.param(
            with_change(("component",), ABSENT, status="cancelled"),
            [
                ("business-rule", "Observation.status", "cancelled"),
                ("required", "Observation.component", "SampledData"),
            ],
            id="no waveform of a cancelled ECG",
        ),
        pytest.param(
            with_change(("effectiveDateTime",), ABSENT, effectivePeriod={"start": "2026-11-22", "end": "2026-11-21"}),
            [("invariant", "Observation.effective.ofType(Period)", "ends (2026-11-21) before it starts (2026-11-22)")],
            id="a time that ends before it starts",
        ),
    ],
)
def test_what_is_no_ecg_of_twelve_leads(resource: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    problems = problems_of(resource)
    assert [(p.code, p.expression) for p in problems] == [(code, where) for code, where, _ in expected]
    for problem, (_, _, text) in zip(problems, expected, strict=True):
        assert text in problem.diagnostics


@pytest.mark.parametrize(
    "period", [{"start": "2026-11-22"}, {"end": "2026"}, {"start": "2026-11-22", "end": "2026-11"}]
)
def test_a_period_may_be_open_and_of_any_precision(period: dict[str, str]) -> None:
    assert refusal(with_change(("effectiveDateTime",), ABSENT, effectivePeriod=period)) == []


@pytest.mark.parametrize("path", [("component", k, "valueSampledData", "data") for k in (0, 6, 11)])
def test_a_problem_names_its_component(path: Path) -> None:
    assert refusal(with_change(path, "1 2 3 4 ")) == [("value", f"{VALUE.format(path[1])}.data")]


@given(
    resolution=st.sampled_from([0.001, 0.0025, 0.005]),
    rate=st.sampled_from([100.0, 250.0, 257.73, 500.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_recording_comes_back_from_the_observation_we_write(resolution: float, rate: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    leads = generator.normal(size=(12, 20))
    leads[generator.random((12, 20)) < 0.05] = np.nan
    body = serialise(ecg_observation(Recording(leads, rate), resolution))
    _, recording = take(body)
    np.testing.assert_array_equal(np.isnan(recording.leads), np.isnan(leads))
    np.testing.assert_allclose(recording.leads, leads, atol=resolution * 0.5001)
    assert recording.sampling_rate == pytest.approx(rate, rel=1e-12)


def test_the_observation_we_write_is_valid_r4() -> None:
    when = datetime.fromisoformat("2026-11-22T09:30:00+00:00")
    written = ecg_observation(
        Recording(np.zeros((12, 3)), 500.0), 0.005, effective=when.isoformat(), subject="Patient/7"
    )
    resource = parse_json(serialise(written))
    check_observation(resource)
    assert read_joined([Sent(resource)]).samples == 3
    Observation.model_validate(resource)
    assert {name: resource[name] for name in ("status", "subject", "effectiveDateTime")} == {
        "status": "final", "subject": {"reference": "Patient/7"}, "effectiveDateTime": "2026-11-22T09:30:00+00:00",
    }  # fmt: skip
    assert resource["code"]["coding"] == [{"system": "http://loinc.org", "code": "11524-6", "display": "EKG study"}]
    bare = ecg_observation(Recording(np.zeros((12, 3)), 500.0), 0.005)
    assert not {"subject", "effectiveDateTime"} & set(bare)
