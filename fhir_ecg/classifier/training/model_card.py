"""The model card as data: what the manifest says and what was measured, ready for JSON and Markdown."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from torch import nn

from fhir_ecg.classifier.architecture import build_network
from fhir_ecg.classifier.branch import OF_STATE_SPACE, Branch
from fhir_ecg.classifier.preprocessing import BAND_HZ, SAMPLES, SAMPLING_RATE
from fhir_ecg.classifier.training.calibration import FEWEST_POSITIVES
from fhir_ecg.classifier.weights import Manifest
from fhir_ecg.ecg.contradictions import RULES
from fhir_ecg.ecg.leads import TWELVE_LEADS
from fhir_ecg.ecg.prediction import ModelIdentity

TEST_FOLD = 10
_LISTED_FAILURES = 8
_ENOUGH_POSITIVES = 20
_SETTINGS_SAID_ELSEWHERE = frozenset(
    {"name", "data", "records", "training_folds", "validation_folds", "preprocessing", "base_filters", "branches"}
)


def build_card(
    model: ModelIdentity,
    manifest: Manifest,
    folds: Sequence[int],
    total: dict[str, Any],
    statements: list[dict[str, Any]],
    answered: dict[str, Any],
    robustness: list[dict[str, Any]],
    pictures: list[str],
) -> dict[str, Any]:
    """Join what is known of a model that `fhir-ecg train` wrote."""
    text = tomllib.loads(files(__package__).joinpath("card_text.toml").read_text(encoding="utf-8"))
    listed = manifest.training.get("positives", {})
    counted = [row | ({"training": listed[row["code"]]} if row["code"] in listed else {}) for row in statements]
    return {
        "model": {"name": model.name, "version": model.version, "weights_sha256": model.weights_sha256},
        "input": {
            "leads": [str(lead) for lead in TWELVE_LEADS],
            "seconds": SAMPLES / SAMPLING_RATE,
            "sampling_rate_hz": SAMPLING_RATE,
            "band_hz": list(BAND_HZ),
            "preprocessing": manifest.preprocessing,
        },
        "architecture": _architecture(manifest),
        "training": text["data"] | _training(manifest.training),
        "evaluation": {
            "command": f"fhir-ecg evaluate --ptbxl DIR --folds {','.join(map(str, folds))} --card docs",
            "folds": list(folds),
            "calibrated_on_these_folds": bool(set(folds) & set(manifest.training["validation_folds"])),
            "trained_on_these_folds": bool(set(folds) & set(manifest.training["training_folds"])),
            "test_fold_looked_at": TEST_FOLD in folds,
            **total,
        },
        "statements": sorted(counted, key=lambda row: -row["positives"]),
        "never_asserted": [row["code"] for row in statements if not row["assertable"]],
        "fewest_positives_to_assert": FEWEST_POSITIVES,
        "answers": {name: value for name, value in answered.items() if name != "rules"},
        "rules": [{"name": rule.name, "text": rule.text, **answered["rules"][rule.name]} for rule in RULES.values()],
        "robustness": robustness,
        "failure_modes": _failure_modes(statements),
        **{name: text[name] for name in ("intended_use", "not_for", "limits", "source_attributes", "figures")},
        "pictures": pictures,
    }


def _architecture(manifest: Manifest) -> dict[str, Any]:
    network = build_network(manifest.structure)
    if manifest.architecture == "committee":
        parts = network.get_submodule("branches").children()
        branches = [
            branch.model_dump(mode="json", exclude=_not_of(branch)) | schedule | {"parameters": _parameters(part)}
            for branch, schedule, part in zip(manifest.branches, _schedules(manifest), parts, strict=True)
        ]
    else:
        branches = [{"kind": name, "parameters": _parameters(part)} for name, part in network.named_children()]
    return {
        "name": manifest.architecture,
        "base_filters": None if manifest.branches else manifest.base_filters,
        "parameters": _parameters(network),
        "branches": branches,
    }


def _not_of(branch: Branch) -> set[str]:
    return set() if branch.kind == "state-space" else set(OF_STATE_SPACE)


def _schedules(manifest: Manifest) -> list[dict[str, Any]]:
    """Say of each branch its epochs, when it was stopped (its own, or the run's), and its teachers' share if any."""
    run = manifest.training
    own: list[dict[str, Any]] = list(run.get("branches", ())) or [{}] * len(manifest.branches)
    return [
        {name: branch.get(name) or run.get(name) for name in ("epochs", "stop_after")}
        | ({"teacher_share": branch["teacher_share"]} if branch.get("teacher_share") else {})
        for branch in own
    ]


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _training(training: dict[str, Any]) -> dict[str, Any]:
    return {
        "records": training["records"],
        "training_folds": list(training["training_folds"]),
        "validation_folds": list(training["validation_folds"]),
        "settings": {
            name: value
            for name, value in training.items()
            if name not in _SETTINGS_SAID_ELSEWHERE and not isinstance(value, dict)
        },
    }


def _failure_modes(statements: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Name the statements that are missed, wrongly asserted and told apart worst."""
    common = [row for row in statements if row["positives"] >= _ENOUGH_POSITIVES and row["auc"] is not None]
    return {
        "most_missed": _codes(sorted(statements, key=lambda row: -row["false_negatives"])),
        "most_wrongly_asserted": _codes(sorted(statements, key=lambda row: -row["false_positives"])),
        "lowest_auc": _codes(sorted(common, key=lambda row: row["auc"])),
    }


def _codes(rows: list[dict[str, Any]]) -> list[str]:
    return [row["code"] for row in rows[:_LISTED_FAILURES]]
