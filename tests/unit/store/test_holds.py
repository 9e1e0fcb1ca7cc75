"""Which cases a legal hold keeps."""

from typing import Any

import pytest

from fhir_ecg.service.patient_export import patient_named
from fhir_ecg.store.holds import ActiveHolds
from fhir_ecg.store.tables import LegalHoldRow

NUMBER = {"system": "urn:mrn", "value": "3"}


@pytest.mark.parametrize(
    ("named", "subject", "kept"),
    [
        ("123", {"reference": "Patient/123"}, True),
        ("Patient/123", {"reference": "Patient/123/_history/2", "display": "A"}, True),
        ("https://ehr.example/Patient/123", {"reference": "https://ehr.example/Patient/123"}, True),
        ("urn:mrn|3", {"identifier": NUMBER}, True),
        ("urn:mrn|3", {"reference": "Patient/123", "identifier": NUMBER | {"use": "official"}}, True),
        ("Patient/123", {"reference": "Patient/123", "identifier": NUMBER}, True),
        ("Patient/123", {"reference": "Patient/1234"}, False),
        ("Patient/123", {"reference": "Group/123"}, False),
        ("urn:mrn|3", {"identifier": NUMBER | {"system": "urn:other"}}, False),
        ("urn:mrn|3", {}, False),
    ],
)
def test_a_hold_on_a_patient(named: str, subject: dict[str, Any], kept: bool) -> None:
    row = LegalHoldRow(id="h", patient=patient_named(named).reference, observation_id=None)
    found = ActiveHolds([row]).keeping(["observation"], [subject])
    assert (found is row) is kept


def test_a_hold_on_an_observation_of_several() -> None:
    row = LegalHoldRow(id="h", patient=None, observation_id="second")
    assert ActiveHolds([row]).keeping(["first", "second"], []) is row
    assert ActiveHolds([row]).keeping(["first"], [{"reference": "Patient/second"}]) is None
