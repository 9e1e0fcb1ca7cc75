"""Bytes to a resource: what is no JSON, what no FHIR, and that numbers keep their digits."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sent_ecg import ABSENT, Path, observation, sampled_data, take, with_change

from fhir_ecg.fhir.outcome import MalformedError, UnprocessableError
from fhir_ecg.fhir.parsing import check_observation, fhirpath, parse_json, serialise

VALUE = "Observation.component[0].value.ofType(SampledData)"
SAMPLED: Path = ("component", 0, "valueSampledData")


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"<Observation/>", "not JSON: Expecting value at line 1, column 1", id="XML"),
        pytest.param(b'{"a": 1,}', "not JSON", id="trailing comma"),
        pytest.param(b"{'a': 1}", "not JSON", id="single quotes"),
        pytest.param(b'{"a": 1} {"a": 1}', "not JSON: Extra data", id="two documents"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "not JSON", id="byte order mark"),
        pytest.param(b'{"a": "tab\there"}', "not JSON: Invalid control character", id="control character"),
        pytest.param(b'{"a": "\xff"}', r"not UTF-8 \(byte 7\)", id="Latin-1"),
        pytest.param('{"a": "x"}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', "not UTF-8", id="a surrogate in UTF-8"),
        pytest.param(b'{"a": NaN}', "NaN is no JSON number", id="NaN"),
        pytest.param(b'{"a": [-Infinity]}', "-Infinity is no JSON number", id="infinity"),
        pytest.param(b'{"a": 1, "b": {"c": 1, "c": 1}}', "'c' stands twice", id="a name twice"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', "'a' stands twice", id="a name twice, once escaped"),
        pytest.param(b"[]", "no object", id="array"),
        pytest.param(b'"Observation"', "no object", id="string"),
        pytest.param(b"null", "no object", id="null"),
        pytest.param(nested(65), "deeper than 64", id="65 levels"),
        pytest.param(nested(100_000), "deeper than 64", id="100000 levels of objects"),
        pytest.param(b'{"a":' + b"[" * 100_000, "deeper than 64", id="100000 levels, unclosed"),
        pytest.param(b'{"a": "\x00"}', "not JSON", id="NUL"),
        pytest.param(b'{"a": ["x\\u0000"]}', "U.0000", id="NUL escaped"),
        pytest.param(b'{"a\\u0000": 1}', "U.0000", id="NUL in a name"),
        pytest.param(b'{"a": "\\ud800"}', "half a surrogate pair", id="lone surrogate"),
        pytest.param(b'{"a": {"\\uDFFFx": 1}}', "half a surrogate pair", id="lone surrogate in a name"),
        pytest.param(b'{"a": 1e1000}', "beyond what can be held", id="exponent of 1000"),
        pytest.param(b'{"a": 1e-1000}', "beyond what can be held", id="exponent of -1000"),
        pytest.param(b'{"a": 1e99999999999999999999}', "beyond what can be held", id="exponent beyond Decimal"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", "beyond what can be held", id="integer of 5000 digits"),
    ],
)
def test_what_is_no_json_object_that_can_be_held(body: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message) as caught:
        parse_json(body)
    [problem] = caught.value.problems
    assert (problem.code, (problem.expression or "").split(".")[0]) == ("structure", "Observation")


@pytest.mark.parametrize(
    ("body", "expression"),
    [
        ('{"component": [{"a": 1}, {"valueQuantity": {"value": NaN}}]}', "component[1].value.ofType(Quantity).value"),
        ('{"component": [{"code": {"text": "a", "text": "b"}}]}', "component[0].code"),
        ('{"note": [{"text": "\\u0000"}]}', "note[0].text"),
        ('{"note": [{"no FHIR name": {"text": 1e1000}}]}', "note[0]"),
    ],
)
@pytest.mark.parametrize(
    ("around", "root"),
    [
        ("{}", "Observation"),
        ('{"resourceType": "Parameters", "parameter": [1, {"resource": {}}]}', "Parameters.parameter[1].resource"),
        ('{"resourceType": "Bundle", "entry": [{"resource": {}}]}', "Bundle.entry[0].resource"),
    ],
)
def test_what_cannot_be_read_is_told_where_it_stands(around: str, root: str, body: str, expression: str) -> None:
    """By the type that the document itself has; a path ends where its names are no longer FHIR's."""
    with pytest.raises(MalformedError) as caught:
        parse_json(around.replace("{}", body).encode(), "Observation")
    assert [problem.expression for problem in caught.value.problems] == [f"{root}.{expression}"]


