"""A reading of an ECG with known numbers."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from fhir_ecg.ecg.leads import Lead
from fhir_ecg.ecg.prediction import ModelIdentity, Prediction, StatementScore
from fhir_ecg.ecg.recording import Recording

ISSUED = datetime(2026, 11, 22, 8, 31, 0, 123456, tzinfo=UTC)
SHA = "ab" * 32
MODEL = ModelIdentity("three-branch", "1.2.0", SHA)
PREDICTION = Prediction(
    MODEL,
    (
        StatementScore("AFIB", 2.0, 0.8123456789, 0.4),
        StatementScore("INJAL", 1.0, 0.9, 0.5),
        StatementScore("NORM", -3.0, 0.05, 0.5),
        StatementScore("TRIGU", 0.1, 0.5, 0.5),
    ),
    "cd" * 32,
    "onnxruntime 1.28.0",
)
NOTHING_FOUND = Prediction(MODEL, (StatementScore("AFIB", -2.0, 0.1, 0.4),), "cd" * 32, "onnxruntime 1.28.0")
RECORDING = Recording(np.zeros((12, 5000)), 500.0)
REPAIRED = Recording(np.zeros((12, 5000)), 500.0, (Lead.III, Lead.AVR), ("period-in-seconds",))

AI_ASSERTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
OURS = "http://fhir-ecg.org/fhir/CodeSystem/scp-ecg-statements"


def statement(code: str, display: str, *snomed: str) -> dict[str, Any]:
    """The concept of a statement, with its code in SNOMED CT, without a display, where it has one."""
    more = [{"system": "http://snomed.info/sct", "code": number} for number in snomed]
    return {"coding": [{"system": OURS, "code": code, "display": display}, *more], "text": display}


def confidence(probability: float) -> dict[str, Any]:
    """How sure the model is of a finding, as HL7's AI Transparency on FHIR has it."""
    url = "http://hl7.org/fhir/uv/aitransparency/StructureDefinition/AIconfidence"
    return {"extension": [{"url": url, "valueDecimal": probability}]}
