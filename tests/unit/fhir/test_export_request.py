"""The parameters of an export's kick-off, and its manifest."""

from datetime import UTC, datetime

import pytest

from fhir_ecg.fhir.bulk_export import EXPORTED_TYPES, ExportWanted, manifest, parse_export, with_elements
from fhir_ecg.fhir.outcome import MalformedError

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def test_without_parameters_the_default_types_are_exported_whole() -> None:
    assert parse_export([], ("DiagnosticReport",)) == ExportWanted(("DiagnosticReport",))


def test_every_parameter_is_read() -> None:
    query = [
        ("_type", "Observation,DiagnosticReport"),
        ("_type", "Observation"),
        ("_since", "2026-01-02T03:04:05.678Z"),
        ("_until", "2026-02"),
        ("_elements", "status,DiagnosticReport.conclusionCode"),
        ("_elements", "effective[x]"),
        ("_outputFormat", "application/fhir ndjson"),
        ("_format", "json"),
    ]
    assert parse_export(query, EXPORTED_TYPES) == ExportWanted(
        ("DiagnosticReport", "Observation"),
        since=MOMENT,
        until=datetime(2026, 2, 1, tzinfo=UTC),
        elements=("status", "DiagnosticReport.conclusionCode", "effective"),
    )


@pytest.mark.parametrize("name", ["application/fhir+ndjson", "application/ndjson", "ndjson"])
def test_ndjson_has_three_names(name: str) -> None:
    assert parse_export([("_outputFormat", name)], ("Device",)).kinds == ("Device",)


UNKNOWN = [
    ("patient", "Patient/1"),
    ("_typeFilter", "Observation?status=final"),
    ("_type", "Patient"),
    ("_type", ""),
    ("_elements", "Patient.name"),
    ("_elements", "colour"),
    ("_elements", "Device.conclusionCode"),
    ("_elements", ""),
]
WRONG = [
    ("_since", "yesterday"),
    ("_since", ""),
    ("_since", "2026-13-01"),
    ("_since", "0000"),
    ("_until", "2026-01-01T25:00:00Z"),
    ("_outputFormat", "text/csv"),
]


@pytest.mark.parametrize(("name", "value"), UNKNOWN + WRONG)
def test_what_is_not_understood_is_refused(name: str, value: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_export([(name, value)], EXPORTED_TYPES)
    assert name in str(caught.value)


@pytest.mark.parametrize(("name", "value"), UNKNOWN)
def test_lenient_handling_leaves_out_what_is_unknown(name: str, value: str) -> None:
    wanted = parse_export([(name, value)], EXPORTED_TYPES, lenient=True)
    # Who asks for types of which none is here gets none, not all.
    assert wanted == ExportWanted(() if name == "_type" else EXPORTED_TYPES)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_lenient_handling_does_not_guess_at_wrong_values(name: str, value: str) -> None:
    with pytest.raises(MalformedError):
        parse_export([(name, value)], EXPORTED_TYPES, lenient=True)


def test_elements_are_those_of_the_type_and_the_mandatory_ones() -> None:
    report = {
        "resourceType": "DiagnosticReport",
        "id": "1",
        "meta": {"versionId": "1"},
        "status": "partial",
        "code": {"text": "ECG"},
        "effectiveDateTime": "2026",
        "conclusion": "none",
    }
    cut = with_elements(report, ("effective", "Observation.conclusion"))
    assert cut.keys() == {"resourceType", "id", "meta", "status", "code", "effectiveDateTime"}
    assert cut["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert with_elements(report, ("Observation.conclusion",)) == report


def test_the_manifest_names_the_files() -> None:
    files, deleted = [("Device", "http://a/Device-1.ndjson", 3)], [("http://a/deleted/Device-1.ndjson", 2)]
    assert manifest(MOMENT, "http://a/fhir/$export", files, deleted, secured=True) == {
        "transactionTime": "2026-01-02T03:04:05.678Z",
        "request": "http://a/fhir/$export",
        "requiresAccessToken": True,
        "output": [{"type": "Device", "url": "http://a/Device-1.ndjson", "count": 3}],
        "deleted": [{"type": "Bundle", "url": "http://a/deleted/Device-1.ndjson", "count": 2}],
        "error": [],
    }