def test_what_is_no_document_has_the_type_that_belongs_there() -> None:
    for expected in ("Bundle", None):
        with pytest.raises(MalformedError) as caught:
            parse_json(b'{"resourceType": "Parameters", ', expected)
        assert [problem.expression for problem in caught.value.problems] == [expected]


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"{}", {}),
        (b' {"a": "\\ud83d\\ude00 \xc3\xa4"} ', {"a": "\U0001f600 ä"}),
        (b'{"a": "\\\\u0000 is an escape"}', {"a": "\\u0000 is an escape"}),
        (b'{"a": [1, {"a": 2}], "b": null}', {"a": [1, {"a": 2}], "b": None}),
    ],
)
def test_what_is_json(body: bytes, document: dict[str, Any]) -> None:
    assert parse_json(body) == document


def test_64_levels_are_admitted() -> None:
    assert serialise(parse_json(nested(64))) == nested(64)


def test_many_names_in_one_object_cost_no_more_than_many_names() -> None:
    """A count of every name would take hours here."""
    names = [f'"n{number}":1' for number in range(200_000)]
    with pytest.raises(MalformedError, match="'n199999' stands twice"):
        parse_json(f"{{{','.join([*names, names[-1]])}}}".encode())


@pytest.mark.parametrize(
    "number",
    [
        "0", "-1", "1.0", "19.00", "0.0010", "-0.0", "1E+2", "1E-7", "123456789.123456789123456789", "1E+999",
        "1.5E-999", "9223372036854775807", "9223372036854775808", "-100000000000000000000000000",
    ],
)  # fmt: skip
def test_a_number_keeps_its_digits(number: str) -> None:
    body = f'{{"a":[{number}]}}'.encode()
    assert serialise(parse_json(body)) == body


@given(st.integers(-(10**30), 10**30), st.integers(-60, 60))
def test_a_decimal_keeps_its_value_and_precision(digits: int, exponent: int) -> None:
    number = Decimal(digits).scaleb(exponent)
    assert Decimal(parse_json(serialise({"a": number}))["a"]).as_tuple() == number.as_tuple()


texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\r\n")
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), json_values))
def test_what_is_written_is_read_again(document: dict[str, Any]) -> None:
    assert parse_json(serialise(parse_json(json.dumps(document).encode()))) == document
    assert parse_json(serialise(parse_json(json.dumps(document).encode()), pretty=True)) == document


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), "Observation"),
        (("status",), "Observation.status"),
        (("component", 3, "code", "coding", 0), "Observation.component[3].code.coding[0]"),
        (("component", 0, "valueSampledData", "period"), f"{VALUE}.period"),
        (("valueQuantity", "value"), "Observation.value.ofType(Quantity).value"),
        (("valueDateTime",), "Observation.value.ofType(dateTime)"),
        (("valueString",), "Observation.value.ofType(string)"),
        (("effectiveDateTime",), "Observation.effective.ofType(dateTime)"),
        (("effectiveInstant",), "Observation.effective.ofType(instant)"),
        (("effectivePeriod", "start"), "Observation.effective.ofType(Period).start"),
        (("extension", 0, "valueDecimal"), "Observation.extension[0].value.ofType(decimal)"),
        (("valueSampledData", "origin", "value"), "Observation.value.ofType(SampledData).origin.value"),
    ],
)
def test_fhirpath(location: tuple[str | int, ...], path: str) -> None:
    assert fhirpath("Observation", location) == path


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ({}, "resourceType is missing"),
        ({"resourceType": None}, "resourceType is missing"),
        ({"resourceType": ["Observation"]}, "resourceType is missing"),
        ({"resourceType": "Patient"}, "of type 'Patient'"),
        ({"resourceType": "observation"}, "of type 'observation'"),
    ],
)
def test_another_resource_is_malformed(resource: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedError, match=message) as caught:
        check_observation(resource)
    assert [(p.code, p.expression) for p in caught.value.problems] == [("invalid", "Observation.resourceType")]


