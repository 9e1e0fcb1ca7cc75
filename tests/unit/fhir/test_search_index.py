"""What a resource can be found by."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_ecg.fhir.dates import EARLIEST, LATEST
from fhir_ecg.fhir.search_index import (
    INDEXED_LENGTH,
    DateEntry,
    IndexEntry,
    ReferenceEntry,
    StringEntry,
    TokenEntry,
    index_entries,
    indexed,
    unversioned,
)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


DAY = (utc(2026, 11, 22), utc(2026, 11, 23))


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"resourceType": "Observation", "status": "final"}, [TokenEntry("status", "", "final")]),
        (
            {
                "resourceType": "Observation",
                "identifier": [{"system": "s", "value": "1"}, {"value": "2"}, {"system": "s"}],
            },
            [TokenEntry("identifier", "s", "1"), TokenEntry("identifier", "", "2")],
        ),
        (
            {
                "resourceType": "Observation",
                "code": {"coding": [{"system": "s", "code": "1"}, {"code": "2"}, {"display": "3"}], "text": "4"},
            },
            [TokenEntry("code", "s", "1"), TokenEntry("code", "", "2")],
        ),
        (
            {
                "resourceType": "Observation",
                "category": [{"text": "no code"}, {"coding": [{"system": "s", "code": "1"}] * 2}],
            },
            [TokenEntry("category", "s", "1")],
        ),
        (
            {"resourceType": "Observation", "subject": {"reference": "Patient/7"}},
            [ReferenceEntry("subject", "Patient/7"), ReferenceEntry("patient", "Patient/7")],
        ),
        (
            {"resourceType": "Observation", "subject": {"reference": "Group/7"}},
            [ReferenceEntry("subject", "Group/7")],
        ),
        (
            {"resourceType": "Observation", "subject": {"reference": "https://ehr.example/fhir/Patient/7/_history/2"}},
            [
                ReferenceEntry("subject", "https://ehr.example/fhir/Patient/7"),
                ReferenceEntry("patient", "https://ehr.example/fhir/Patient/7"),
            ],
        ),
        (
            {"resourceType": "Observation", "subject": {"identifier": {"system": "s", "value": "1"}, "display": "A"}},
            [TokenEntry("subject:identifier", "s", "1"), TokenEntry("patient:identifier", "s", "1")],
        ),
        (
            {"resourceType": "Observation", "basedOn": [{"reference": "ServiceRequest/1"}, {"display": "by phone"}]},
            [ReferenceEntry("based-on", "ServiceRequest/1")],
        ),
        (
            {"resourceType": "Observation", "effectiveDateTime": "2026-11-22"},
            [DateEntry("date", *DAY)],
        ),
        (
            {"resourceType": "Observation", "effectiveInstant": "2026-11-22T00:00:00.000Z"},
            [DateEntry("date", utc(2026, 11, 22), utc(2026, 11, 22, 0, 0, 0, 1000))],
        ),
        (
            {"resourceType": "Observation", "effectivePeriod": {"start": "2026-11-22", "end": "2026-11-22"}},
            [DateEntry("date", *DAY)],
        ),
        (
            {"resourceType": "Observation", "effectivePeriod": {"start": "2026-11-22"}},
            [DateEntry("date", utc(2026, 11, 22), LATEST)],
        ),
        (
            {"resourceType": "Observation", "effectivePeriod": {"end": "2026-11-22"}},
            [DateEntry("date", EARLIEST, utc(2026, 11, 23))],
        ),
        ({"resourceType": "Observation", "effectiveTiming": {"event": ["2026"]}, "valueString": "x"}, []),
        (
            {
                "resourceType": "DiagnosticReport",
                "status": "partial",
                "issued": "2026-11-22T09:30:00Z",
                "conclusionCode": [{"coding": [{"system": "s", "code": "AFIB"}]}],
                "result": [{"reference": "Observation/1"}, {"reference": "#scores"}],
            },
            [
                TokenEntry("status", "", "partial"),
                TokenEntry("conclusion", "s", "AFIB"),
                DateEntry("issued", utc(2026, 11, 22, 9, 30), utc(2026, 11, 22, 9, 30, 1)),
                ReferenceEntry("result", "Observation/1"),
            ],
        ),
        (
            {
                "resourceType": "Provenance",
                "target": [{"reference": "DiagnosticReport/1/_history/2"}],
                "recorded": "2026",
            },
            [
                DateEntry("recorded", utc(2026, 1, 1), utc(2027, 1, 1)),
                ReferenceEntry("target", "DiagnosticReport/1"),
            ],
        ),
        (
            {"resourceType": "Device", "identifier": [{"value": "1"}], "status": "active"},
            [TokenEntry("identifier", "", "1"), TokenEntry("status", "", "active")],
        ),
        ({"resourceType": "Patient", "identifier": [{"value": "1"}]}, []),
        # What nothing finds is still not missing.
        ({"resourceType": "Observation", "code": {"text": "ECG"}}, [TokenEntry("code", "", "")]),
        ({"resourceType": "Observation", "subject": {"display": "A"}}, [ReferenceEntry("subject", "")]),
        # Components are left out: see search_parameters.py.
        ({"resourceType": "Observation", "component": [{"code": {"coding": [{"code": "AFIB"}]}}]}, []),
        (
            {
                "resourceType": "Observation",
                "contained": [{"resourceType": "Patient", "id": "p", "identifier": [{"system": "mrn", "value": "7"}]}],
                "subject": {"reference": "#p"},
            },
            [
                ReferenceEntry("subject", "#p"),
                TokenEntry("subject:identifier", "mrn", "7"),
                TokenEntry("patient:identifier", "mrn", "7"),
            ],
        ),
        (
            {"resourceType": "Observation", "subject": {"type": "Group", "identifier": {"value": "1"}}},
            [TokenEntry("subject:identifier", "", "1")],
        ),
        (
            {
                "resourceType": "Device",
                "meta": {
                    "tag": [{"system": "t", "code": "1"}],
                    "security": [{"system": "s", "code": "2"}],
                    "profile": ["http://p|1.0"],
                    "source": "urn:x",
                },
                "deviceName": [{"name": "Écran", "type": "model-name"}],
                "type": {"text": "ECG model"},
                "url": "http://d",
            },
            [
                TokenEntry("type", "", ""),
                StringEntry("device-name", "Écran", "ecran"),
                StringEntry("device-name", "ECG model", "ecg model"),
                TokenEntry("url", "", "http://d"),
                TokenEntry("_tag", "t", "1"),
                TokenEntry("_security", "s", "2"),
                TokenEntry("_profile", "", "http://p|1.0"),
                TokenEntry("_profile", "", "http://p"),
                TokenEntry("_source", "", "urn:x"),
            ],
        ),
        (
            {
                "resourceType": "Provenance",
                "agent": [{"who": {"reference": "Device/1"}, "type": {"coding": [{"code": "a"}]}}],
            },
            [ReferenceEntry("agent", "Device/1"), TokenEntry("agent-type", "", "a")],
        ),
    ],
)
def test_entries(resource: dict[str, Any], expected: list[IndexEntry]) -> None:
    assert index_entries(resource) == expected


def test_long_texts_stay_different_within_the_length_of_an_entry() -> None:
    long, longer = "é" * (INDEXED_LENGTH + 1), "é" * (INDEXED_LENGTH + 2)
    assert indexed("x" * INDEXED_LENGTH) == "x" * INDEXED_LENGTH
    assert len(indexed(long)) == len(indexed(longer)) == INDEXED_LENGTH
    assert indexed(long) != indexed(longer)
    assert indexed(long) == indexed("é" * (INDEXED_LENGTH + 1))
    resource = {"resourceType": "Device", "identifier": [{"system": long, "value": longer}]}
    assert index_entries(resource) == [TokenEntry("identifier", indexed(long), indexed(longer))]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Patient/1", "Patient/1"),
        ("Patient/1/_history/3", "Patient/1"),
        ("http://a/P/1/_history/3", "http://a/P/1"),
        ("#p", "#p"),
    ],
)
def test_a_version_is_cut_off(reference: str, expected: str) -> None:
    assert unversioned(reference) == expected
