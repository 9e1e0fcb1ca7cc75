"""Searches in SQL beside the same searches done naively over the resources, however the SQL goes about it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fhir_ecg.fhir.dates import EARLIEST, LATEST, date_range
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application
from fhir_ecg.store import search as search_sql
from fhir_ecg.store.resources import Resources

Resource = dict[str, Any]
Query = list[tuple[str, str]]

DATES = ("2025", "2026-01", "2026-01-04", "2026-01-04T08:30:00+01:00", "2026-01-04T07:30:00Z", "2026-03-01T00:00:00.5Z")
PATIENTS = ("Patient/1", "Patient/2", "Group/1", "http://ehr.example/fhir/Patient/1")
SYSTEMS, CODES = ("", "http://a", "http://b"), ("1", "2", "3")

codings = st.builds(
    lambda system, code: {"code": code} | ({"system": system} if system else {}),
    st.sampled_from(SYSTEMS),
    st.sampled_from(CODES),
)
concepts = st.lists(codings, max_size=2).map(lambda found: {"coding": found} if found else {"text": "words"})
identifiers = codings.map(
    lambda coding: {"value": coding["code"], **{k: v for k, v in coding.items() if k == "system"}}
)
subjects = st.one_of(
    st.sampled_from(PATIENTS).map(lambda target: {"reference": target}),
    identifiers.map(lambda identifier: {"identifier": identifier}),
    st.just({"display": "somebody"}),
)
periods = st.fixed_dictionaries({}, optional={"start": st.just("2026-01"), "end": st.sampled_from(DATES[1:4])})
effective = st.one_of(
    st.sampled_from(DATES).map(lambda date: {"effectiveDateTime": date}),
    periods.filter(bool).map(lambda period: {"effectivePeriod": period}),
    st.just({}),
)
statuses = st.sampled_from(["registered", "partial", "final"])


def optional(**elements: st.SearchStrategy[Any]) -> st.SearchStrategy[Resource]:
    return st.fixed_dictionaries({}, optional=elements)


observations = st.tuples(
    st.builds(lambda s: {"resourceType": "Observation", "status": s}, statuses),
    optional(identifier=st.lists(identifiers, min_size=1, max_size=2)),
).map(lambda parts: parts[0] | parts[1])
reports = st.tuples(
    st.builds(lambda s: {"resourceType": "DiagnosticReport", "status": s}, statuses),
    optional(
        identifier=st.lists(identifiers, min_size=1, max_size=2),
        conclusionCode=st.lists(concepts, min_size=1, max_size=2),
        subject=subjects,
        result=st.lists(
            st.sampled_from(["Observation/o0", "Observation/o1", "Observation/o2"]), min_size=1, max_size=2
        ).map(lambda targets: [{"reference": target} for target in targets]),
    ),
    effective,
).map(lambda parts: parts[0] | parts[1] | parts[2])
provenances = st.sampled_from(DATES[3:]).map(
    lambda date: {
        "resourceType": "Provenance",
        "recorded": date,
        "target": [{"reference": "DiagnosticReport/r0/_history/1"}],
    }
)


def tokens(nodes: list[Any]) -> list[tuple[str, str]]:
    coded = [coding for node in nodes for coding in node.get("coding", [node]) if "text" not in coding]
    return [(coding.get("system", ""), coding.get("code") or coding["value"]) for coding in coded]


def has_token(nodes: list[Any], value: str) -> bool:
    for part in value.split(","):
        system, bar, code = part.rpartition("|")
        for own_system, own_code in tokens(nodes):
            if (not bar or system == own_system) and (code in ("", own_code)):
                return True
    return False


def span(report: Resource) -> tuple[datetime, datetime] | None:
    if "effectiveDateTime" in report:
        return date_range(report["effectiveDateTime"])
    if "effectivePeriod" not in report:
        return None
    period = report["effectivePeriod"]
    low = date_range(period["start"])[0] if "start" in period else EARLIEST
    return low, date_range(period["end"])[1] if "end" in period else LATEST


def has_date(report: Resource, value: str) -> bool:
    found = span(report)
    if found is None:
        return False
    low, high = found
    prefix = value[:2] if value[0].isalpha() else "eq"
    start, end = date_range(value.removeprefix(prefix))
    within = start <= low and high <= end
    return {
        "eq": within,
        "ne": not within,
        "gt": high > end,
        "lt": low < start,
        "ge": high > end or within,
        "le": low < start or within,
        "sa": low >= end,
        "eb": high <= start,
    }[prefix]


def has_subject(report: Resource, value: str) -> bool:
    return report.get("subject", {}).get("reference") in value.split(",")


def results(report: Resource, everything: list[Resource]) -> list[Resource]:
    wanted = {node["reference"] for node in report.get("result", [])}
    return [other for other in everything if f"{other['resourceType']}/{other['id']}" in wanted]


Test = Callable[[Resource, str, list[Resource]], bool]
TESTS: dict[str, Test] = {
    "status": lambda r, v, _: r["status"] in v.split(","),
    "status:not": lambda r, v, _: r["status"] not in v.split(","),
    "identifier": lambda r, v, _: has_token(r.get("identifier", []), v),
    "identifier:not": lambda r, v, _: not has_token(r.get("identifier", []), v),
    "conclusion": lambda r, v, _: has_token(r.get("conclusionCode", []), v),
    "conclusion:missing": lambda r, v, _: ("conclusionCode" not in r) == (v == "true"),
    "subject": lambda r, v, _: has_subject(r, v),
    "subject:missing": lambda r, v, _: ("subject" not in r) == (v == "true"),
    "subject:identifier": lambda r, v, _: has_token([r.get("subject", {}).get("identifier", {"text": ""})], v),
    "subject.identifier": lambda r, v, _: has_token([r.get("subject", {}).get("identifier", {"text": ""})], v),
    "date": lambda r, v, _: any(has_date(r, part) for part in v.split(",")),
    "date:missing": lambda r, v, _: (span(r) is None) == (v == "true"),
    "result": lambda r, v, _: v in [node["reference"] for node in r.get("result", [])],
    "result.identifier": lambda r, v, a: any(has_token(o.get("identifier", []), v) for o in results(r, a)),
    "result.status:not": lambda r, v, a: any(o["status"] != v for o in results(r, a)),
    "_id": lambda r, v, _: r["id"] in v.split(","),
    "_has:Provenance:target:recorded": lambda r, v, a: (
        r["id"] == "r0"
        and any(o["resourceType"] == "Provenance" and has_date({"effectiveDateTime": o["recorded"]}, v) for o in a)
    ),
}

token_values = st.lists(
    st.one_of(st.sampled_from(CODES), st.builds("{}|{}".format, st.sampled_from(SYSTEMS), st.sampled_from(CODES))),
    min_size=1,
    max_size=2,
).map(",".join) | st.just("http://a|")
date_values = st.lists(
    st.builds(
        "{}{}".format, st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]), st.sampled_from(DATES)
    ),
    min_size=1,
    max_size=2,
).map(",".join)
status_values = st.lists(statuses, min_size=1, max_size=2).map(",".join)


def values(name: str) -> st.SearchStrategy[str]:
    if name.endswith(":missing"):
        return st.sampled_from(["true", "false"])
    if name == "date":
        return date_values
    if name.startswith("_has"):
        return st.sampled_from(["2026", "2025", "gt2026-02"])
    if "status" in name:
        return statuses if name.startswith("result") else status_values
    plain = {"subject": st.sampled_from(PATIENTS), "result": st.just("Observation/o1"), "_id": st.just("r0,r2,nobody")}
    return plain.get(name, token_values)


criteria = st.lists(
    st.sampled_from(sorted(TESTS)).flatmap(lambda name: st.tuples(st.just(name), values(name))), max_size=3
)
sorts = st.sampled_from(
    ["", "_lastUpdated", "-_id", "date", "-date", "-date,_id", "date,-_lastUpdated", "issued,-date"]
)


def expected(everything: list[Resource], query: Query, sort: str) -> list[str]:
    found = [
        (number, resource)
        for number, resource in enumerate(everything)
        if resource["resourceType"] == "DiagnosticReport"
        and all(TESTS[name](resource, value, everything) for name, value in query)
    ]
    keys = (sort or "-created").split(",")
    if keys[-1].removeprefix("-") != "_id":
        keys.append("-_id" if keys[-1].startswith("-") else "_id")

    def place(item: tuple[int, Resource], key: str) -> Any:
        name = key.removeprefix("-")
        if name == "date":
            return (span(item[1]) or (EARLIEST,))[0]
        # The first half is changed after all are created: see `store`.
        changed = item[0] // 2 + (len(everything) if item[0] < len(everything) // 2 else 0)
        return {"created": item[0] // 2, "_lastUpdated": changed, "_id": item[1]["id"], "issued": EARLIEST}[name]

    def compare(one: tuple[int, Resource], other: tuple[int, Resource]) -> int:
        for key in keys:
            a, b = place(one, key), place(other, key)
            if a != b:
                return (1 if a > b else -1) * (-1 if key.startswith("-") else 1)
        return 0

    return [resource["id"] for _, resource in sorted(found, key=cmp_to_key(compare))]


def store(session: Session, everything: list[Resource]) -> None:
    first_half = everything[: len(everything) // 2]
    for some, offset in ((everything, 0), (first_half, len(everything))):
        for number, resource in enumerate(some):
            # Two at each moment, so that the id has to decide.
            moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number // 2 + offset)
            Resources(session).put({"resourceType": "", "id": ""} | resource, moment)
    session.flush()


def pages(session: Session, query: Query) -> Iterator[search_sql.Page]:
    cursor: Query = []
    while True:
        page = search_sql.find(session, parse_search("DiagnosticReport", [*query, *cursor]))
        yield page
        if page.next_cursor is None:
            return
        cursor = [("_cursor", page.next_cursor)]


# The SQL goes other ways where much is stored; here small numbers are much.
WAYS = st.tuples(st.sampled_from([0, 1, 1000]), st.sampled_from([0, 1, 2000]), st.sampled_from([0, 2, 10_000]))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    found=st.tuples(
        st.lists(observations, max_size=3), st.lists(reports, max_size=6), st.lists(provenances, max_size=1)
    ),
    query=criteria,
    sort=sorts,
    count=st.integers(1, 4),
    ways=WAYS,
)
def test_a_search_finds_what_matches_in_order(
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
    found: tuple[list[Resource], list[Resource], list[Resource]],
    query: Query,
    sort: str,
    count: int,
    ways: tuple[int, int, int],
) -> None:
    for name, value in zip(("MOST_COUNTED", "_WINDOW", "_MOST_GATHERED"), ways, strict=True):
        monkeypatch.setattr(search_sql, name, value)
    everything = [
        resource | {"id": f"{letter}{number}"}
        for letter, some in zip("orp", found, strict=True)
        for number, resource in enumerate(some)
    ]
    wanted = expected(everything, query, sort)
    asked = [*query, ("_count", str(count)), *([("_sort", sort)] if sort else [])]
    with Session(application.store.engine) as session:
        store(session, everything)
        given_pages = list(pages(session, asked))
        counted = search_sql.find(session, parse_search("DiagnosticReport", [*asked, ("_summary", "count")]))
        exact = search_sql.find(session, parse_search("DiagnosticReport", [*asked, ("_total", "accurate")]))
        session.rollback()
    assert [identity for page in given_pages for identity in page.ids] == wanted
    assert all(len(page.ids) == count for page in given_pages[:-1])
    assert {page.total for page in given_pages} <= {None, len(wanted)}
    assert (counted.total, exact.total) == (len(wanted), len(wanted))
