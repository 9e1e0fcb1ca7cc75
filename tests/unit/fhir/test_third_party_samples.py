"""What third parties publish as ECG Observations, and the answer to each: its first problem."""

from pathlib import Path

import pytest
from locations import REPOSITORY
from sent_ecg import take

from fhir_ecg.fhir.outcome import MalformedError, RefusedError, UnprocessableError

SAMPLES = REPOSITORY.parent / "shared" / "fhir-samples"

FIRST = "Observation.component[0].value.ofType(SampledData)"
ROOT = "Observation.value.ofType(SampledData)"

ANOTHER_RESOURCE = (MalformedError, "invalid", "Observation.resourceType")
NOT_JSON = (MalformedError, "structure", "Observation")
NO_WAVEFORM = (UnprocessableError, "required", "Observation.component")
ONE_LEAD = (UnprocessableError, "business-rule", ROOT)
NO_UNIT = (UnprocessableError, "required", f"{FIRST}.origin.code")

TABLE = {
    "diagnostic-reports/DiagnosticReport-102.R4.json": ANOTHER_RESOURCE,
    "diagnostic-reports/DiagnosticReport-f201.R4.json": ANOTHER_RESOURCE,
    "diagnostic-reports/DiagnosticReport-ultrasound.R4.json": ANOTHER_RESOURCE,
    "hl7-de-basis/Observation-Example-observation-ekg-deprecated.json": NO_UNIT,
    "hl7-de-basis/Observation-Example-observation-ekg.json": NO_UNIT,
    "hl7-fhir-test-cases/R5.obs-sampled-data-base.json": ANOTHER_RESOURCE,
    # R5, where it is not said: interval for period.
    "hl7-fhir-test-cases/obs-sampled-data.json": (UnprocessableError, "structure", f"{ROOT}.interval"),
    "hl7-phd/rtsa-example-2.json": ONE_LEAD,
    "hl7-phd/rtsa-example.json": ONE_LEAD,
    "hl7-spec/Observation-ekg.R4.json": NO_UNIT,
    "hl7-spec/Observation-ekg.R5.json": (UnprocessableError, "structure", f"{FIRST}.interval"),
    "hl7-uv-pocd/DeviceMetric-ECGSampleArrayDeviceMetric.xml": NOT_JSON,
    "hl7-uv-pocd/Observation-CVPSampleArrayObservation.xml": NOT_JSON,
    "hl7-uv-pocd/Observation-ECGSampleArrayObservation.xml": NOT_JSON,
    "mii-kardiologie/Device-mii-exa-kardio-ekg-kanal-i.json": ANOTHER_RESOURCE,
    "mii-kardiologie/DocumentReference-mii-exa-kardio-ekg-referenz.json": ANOTHER_RESOURCE,
    "mii-kardiologie/Observation-mii-exa-kardio-ekg-rr-interval.json": NO_WAVEFORM,
    "mii-kardiologie/Procedure-mii-exa-kardio-ekg-durchfuehrung.json": ANOTHER_RESOURCE,
    # An Apple Watch: its time ends before it starts; then the period in seconds, and one lead three times.
    "stanford-spezi/applewatch_ecg_1.json": (UnprocessableError, "invariant", "Observation.effective.ofType(Period)"),
    "us-core/DiagnosticReport-cardiology-report.json": ANOTHER_RESOURCE,
    "us-core/ekg-impression.json": NO_WAVEFORM,
    "us-core/ekg-lead.json": NO_WAVEFORM,
    "us-core/p-r-interval-ekg-lead.json": NO_WAVEFORM,
    "us-core/servicerequest-ekg.json": ANOTHER_RESOURCE,
}


@pytest.fixture(scope="module")
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f"the samples are not at {SAMPLES}")
    return SAMPLES


def test_the_table_has_every_sample(samples: Path) -> None:
    found = {str(path.relative_to(samples)) for path in samples.rglob("*") if path.suffix in {".json", ".xml"}}
    assert found == set(TABLE)


@pytest.mark.parametrize(("name", "answer"), TABLE.items(), ids=TABLE)
def test_the_answer_to_a_sample(samples: Path, name: str, answer: tuple[type[RefusedError], str, str]) -> None:
    with pytest.raises(RefusedError) as caught:
        take((samples / name).read_bytes())
    first = caught.value.problems[0]
    assert (type(caught.value), first.code, first.expression) == answer
    assert all(problem.expression for problem in caught.value.problems)


def test_each_deviation_of_the_apple_watch_is_named(samples: Path) -> None:
    with pytest.raises(UnprocessableError) as caught:
        take((samples / "stanford-spezi/applewatch_ecg_1.json").read_bytes())
    assert [(problem.code, problem.expression) for problem in caught.value.problems] == [
        ("invariant", "Observation.effective.ofType(Period)"),
        ("value", "Observation.component[5].value.ofType(SampledData).period"),
        ("duplicate", "Observation.component[6]"),
        ("duplicate", "Observation.component[7]"),
        ("required", "Observation.component"),
    ]
