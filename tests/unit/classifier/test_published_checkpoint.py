"""The published checkpoint becomes a weights file of ours; every other file is refused and none is run."""

import json
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable
from copy import deepcopy
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import save_file
from torch import nn

from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.network import EcgNetwork
from fhir_ecg.classifier.preprocessing import preprocess
from fhir_ecg.classifier.published_checkpoint import LARGEST_BYTES
from fhir_ecg.classifier.weights import MANIFEST_KEY, SHIPPED, read_weights, write_weights
from fhir_ecg.cli import main
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise

SHIPPED_FILE = files("fhir_ecg.classifier").joinpath("shipped", SHIPPED)

Checkpoint = dict[str, Any]

HUB_ID = "zackyabd/clinical-ecg-classifier"
LABELS = random.Random(5).sample(STATEMENT_CODES, len(STATEMENT_CODES))
FIRST = "rhythm_branch.initial_conv.weight"
LAST = "classifier.7.bias"


def run(*arguments: object, **environment: str) -> tuple[int, str, str]:
    result = CliRunner(env=environment).invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def trained(base_filters: int) -> EcgNetwork:
    """A network whose every number, those of the normalisations included, is one that only it has."""
    torch.manual_seed(base_filters)
    network = EcgNetwork(base_filters)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    network.train()(torch.randn(4, 12, 1000))
    return network.eval()


