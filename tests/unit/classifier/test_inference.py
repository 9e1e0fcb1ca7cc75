"""From a Recording to a Prediction with the shipped model."""

from importlib.metadata import version

import numpy as np
import pytest

from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.from_file(None)


def test_prediction_is_the_same_each_time(classifier: Classifier) -> None:
    recording = synthesise(EXAMPLES["atrial-fibrillation"], 10, 500, seed=1)

    first, second = (classifier.predict(recording) for _ in range(2))

    assert first == second
    assert first == Classifier.from_file(None).predict(recording)
    assert tuple(score.code for score in first.scores) == STATEMENT_CODES


@pytest.mark.parametrize(("name", "code"), [("sinus-bradycardia", "SBRAD"), ("atrial-fibrillation", "AFIB")])
@pytest.mark.parametrize("rate", [100, 257.73, 500, 1000])
def test_rhythm_is_found_at_any_rate(classifier: Classifier, name: str, code: str, rate: float) -> None:
    recording = synthesise(EXAMPLES[name], 11, rate, seed=1)

    assert code in {finding.code for finding in classifier.predict(recording).findings}


def test_what_follows_the_first_ten_seconds_changes_nothing(classifier: Classifier) -> None:
    recording = synthesise(EXAMPLES["normal-sinus-rhythm"], 30, 100, seed=1)
    changed = recording.leads.copy()
    changed[:, 1100:] = 0

    assert classifier.predict(recording).scores == classifier.predict(Recording(changed, 100)).scores


def test_probabilities_of_many_equal_those_of_one(classifier: Classifier) -> None:
    recordings = [synthesise(parameters, 10, 100, seed=2) for parameters in EXAMPLES.values()]
    batch = np.stack([classifier.network_input(recording) for recording in recordings])

    for recording, probabilities in zip(recordings, classifier.probabilities(batch), strict=True):
        single = [score.probability for score in classifier.predict(recording).scores]
        np.testing.assert_allclose(probabilities, single, rtol=0, atol=1e-6)


def test_a_prediction_names_its_runtime(classifier: Classifier) -> None:
    prediction = classifier.predict(synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1))

    assert prediction.runtime == f"onnxruntime {version('onnxruntime')}"


def test_what_quality_would_refuse_is_an_error(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="no 10 s"):
        classifier.predict(synthesise(EXAMPLES["normal-sinus-rhythm"], 9, 100, seed=1))
