"""What watches over every answer must see a fault: broken answers in, complaints out."""

import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import pytest
from conformance.answers import Answer, Answers, Syntax
from conformance.validators import complaints_in_node, complaints_in_python
from javascript.node_programs import NodeAbsentError

REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "1",
    "status": "partial",
    "code": {"text": "ECG"},
    "issued": "2026-01-01T08:30:00Z",
}
ALL_OF_JSON = {"fhir.resources", "medplum", "fhir"}
ALL_OF_XML = {*ALL_OF_JSON, "HL7's schema"}


@dataclass(frozen=True)
class Case:
    """An answer in both releases, and who has to complain: of R4 at least so many, of R5 just these."""

    name: str
    syntax: Syntax
    of_r4: str
    of_r5: str
    at_least: int = 0
    in_r5: Set[str] = frozenset()

    def answer(self, release: str) -> Answer:
        body = self.of_r4 if release == "4.0" else self.of_r5
        return Answer(f"{self.name} {release}", body, self.syntax, release)


def report(name: str, changes: dict[str, Any], at_least: int = 0, in_r5: Set[str] = frozenset()) -> Case:
    body = json.dumps({key: value for key, value in {**REPORT, **changes}.items() if value is not None})
    return Case(name, "json", body, body, at_least, in_r5)


def report_in_xml(name: str, elements: str, at_least: int = 0, in_r5: Set[str] = frozenset()) -> Case:
    body = f'<DiagnosticReport xmlns="http://hl7.org/fhir">{elements}</DiagnosticReport>'
    return Case(name, "xml", body, body, at_least, in_r5)


def samples(interval: dict[str, Any]) -> str:
    sampled = {"origin": {"value": 0}, "dimensions": 1, "data": "1 2", **interval}
    ecg = {"resourceType": "Observation", "status": "final", "code": {"text": "ECG"}, "valueSampledData": sampled}
    return json.dumps(ecg)


WITH_PERIOD, WITH_INTERVAL = samples({"period": 2}), samples({"interval": 2, "intervalUnit": "ms"})
STATUS, CODE = '<status value="final"/>', '<code><text value="ECG"/></code>'
CASES = [
    report("sound", {}),
    report("unknown element", {"colour": "red"}, 4, ALL_OF_JSON),
    report("no list", {"result": {"reference": "Observation/a"}}, 4, ALL_OF_JSON),
    report("no status", {"status": None}, 4, ALL_OF_JSON),
    report("text for a concept", {"code": "ECG"}, 4, ALL_OF_JSON),
    report("date in words", {"issued": "yesterday"}, 2, {"fhir.resources", "medplum"}),
    report("code outside of a required value set", {"status": "read"}, 1, {"fhir"}),
    Case("samples of the release", "json", WITH_PERIOD, WITH_INTERVAL),
    Case("samples of the other release", "json", WITH_INTERVAL, WITH_PERIOD, 4, ALL_OF_JSON),
    report_in_xml("sound XML", STATUS + CODE),
    report_in_xml("XML without a code", STATUS, 2, ALL_OF_XML),
    report_in_xml("XML that does not end", STATUS + "<code>", 2, ALL_OF_XML - {"medplum"}),
    report_in_xml("XML in another order", CODE + STATUS, 0, {"HL7's schema"}),
]


@pytest.fixture(scope="module")
def verdicts() -> dict[Answer, set[str]]:
    """Who complains of what, all answers shown at once."""
    answers = [case.answer(release) for case in CASES for release in ("4.0", "5.0")]
    try:
        in_node = complaints_in_node(answers)
    except NodeAbsentError as absent:
        pytest.skip(str(absent))
    told: dict[Answer, set[str]] = {answer: set() for answer in answers}
    for complaint in [*in_node, *complaints_in_python(answers)]:
        told[complaint.answer].add(complaint.validator)
    return told


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_is_judged(verdicts: dict[Answer, set[str]], case: Case) -> None:
    in_r4 = verdicts[case.answer("4.0")]
    assert len(in_r4) >= case.at_least
    assert bool(in_r4) == bool(case.at_least)
    assert verdicts[case.answer("5.0")] == case.in_r5


def test_answers_of_one_kind_are_kept_once() -> None:
    answers = Answers()
    for number in range(3):
        answers.add("GET", "application/fhir+json", None, json.dumps({**REPORT, "id": str(number)}).encode())
    answers.add("GET", "application/fhir+ndjson", None, f"{json.dumps(REPORT)}\n{WITH_PERIOD}\n".encode())
    answers.add("GET", "application/json", None, b"{}")

    assert answers.received == 5
    assert len(answers.of_kind) == 2
