"""What stands beside a report: the Observation of all probabilities, the model's Device, the Provenance."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha1, sha256
from typing import Any

from fhir_ecg.ecg.prediction import Answer, ModelIdentity, Prediction, StatementScore
from fhir_ecg.fhir.report import MILLIONTH, context, effective, instant
from fhir_ecg.fhir.terminology import (
    AI_ASSERTED,
    AI_CARD_PROFILE,
    AI_DEVICE_PROFILE,
    AI_KIND,
    AI_MODEL_CARD,
    AI_PROVENANCE_PROFILE,
    ARTIFICIAL_INTELLIGENCE,
    CARD_IDENTIFIER_SYSTEM,
    DEEP_LEARNING,
    MARKDOWN_CARD,
    MODEL_CARD,
    MODEL_PROFILE,
    PROCEDURE,
    PROVENANCE_PROFILE,
    READ_ECG,
    SCORES_PROFILE,
    SOFTWARE_IDENTIFIER_SYSTEM,
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
        "meta": {"profile": [SCORES_PROFILE], "security": [AI_ASSERTED]},
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


def model_device(model: ModelIdentity, card: dict[str, Any] | None = None) -> dict[str, Any]:
    """Build the Device that stands for a model; `card` is the DocumentReference that describes it."""
    kind = {"url": AI_KIND, "valueCodeableConcept": {"coding": [DEEP_LEARNING]}}
    described = [{"url": AI_MODEL_CARD, "valueReference": _card_reference(card)}] if card else []
    return {
        "resourceType": "Device",
        "id": device_id(model),
        "meta": {"profile": [MODEL_PROFILE, AI_DEVICE_PROFILE]},
        "extension": [kind, *described],
        "identifier": [{"system": WEIGHTS_IDENTIFIER_SYSTEM, "value": model.weights_sha256}],
        "status": "active",
        "manufacturer": "fhir-ecg",
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "type": {
            "coding": [ARTIFICIAL_INTELLIGENCE],
            "text": "Artificial intelligence model: classifier of 12-lead ECGs",
        },
        "version": [
            {"type": {"text": "model"}, "value": model.version},
            {"type": {"text": "weights SHA-256"}, "value": model.weights_sha256},
        ],
    }


def model_card(markdown: bytes, model: ModelIdentity, moment: datetime) -> dict[str, Any]:
    """Build the DocumentReference that holds a model's card; the same card is the same resource everywhere."""
    digest = sha256(markdown)
    attachment = {
        "contentType": "text/markdown",
        "language": "en",
        "data": b64encode(markdown).decode(),
        "size": len(markdown),
        "hash": b64encode(sha1(markdown, usedforsecurity=False).digest()).decode(),
        "title": f"Model card of {model.name} {model.version}",
    }
    return {
        "resourceType": "DocumentReference",
        "id": f"model-card-{digest.hexdigest()[:32]}",
        "meta": {"profile": [AI_CARD_PROFILE]},
        "identifier": [
            {"system": CARD_IDENTIFIER_SYSTEM, "value": digest.hexdigest()},
            {"system": WEIGHTS_IDENTIFIER_SYSTEM, "value": model.weights_sha256},
        ],
        "status": "current",
        "type": {"coding": [MODEL_CARD]},
        "category": [{"coding": [MARKDOWN_CARD]}],
        "date": instant(moment),
        "description": f"Model card of {model.name} {model.version}, weights SHA-256 {model.weights_sha256}",
        "content": [{"attachment": attachment}],
    }


def reading_provenance(
    provenance_id: str,
    targets: Sequence[str],
    sources: Sequence[str],
    model: ModelIdentity,
    recorded: datetime,
    repairs: Sequence[str] = (),
    *,
    software: str = "",
    card: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the Provenance of a reading.

    Args:
        provenance_id: Its id.
        targets: Versioned references to what was written.
        sources: Versioned references to what was read.
        model: The model.
        recorded: When.
        repairs: Names of the repairs that were applied to what was sent.
        software: Version of this software.
        card: The DocumentReference that describes the model.
    """
    activity = "Reading of an ECG by machine"
    if repairs:
        activity += f"; repairs applied to what was sent: {', '.join(repairs)}"
    model_agent = {"type": _participant("author", "Author"), "role": [_AI_ROLE], "who": _device_reference(model)}
    software_agent = {"type": _participant("assembler", "Assembler"), "who": _software(software)}
    described = [{"role": "derivation", "what": _card_reference(card)}] if card else []
    return {
        "resourceType": "Provenance",
        "id": provenance_id,
        "meta": {"profile": [PROVENANCE_PROFILE, AI_PROVENANCE_PROFILE]},
        "target": [{"reference": target} for target in targets],
        "occurredDateTime": instant(recorded),
        "recorded": instant(recorded),
        "reason": [{"coding": [AI_ASSERTED]}],
        "activity": {"coding": [READ_ECG], "text": activity},
        "agent": [model_agent, *([software_agent] if software else [])],
        "entity": [*({"role": "source", "what": {"reference": source}} for source in sources), *described],
    }


_AI_ROLE = {"coding": [ARTIFICIAL_INTELLIGENCE]}


def _participant(code: str, display: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _software(version: str) -> dict[str, Any]:
    identifier = {"system": SOFTWARE_IDENTIFIER_SYSTEM, "value": f"fhir-ecg {version}"}
    return {"type": "Device", "identifier": identifier, "display": f"fhir-ecg {version}"}


def _card_reference(card: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"DocumentReference/{card['id']}", "display": "Model card"}


def _device_reference(model: ModelIdentity) -> dict[str, str]:
    return {"reference": f"Device/{device_id(model)}", "display": f"{model.name} {model.version}"}


def _score_component(score: StatementScore, *, snomed: bool) -> dict[str, Any]:
    code, display = _INTERPRETATIONS[score.answer]
    return {
        "code": statement_concept(score.code, snomed=snomed),
        "valueQuantity": {
            "value": Decimal(score.probability).quantize(MILLIONTH),
            "unit": "1",
            "system": UCUM,
            "code": "1",
        },
        "interpretation": [{"coding": [{"system": _INTERPRETATION_SYSTEM, "code": code, "display": display}]}],
    }
