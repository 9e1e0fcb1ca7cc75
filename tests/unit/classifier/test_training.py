"""Training on a handful of synthetic records, in the form in which PhysioNet ships PTB-XL."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wfdb
from safetensors.torch import load_file

from fhir_ecg.classifier.inference import Classifier
from fhir_ecg.classifier.preprocessing import preprocess
from fhir_ecg.classifier.training.ptbxl import load_folds
from fhir_ecg.ecg.leads import TWELVE_LEADS
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise

STATEMENTS = {"normal-sinus-rhythm": {"NORM": 100.0, "SR": 0.0}, "atrial-fibrillation": {"AFIB": 0.0}}
RECORDS_A_FOLD = 4
CONFIG = 'name = "tiny"\nbase_filters = 1\nbatch_size = 8\nepochs = {epochs}\n'


@pytest.fixture(scope="module")
def ptbxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ptb-xl")
    rows = []
    for number in range(9 * RECORDS_A_FOLD):
        name = list(STATEMENTS)[number % 2]
        recording = synthesise(EXAMPLES[name], 10, 100, seed=number)
        wfdb.wrsamp(
            f"r{number:05d}",
            fs=100,
            units=["mV"] * 12,
            sig_name=[lead.upper() for lead in TWELVE_LEADS],
            p_signal=recording.leads.T,
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(folder),
        )
        rows.append((number + 1, str(STATEMENTS[name]), number // RECORDS_A_FOLD + 1, f"r{number:05d}"))
    with (folder / "ptbxl_database.csv").open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["ecg_id", "scp_codes", "strat_fold", "filename_lr"])
        writer.writerows(rows)
    return folder


def command(ptbxl: Path, config: Path, run: Path) -> list[str]:
    options = ["--ptbxl", str(ptbxl), "--config", str(config), "--run-dir", str(run), "--threads", "1"]
    return [sys.executable, "-m", "fhir_ecg", "train", *options]


def test_physionet_form_is_read(ptbxl_folder: Path) -> None:
    data = load_folds(ptbxl_folder, [9], "band-pass, global scale")

    assert data.ecg_ids == [33, 34, 35, 36]
    assert data.leads.shape == (4, 12, 1000)
    assert [{STATEMENT_CODES[j] for j in np.flatnonzero(row)} for row in data.labels[:2]] == [{"NORM", "SR"}, {"AFIB"}]


def test_a_folder_that_is_no_ptbxl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ptbxl_database\.csv"):
        load_folds(tmp_path, [1], "band-pass, global scale")


@pytest.mark.ptbxl
def test_both_forms_hold_the_same_signal(ptbxl: Path) -> None:
    packed = load_folds(ptbxl, [1], "band-pass, global scale")
    by_id = dict(zip(packed.ecg_ids, packed.leads, strict=True))
    shared = [path for path in (ptbxl / "wfdb500").glob("*_lr.hea") if int(path.name[:5]) in by_id]
    assert shared
    for path in shared:
        millivolts, _ = wfdb.rdsamp(str(path.with_suffix("")))
        unpacked = preprocess(millivolts.T, "band-pass, global scale")
        np.testing.assert_allclose(by_id[int(path.name[:5])], unpacked, atol=0.05)  # 0.05 of 0.19 mV is 10 microvolts


def test_a_killed_run_goes_on_to_the_same_weights(ptbxl_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(CONFIG.format(epochs=12))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run(command(ptbxl_folder, config, whole), check=True, capture_output=True)

    process = subprocess.Popen(command(ptbxl_folder, config, cut), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (cut / "log.jsonl").is_file() and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len((cut / "log.jsonl").read_text().splitlines())
    assert done < 12, "the run was over before it could be killed"
    subprocess.run(command(ptbxl_folder, config, cut), check=True, capture_output=True)

    one, other = (load_file(run / "model.safetensors") for run in (whole, cut))
    assert all((one[name] == other[name]).all() for name in one)
    epochs = [json.loads(line)["epoch"] for line in (cut / "log.jsonl").read_text().splitlines()]
    assert sorted(set(epochs)) == list(range(1, 13))
    classifier = Classifier.from_file(whole / "model.safetensors")
    assert classifier.manifest.name == "tiny"
    assert len(classifier.predict(synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1)).scores) == 71


def test_an_unknown_setting_is_refused(ptbxl_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("learning_speed = 3\n")

    done = subprocess.run(command(ptbxl_folder, config, tmp_path / "run"), capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "learning_speed" in done.stderr
