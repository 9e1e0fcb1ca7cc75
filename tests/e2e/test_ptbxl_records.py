"""Real ECGs of PTB-XL, written by `to-fhir` at two rates, all the way to reports."""

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from deployed_service import Deployment

from fhir_ecg.commands.to_fhir import record_as_observation
from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.fhir.ecg_observation import Sent, read_joined
from fhir_ecg.fhir.parsing import parse_json

pytestmark = [pytest.mark.ptbxl, pytest.mark.timeout(1200)]


@pytest.fixture
def records(ptbxl: Path) -> list[str]:
    names = sorted(path.name.removesuffix("_hr.hea") for path in (ptbxl / "wfdb500").glob("*_hr.hea"))
    assert len(names) == 51
    return names


def probabilities(service: Deployment, observation_id: str) -> np.ndarray:
    report = service.report_of(observation_id)
    assert report["status"] == "partial", report["conclusion"]
    scores = service.get(report["result"][1]["reference"])
    codes = tuple(component["code"]["coding"][0]["code"] for component in scores["component"])
    assert codes == STATEMENT_CODES
    return np.array([component["valueQuantity"]["value"] for component in scores["component"]])


def test_every_record_ends_in_the_same_report_at_500_and_100_hz(
    service: Deployment, ptbxl: Path, records: list[str]
) -> None:
    folder = ptbxl / "wfdb500"
    ways = {
        "500 Hz": [record_as_observation(folder / f"{name}_hr", None, None) for name in records],
        "100 Hz": [record_as_observation(folder / f"{name}_lr", None, None) for name in records],
        "500 Hz sent as 100 Hz": [record_as_observation(folder / f"{name}_hr", 100, None) for name in records],
    }
    sent = {way: [service.send(body.encode()) for body in bodies] for way, bodies in ways.items()}
    answers = {way: np.stack([probabilities(service, identity) for identity in ids]) for way, ids in sent.items()}

    for way in ("100 Hz", "500 Hz sent as 100 Hz"):
        difference = float(np.abs(answers["500 Hz"] - answers[way]).mean())
        print(f"mean absolute difference of probabilities, 51 records, 500 Hz and {way}: {difference:.5f}")
        assert difference <= 0.01


@pytest.mark.parametrize("suffix", ["hr", "lr"])
def test_to_fhir_keeps_every_lead_within_half_its_least_significant_bit(
    ptbxl: Path, records: list[str], suffix: str
) -> None:
    for name in records:
        path = ptbxl / "wfdb500" / f"{name}_{suffix}"
        decoded = read_joined([Sent(parse_json(record_as_observation(path, None, None).encode()))])
        record = wfdb.rdrecord(str(path))

        assert decoded.sampling_rate == record.fs
        half_bits = 0.5 / np.array(record.adc_gain)
        assert (np.abs(decoded.leads - record.p_signal.T) <= half_bits[:, None] + 1e-12).all()


def test_what_to_fhir_writes_is_one_observation(ptbxl: Path, records: list[str]) -> None:
    observation = json.loads(record_as_observation(ptbxl / "wfdb500" / f"{records[0]}_hr", None, "Patient/1"))

    assert [c["code"]["coding"][0]["code"] for c in observation["component"]] == [
        "131329", "131330", "131389", "131390", "131391", "131392", "131331", "131332", "131333", "131334", "131335",
        "131336",
    ]  # fmt: skip
    assert observation["subject"] == {"reference": "Patient/1"}
