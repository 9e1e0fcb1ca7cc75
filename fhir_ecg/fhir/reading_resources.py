"""What stands beside a report: the Observation of all probabilities, the model's Device, the Provenance."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from fhir_ecg.ecg.prediction import Answer, ModelIdentity, Prediction, StatementScore
from fhir_ecg.fhir.report import context, effective, instant
from fhir_ecg.fhir.terminology import (
    AI_ASSERTED,
    PROCEDURE,
    STATEMENT_PROBABILITIES,
    WEIGHTS_IDENTIFIER_SYSTEM,
    statement_concept,
)
from fhir_ecg.fhir.voltage import UCUM

_INTERPRETATION_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_INTERPRETATIONS = {
    Answer.PRESENT: ("POS", "Positive"),
    Answer.ABSENT: ("NEG", "Negative"),
    Answer.INDETERMINATE: ("IND", "Indeterminate"),
}
_MILLIONTH = Decimal("0.000001")


def device_id(model: ModelIdentity) -> str:
    """Name a model's Device by its weights, so that the same weights are the same Device everywhere."""
    return f"model-{model.weights_sha256[:32]}"


def scores_observation(
    observation: dict[str, Any],
    observation_id: str,
    scores_id: str,
    prediction: Prediction,
    *,
    issued: datetime,
    snomed: bool,
    members: Sequence[str] = (),
) -> dict[str, Any]:
    """Build the derived Observation with one component for each statement; `members` as of registered_report."""
    scores: dict[str, Any] = {
        "resourceType": "Observation",
        "id": scores_id,
        "meta": {"security": [AI_ASSERTED]},
        "status": "preliminary",
        "category": [PROCEDURE],
        "code": STATEMENT_PROBABILITIES,
    }
    scores |= context(observation) | effective(observation)
    return scores | {
        "issued": instant(issued),
        "device": _device_reference(prediction.model),
        "derivedFrom": [{"reference": f"Observation/{identity}"} for identity in (observation_id, *members)],
        "component": [_score_component(score, snomed=snomed) for score in prediction.scores],
    }


def model_device(model: ModelIdentity) -> dict[str, Any]:
    """Build the Device that stands for a model."""
    return {
        "resourceType": "Device",
        "id": device_id(model),
        "identifier": [{"system": WEIGHTS_IDENTIFIER_SYSTEM, "value": model.weights_sha256}],
        "status": "active",
        "manufacturer": "fhir-ecg",
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "type": {"text": "Artificial intelligence model: classifier of 12-lead ECGs"},
        "version": [
            {"type": {"text": "model"}, "value": model.version},
            {"type": {"text": "weights SHA-256"}, "value": model.weights_sha256},
        ],
    }


def reading_provenance(
    provenance_id: str,
    targets: Sequence[str],
    sources: Sequence[str],
    model: ModelIdentity,
    recorded: datetime,
    repairs: Sequence[str] = (),
) -> dict[str, Any]:
    """Build the Provenance of a reading; `targets` and `sources` are versioned references."""
    activity = "Reading of an ECG by machine"
    if repairs:
        activity += f"; repairs applied to what was sent: {', '.join(repairs)}"
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "target": [{"reference": target} for target in targets],
        "recorded": instant(recorded),
        "reason": [{"coding": [AI_ASSERTED]}],
        "activity": {"text": activity},
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                            "code": "author",
                            "display": "Author",
                        }
                    ]
                },
                "who": _device_reference(model),
            }
        ],
        "entity": [{"role": "source", "what": {"reference": source}} for source in sources],
    }


def _device_reference(model: ModelIdentity) -> dict[str, str]:
    return {"reference": f"Device/{device_id(model)}", "display": f"{model.name} {model.version}"}


def _score_component(score: StatementScore, *, snomed: bool) -> dict[str, Any]:
    code, display = _INTERPRETATIONS[score.answer]
    return {
        "code": statement_concept(score.code, snomed=snomed),
        "valueQuantity": {
            "value": Decimal(score.probability).quantize(_MILLIONTH),
            "unit": "1",
            "system": UCUM,
            "code": "1",
        },
        "interpretation": [{"coding": [{"system": _INTERPRETATION_SYSTEM, "code": code, "display": display}]}],
    }
