"""The probabilities, the model and the provenance of a reading: expected resources out, all valid R4."""

import json
from decimal import Decimal
from typing import Any

from fhir.resources.R4B.device import Device
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.provenance import Provenance
from readings import AI_ASSERTED, ISSUED, MODEL, PREDICTION, SHA, statement
from sent_ecg import observation

from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.reading_resources import device_id, model_device, reading_provenance, scores_observation
from fhir_ecg.fhir.terminology import ARTIFICIAL_INTELLIGENCE, DEEP_LEARNING, READ_ECG

AI = "http://hl7.org/fhir/uv/aitransparency"
PROFILES = "http://fhir-ecg.org/fhir/StructureDefinition"
DEVICE = {"reference": f"Device/model-{SHA[:32]}", "display": "three-branch 1.2.0"}


def wire(resource: dict[str, Any]) -> dict[str, Any]:
    return json.loads(serialise(resource), parse_float=Decimal)  # type: ignore[no-any-return]


def scores(*, snomed: bool = True, **elements: Any) -> dict[str, Any]:
    built = wire(scores_observation(observation(**elements), "O", "S", PREDICTION, issued=ISSUED, snomed=snomed))
    Observation.model_validate(built)
    return built


def score(concept: dict[str, Any], probability: str, code: str, display: str) -> dict[str, Any]:
    interpretation = {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
        "code": code,
        "display": display,
    }  # fmt: skip
    return {
        "code": concept,
        "valueQuantity": {
            "value": Decimal(probability), "unit": "1", "system": "http://unitsofmeasure.org", "code": "1",
        },
        "interpretation": [{"coding": [interpretation]}],
    }  # fmt: skip


def test_the_observation_of_the_scores() -> None:
    procedure = {
        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
        "code": "procedure",
        "display": "Procedure",
    }  # fmt: skip
    assert scores() == {
        "resourceType": "Observation",
        "id": "S",
        "meta": {"profile": [f"{PROFILES}/ecg-statement-probabilities"], "security": [AI_ASSERTED]},
        "status": "preliminary",
        "category": [{"coding": [procedure]}],
        "code": {
            "coding": [
                {
                    "system": "http://fhir-ecg.org/fhir/CodeSystem/ecg-reading",
                    "code": "statement-probabilities",
                    "display": "Probabilities of the ECG statements",
                }
            ],
            "text": "Probability of each ECG statement, by machine",
        },
        "subject": {"reference": "Patient/7"},
        "encounter": {"reference": "Encounter/8"},
        "effectiveDateTime": "2026-11-22T09:30:00+01:00",
        "issued": "2026-11-22T08:31:00.123Z",
        "device": DEVICE,
        "derivedFrom": [{"reference": "Observation/O"}],
        "component": [
            score(
                statement("AFIB", "atrial fibrillation", "164889003"),
                "0.812346", "POS", "Positive",
            ),
            score(statement("INJAL", "subendocardial injury in anterolateral leads"), "0.900000", "POS", "Positive"),
            score(
                statement("NORM", "normal ECG", "164854000"),
                "0.050000", "NEG", "Negative",
            ),
            score(
                statement("TRIGU", "trigeminal pattern (unknown origin, SV or Ventricular)"),
                "0.500000", "POS", "Positive",
            ),
        ],
    }  # fmt: skip


def test_scores_without_snomed() -> None:
    assert "snomed" not in json.dumps(scores(snomed=False), default=str)


def test_a_contained_patient_is_named_by_identifier_in_the_scores() -> None:
    patient = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "mrn", "value": "7"}]}
    built = scores(contained=[patient], subject={"reference": "#p"})
    assert built["subject"] == {"type": "Patient", "identifier": {"system": "mrn", "value": "7"}}


def test_the_device_of_the_model() -> None:
    device = wire(model_device(MODEL))
    Device.model_validate(device)
    assert device == {
        "resourceType": "Device",
        "id": f"model-{SHA[:32]}",
        "meta": {"profile": [f"{PROFILES}/ai-model-device", f"{AI}/StructureDefinition/AI-Device"]},
        "extension": [
            {
                "url": f"{AI}/StructureDefinition/aitransparency.AIKind",
                "valueCodeableConcept": {"coding": [DEEP_LEARNING]},
            }
        ],
        "identifier": [{"system": "http://fhir-ecg.org/fhir/sid/weights-sha256", "value": SHA}],
        "status": "active",
        "manufacturer": "fhir-ecg",
        "deviceName": [{"name": "three-branch", "type": "model-name"}],
        "type": {
            "coding": [ARTIFICIAL_INTELLIGENCE],
            "text": "Artificial intelligence model: classifier of 12-lead ECGs",
        },
        "version": [
            {"type": {"text": "model"}, "value": "1.2.0"},
            {"type": {"text": "weights SHA-256"}, "value": SHA},
        ],
    }
    assert device["id"] == device_id(MODEL)


def test_the_provenance_of_a_reading() -> None:
    provenance = wire(
        reading_provenance(
            "P",
            ["DiagnosticReport/R/_history/2", "Observation/S/_history/1"],
            ["Observation/O/_history/1"],
            MODEL,
            ISSUED,
            ("period-in-seconds",),
        )
    )
    Provenance.model_validate(provenance)
    author = {
        "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
        "code": "author",
        "display": "Author",
    }  # fmt: skip
    assert provenance == {
        "resourceType": "Provenance",
        "id": "P",
        "meta": {"profile": [f"{PROFILES}/ecg-reading-provenance", f"{AI}/StructureDefinition/AI-Provenance"]},
        "target": [{"reference": "DiagnosticReport/R/_history/2"}, {"reference": "Observation/S/_history/1"}],
        "occurredDateTime": "2026-11-22T08:31:00.123Z",
        "recorded": "2026-11-22T08:31:00.123Z",
        "reason": [{"coding": [AI_ASSERTED]}],
        "activity": {
            "coding": [READ_ECG],
            "text": "Reading of an ECG by machine; repairs applied to what was sent: period-in-seconds",
        },
        "agent": [{"type": {"coding": [author]}, "role": [{"coding": [ARTIFICIAL_INTELLIGENCE]}], "who": DEVICE}],
        "entity": [{"role": "source", "what": {"reference": "Observation/O/_history/1"}}],
    }
