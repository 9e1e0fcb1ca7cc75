"""What third parties publish as ECG Observations, and the answer to each: its first problem."""

from pathlib import Path

import pytest
from locations import REPOSITORY
from sent_ecg import take

from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.outcome import MalformedError, RefusedError, UnprocessableError
from fhir_ecg.fhir.repairs import Repair

SAMPLES = REPOSITORY.parent / "shared" / "fhir-samples"

FIRST = "Observation.component[0].value.ofType(SampledData)"
ROOT = "Observation.value.ofType(SampledData)"

ANOTHER_RESOURCE = (MalformedError, "invalid", "Observation.resourceType")
NO_WAVEFORM = (UnprocessableError, "required", "Observation.component")
NO_LEAD = (UnprocessableError, "business-rule", ROOT)
LEADS_MISSING = (UnprocessableError, "required", "Observation.component")
NO_UNIT = (UnprocessableError, "required", f"{FIRST}.origin.code")

TABLE = {
    "diagnostic-reports/DiagnosticReport-102.R4.json": ANOTHER_RESOURCE,
    "diagnostic-reports/DiagnosticReport-f201.R4.json": ANOTHER_RESOURCE,
    "diagnostic-reports/DiagnosticReport-ultrasound.R4.json": ANOTHER_RESOURCE,
    "hl7-de-basis/Observation-Example-observation-ekg-deprecated.json": NO_UNIT,
    "hl7-de-basis/Observation-Example-observation-ekg.json": NO_UNIT,
    "hl7-fhir-test-cases/R5.obs-sampled-data-base.json": ANOTHER_RESOURCE,
    "hl7-fhir-test-cases/obs-sampled-data.json": NO_LEAD,
    # A no-break space between two samples.
    "hl7-phd/rtsa-example-2.json": (UnprocessableError, "value", f"{ROOT}.data"),
    "hl7-phd/rtsa-example.json": NO_LEAD,
    "hl7-spec/Observation-ekg.R4.json": NO_UNIT,
    "hl7-spec/Observation-ekg.R5.json": NO_UNIT,
    "hl7-uv-pocd/DeviceMetric-ECGSampleArrayDeviceMetric.xml": ANOTHER_RESOURCE,
    "hl7-uv-pocd/Observation-CVPSampleArrayObservation.xml": NO_LEAD,
    "hl7-uv-pocd/Observation-ECGSampleArrayObservation.xml": LEADS_MISSING,
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
    first, *_ = refusal_of(samples / name)
    assert first == answer


def refusal_of(path: Path, *allowed: Repair) -> list[tuple[type[RefusedError], str, str | None]]:
    with pytest.raises(RefusedError) as caught:
        take(path.read_bytes(), Form("xml" if path.suffix == ".xml" else "json"), frozenset(allowed))
    assert all(problem.expression for problem in caught.value.problems)
    return [(type(caught.value), problem.code, problem.expression) for problem in caught.value.problems]


def test_each_deviation_of_the_apple_watch_is_named(samples: Path) -> None:
    found = refusal_of(samples / "stanford-spezi/applewatch_ecg_1.json")
    assert [(code, expression) for _, code, expression in found] == [
        ("invariant", "Observation.effective.ofType(Period)"),
        ("value", "Observation.component[5].value.ofType(SampledData).period"),
        ("value", "Observation.component[6].value.ofType(SampledData).period"),
        ("value", "Observation.component[7].value.ofType(SampledData).period"),
        ("required", "Observation.component"),
    ]


@pytest.mark.parametrize(
    ("name", "repairs"),
    [
        ("stanford-spezi/applewatch_ecg_1.json", [Repair.PERIOD_IN_SECONDS, Repair.EFFECTIVE_PERIOD_IGNORED]),
        ("hl7-spec/Observation-ekg.R4.json", [Repair.UNIT_FROM_AMPLITUDE, Repair.ORIGIN_AS_ADC_OFFSET]),
        ("hl7-spec/Observation-ekg.R5.json", [Repair.UNIT_FROM_AMPLITUDE, Repair.ORIGIN_AS_ADC_OFFSET]),
        ("hl7-de-basis/Observation-Example-observation-ekg.json", [Repair.UNIT_FROM_AMPLITUDE]),
        ("hl7-phd/rtsa-example-2.json", [Repair.SPACES_COLLAPSED]),
    ],
)
def test_repaired_a_sample_lacks_nothing_but_leads(samples: Path, name: str, repairs: list[Repair]) -> None:
    path = samples / name
    assert refusal_of(path, *repairs) == [LEADS_MISSING]
    for left_out in repairs:
        rest = [repair for repair in repairs if repair is not left_out]
        assert len(refusal_of(path, *rest)) > 1