PATIENT = {"resourceType": "Patient", "id": "p"}
IDENTIFIED = {"id": "a"}

REFUSED = [
    # The model's own rules.
    (("code",), ABSENT, "required", "Observation.code"),
    (("component", 0, "code"), ABSENT, "required", "Observation.component[0].code"),
    ((*SAMPLED, "period"), ABSENT, "required", f"{VALUE}.period"),
    ((*SAMPLED, "dimensions"), ABSENT, "required", f"{VALUE}.dimensions"),
    ((*SAMPLED, "origin"), ABSENT, "required", f"{VALUE}.origin"),
    ((*SAMPLED, "interval"), 2, "structure", f"{VALUE}.interval"),
    (("colour",), "red", "structure", "Observation.colour"),
    (("_colour",), IDENTIFIED, "structure", "Observation._colour"),
    (("effectivePeriod",), {"start": "2026"}, "value", "Observation"),
    (("effectiveDateTime",), "2026-02-30", "value", "Observation.effective.ofType(dateTime)"),
    (("effectiveDateTime",), "2026-11-22T09:30:00", "value", "Observation.effective.ofType(dateTime)"),
    (("effectiveDateTime",), "22.11.2026", "value", "Observation.effective.ofType(dateTime)"),
    (("issued",), "2026-11-22", "value", "Observation.issued"),
    (("component", 0, "code", "text"), "", "value", "Observation.component[0].code.text"),
    (("identifier", 0, "value"), 5, "value", "Observation.identifier[0].value"),
    # null, which FHIR JSON has only in arrays, beside the extensions of what is not there.
    (("code",), None, "structure", "Observation.code"),
    (("meta",), None, "structure", "Observation.meta"),
    (("basedOn",), None, "structure", "Observation.basedOn"),
    (("basedOn", 0, "reference"), None, "structure", "Observation.basedOn[0].reference"),
    (("component",), [None], "structure", "Observation.component[0]"),
    (("component", 12), None, "structure", "Observation.component[12]"),
    (("component", 0, "code", "coding", 0, "display"), None, "structure",
     "Observation.component[0].code.coding[0].display"),
    (("category", 0, "coding"), None, "structure", "Observation.category[0].coding"),
    (SAMPLED, None, "structure", VALUE),
    ((*SAMPLED, "data"), None, "structure", f"{VALUE}.data"),
    (("meta",), {"profile": ["http://a.example", None]}, "structure", "Observation.meta.profile[1]"),
    (("meta",), {"profile": ["http://a.example", None], "_profile": [None]}, "structure",
     "Observation.meta.profile[1]"),
    (("meta",), {"profile": [None], "_profile": [None]}, "structure", "Observation.meta.profile[0]"),
    # Empty arrays and objects.
    (("component",), [], "structure", "Observation.component"),
    (("note",), [], "structure", "Observation.note"),
    (("subject",), {}, "structure", "Observation.subject"),
    (("category", 0), {}, "structure", "Observation.category[0]"),
    (("category", 0, "coding", 0), {}, "structure", "Observation.category[0].coding[0]"),
    # JSON in a string, for which the library takes an object.
    (("subject",), '{"reference": "Patient/1"}', "value", "Observation.subject"),
    (("component", 0), '{"code": {"text": "valueSampledData"}}', "value", "Observation.component[0]"),
    (SAMPLED, json.dumps(sampled_data()), "value", VALUE),
    (("_status",), '{"id": "a"}', "structure", "Observation._status"),
    # One JSON type for another.
    ((*SAMPLED, "period"), "2", "value", f"{VALUE}.period"),
    ((*SAMPLED, "origin", "value"), "0", "value", f"{VALUE}.origin.value"),
    ((*SAMPLED, "factor"), "1e-9999999", "value", f"{VALUE}.factor"),
    ((*SAMPLED, "factor"), True, "value", f"{VALUE}.factor"),
    ((*SAMPLED, "dimensions"), True, "value", f"{VALUE}.dimensions"),
    ((*SAMPLED, "dimensions"), "1", "value", f"{VALUE}.dimensions"),
    ((*SAMPLED, "dimensions"), 1.0, "value", f"{VALUE}.dimensions"),
    ((*SAMPLED, "data"), 12, "value", f"{VALUE}.data"),
    ((*SAMPLED, "data"), ["1 2 3"], "value", f"{VALUE}.data"),
    (("effectiveDateTime",), 1763800000, "value", "Observation.effective.ofType(dateTime)"),
    (("issued",), 1763800000, "value", "Observation.issued"),
    (("component",), {"code": {"text": "I"}}, "value", "Observation.component"),
    (("status",), ["final"], "value", "Observation.status"),
    # What makes the library fail with other errors than its own.
    (("_status",), 5, "structure", "Observation._status"),
    (("_status",), ["a"], "structure", "Observation._status"),
    (("component", 0, "code", "_text"), 5, "structure", "Observation.component[0].code._text"),
    (("contained",), [{"resourceType": "Unicorn"}], "structure", "Observation.contained[0].resourceType"),
    (("contained",), [{"resourceType": "R5.Patient"}], "structure", "Observation.contained[0].resourceType"),
    (("contained",), [{"resourceType": "Quantity"}], "structure", "Observation.contained[0].resourceType"),
    (("contained",), [{"resourceType": {"a": 1}}], "structure", "Observation.contained[0].resourceType"),
    (("contained",), [PATIENT | {"contained": [{"resourceType": 5}]}], "structure",
     "Observation.contained[0].contained[0].resourceType"),
    (("contained",), [PATIENT | {"active": "true"}], "value", "Observation.contained[0].active"),
    (("fhir_comments",), ["a"], "structure", "Observation.fhir_comments"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "code", "expression"), REFUSED, ids=lambda value: ascii(value)[:50])
