"""`fhir-ecg evaluate` on a few synthetic records, and the model card that it writes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wfdb
from click.testing import CliRunner
from locations import REPOSITORY

from fhir_ecg.classifier.branch import Branch
from fhir_ecg.classifier.export import exported_graph
from fhir_ecg.classifier.network import EcgNetwork
from fhir_ecg.classifier.training.card_markdown import _branch, card_as_markdown
from fhir_ecg.classifier.training.model_card import _architecture
from fhir_ecg.classifier.weights import Decision, Manifest, read_weights, write_weights
from fhir_ecg.cli import main
from fhir_ecg.ecg.contradictions import RULES
from fhir_ecg.ecg.leads import TWELVE_LEADS
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise

RECORDS = 12
STATEMENTS = {"normal-sinus-rhythm": {"NORM": 100.0, "SR": 0.0}, "atrial-fibrillation": {"AFIB": 0.0}}
FOLDS = {"records": 100, "training_folds": [1, 2], "validation_folds": [9], "positives": {"NORM": 42}}
# The model's order need not be that of our list.
LABELS = STATEMENT_CODES[::-1]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PTB-XL as PhysioNet ships it, of one fold."""
    made = tmp_path_factory.mktemp("ptb-xl")
    lines = ["ecg_id,scp_codes,strat_fold,filename_lr"]
    for number in range(RECORDS):
        name = list(STATEMENTS)[number % 2]
        wfdb.wrsamp(
            f"r{number}",
            fs=100,
            units=["mV"] * 12,
            sig_name=[lead.upper() for lead in TWELVE_LEADS],
            p_signal=synthesise(EXAMPLES[name], 10, 100, seed=number).leads.T,
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(made),
        )
        lines.append(f'{number + 1},"{STATEMENTS[name]}",9,r{number}')
    (made / "ptbxl_database.csv").write_text("\n".join(lines) + "\n")
    return made


def weights_file(path: Path, training: dict[str, Any]) -> Path:
    torch.manual_seed(1)
    network = EcgNetwork(1)
    decisions = {code: Decision(ruled_out_below=0.4, assertable=code != "WPW") for code in LABELS}
    manifest = Manifest(
        name="tiny",
        version="0",
        architecture="three-branch",
        base_filters=1,
        preprocessing="band-pass, global scale",
        labels=LABELS,
        decisions=decisions,
        training=training,
        metrics={},
    )
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    write_weights(path, manifest, tensors, exported_graph(manifest.structure))
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights") / "tiny.safetensors", FOLDS)


@pytest.fixture
def evaluate(folder: Path, tiny: Path) -> Run:
    def run(*arguments: object, weights: Path = tiny) -> tuple[int, str, str]:
        result = CliRunner(env={"FHIR_ECG_WEIGHTS": str(weights)}).invoke(
            main, ["evaluate", "--ptbxl", str(folder), *map(str, arguments)]
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture(scope="module")
def card_folder(folder: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("docs")
    logs = made / "run" / "1-rhythm"
    logs.mkdir(parents=True)
    epochs = [{"epoch": 1, "loss": 0.3}, {"epoch": 2, "loss": 0.2, "macro_auc": 0.8}, {"epoch": 2, "loss": 0.2}]
    (logs / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs))
    options = ["--card", str(made), "--run-dir", str(made / "run")]
    environment = {"FHIR_ECG_WEIGHTS": str(tiny)}
    done = CliRunner(env=environment).invoke(main, ["evaluate", "--ptbxl", str(folder), *options])
    assert done.exit_code == 0, done.output
    return made


@pytest.fixture
def card(card_folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((card_folder / "model-card.json").read_text())
    return data


def test_figures_and_a_comparison_are_printed_as_json(evaluate: Run, tiny: Path, tmp_path: Path) -> None:
    perfect = np.zeros((RECORDS, len(LABELS)))
    for number in range(RECORDS):
        for code in list(STATEMENTS.values())[number % 2]:
            perfect[number, LABELS.index(code)] = 1
    np.savez(tmp_path / "perfect.npz", p=perfect)

    status, printed, _ = evaluate("--against", tmp_path / "perfect.npz")

    figures = json.loads(printed)
    assert status == 0
    assert figures["model"] == "tiny"
    assert figures["weights_sha256"] == read_weights(tiny).sha256
    assert (figures["folds"], figures["records"]) == ([9], RECORDS)
    assert figures["statements_with_both_classes"] == 3
    assert {"macro_auc", "reference_f_max", "sample_f1_at_thresholds", "mean_calibration_error"} <= figures.keys()
    assert "statements" not in figures
    assert figures["against"]["macro_auc"] == 1
    assert figures["against"]["difference"] == pytest.approx(figures["cross_fitted"]["macro_auc"] - 1, abs=1e-5)
    assert figures["against"]["share_above_0"] == 0


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"p": np.zeros((RECORDS, 70))}, "(12, 71) is needed"),
        ({"p": np.full((RECORDS, 71), np.nan)}, "is not all numbers"),
        ({"q": np.zeros((RECORDS, 71))}, "no npz file with an array `p`"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(
    evaluate: Run, tmp_path: Path, arrays: dict[str, np.ndarray], told: str
) -> None:
    np.savez(tmp_path / "other.npz", **arrays)  # type: ignore[arg-type]

    status, _, error = evaluate("--against", tmp_path / "other.npz")

    assert status == 2
    assert told in re.sub(r"\s+", " ", error)


@pytest.mark.parametrize("body", [b"", b"p", b"PK\x03\x04"])
def test_what_is_no_npz_file_is_refused(evaluate: Run, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "other.npz").write_bytes(body)

    status, _, error = evaluate("--against", tmp_path / "other.npz")

    assert status == 2
    assert "no npz file" in error


def test_a_fold_that_is_not_there_and_one_that_is_no_number(evaluate: Run) -> None:
    assert evaluate("--folds", "10")[0] == 2
    assert evaluate("--folds", "nine")[0] == 2


def test_weights_that_do_not_say_their_folds_get_no_card(evaluate: Run, tmp_path: Path) -> None:
    imported = weights_file(tmp_path / "imported.safetensors", {})

    status, _, error = evaluate("--card", tmp_path / "docs", weights=imported)

    assert status == 2
    assert "fhir-ecg train" in error


def test_the_cards_text_holds_the_numbers_of_its_data(card: dict[str, Any], card_folder: Path) -> None:
    text = (card_folder / "model-card.md").read_text()

    assert text == card_as_markdown(card)
    assert f"`{card['model']['weights_sha256']}`" in text
    lines = text.splitlines()
    for row in card["statements"]:
        (line,) = [line for line in lines if line.startswith(f"| `{row['code']}` |")]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1] == row["display"]
        assert cells[3] == str(row["positives"])
        assert cells[4].startswith("-" if row["auc"] is None else str(row["auc"]))
        assert cells[5] == ("never" if row["code"] == "WPW" else str(row["threshold"]))
        assert f"({row['true_negatives']}/" in cells[-1] or row["negative_predictive_value"] is None
    for row in card["robustness"]:
        assert any(line.startswith(f"| {row['change']} | {row['macro_auc']} |") for line in lines)
    for name in ("macro_auc", "reference_f_max", "cafa_f_max", "negative_log_likelihood"):
        assert f"| {card['evaluation'][name]}" in text
    for name, value in card["source_attributes"].items():
        assert f"| {name} | {value} |" in lines