def published(network: EcgNetwork) -> Checkpoint:
    """A checkpoint in the published form."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    network(torch.randn(1, 12, 1000)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=5)
    scheduler.step(np.float64(0.93))
    return {
        "epoch": 24,
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler_state_dict": scheduler.state_dict(),
        "best_auc": np.float64(0.9375),
        "val_loss": 0.07,
        "train_loss": 0.05,
        "all_labels": list(LABELS),
        "train_losses": [0.1, 0.05],
        "val_losses": [np.float64(0.1), np.float64(0.07)],
        "val_aucs": [np.float64(0.9), np.float64(0.9375)],
        "val_f1s": [np.float64(0.7), np.float64(0.75)],
    }


@pytest.fixture(scope="module")
def untouched() -> Checkpoint:
    return published(trained(2))


@pytest.fixture
def checkpoint(untouched: Checkpoint) -> Checkpoint:
    return deepcopy(untouched)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "imported.safetensors"


def refused(source: object, target: Path, *options: str) -> str:
    """Import what must be refused; returns what is said."""
    before = target.read_bytes() if target.exists() else None

    status, printed, said = run("weights", "import", source, "--out", target, *options)

    assert (status, printed) == (1, "")
    assert said.startswith("Error: ")
    assert (target.read_bytes() if target.exists() else None) == before
    return said


def test_the_imported_model_is_the_source_network(tmp_path: Path, target: Path) -> None:
    network = trained(8)
    torch.save(published(network), tmp_path / "ecg_model.pth")

    status, printed, _ = run("weights", "import", tmp_path / "ecg_model.pth", "--out", target)

    assert status == 0
    classifier = Classifier.from_file(target)
    assert classifier.model.weights_sha256 in printed
    assert f"FHIR_ECG_WEIGHTS={target}" in printed
    recording = synthesise(EXAMPLES["atrial-fibrillation"], 10, 100, seed=1)
    with torch.inference_mode():
        leads = torch.from_numpy(preprocess(recording.leads, "band-pass, z-score per lead"))
        logits = network(leads.unsqueeze(0))[0].tolist()
    scores = {score.code: score for score in classifier.predict(recording).scores}
    assert len(set(logits)) == len(STATEMENT_CODES)
    assert {code: score.logit for code, score in scores.items()} == pytest.approx(
        dict(zip(LABELS, logits, strict=True)),
        abs=1e-6,  # the order of the sums differs between torch and ONNX Runtime
    )
    assert {score.threshold for score in scores.values()} == {0.3}
    assert scores["NORM"].probability == pytest.approx(1 / (1 + np.exp(-scores["NORM"].logit)))


def test_the_manifest_says_where_it_comes_from_and_what_is_claimed(
    tmp_path: Path, checkpoint: Checkpoint, target: Path
) -> None:
    torch.save(checkpoint, tmp_path / "ecg_model.pth")
    run("weights", "import", tmp_path / "ecg_model.pth", "--out", target)

    status, printed, _ = run("weights", "show", FHIR_ECG_WEIGHTS=str(target))

    assert status == 0
    manifest = json.loads(printed)["manifest"]
    digest = manifest["training"].pop("source_sha256")
    assert (manifest["name"], manifest["version"]) == ("clinical-ecg-classifier", digest[:12])
    assert (manifest["architecture"], manifest["base_filters"]) == ("three-branch", 2)
    assert manifest["labels"] == LABELS
    assert manifest["training"] == {
        "data": "PTB-XL 1.0.3, as its authors say",
        "epoch": 24,
        "source": "ecg_model.pth",
    }
    assert manifest["metrics"] == {"claimed": {"best_auc": 0.9375, "val_loss": 0.07, "train_loss": 0.05}}


def test_an_imported_model_reads_an_ecg(
    tmp_path: Path, checkpoint: Checkpoint, target: Path, examples: dict[str, bytes]
) -> None:
    torch.save(checkpoint, tmp_path / "ecg_model.pth")
    run("weights", "import", tmp_path / "ecg_model.pth", "--out", target)
    (tmp_path / "ecg.json").write_bytes(examples["normal-sinus-rhythm"])

    status, printed, _ = run("classify", tmp_path / "ecg.json", FHIR_ECG_WEIGHTS=str(target))

    assert status == 0
    assert "clinical-ecg-classifier" in printed


def test_a_checkpoint_written_with_numpy_1_is_read(tmp_path: Path, checkpoint: Checkpoint, target: Path) -> None:
    class OlderPickle:
        """`torch.save` under numpy 1, where the function that makes scalars had another name."""

        class Pickler(pickle._Pickler):
            def save_global(self, obj: Any, name: str | None = None) -> None:
                if obj is np.float64().__reduce__()[0]:
                    self.write(pickle.GLOBAL + b"numpy.core.multiarray\nscalar\n")
                    self.memoize(obj)
                else:
                    super().save_global(obj, name)

            dispatch = pickle._Pickler.dispatch | {
                type(len): save_global,
                type(run): save_global,
                type: pickle._Pickler.save_type,
            }

    torch.save(checkpoint, tmp_path / "ecg_model.pth", pickle_module=OlderPickle)
    assert b"numpy.core.multiarray" in (tmp_path / "ecg_model.pth").read_bytes()

    assert run("weights", "import", tmp_path / "ecg_model.pth", "--out", target)[0] == 0


def with_tensor(name: str, change: Callable[[torch.Tensor], object]) -> Callable[[Checkpoint], None]:
    def apply(checkpoint: Checkpoint) -> None:
        checkpoint["model_state_dict"][name] = change(checkpoint["model_state_dict"][name])

    return apply


def first_value(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: torch.cat([torch.tensor([value]), tensor.flatten()[1:]]).reshape(tensor.shape)


def nested(tensor: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the type is a prototype
        return torch.nested.nested_tensor([tensor])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("all_labels"), "misses 'all_labels'"),
        (lambda c: c.pop("model_state_dict"), "misses 'model_state_dict'"),
        (lambda c: c.update(model_state_dict=[]), "model_state_dict is no dictionary"),
        (lambda c: c.update(best_auc=np.float64("nan")), "no finite number as 'best_auc'"),
        (lambda c: c.update(epoch="last"), "no finite number as 'epoch'"),
        (lambda c: c.update(epoch=10**400), "no finite number as 'epoch'"),
        (lambda c: c["all_labels"].pop(), "70 labels instead of 71"),
        (lambda c: c["all_labels"].append("NORM"), "72 labels instead of 71"),
        (lambda c: c["all_labels"].__setitem__(3, "BOGUS"), "no statements of PTB-XL: 'BOGUS'"),
        (lambda c: c["all_labels"].__setitem__(3, c["all_labels"][4]), f"more than once: '{LABELS[4]}'"),
        (lambda c: c["all_labels"].__setitem__(3, 3), "no list of codes"),
        (lambda c: c.update(all_labels="NORM"), "no list of codes"),
        (lambda c: c["model_state_dict"].pop(LAST), f"misses the tensors '{LAST}'"),
        (lambda c: c["model_state_dict"].pop(FIRST), f"no {FIRST} of 1 to 256"),
        (lambda c: c["model_state_dict"].update(extra=torch.zeros(1)), "does not have: 'extra'"),
        (lambda c: c.update(model_state_dict=EcgNetwork(2, 70).state_dict()), f"another shape: '{LAST}'"),
        (lambda c: c.update(model_state_dict=nn.Linear(2, 2).state_dict()), f"no {FIRST}"),
        (with_tensor(FIRST, lambda t: t[:1]), "another shape: 'classifier.1.bias', .* and [0-9]+ more"),
        (with_tensor(FIRST, lambda t: t.new_zeros(257, 12, 15)), f"no {FIRST} of 1 to 256"),
        (with_tensor(FIRST, lambda t: t.sum()), f"no {FIRST}"),
        (with_tensor(LAST, lambda t: t.double()), f"another shape: '{LAST}'"),
        (with_tensor(LAST, lambda t: t.to_sparse()), f"another shape: '{LAST}'"),
        (with_tensor(LAST, lambda t: t.to("meta")), f"another shape: '{LAST}'"),
        (with_tensor(LAST, nested), f"another shape: '{LAST}'"),
        (with_tensor(LAST, lambda t: t.tolist()), f"another shape: '{LAST}'"),
        (with_tensor(LAST, lambda t: t[:1].expand(10**12)), f"another shape: '{LAST}'"),
        (with_tensor(LAST, first_value(float("nan"))), f"not finite: '{LAST}'"),
        (with_tensor(FIRST, first_value(float("-inf"))), f"not finite: '{FIRST}'"),
    ],
)
def test_another_checkpoint_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, target: Path, change: Callable[[Checkpoint], object], said: str
) -> None:
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "ecg_model.pth")

    with pytest.raises(AssertionError, match=said):
        raise AssertionError(refused(tmp_path / "ecg_model.pth", target))


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_what_is_pickled_is_never_run(tmp_path: Path, checkpoint: Checkpoint, target: Path) -> None:
    sprung, source = tmp_path / "sprung", tmp_path / "ecg_model.pth"
    bodies: list[Callable[[], object]] = [
        lambda: source.write_bytes(pickle.dumps(Trap(sprung))),
        lambda: torch.save(Trap(sprung), source),
        lambda: torch.save(checkpoint | {"scheduler_state_dict": Trap(sprung)}, source),
        lambda: torch.save(checkpoint | {"all_labels": Trap(sprung)}, source, _use_new_zipfile_serialization=False),
    ]
    for write in bodies:
        write()
        assert "is not the published checkpoint: it " in refused(source, target)
        assert not sprung.exists()


def test_a_pickled_module_is_refused(tmp_path: Path, checkpoint: Checkpoint, target: Path) -> None:
    source = tmp_path / "ecg_model.pth"
    for holds_a_module in (trained(2), checkpoint | {"model_state_dict": trained(2)}):
        torch.save(holds_a_module, source)

        assert "a whole pickled module, which are never loaded" in refused(source, target)


def test_a_list_instead_of_a_dictionary_is_refused(tmp_path: Path, target: Path) -> None:
    torch.save([1, 2], tmp_path / "ecg_model.pth")

    assert "holds a list instead of a dictionary" in refused(tmp_path / "ecg_model.pth", target)


def test_a_damaged_file_is_refused(tmp_path: Path, checkpoint: Checkpoint, target: Path) -> None:
    source = tmp_path / "ecg_model.pth"
    torch.save(checkpoint, source)
    whole = source.read_bytes()
    assert b"all_labels" in whole
    for cut_off in (b"", b"\0", whole[:1000], whole[: len(whole) // 2], whole[:-30]):
        source.write_bytes(cut_off)
        assert "cut off; download it again" in refused(source, target)
    for damaged in (whole[30:], whole.replace(b"all_labels", b"\xff" * 10)):
        source.write_bytes(damaged)
        assert "it is damaged" in refused(source, target)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, target: Path) -> None:
    source = tmp_path / "ecg_model.pth"
    source.touch()
    os.truncate(source, LARGEST_BYTES + 1)

    assert "larger than" in refused(source, target)


def test_a_target_that_exists_stays_unless_forced(tmp_path: Path, checkpoint: Checkpoint, target: Path) -> None:
    source = tmp_path / "ecg_model.pth"
    torch.save(checkpoint, source)
    target.write_text("mine")

    assert "--force" in refused(source, target)
    assert run("weights", "import", source, "--out", target, "--force")[0] == 0
    assert Classifier.from_file(target).model.name == "clinical-ecg-classifier"
    assert {path.name for path in tmp_path.iterdir()} == {source.name, target.name}


def test_a_refused_source_leaves_a_forced_target_as_it_was(tmp_path: Path, target: Path) -> None:
    target.write_text("mine")

    refused(tmp_path, target, "--force")


def test_a_target_without_a_folder_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    torch.save(checkpoint, tmp_path / "ecg_model.pth")

    assert "there is no folder" in refused(tmp_path / "ecg_model.pth", tmp_path / "absent" / "model.safetensors")


@pytest.mark.parametrize("source", ["absent.pth", "absent", "folder/absent.pth", "a/b/c", "../model", "", "a/b@", "/"])
def test_what_is_neither_a_file_nor_a_hub_id_is_refused(target: Path, source: str) -> None:
    said = refused(source, target)

    assert "there is no file" in said or "no such file" in said


def test_without_the_hub_s_library_the_error_says_what_to_install(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    assert "pip install 'fhir-ecg[hub]'" in refused(HUB_ID, target)


@pytest.mark.parametrize("hub_id", [HUB_ID, f"{HUB_ID}@main", f"{HUB_ID}@refs/pr/1", "a/b--c"])
def test_a_download_that_fails_says_what_to_do(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch, hub_id: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")

    said = refused(hub_id, target)

    assert f"{hub_id.partition('@')[0]} cannot be downloaded (" in said
    assert "download its ecg_model.pth by hand and give the path" in said


def test_a_weights_file_of_ours_goes_into_the_data_directory_under_its_digest(tmp_path: Path) -> None:
    shipped = SHIPPED_FILE.read_bytes()
    source = tmp_path / "mine.safetensors"
    source.write_bytes(shipped)

    status, printed, _ = run("weights", "import", source, FHIR_ECG_DATA_DIR=str(tmp_path / "data"))

    assert status == 0
    (kept,) = (tmp_path / "data" / "weights").iterdir()
    assert str(kept) in printed
    assert sha256(shipped).hexdigest()[:16] in kept.name
    assert kept.read_bytes() == shipped
    again = run("weights", "import", source, FHIR_ECG_DATA_DIR=str(tmp_path / "data"))
    assert again[0] == 0


def test_a_weights_file_whose_tensors_do_not_fit_its_manifest_is_refused(tmp_path: Path) -> None:
    weights = read_weights(None)
    assert weights.graph is not None
    tensors = dict(weights.tensors)
    tensors.pop("branches.0.stem.weight")
    write_weights(tmp_path / "mine.safetensors", weights.manifest, tensors, weights.graph)

    status, _, said = run("weights", "import", tmp_path / "mine.safetensors", FHIR_ECG_DATA_DIR=str(tmp_path / "data"))

    assert status == 1
    assert "do not fit" in said
    assert list((tmp_path / "data" / "weights").iterdir()) == []


def test_an_older_weights_file_is_given_its_graph(tmp_path: Path, checkpoint: Checkpoint, target: Path) -> None:
    torch.save(checkpoint, tmp_path / "ecg_model.pth")
    run("weights", "import", tmp_path / "ecg_model.pth", "--out", target)
    older, newer = tmp_path / "older.safetensors", tmp_path / "newer.safetensors"
    weights = read_weights(target)
    save_file(weights.tensors, older, {MANIFEST_KEY: weights.manifest.model_dump_json()})

    assert run("weights", "import", older, "--out", newer)[0] == 0

    assert newer.read_bytes() == target.read_bytes()


def test_an_older_weights_file_of_another_network_is_refused(tmp_path: Path, target: Path) -> None:
    weights = read_weights(None)
    older = tmp_path / "older.safetensors"
    manifest = weights.manifest.model_copy(update={"branches": weights.manifest.branches[1:]})
    save_file(weights.tensors, older, {MANIFEST_KEY: manifest.model_dump_json()})

    assert "do not fit the architecture that the manifest names" in refused(older, target)


def test_without_the_exporter_the_error_says_what_to_install(
    tmp_path: Path, checkpoint: Checkpoint, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(checkpoint, tmp_path / "ecg_model.pth")
    monkeypatch.setitem(sys.modules, "onnxscript", None)

    assert "onnxscript must be there: pip install 'fhir-ecg[train]'" in refused(tmp_path / "ecg_model.pth", target)