def test_what_is_no_r4_observation(path: Path, value: Any, code: str, expression: str) -> None:
    with pytest.raises(UnprocessableError) as caught:
        check_observation(parse_json(json.dumps(with_change(path, value)).encode()))
    problem = caught.value.problems[0]
    assert (problem.code, problem.expression) == (code, expression)
    assert problem.diagnostics


NUMBER, WHOLE = "FHIR has a number, without quotes.", "FHIR has a whole number, without point or quotes."
STRING, OBJECT, BOOLEAN = "FHIR has a string, in quotes.", "FHIR has an object.", "FHIR has a boolean, true or false"

TYPES = [
    ((*SAMPLED, "period"), "10", f"A string stands where {NUMBER}"),
    ((*SAMPLED, "period"), "ten", f"A string stands where {NUMBER}"),
    ((*SAMPLED, "period"), True, f"A boolean stands where {NUMBER}"),
    ((*SAMPLED, "period"), [10], f"An array stands where {NUMBER}"),
    ((*SAMPLED, "origin", "value"), False, f"A boolean stands where {NUMBER}"),
    ((*SAMPLED, "dimensions"), 1.0, f"A number stands where {WHOLE}"),
    ((*SAMPLED, "dimensions"), 1.5, f"A number stands where {WHOLE}"),
    ((*SAMPLED, "dimensions"), "1", f"A string stands where {WHOLE}"),
    ((*SAMPLED, "dimensions"), "one", f"A string stands where {WHOLE}"),
    ((*SAMPLED, "dimensions"), True, f"A boolean stands where {WHOLE}"),
    ((*SAMPLED, "dimensions"), {"value": 1}, f"An object stands where {WHOLE}"),
    ((*SAMPLED, "data"), [1, 2], f"An array stands where {STRING}"),
    (SAMPLED, 5, f"A number stands where {OBJECT}"),
    (("status",), 5, f"A number stands where {STRING}"),
    (("issued",), True, f"A boolean stands where {STRING}"),
    (("effectiveDateTime",), 20261122, f"A number stands where {STRING}"),
    (("effectiveDateTime",), "22.11.2026", "'22.11.2026' is no dateTime of FHIR; write such as 2026-11-22T09"),
    (("subject",), "Patient/1", f"A string stands where {OBJECT}"),
    (("component",), {"code": {"text": "I"}}, "An object stands where FHIR has an array."),
    (("valueBoolean",), "true", f"A string stands where {BOOLEAN}"),
    (("valueBoolean",), "yes", f"A string stands where {BOOLEAN}"),
    (("contained",), [PATIENT | {"active": 1}], f"A number stands where {BOOLEAN}"),
    ((*SAMPLED, "dimensions"), 0, "Input should be greater than or equal to 1."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "text"), TYPES, ids=lambda value: ascii(value)[:50])
