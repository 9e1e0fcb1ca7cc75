"""Reading ECGs without a server: a Recording in, a report with everything inside out."""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fhir_ecg.ecg.quality import quality_findings, quality_warnings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.reading_resources import device_id, model_device, scores_observation
from fhir_ecg.fhir.report import cancelled_report, read_report, registered_report
from fhir_ecg.service.application import now

if TYPE_CHECKING:
    from fhir_ecg.classifier.inference import Classifier

_SCORES, _WAVEFORM = "scores", "ecg"


def report_on(
    classifier: "Classifier", recording: Recording, observation: dict[str, Any], *, snomed: bool = True
) -> dict[str, Any]:
    """Build a DiagnosticReport that contains its Observation of probabilities and the model's Device.

    Args:
        classifier: The model.
        recording: The ECG.
        observation: What it came from; its subject, time and identifiers go into the report.
        snomed: Whether SNOMED CT codes stand beside the SCP-ECG codes.
    """
    moment = now()
    registered = registered_report(observation, observation.get("id", _WAVEFORM), str(uuid4()))
    if "id" not in observation:
        registered["result"] = []
    if findings := quality_findings(recording):
        report = cancelled_report(registered, findings, issued=moment)
        return report if report["result"] else {name: v for name, v in report.items() if name != "result"}
    warnings = quality_warnings(recording)
    prediction = classifier.predict(recording, warnings)
    report = read_report(
        registered,
        prediction,
        recording,
        _SCORES,
        status="partial",
        issued=moment,
        snomed=snomed,
        warnings=warnings,
    )
    scores = scores_observation(
        observation, observation.get("id", _WAVEFORM), _SCORES, prediction, issued=moment, snomed=snomed
    )
    device = model_device(prediction.model)
    scores["device"]["reference"] = f"#{device_id(prediction.model)}"
    if "id" not in observation:
        del scores["derivedFrom"]
    report["result"][-1]["reference"] = f"#{_SCORES}"
    # Contained resources have no meta.versionId, lastUpdated or security (dom-4, dom-5).
    del scores["meta"]
    return {"resourceType": "DiagnosticReport", "id": report["id"], "contained": [device, scores]} | report
