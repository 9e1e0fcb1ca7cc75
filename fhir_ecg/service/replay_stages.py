"""Computing a reading again from the bytes as sent with the weights that read, and comparing stage by stage."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fhir_ecg.computing_environment import environment_changes
from fhir_ecg.ecg.leads import Lead
from fhir_ecg.ecg.prediction import ModelIdentity, Prediction, StatementScore
from fhir_ecg.ecg.quality import QualityFinding, quality_findings, quality_warnings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.report import Writing, cancelled_report, registered_report
from fhir_ecg.fhir.sent_again import find_sent, observations_in
from fhir_ecg.fhir.terminology import SNOMED
from fhir_ecg.service.kept_models import KeptModels
from fhir_ecg.service.reading import Reading, content_sha256, report_of, scores_of
from fhir_ecg.service.replay_comparison import TOLERANCE, Comparison, DifferenceError
from fhir_ecg.service.replay_material import Material, MissingError
from fhir_ecg.store.resources import StoredResource
from fhir_ecg.store.tables import CancellationRow, PredictionRow

if TYPE_CHECKING:
    from fhir_ecg.classifier.inference import Classifier

_FAILED = "processing-failed"
"""The reason of a cancellation that says nothing of the ECG."""


def replay_stages(material: Material, models: KeptModels, comparison: Comparison, software_version: str) -> None:
    """Replay a reading whose bytes were found sound.

    Raises:
        DifferenceError: A stage comes to something else than what is stored.
        MissingError: The weights are not to be had.
    """
    record = material.record
    comparison.changes = environment_changes(record.environment or {})
    sent = _observations(material, comparison)
    if isinstance(record, CancellationRow):
        _replay_cancellation(record, sent, material, comparison)
    else:
        recording = _recording(record, sent, material, comparison)
        _compare_quality(recording, [], record.warnings, comparison)
        comparison.stage = "weights"
        classifier = models.get(record.weights_sha256)
        _compare_prediction(record, classifier, recording, comparison)
        comparison.stage = "report"
        reading = Reading(recording, [_finding(each) for each in record.warnings], _stored_prediction(record))
        _compare_report(
            record, material, reading, comparison, same_software=record.software_version == software_version
        )


def _observations(material: Material, comparison: Comparison) -> list[dict[str, Any]]:
    """Find the Observations in the bytes; the form in which they are served must be the one that was recorded."""
    comparison.stage = "observation"
    parsed: dict[str, list[dict[str, Any]]] = {}
    found = []
    for source in material.sources:
        served, submission = source.observation, source.submission
        if source.recorded is not None:
            what = f"SHA-256 of {served.versioned_reference} as served"
            comparison.equal(what, source.recorded["sha256"], content_sha256(served.content))
        if submission.id not in parsed:
            parsed[submission.id] = observations_in(submission.body or b"", submission.media_type)
        sent = find_sent(parsed[submission.id], served.content)
        if sent is None:
            text = f"what {served.versioned_reference} was in the bytes"
            raise DifferenceError(comparison.stage, text, "an Observation of its waveform", None)
        found.append(sent)
    return found


def _recording(
    record: PredictionRow | CancellationRow, sent: list[dict[str, Any]], material: Material, comparison: Comparison
) -> Recording:
    comparison.stage = "recording"
    recording = read_joined([Sent(each) for each in sent], material.repairs)
    # Decoding adds, multiplies and rounds to the nearest, which every processor does alike.
    comparison.equal("SHA-256 of the decoded leads", record.recording_sha256, recording.sha256())
    comparison.equal("repairs", record.repairs, list(recording.repairs))
    return recording


def _compare_quality(
    recording: Recording, stored_findings: list[Any], stored_warnings: list[Any] | None, comparison: Comparison
) -> None:
    comparison.stage = "quality"
    findings = quality_findings(recording)
    pairs = [("findings", stored_findings, findings)]
    if stored_warnings is not None:
        pairs.append(("warnings", stored_warnings, quality_warnings(recording)))
    for what, stored, replayed in pairs:
        # In the texts stand measures, whose last digit may be another.
        codes = [
            [{k: v for k, v in each.items() if k != "text"} for each in side] for side in (stored, _plain(replayed))
        ]
        comparison.equal(what, *codes)
        comparison.equal_bits(what, stored, _plain(replayed))


def _plain(findings: Sequence[QualityFinding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def _compare_prediction(
    record: PredictionRow, classifier: "Classifier", recording: Recording, comparison: Comparison
) -> None:
    model = ModelIdentity(record.model_name, record.model_version, record.weights_sha256)
    comparison.equal("model", asdict(model), asdict(classifier.model))
    prediction = classifier.predict(recording, quality_warnings(recording))
    comparison.stage = "input"
    comparison.equal_bits("SHA-256 of the network's input", record.input_sha256, prediction.input_sha256)
    comparison.stage = "logits"
    stored, replayed = _stored_prediction(record).scores, prediction.scores
    comparison.equal("statements", [score.code for score in stored], [score.code for score in replayed])
    for one, other in zip(stored, replayed, strict=True):
        comparison.close(f"logit of {one.code}", one.logit, other.logit)
    comparison.stage = "probabilities"
    for one, other in zip(stored, replayed, strict=True):
        comparison.close(f"probability of {one.code}", one.probability, other.probability)
    comparison.stage = "answers"
    for name in ("threshold", "ruled_out_below", "assertable"):
        for one, other in zip(stored, replayed, strict=True):
            comparison.equal(f"{name} of {one.code}", getattr(one, name), getattr(other, name))
    _compare_answers(record, stored, replayed, comparison)


def _compare_answers(
    record: PredictionRow, stored: Sequence[StatementScore], replayed: Sequence[StatementScore], comparison: Comparison
) -> None:
    for row, one in zip(record.scores, stored, strict=True):
        comparison.equal(f"answer of {one.code}, by its own numbers", row["answer"], str(one.answer))
    for one, other in zip(stored, replayed, strict=True):
        # A rule looks at several statements: one at its threshold may change the answer on another.
        demand = comparison.equal_bits if any(map(_is_on_the_edge, stored)) else comparison.equal
        demand(f"rule for {one.code}", one.rule, other.rule)
        demand(f"answer of {one.code}", str(one.answer), str(other.answer))


def _is_on_the_edge(score: StatementScore) -> bool:
    limits = [limit for limit in (score.threshold, score.ruled_out_below) if limit is not None]
    return any(abs(score.probability - limit) <= TOLERANCE for limit in limits)


def _stored_prediction(record: PredictionRow) -> Prediction:
    scores = [StatementScore(**{k: v for k, v in score.items() if k != "answer"}) for score in record.scores]
    model = ModelIdentity(record.model_name, record.model_version, record.weights_sha256)
    return Prediction(model, tuple(scores), record.input_sha256, record.runtime)


def _compare_report(
    record: PredictionRow, material: Material, reading: Reading, comparison: Comparison, *, same_software: bool
) -> None:
    """Write the report and the Observation of probabilities again, from the numbers in the record."""
    report, scores = material.report, material.scores
    if scores is None:
        raise MissingError("the Observation of probabilities is not stored any more")
    policy = record.policy or {"report_status": report.content["status"], "snomed": SNOMED in str(scores.content)}
    writing: Writing = {"issued": record.finished_at, "snomed": policy["snomed"]}
    contents = [source.observation.content for source in material.sources]
    scores_id = scores.content["id"]
    again = report_of(_registered(material), scores_id, reading, policy["report_status"], writing)
    _compare_resource(report, again, comparison, same_software=same_software)
    _compare_resource(scores, scores_of(contents, scores_id, reading, writing), comparison, same_software=same_software)


def _compare_resource(
    stored: StoredResource, again: dict[str, Any], comparison: Comparison, *, same_software: bool
) -> None:
    one, other = _but_version(stored.content), _but_version(parse_json(serialise(again)))
    if same_software:
        comparison.equal(stored.reference, one, other)
    elif one != other:  # worded by another version: the codes and numbers must be the same
        comparison.equal(f"codes of {stored.reference}", _codes(one), _codes(other))


def _but_version(resource: dict[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in resource["meta"].items() if name not in {"versionId", "lastUpdated"}}
    return resource | {"meta": meta}


def _codes(resource: dict[str, Any]) -> list[Any]:
    """List the codes of the findings, and of each statement its code, probability and answer."""
    concepts = resource.get("conclusionCode", [])
    found: list[Any] = [resource["status"], *(concept["coding"][0]["code"] for concept in concepts)]
    for each in resource.get("component", []):
        answer = each["interpretation"][0]["coding"][0]["code"]
        found.append([each["code"]["coding"][0]["code"], each["valueQuantity"]["value"], answer])
    return found


def _registered(material: Material) -> dict[str, Any]:
    first, *others = (source.observation.content for source in material.sources)
    members = [other["id"] for other in others]
    return registered_report(first, first["id"], material.record.report_id, members)


def _replay_cancellation(
    record: CancellationRow, sent: list[dict[str, Any]], material: Material, comparison: Comparison
) -> None:
    """See that the same findings forbid a reading; that an attempt failed cannot be seen again."""
    failed = [reason["code"] for reason in record.reasons] == [_FAILED]
    if not failed:
        recording = _recording(record, sent, material, comparison)
        _compare_quality(recording, record.reasons, None, comparison)
    comparison.stage = "report"
    reasons = [_finding(reason) for reason in record.reasons]
    again = cancelled_report(_registered(material), reasons, issued=record.finished_at)
    # No code stands in it but its status; the wording is the reasons'.
    _compare_resource(material.report, again, comparison, same_software=True)


def _finding(stored: dict[str, Any]) -> QualityFinding:
    lead = stored["lead"]
    return QualityFinding(stored["code"], stored["text"], Lead(lead) if lead else None, stored["severity"])
