"""A valid Observation, damaged anywhere in any way, is refused with reasons, or taken and usable to the end."""

import copy
import json
import re
from typing import Any

from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from readings import ISSUED, PREDICTION
from sent_ecg import Path, observation, take

from fhir_ecg.fhir.outcome import Problem, RefusedError, operation_outcome
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.reading_resources import scores_observation
from fhir_ecg.fhir.report import registered_report
from fhir_ecg.fhir.search_index import INDEXED_LENGTH, DateEntry, index_entries

VALID = observation(
    meta={"profile": ["http://a.example"], "tag": [{"system": "s", "code": "c"}]},
    text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    contained=[{"resourceType": "Patient", "id": "p", "identifier": [{"value": "1"}], "birthDate": "1970-01-01"}],
    extension=[{"url": "http://a.example", "valueDecimal": 1.5}],
    issued="2026-11-22T08:30:00Z",
    device={"reference": "Device/1", "identifier": {"system": "s", "value": "1"}},
    derivedFrom=[{"reference": "Observation/1"}],
    performer=[{"reference": "#p"}],
    note=[{"text": "x"}],
)
VALID["component"][0]["valueSampledData"] |= {"data": "1 E U L", "upperLimit": 10, "lowerLimit": -10.5}

# Numbers that json.dumps cannot write are put in afterwards.
NUMBERS = ["1e400", "1e-400", "1e99999", "1e999999999999999999999", "1e-9999999", "9" * 30, "-0.0", "1.0", "NaN"]
ODD = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 1.5, *(f"<{number}>" for number in NUMBERS),
    "", " ", "x", "I", "mV", "nan", "\ud800", "\U0001f600", "é" * 300, "\ud800" * 300, "\0",
    "2026", "2026-02-30", "2026-11-22T09:30:00", "9999-12-31", "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+14:00",
    "2016-12-31T23:59:60Z", "0000", "12:00:00", '{"reference": "Patient/1"}', '{"code": {"text": "valueSampledData"}}',
    [], {}, [None], [[]], [{}], ["x"], [1], {"x": 1}, {"id": "1"}, {"extension": []}, {"reference": "#p"},
    {"reference": None},
    {"extension": [{"url": "http://e.example", "valueString": "x"}]}, {"coding": [{}]},
    {"coding": [None]}, {"start": None},
    {"end": "2026", "start": "2027"}, {"resourceType": "Unicorn"}, {"resourceType": "Patient"}, {"resourceType": 5},
    [{"resourceType": "Unicorn"}], [{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "y"}}]}],
]  # fmt: skip
NAMES = [
    "_data", "_status", "_value", "_code", "_text", "_unit", "_start", "_effectiveDateTime", "_reference", "_id",
    "valueString", "valueQuantity", "valueSampledData", "effectiveTiming", "effectiveInstant", "effectivePeriod",
    "effectiveDateTime", "component", "contained", "extension", "modifierExtension", "id", "resourceType", "meta",
    "fhir_comments", "x", "coding", "text", "reference", "identifier", "type", "dataAbsentReason", "hasMember",
    "\ud800",
]  # fmt: skip


def paths(node: Any, path: Path = ()) -> list[Path]:
    """The paths of everything below a node."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [deeper for step, child in children for deeper in [(*path, step), *paths(child, (*path, step))]]


def parent(document: dict[str, Any], path: Path) -> Any:
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    return node


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """The Observation after one to three replacements, removals, insertions or wraps."""
    document = copy.deepcopy(VALID)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        # Twelve components are alike: what is done to the first is enough.
        places = [p for p in paths(document) if p[:1] != ("component",) or p[1:2] in ((), (0,))]
        assume(places)
        path = draw(st.sampled_from(places))
        above, value = parent(document, path), copy.deepcopy(draw(st.sampled_from(ODD)))
        damage = draw(st.sampled_from(["replace", "replace", "remove", "remove", "insert", "wrap", "repeat"]))
        if damage == "remove":
            del above[path[-1]]
        elif damage == "wrap":
            above[path[-1]] = [above[path[-1]]]
        elif damage == "insert" and isinstance(above[path[-1]], dict):
            above[path[-1]][draw(st.sampled_from(NAMES))] = value
        elif damage == "insert" and isinstance(above[path[-1]], list):
            above[path[-1]].insert(0, value)
        elif damage == "repeat" and isinstance(above, list):
            above.append(copy.deepcopy(above[path[-1]]))
        else:
            above[path[-1]] = value
    return document


def written(document: dict[str, Any]) -> bytes:
    return re.sub(r'"<([^"]*)>"', r"\1", json.dumps(document)).encode()


def refused(problems: tuple[Problem, ...]) -> None:
    """Every refusal says what is wrong, where, and can be sent."""
    event("refused")
    assert problems
    assert all(problem.expression and problem.diagnostics for problem in problems)
    assert serialise(operation_outcome(problems))


def use(resource: dict[str, Any]) -> None:
    """What the service does with an Observation that was taken."""
    report = json.loads(serialise(registered_report(resource, "O", "R")))
    DiagnosticReport.model_validate(report)
    scores = scores_observation(resource, "O", "S", PREDICTION, issued=ISSUED, snomed=True)
    for stored in (resource, report, scores):
        assert json.loads(serialise(stored))["resourceType"] == stored["resourceType"]
        for entry in index_entries(stored):
            if isinstance(entry, DateEntry):
                assert entry.low <= entry.high
            else:
                assert all(len(text) <= INDEXED_LENGTH for text in vars(entry).values())
                assert all(text.encode() is not None for text in vars(entry).values())
    assert isinstance(resource.get("meta", {}), dict)


def test_the_undamaged_one_is_taken() -> None:
    resource, recording = take(written(VALID))
    use(resource)
    assert recording.leads.shape == (12, 4)


@given(document=damaged())
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_one_is_refused_with_reasons_or_taken_and_used(document: dict[str, Any]) -> None:
    try:
        resource, recording = take(written(document))
    except RefusedError as error:
        refused(error.problems)
        return
    event("taken")
    assert recording.leads.shape[0] == 12
    use(resource)


@given(cut=st.integers(0, 400), inserted=st.binary(max_size=6), at=st.integers(0, 400))
@settings(max_examples=200)
def test_damaged_bytes_are_refused_or_taken(cut: int, inserted: bytes, at: int) -> None:
    body = written(VALID)
    damaged_body = body[:at] + inserted + body[at + cut % 5 :]
    try:
        resource, _ = take(damaged_body)
    except RefusedError as error:
        refused(error.problems)
        return
    use(resource)
