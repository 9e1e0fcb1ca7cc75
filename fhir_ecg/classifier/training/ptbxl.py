"""PTB-XL at 100 Hz, as PhysioNet ships it (WFDB) or packed by fold (FLAC of eight leads in microvolts)."""

import ast
import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from fhir_ecg.classifier.preprocessing import SAMPLES, PreprocessingName, preprocess
from fhir_ecg.ecg.leads import CHEST_LEADS, Lead, complete_leads
from fhir_ecg.ecg.statements import STATEMENT_CODES

PACKED_LEADS = (Lead.I, Lead.II, *CHEST_LEADS)
_Convert = Callable[[NDArray[np.float64]], NDArray[np.float32]]
_COLUMN = {code: column for column, code in enumerate(STATEMENT_CODES)}


@dataclass(frozen=True)
class PtbXl:
    """Records of some folds."""

    ecg_ids: list[int]
    leads: NDArray[np.float32]
    """(records, 12, 1000): the network's input, or millivolts."""
    labels: NDArray[np.float32]
    """(records, 71): 1 where the statement is listed for the record, whatever its likelihood."""


def load_folds(directory: Path, folds: Iterable[int], preprocessing: PreprocessingName) -> PtbXl:
    """Read folds of PTB-XL from a directory in either form, as the network's input.

    Raises:
        FileNotFoundError: The directory holds neither form, or lacks a fold.
    """
    return _load(directory, list(folds), partial(preprocess, name=preprocessing))


def load_millivolts(directory: Path, folds: Iterable[int]) -> PtbXl:
    """Read folds of PTB-XL from a directory in either form, as they were recorded.

    Raises:
        FileNotFoundError: The directory holds neither form, or lacks a fold.
    """
    return _load(directory, list(folds), lambda leads: leads.astype(np.float32))


def _load(directory: Path, folds: list[int], convert: _Convert) -> PtbXl:
    if (directory / "ptbxl_database.csv").is_file():
        return _load_physionet(directory, set(folds), convert)
    if (directory / "fold01.csv").is_file() or (directory / "fold09.csv").is_file():
        return _load_packed(directory, folds, convert)
    raise FileNotFoundError(
        f"{directory} is not PTB-XL: it has neither ptbxl_database.csv (as PhysioNet ships it) nor fold01.csv"
    )


def _labels(statements: Iterable[str]) -> NDArray[np.float32]:
    row = np.zeros(len(STATEMENT_CODES), np.float32)
    row[[_COLUMN[code] for code in statements]] = 1
    return row


def _load_packed(directory: Path, folds: list[int], convert: _Convert) -> PtbXl:
    import soundfile

    ecg_ids: list[int] = []
    leads: list[NDArray[np.float32]] = []
    labels: list[NDArray[np.float32]] = []
    for fold in tqdm(folds, desc="reading PTB-XL", unit="fold"):
        with (directory / f"fold{fold:02d}.csv").open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        microvolts, _ = soundfile.read(directory / f"fold{fold:02d}.flac", dtype="int16")
        eight = microvolts.reshape(len(rows), SAMPLES, len(PACKED_LEADS)) / 1000.0
        for row, record in zip(rows, eight, strict=True):
            twelve, _ = complete_leads(dict(zip(PACKED_LEADS, record.T, strict=True)))
            leads.append(convert(twelve))
            labels.append(_labels(row["statements"].split()))
            ecg_ids.append(int(row["ecg_id"]))
    return PtbXl(ecg_ids, np.stack(leads), np.stack(labels))


def _load_physionet(directory: Path, folds: set[int], convert: _Convert) -> PtbXl:
    import wfdb

    with (directory / "ptbxl_database.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["strat_fold"]) in folds]
    if not rows:
        raise FileNotFoundError(f"{directory}/ptbxl_database.csv has no record in folds {sorted(folds)}")
    leads = np.empty((len(rows), 12, SAMPLES), np.float32)
    for i, row in enumerate(tqdm(rows, desc="reading PTB-XL", unit="record")):
        millivolts, _ = wfdb.rdsamp(str(directory / row["filename_lr"]))
        leads[i] = convert(np.asarray(millivolts, np.float64).T)
    labels = np.stack([_labels(ast.literal_eval(row["scp_codes"])) for row in rows])
    return PtbXl([int(row["ecg_id"]) for row in rows], leads, labels)
