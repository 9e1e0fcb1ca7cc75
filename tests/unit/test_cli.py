"""The commands that need no server, by their exit status and what they print."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from locations import REPOSITORY

from fhir_ecg.cli import main
from fhir_ecg.ecg.statements import STATEMENT_CODES


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def observation(tmp_path: Path, examples: dict[str, bytes]) -> Path:
    path = tmp_path / "ecg.json"
    path.write_bytes(examples["sinus-tachycardia"])
    return path


def test_classify_writes_a_report_that_holds_everything(observation: Path) -> None:
    status, printed, _ = run("classify", str(observation))

    assert status == 0
    report = json.loads(printed)
    DiagnosticReport.model_validate(report)
    assert report["subject"] == {"reference": "Patient/example-3"}
    assert "STACH" in {concept["coding"][0]["code"] for concept in report["conclusionCode"]}
    device, scores = report["contained"]
    assert scores["device"]["reference"] == f"#{device['id']}"
    assert report["result"] == [{"reference": "#scores", "display": "Probability of each statement"}]
    assert [c["code"]["coding"][0]["code"] for c in scores["component"]] == list(STATEMENT_CODES)


def test_classify_takes_every_ecg_of_a_bundle(tmp_path: Path, examples: dict[str, bytes]) -> None:
    entries = [{"resource": json.loads(examples[name])} for name in ("sinus-bradycardia", "sinus-tachycardia")]
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))

    status, printed, _ = run("classify", str(bundle))

    assert status == 0
    findings = [json.dumps(json.loads(line)["conclusionCode"]) for line in printed.splitlines()]
    assert ["SBRAD" in findings[0], "STACH" in findings[1]] == [True, True]


def test_classify_takes_what_a_search_found_and_names_what_is_no_ecg(
    tmp_path: Path, examples: dict[str, bytes]
) -> None:
    found: list[dict[str, object]] = [json.loads(examples[name]) for name in ("sinus-bradycardia", "sinus-tachycardia")]
    rate = {"resourceType": "Observation", "status": "final", "code": {"text": "heart rate"}}
    rate |= {"valueQuantity": {"value": 71, "unit": "/min"}}
    patient = {"resourceType": "Patient", "id": "example-2"}
    entries = [
        {"resource": resource, "search": {"mode": mode}}
        for resource, mode in zip(
            [found[0], rate, found[1], patient], ["match", "match", "match", "include"], strict=True
        )
    ]
    bundle = tmp_path / "searchset.json"
    bundle.write_text(json.dumps({"resourceType": "Bundle", "type": "searchset", "total": 3, "entry": entries}))

    status, printed, said = run("classify", str(bundle))

    reports = [json.loads(line) for line in printed.splitlines()]
    assert status == 1, "the heart rate is no ECG, and may have been meant to be one"
    assert [report["resourceType"] for report in reports] == [
        "DiagnosticReport",
        "OperationOutcome",
        "DiagnosticReport",
    ]
    assert reports[1]["issue"][0]["expression"] == ["Bundle.entry[1].resource.component"]
    assert "Bundle.entry[3].resource is no Observation but 'Patient': left out" in said
    assert "example-2" not in said


def test_a_bundle_without_observations_is_refused(tmp_path: Path) -> None:
    bundle = tmp_path / "patients.json"
    patients = [{"resource": {"resourceType": "Patient"}}]
    bundle.write_text(json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": patients}))

    status, printed, _ = run("classify", str(bundle))

    assert status == 1
    assert json.loads(printed)["issue"][0]["diagnostics"] == "No entry of the Bundle is an Observation."


def test_a_refusal_is_an_operation_outcome_and_the_others_are_read(tmp_path: Path, observation: Path) -> None:
    refused = tmp_path / "refused.json"
    refused.write_text('{"resourceType": "Observation", "status": "final", "code": {"text": "ECG"}}')

    status, printed, said = run("classify", str(refused), str(observation), str(tmp_path / "absent.json"))

    assert status == 1
    kinds = [json.loads(line)["resourceType"] for line in printed.splitlines()]
    assert kinds == ["OperationOutcome", "DiagnosticReport", "OperationOutcome"]
    assert "refused.json" in said


def test_an_ecg_that_is_too_short_is_cancelled_and_the_answer_is_no(tmp_path: Path, observation: Path) -> None:
    document = json.loads(observation.read_bytes())
    for component in document["component"]:
        component["valueSampledData"]["data"] = component["valueSampledData"]["data"][:2000].rpartition(" ")[0]
    lengths = [len(component["valueSampledData"]["data"].split()) for component in document["component"]]
    for component in document["component"]:
        data = component["valueSampledData"]["data"].split()[: min(lengths)]
        component["valueSampledData"]["data"] = " ".join(data)
    short = tmp_path / "short.json"
    short.write_text(json.dumps(document))

    status, printed, _ = run("classify", str(short))

    assert status == 1
    report = json.loads(printed)
    DiagnosticReport.model_validate(report)
    assert report["status"] == "cancelled"
    assert "too-short" in report["conclusion"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["classify"],
        ["no-such-command"],
        ["to-fhir", "x", "--hz", "10"],
        ["serve", "--port", "x"],
        ["train", "--ptbxl", "/nowhere"],
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str]) -> None:
    assert run(*arguments)[0] == 2


def test_a_record_that_is_not_there_ends_with_1(tmp_path: Path) -> None:
    status, printed, said = run("to-fhir", str(tmp_path / "absent"))

    assert (status, printed) == (1, "")
    assert "absent" in said


def test_weights_show_describes_the_model() -> None:
    status, printed, _ = run("weights", "show")

    assert status == 0
    described = json.loads(printed)
    card = json.loads((REPOSITORY / "docs" / "model-card.json").read_text())
    assert described["parameters"] == card["architecture"]["parameters"]
    assert described["manifest"]["labels"] == list(STATEMENT_CODES)


def test_a_token_s_digest_is_what_the_setting_wants() -> None:
    status, printed, _ = run("token", "ehr")

    assert status == 0
    secret = printed.splitlines()[1].strip()
    digest = json.loads(printed.split("FHIR_ECG_CLIENTS='")[1].rstrip("'\n"))["ehr"]
    assert sha256(secret.encode()).hexdigest() == digest
