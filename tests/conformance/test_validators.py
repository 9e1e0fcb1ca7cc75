"""What watches over every answer must see a fault: broken answers in, complaints out."""

import json
from typing import Any

import pytest
from conformance.answers import Answer, Answers
from conformance.validators import complaints_in_node, complaints_in_python
from javascript.node_programs import NodeAbsentError

SOUND: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "1",
    "status": "partial",
    "code": {"text": "ECG"},
    "issued": "2026-01-01T08:30:00Z",
}
BROKEN = [
    {**SOUND, "colour": "red"},
    {**SOUND, "result": {"reference": "Observation/a"}},
    {name: value for name, value in SOUND.items() if name != "status"},
]


def answer(resource: dict[str, Any], release: str = "4.0") -> Answer:
    return Answer("a test", json.dumps(resource), "json", release)


def xml(element: str) -> Answer:
    body = f'<DiagnosticReport xmlns="http://hl7.org/fhir"><status value="final"/>{element}</DiagnosticReport>'
    return Answer("a test", body, "xml", "4.0")


def validators(answers: list[Answer]) -> set[str]:
    try:
        in_node = complaints_in_node(answers)
    except NodeAbsentError as absent:
        pytest.skip(str(absent))
    return {complaint.validator for complaint in [*in_node, *complaints_in_python(answers)]}


def test_sound_answers_pass() -> None:
    assert not validators([answer(SOUND), answer(SOUND, "5.0"), xml('<code><text value="ECG"/></code>')])


@pytest.mark.parametrize("broken", BROKEN, ids=["unknown element", "no list", "no status"])
def test_broken_answers_are_seen_by_at_least_four(broken: dict[str, Any]) -> None:
    assert len(validators([answer(broken)])) >= 4
    assert validators([answer(broken, "5.0")]) == {"fhir.resources"}


def test_broken_xml_is_seen_by_at_least_two() -> None:
    assert len(validators([xml("")])) >= 2
    assert len(validators([xml("<code>")])) >= 2


def test_answers_of_one_kind_are_kept_once() -> None:
    answers = Answers()
    for number in range(3):
        answers.add("GET", "application/fhir+json", None, json.dumps({**SOUND, "id": str(number)}).encode())
    answers.add("GET", "application/fhir+ndjson", None, f"{json.dumps(SOUND)}\n{json.dumps(BROKEN[0])}\n".encode())
    answers.add("GET", "application/json", None, b"{}")

    assert answers.received == 5
    assert len(answers.of_kind) == 2
