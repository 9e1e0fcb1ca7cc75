"""Weights files: what was written is read, and what is no weights file is refused with what to do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import save_file
from scipy.special import expit

from fhir_ecg.classifier.export import exported_graph
from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.network import EcgNetwork
from fhir_ecg.classifier.weights import MANIFEST_KEY, Decision, Manifest, WeightsError, read_weights, write_weights
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise

MANIFEST = Manifest(
    name="test",
    version="1",
    architecture="three-branch",
    base_filters=2,
    preprocessing="band-pass, global scale",
    labels=STATEMENT_CODES,
    decisions={code: Decision(slope=0.9, intercept=-0.1, threshold=0.4) for code in STATEMENT_CODES},
    training={"records": 3},
    metrics={"macro_auc": 0.5},
)


def tensors(base_filters: int) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in EcgNetwork(base_filters).state_dict().items()}


@pytest.fixture(scope="module")
def graph() -> bytes:
    return exported_graph(MANIFEST.structure)


@pytest.fixture
def path(tmp_path: Path, graph: bytes) -> Path:
    target = tmp_path / "model.safetensors"
    write_weights(target, MANIFEST, tensors(2), graph)
    return target


def test_manifest_tensors_and_graph_come_back(path: Path, graph: bytes) -> None:
    weights = read_weights(path)

    assert weights.manifest == MANIFEST
    assert weights.graph == graph
    assert weights.tensors.keys() == tensors(2).keys()
    assert Classifier(weights).model.weights_sha256 == weights.sha256


def test_arrays_of_any_memory_order_come_back(tmp_path: Path, graph: bytes) -> None:
    arrays = {name: np.asfortranarray(array) for name, array in tensors(2).items()}
    write_weights(tmp_path / "model.safetensors", MANIFEST, arrays, graph)

    read = read_weights(tmp_path / "model.safetensors").tensors
    assert all(np.array_equal(read[name], arrays[name]) for name in arrays)


def test_one_changed_bit_changes_the_digest(path: Path, tmp_path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(body)

    assert read_weights(changed).sha256 != read_weights(path).sha256


@pytest.mark.parametrize("other", ["AFIB", "HEARTBURN"])
def test_a_statement_is_calibrated_by_other_statements_of_the_model_alone(other: str) -> None:
    described = MANIFEST.model_dump()
    described["decisions"]["AFIB"]["others"] = {"SR": -0.1, other: 0.2}

    with pytest.raises(ValidationError, match=f"AFIB is calibrated by \\['{other}'\\]"):
        Manifest.model_validate(described)


def test_others_logits_move_a_probability_as_the_manifest_says(path: Path, tmp_path: Path, graph: bytes) -> None:
    moved = MANIFEST.decisions | {"AFIB": MANIFEST.decisions["AFIB"].model_copy(update={"others": {"SR": -0.5}})}
    write_weights(
        tmp_path / "moved", MANIFEST.model_copy(update={"decisions": moved}), read_weights(path).tensors, graph
    )
    recording = synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 500, seed=1)

    plain, coupled = (Classifier.from_file(file).predict(recording) for file in (path, tmp_path / "moved"))

    before, after = ({score.code: score for score in prediction.scores} for prediction in (plain, coupled))
    assert [score.logit for score in plain.scores] == [score.logit for score in coupled.scores]
    assert {code for code in before if before[code].probability != after[code].probability} == {"AFIB"}
    margin = 0.9 * before["AFIB"].logit - 0.1 - 0.5 * before["SR"].logit
    assert after["AFIB"].probability == pytest.approx(expit(margin))


def test_what_is_no_weights_file_is_refused(path: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(path.read_bytes()[:1000])
    foreign = tmp_path / "foreign.safetensors"
    save_file({"layer.weight": np.zeros(1)}, foreign)
    pickled = tmp_path / "model.pth"
    torch.save({"model_state_dict": {}}, pickled)

    for refused in (cut, foreign, pickled, tmp_path / "absent.safetensors"):
        with pytest.raises(WeightsError, match=str(refused)):
            read_weights(refused)


def test_tensors_that_do_not_fit_the_graph_are_refused(tmp_path: Path, graph: bytes) -> None:
    target = tmp_path / "model.safetensors"
    write_weights(target, MANIFEST, tensors(3), graph)

    with pytest.raises(WeightsError, match="do not fit the graph"):
        Classifier.from_file(target)


def test_a_graph_that_does_not_fit_the_manifest_is_refused(tmp_path: Path, graph: bytes) -> None:
    codes = STATEMENT_CODES[:-1]
    fewer = {"labels": codes, "decisions": {code: MANIFEST.decisions[code] for code in codes}}
    target = tmp_path / "model.safetensors"
    write_weights(target, MANIFEST.model_copy(update=fewer), tensors(2), graph)

    with pytest.raises(WeightsError, match="not what its manifest says"):
        Classifier.from_file(target)


def test_a_file_without_a_graph_is_refused_with_what_adds_one(tmp_path: Path) -> None:
    target = tmp_path / "older.safetensors"
    save_file(tensors(2), target, {MANIFEST_KEY: MANIFEST.model_dump_json()})

    with pytest.raises(WeightsError, match=r"fhir-ecg weights import OLD\.safetensors --out NEW\.safetensors"):
        Classifier.from_file(target)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": (*STATEMENT_CODES[:-1], "BOGUS")},
        {"labels": (*STATEMENT_CODES[:-1], STATEMENT_CODES[0])},
        {"decisions": {}},
        {"preprocessing": "none"},
        {"architecture": "other"},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Manifest.model_validate(MANIFEST.model_dump() | change)


def test_shipped_weights_say_what_they_reach() -> None:
    manifest = read_weights(None).manifest

    assert manifest.labels == STATEMENT_CODES
    assert manifest.metrics["macro_auc"] >= 0.90
    assert 10 not in (*manifest.training["training_folds"], *manifest.training["validation_folds"])
