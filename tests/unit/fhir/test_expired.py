"""What stays of an Observation whose samples have expired."""

from typing import Any

from fhir_ecg.fhir.expired import without_samples
from fhir_ecg.fhir.terminology import ECG_PROFILE

SAMPLES = {"origin": {"value": 0}, "period": 2, "dimensions": 1, "data": "1 2 3"}


def observation(**members: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "ECG"}, **members}


def test_samples_are_absent_wherever_they_stood() -> None:
    with_samples = {"url": "urn:x", "valueSampledData": SAMPLES}
    nested = {"url": "urn:y", "extension": [with_samples]}
    other = {"url": "urn:z", "valueString": "kept"}
    stripped = without_samples(
        observation(
            valueSampledData=SAMPLES,
            extension=[with_samples, nested],
            component=[{"code": {"text": "I"}, "valueSampledData": SAMPLES, "extension": [with_samples, other]}],
            contained=[observation(id="c", valueSampledData=SAMPLES)],
        )
    )
    assert "1 2 3" not in str(stripped)
    absent = stripped["dataAbsentReason"]
    assert "extension" not in stripped
    assert stripped["component"] == [{"code": {"text": "I"}, "extension": [other], "dataAbsentReason": absent}]
    assert stripped["contained"][0]["dataAbsentReason"] == absent


def test_a_profile_that_demands_samples_is_claimed_no_longer() -> None:
    meta = {"profile": [f"{ECG_PROFILE}|0.1.0", "urn:other"], "tag": [{"code": "own"}]}
    stripped = without_samples(observation(meta=meta))
    assert stripped["meta"]["profile"] == ["urn:other"]
    assert [tag["code"] for tag in stripped["meta"]["tag"]] == ["own", "waveform-expired"]
    assert without_samples(stripped) == stripped