def test_the_type_that_belongs_there_is_named(path: Path, value: Any, text: str) -> None:
    with pytest.raises(UnprocessableError) as caught:
        check_observation(parse_json(json.dumps(with_change(path, value)).encode()))
    assert text in caught.value.problems[0].diagnostics


ADMITTED = [
    (("_status",), {"extension": [{"url": "http://a.example", "valueString": "b"}]}),
    (("_effectiveDateTime",), IDENTIFIED),
    (("meta",), {"profile": ["http://a.example", None], "_profile": [None, IDENTIFIED]}),
    (("contained",), [PATIENT | {"managingOrganization": {"reference": "#"}}]),
    (("contained",), [{"resourceType": "Device", "id": "d", "owner": {"reference": "#"}}]),
    (
        ("extension",),
        [{"url": "http://a.example", "valueDecimal": 1.50}, {"url": "http://b.example", "valueBoolean": True}],
    ),
    (("extension",), [{"url": "http://a.example", "valueTime": "10:00:00"}]),
    (("extension",), [{"url": "http://a.example", "valueBase64Binary": "eHg="}]),
    (("issued",), "2026-11-22T09:30:00.123456Z"),
    (("effectiveDateTime",), "2026"),
    (("effectiveDateTime",), "2016-12-31T23:59:60Z"),
    (("text",), {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">ECG</div>'}),
    ((*SAMPLED, "_data"), IDENTIFIED),
    ((*SAMPLED, "period"), 2.00),
    (("component", 12), {"code": {"text": "Heart rate"}, "valueQuantity": {"value": 61}}),
    (("component", 12), {"code": {"text": "Note"}, "valueString": "taken at rest"}),
]


@pytest.mark.parametrize(("path", "value"), ADMITTED, ids=lambda value: ascii(value)[:50])
def test_what_is_an_r4_observation_is_taken_as_it_was_sent(path: Path, value: Any) -> None:
    sent = with_change(path, value)
    resource, recording = take(json.dumps(sent).encode())
    assert json.loads(serialise(resource)) == sent
    assert recording.samples == 4


def test_every_problem_is_told_up_to_twenty() -> None:
    strange = {f"strange{number:02}": 1 for number in range(30)}
    with pytest.raises(UnprocessableError) as caught:
        check_observation(observation(**strange, note=None))
    assert len(caught.value.problems) == 1  # the form comes first
    with pytest.raises(UnprocessableError) as caught:
        check_observation(observation(**strange))
    assert [problem.expression for problem in caught.value.problems] == [f"Observation.{name}" for name in strange][:20]