def test_the_card_says_what_it_is_of(card: dict[str, Any], tiny: Path) -> None:
    assert card["model"] == {"name": "tiny", "version": "0", "weights_sha256": read_weights(tiny).sha256}
    assert card["architecture"]["parameters"] == sum(p.numel() for p in EcgNetwork(1).parameters())
    assert card["training"]["training_folds"] == [1, 2]
    assert card["evaluation"]["calibrated_on_these_folds"]
    assert not card["evaluation"]["trained_on_these_folds"]
    assert not card["evaluation"]["test_fold_looked_at"]
    assert card["never_asserted"] == ["WPW"]
    assert [rule["name"] for rule in card["rules"]] == list(RULES)
    assert {row["code"]: row.get("training") for row in card["statements"]}["NORM"] == 42


def test_a_committees_branches_are_named_with_their_epochs() -> None:
    branches = (
        Branch(kind="rhythm", widths=(8, 8)),
        Branch(kind="global", widths=(8, 8, 8), kernel=5),
        Branch(kind="state-space", widths=(8,), layers=2, within_leads=(12, 16)),
    )
    manifest = Manifest(
        name="committee",
        version="0",
        architecture="committee",
        branches=branches,
        preprocessing="band-pass, global scale",
        labels=LABELS,
        decisions={code: Decision() for code in LABELS},
        training=FOLDS | {"epochs": 30, "branches": [{"epochs": None}, {"epochs": 12, "teacher_share": 0.5}, {}]},
        metrics={},
    )

    described = _architecture(manifest)

    assert [(b["kind"], b["epochs"]) for b in described["branches"]] == [
        ("rhythm", 30), ("global", 12), ("state-space", 30)
    ]  # fmt: skip
    assert [b.get("teacher_share") for b in described["branches"]] == [None, 0.5, None]
    assert [b.get("layers") for b in described["branches"]] == [None, None, 2]
    assert "of widths 12, 16 within leads, then 8, 30 epochs, 2 layers" in _branch(described["branches"][2])
    assert "30 epochs, 2 layers, read in windows of 2.5 s" in _branch(described["branches"][2])
    assert "12 epochs, targets 50 % from branches trained before it" in _branch(described["branches"][1])
    assert sum(branch["parameters"] for branch in described["branches"]) == described["parameters"]


def test_links_of_the_card_lead_somewhere(card: dict[str, Any], card_folder: Path) -> None:
    text = (card_folder / "model-card.md").read_text()

    headings = {line[3:].lower().replace(" ", "-") for line in text.splitlines() if line.startswith("## ")}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (card_folder / target).is_file() or (REPOSITORY / "docs" / target).is_file()
    assert card["pictures"] == ["reliability.svg", "statements.svg", "training.svg"]


def test_the_same_model_gives_the_same_card(evaluate: Run, card_folder: Path, tmp_path: Path) -> None:
    status, _, _ = evaluate("--card", tmp_path, "--run-dir", card_folder / "run")

    assert status == 0
    files = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*.*"))]
    assert len(files) == 5
    for file in files:
        assert (tmp_path / file).read_bytes() == (card_folder / file).read_bytes()
        assert (tmp_path / file).stat().st_size < 150_000


def test_the_committed_card_is_of_the_shipped_weights() -> None:
    committed = REPOSITORY / "docs" / "model-card.json"

    assert committed.is_file(), "write it: fhir-ecg evaluate --ptbxl DIR --card docs"
    card = json.loads(committed.read_text())
    assert card["model"]["weights_sha256"] == read_weights(None).sha256, "the card is of other weights: write it anew"
    assert (committed.with_suffix(".md")).read_text(encoding="utf-8") == card_as_markdown(card)
    assert all((REPOSITORY / "docs" / "model-card" / name).is_file() for name in card["pictures"])
