"""Search requests: names and values to criteria, or a refusal that says what is there."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_ecg.fhir.outcome import MalformedError
from fhir_ecg.fhir.search import (
    NEWEST_FIRST,
    Include,
    Search,
    SortKey,
    parse_condition,
    parse_search,
    without_base,
)
from fhir_ecg.fhir.search_criteria import (
    AnyCriterion,
    ChainedCriterion,
    Criterion,
    DateCriterion,
    HasCriterion,
    IdCriterion,
    LastUpdatedCriterion,
    NotCriterion,
    PresentCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
)
from fhir_ecg.fhir.search_index import INDEXED_LENGTH, indexed


def day(number: int) -> datetime:
    return datetime(2026, 11, number, tzinfo=UTC)


def criteria(resource_type: str, *query: tuple[str, str], lenient: bool = False) -> tuple[Criterion, ...]:
    return parse_search(resource_type, query, lenient=lenient).criteria


def subject(*targets: str) -> ReferenceCriterion:
    return ReferenceCriterion("subject", targets)


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ("final", [(None, "final")]),
        ("final,amended", [(None, "final"), (None, "amended")]),
        ("http://s|a", [("http://s", "a")]),
        ("|a", [("", "a")]),
        ("http://s|", [("http://s", None)]),
        ("http://s|a,b,|c", [("http://s", "a"), (None, "b"), ("", "c")]),
        # https://hl7.org/fhir/R4/search.html#escaping
        (r"a\,b", [(None, "a,b")]),
        (r"a\,b,c", [(None, "a,b"), (None, "c")]),
        (r"a\|b", [(None, "a|b")]),
        (r"s\|t|a\|b", [("s|t", "a|b")]),
        (r"a\$b", [(None, "a$b")]),
        (r"a\\,b", [(None, "a\\"), (None, "b")]),
        (r"a\\\,b", [(None, "a\\,b")]),
        (r"s\\|a", [("s\\", "a")]),
        ("a\\", [(None, "a\\")]),
        (r"a\b", [(None, r"a\b")]),
        ("a,", [(None, "a"), (None, "")]),
        (",a", [(None, ""), (None, "a")]),
        ("a b+c", [(None, "a b+c")]),
    ],
)
def test_tokens(value: str, tokens: list[tuple[str | None, str | None]]) -> None:
    assert criteria("Observation", ("identifier", value)) == (TokenCriterion("identifier", tuple(tokens)),)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), min_size=1, max_size=4))
def test_what_is_escaped_comes_out_as_it_went_in(codes: list[str]) -> None:
    escaped = [code.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$") for code in codes]
    (criterion,) = criteria("Observation", ("identifier", ",".join(f"s|{code}" for code in escaped)))
    assert criterion == TokenCriterion("identifier", tuple(("s", code or None) for code in codes))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("_id", "a,b", IdCriterion(("a", "b"))),
        ("subject", "Patient/1", subject("Patient/1")),
        ("subject", "Patient/1/_history/2", subject("Patient/1")),
        ("subject", "Patient/1,Group/2", subject("Patient/1", "Group/2")),
        ("subject", "1", subject("Patient/1", "Group/1", "Device/1", "Location/1")),
        ("subject:Patient", "1", subject("Patient/1")),
        ("subject:Group", "1,2", subject("Group/1", "Group/2")),
        ("subject", "https://ehr.example/fhir/Patient/1", subject("https://ehr.example/fhir/Patient/1")),
        ("patient", "1", ReferenceCriterion("patient", ("Patient/1",))),
        ("patient", "Patient/1", ReferenceCriterion("patient", ("Patient/1",))),
        ("patient:identifier", "mrn|7", TokenCriterion("patient:identifier", (("mrn", "7"),))),
        ("subject:identifier", r"7\,8,9", TokenCriterion("subject:identifier", ((None, "7,8"), (None, "9")))),
        ("date", "2026-11-22", DateCriterion("date", (("eq", day(22), day(23)),))),
        ("date", "ge2026-11-22", DateCriterion("date", (("ge", day(22), day(23)),))),
        (
            "date",
            "lt2026-11-22,sa2026-11-23",
            DateCriterion("date", (("lt", day(22), day(23)), ("sa", day(23), day(24)))),
        ),
        ("_lastUpdated", "gt2026-11-22", LastUpdatedCriterion((("gt", day(22), day(23)),))),
        (
            "result.status",
            "final",
            ChainedCriterion("result", "Observation", TokenCriterion("status", ((None, "final"),))),
        ),
        (
            "result:Observation.code",
            "s|a,b",
            ChainedCriterion("result", "Observation", TokenCriterion("code", (("s", "a"), (None, "b")))),
        ),
        ("result._id", "1", ChainedCriterion("result", "Observation", IdCriterion(("1",)))),
        (
            "result.patient",
            "7",
            ChainedCriterion("result", "Observation", ReferenceCriterion("patient", ("Patient/7",))),
        ),
        ("issued", "eb2026-11-22", DateCriterion("issued", (("eb", day(22), day(23)),))),
        ("status:not", "final,|x", NotCriterion(TokenCriterion("status", ((None, "final"), ("", "x"))))),
        ("status:missing", "false", PresentCriterion("status", "token")),
        ("date:missing", "true", NotCriterion(PresentCriterion("date", "date"))),
        ("_profile", "http://p|1", TokenCriterion("_profile", ((None, "http://p|1"),))),
        ("_profile:missing", "false", PresentCriterion("_profile", "token")),
        (
            "subject:missing",
            "true",
            NotCriterion(
                AnyCriterion(
                    (PresentCriterion("subject", "reference"), PresentCriterion("subject:identifier", "token"))
                )
            ),
        ),
        # The Patient is not stored, so its identifier is sought inside the reference.
        ("patient.identifier", "mrn|7", TokenCriterion("patient:identifier", (("mrn", "7"),))),
        ("subject:Patient.identifier", "7", TokenCriterion("subject:identifier", ((None, "7"),))),
        (
            "subject.identifier",
            "7",
            AnyCriterion(
                (
                    TokenCriterion("subject:identifier", ((None, "7"),)),
                    ChainedCriterion("subject", "Device", TokenCriterion("identifier", ((None, "7"),))),
                )
            ),
        ),
        (
            "_has:Provenance:target:recorded",
            "2026-11-22",
            HasCriterion("Provenance", "target", DateCriterion("recorded", (("eq", day(22), day(23)),))),
        ),
    ],
)
def test_criteria(name: str, value: str, expected: Criterion) -> None:
    assert criteria("DiagnosticReport", (name, value)) == (expected,)


def test_a_name_that_stands_twice_is_two_criteria() -> None:
    found = parse_search("Observation", [("date", "ge2026-11-22"), ("date", "lt2026-11-23")])
    assert [criterion.ranges[0][0] for criterion in found.criteria if isinstance(criterion, DateCriterion)] == [
        "ge",
        "lt",
    ]


@pytest.mark.parametrize(
    ("resource_type", "name"),
    [
        ("Observation", "colour"),
        ("Observation", "result"),
        ("Device", "patient"),
        ("Observation", "date:not"),
        ("Observation", "code:text"),
        ("Observation", "code:in"),
        ("Observation", "code:exact"),
        ("Device", "model:not"),
        ("Device", "url:below"),
        ("Observation", "_id:exact"),
        ("Observation", "_lastUpdated:missing"),
        ("Observation", "subject:Practitioner"),
        ("Observation", "subject:"),
        ("Observation", "subject.name"),
        ("Observation", "subject:Patient.name"),
        ("Observation", "status.code"),
        ("Observation", "derived-from.colour"),
        ("Observation", "derived-from.derived-from.status"),
        ("DiagnosticReport", "result:Patient.status"),
        ("Observation", "component-code"),
        ("Observation", "_text"),
        ("Observation", "_content"),
        ("Observation", "_filter"),
        ("Observation", "_query"),
        ("Observation", "_contained"),
        ("Observation", "_containedType"),
        ("Observation", "_include:recurse"),
        ("Observation", "_has:Provenance:target"),
        ("Observation", "_has:Provenance:colour:recorded"),
        ("Observation", "_has:Provenance:target:colour"),
        ("Device", "_has:DiagnosticReport:result:status"),
        ("Observation", ""),
        ("Observation", "."),
        ("Observation", ":"),
    ],
)
def test_an_unknown_parameter_is_refused_or_left_out(resource_type: str, name: str) -> None:
    with pytest.raises(MalformedError, match=f"{resource_type} has no search parameter") as caught:
        parse_search(resource_type, [(name, "a")])
    assert caught.value.problems[0].code == "not-supported"
    found = parse_search(resource_type, [(name, "a"), ("_id", "1")], lenient=True)
    assert (found.criteria, found.applied) == ((IdCriterion(("1",)),), (("_id", "1"),))


@pytest.mark.parametrize("lenient", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("date", "yesterday", "date: 'yesterday' is no FHIR date"),
        ("date", "zz2026", "Prefixes are eq, ne, gt"),
        ("date:missing", "maybe", "date:missing is true or false"),
        ("_sort", "date,-date,_id,_lastUpdated", "_sort has 4 keys"),
        ("_total", "many", "_total is one of none, estimate, accurate"),
        ("_summary", "yes", "_summary is one of true, text"),
        ("code", ",".join("a" * 501), "code lists 501 values"),
        ("date", ",".join(["2026"] * 51), "date lists 51 dates"),
        ("code", "\ud800", "no Unicode text"),
        ("date", "2026-02-30", "date: day"),
        ("date", "", "is no FHIR date"),
        ("date", "2026,", "is no FHIR date"),
        ("date", "gegt2026", "is no FHIR date"),
        ("_lastUpdated", "now", "_lastUpdated: 'now' is no FHIR date"),
        ("derived-from.date", "x", "date: 'x' is no FHIR date"),
        ("_count", "-1", "_count is a number from 0 to 200, not '-1'"),
        ("_count", "ten", "_count is a number"),
        ("_count", "", "_count is a number"),
        ("_count", "1.5", "_count is a number"),
        ("_count", "9" * 5000, "_count is a number"),
        ("code", "a\0b", "code holds a NUL character"),
        ("colour", "\0", "colour holds a NUL character"),
    ],
)
def test_a_value_that_is_none_of_its_kind_is_refused(name: str, value: str, message: str, lenient: bool) -> None:
    with pytest.raises(MalformedError, match=message) as caught:
        parse_search("Observation", [(name, value)], lenient=lenient)
    assert caught.value.problems[0].code == "invalid"


@pytest.mark.parametrize(
    ("value", "count"), [("0", 0), ("1", 1), ("007", 7), ("200", 200), ("201", 200), ("999999999", 200)]
)
def test_count(value: str, count: int) -> None:
    assert parse_search("Observation", [("_count", value)]).count == count


def test_pages_and_formats() -> None:
    found = parse_search(
        "Device", [("_format", "json"), ("_pretty", "true"), ("_cursor", "abc"), ("_count", "5"), ("_id", "1")]
    )
    assert (found.resource_type, found.count, found.cursor) == ("Device", 5, "abc")
    assert found.applied == (("_count", "5"), ("_id", "1"))  # the next page has a cursor of its own
    bare = parse_search("Device", [])
    assert (bare.count, bare.cursor, bare.criteria, bare.applied) == (20, None, (), ())


def test_what_is_longer_than_an_index_entry_is_sought_as_it_was_indexed() -> None:
    long = "x" * (INDEXED_LENGTH + 50)
    assert criteria("Observation", ("identifier", f"{long}|{long}")) == (
        TokenCriterion("identifier", ((indexed(long), indexed(long)),)),
    )
    assert criteria("Observation", ("patient", long)) == (ReferenceCriterion("patient", (indexed(f"Patient/{long}"),)),)


names = st.text("abcdestu.:_-", max_size=20) | st.sampled_from(
    [
        "date",
        "_id",
        "_count",
        "code",
        "subject",
        "patient",
        "derived-from.date",
        "subject:identifier",
        "_lastUpdated",
        "_sort",
        "_include",
        "_revinclude:iterate",
        "_elements",
        "_summary",
        "_total",
        "_has:Task:focus:code",
        "subject:missing",
        "status:not",
        "subject.identifier",
    ]
)


@given(query=st.lists(st.tuples(names, st.text(max_size=20)), max_size=3), lenient=st.booleans())
def test_any_query_is_understood_or_refused(query: list[tuple[str, str]], lenient: bool) -> None:
    try:
        found = parse_search("Observation", query, lenient=lenient)
    except MalformedError:
        return
    assert 0 <= found.count <= 200
    assert set(found.applied) <= set(query)


def test_about_is_a_tenth_of_how_long_ago() -> None:
    (found,) = criteria("Observation", ("date", "ap2016-11-22"))
    assert isinstance(found, DateCriterion)
    ((prefix, low, high),) = found.ranges
    assert prefix == "ap"
    assert low < datetime(2016, 1, 1, tzinfo=UTC) < datetime(2017, 6, 1, tzinfo=UTC) < high


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("model", "Écg,b", StringCriterion("model", ("ecg", "b"))),
        ("model:contains", "ST", StringCriterion("model", ("st",), "contains")),
        ("model:exact", "Écg", StringCriterion("model", ("Écg",), "exact")),
        ("url", "http://a/|b", TokenCriterion("url", ((None, "http://a/|b"),))),
    ],
)
def test_strings_and_uris(name: str, value: str, expected: Criterion) -> None:
    assert criteria("Device", (name, value)) == (expected,)


def parsed(*query: tuple[str, str], lenient: bool = False) -> Search:
    return parse_search("DiagnosticReport", query, lenient=lenient)


def test_how_the_answer_is_given() -> None:
    found = parsed(
        ("_sort", "-date,issued"), ("_total", "none"), ("_summary", "data"),
        ("_elements", "effective,DiagnosticReport.result"),
        ("_include", "DiagnosticReport:result:Observation"), ("_revinclude:iterate", "Provenance:*"), ("_include", "*"),
    )  # fmt: skip
    assert found.sort == (SortKey("date", descending=True), SortKey("issued"))
    assert (found.total, found.summary, found.elements) == ("none", "data", ("effective", "result"))
    assert found.includes == (
        Include("DiagnosticReport", "result", "Observation", reverse=False, iterate=False),
        Include("Provenance", None, None, reverse=True, iterate=True),
        Include(None, None, None, reverse=False, iterate=False),
    )
    assert parsed().sort == NEWEST_FIRST


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("_sort", "status", "cannot be sorted by 'status', but by _lastUpdated, _id, date, issued"),
        ("_sort", "", "cannot be sorted by ''"),
        ("_elements", "colour", "_elements names 'colour'"),
        ("_include", "DiagnosticReport:status", "names no reference"),
        ("_include", "DiagnosticReport:result:Patient", "names no reference"),
        ("_revinclude", "Patient:link", "names no reference"),
        ("colour", "red", "no search parameter 'colour'"),
    ],
)
def test_what_is_not_supported_is_refused_or_left_out_and_told(name: str, value: str, message: str) -> None:
    with pytest.raises(MalformedError, match=message) as caught:
        parsed((name, value))
    assert caught.value.problems[0].code == "not-supported"
    found = parsed((name, value), lenient=True)
    assert found.applied == ()
    assert message in found.ignored[0]


def test_a_text_summary_goes_without_includes() -> None:
    with pytest.raises(MalformedError, match="_summary=text"):
        parsed(("_summary", "text"), ("_include", "*"))


def test_a_query_has_an_end() -> None:
    with pytest.raises(MalformedError, match="more than 100 parameters"):
        parsed(*[("status", "final")] * 101)


@pytest.mark.parametrize("query", [[], [("_count", "0")], [("identifier", "a"), ("_sort", "date")]])
def test_a_condition_holds_criteria_alone(query: list[tuple[str, str]]) -> None:
    with pytest.raises(MalformedError, match="criteria alone"):
        parse_condition("Observation", query)
    assert len(parse_condition("Observation", [("identifier", "s|1"), ("status", "final")]).criteria) == 2


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("subject", "http://me/fhir/Patient/1,http://me/fhir/Patient/2", "Patient/1,Patient/2"),
        ("subject", "http://other/fhir/Patient/1", "http://other/fhir/Patient/1"),
        ("derived-from.subject", "http://me/fhir/Patient/1", "Patient/1"),
        ("_has:Provenance:target:agent", "http://me/fhir/Device/1", "Device/1"),
        ("identifier", "http://me/fhir/Patient/1", "http://me/fhir/Patient/1"),
        ("_profile", "http://me/fhir/StructureDefinition/1", "http://me/fhir/StructureDefinition/1"),
    ],
)
def test_references_to_this_server_are_relative(name: str, value: str, expected: str) -> None:
    assert without_base([(name, value)], "http://me/fhir") == [(name, expected)]
