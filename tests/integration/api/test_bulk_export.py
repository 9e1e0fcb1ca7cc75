"""`$export`: a view of one moment as files, by the Bulk Data pattern."""

import gzip
import json
import time
from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from ecg_steps import read_waiting
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.api.app import create_app
from fhir_ecg.fhir.document import Form
from fhir_ecg.service import export as exporting
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.submit import submit
from fhir_ecg.service.sweep import sweep
from fhir_ecg.settings import Settings
from fhir_ecg.store.tables import AuditEventRow, ExportRow, ResourceRow, ResourceVersionRow

ALL, REPORTS = "/fhir/$export", "/fhir/DiagnosticReport/$export"
ASYNC = {"Prefer": "respond-async", "Accept": "application/fhir+json"}
TYPES = ["Device", "DiagnosticReport", "Observation", "Provenance"]


def take(application: Application, ecg: bytes) -> tuple[str, str]:
    """Take an ECG in; its id and its report's."""
    accepted = submit(application, ecg, Form(), Caller())
    return accepted.observation.content["id"], accepted.report.content["id"]


@pytest.fixture
def ecg(examples: dict[str, bytes]) -> bytes:
    return examples["sinus-tachycardia"]


def begin(client: FlaskClient, path: str = ALL, **query: str) -> str:
    answer = client.get(path, query_string=query, headers=ASYNC)
    assert answer.status_code == 202, answer.data
    return str(urlsplit(answer.headers["Content-Location"]).path)


def finish(client: FlaskClient, status: str) -> TestResponse:
    while (answer := client.get(status, headers={"Accept": "application/json"})).status_code == 202:
        assert answer.headers["X-Progress"]
        assert int(answer.headers["Retry-After"]) > 0
        time.sleep(0.05)
    return answer


def export(client: FlaskClient, path: str = ALL, **query: str) -> dict[str, list[dict[str, Any]]]:
    """Export, and give the resources of each type."""
    return fetch(client, finish(client, begin(client, path, **query)).get_json())


def fetch(client: FlaskClient, manifest: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for file in manifest["output"]:
        answer = client.get(urlsplit(file["url"]).path, headers={"Accept": "application/fhir+ndjson"})
        assert (answer.status_code, answer.content_type) == (200, "application/fhir+ndjson")
        lines = [json.loads(line) for line in answer.data.splitlines()]
        assert answer.data.endswith(b"\n")
        assert len(lines) == file["count"]
        found.setdefault(file["type"], []).extend(lines)
    return found


def test_everything_is_exported_as_it_is_served(application: Application, client: FlaskClient, ecg: bytes) -> None:
    observation, report = take(application, ecg)
    assert set(read_waiting(application)) == {"read"}
    found = export(client)

    assert list(found) == TYPES
    assert {kind: len(resources) for kind, resources in found.items()} == {
        "Device": 1,
        "DiagnosticReport": 1,
        "Observation": 2,
        "Provenance": 1,
    }
    assert observation in {resource["id"] for resource in found["Observation"]}
    for kind, resources in found.items():
        for resource in resources:
            assert client.get(f"/fhir/{kind}/{resource['id']}").get_json() == resource
        assert [resource["id"] for resource in resources] == sorted(resource["id"] for resource in resources)
    assert found["DiagnosticReport"][0]["id"] == report


def test_the_kick_off_and_the_manifest_are_as_the_pattern_says(
    application: Application, client: FlaskClient, ecg: bytes
) -> None:
    take(application, ecg)
    kicked = client.get(REPORTS, query_string={"_since": "2020-01-01"}, headers=ASYNC)
    assert kicked.status_code == 202
    assert kicked.get_json()["resourceType"] == "OperationOutcome"
    place = kicked.headers["Content-Location"]
    assert place.startswith("http://localhost/fhir/_export/")

    answer = finish(client, urlsplit(place).path)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.headers["Expires"].endswith("GMT")
    manifest = answer.get_json()
    assert manifest.keys() == {"transactionTime", "request", "requiresAccessToken", "output", "deleted", "error"}
    assert manifest["request"] == f"http://localhost{REPORTS}?_since=2020-01-01"
    assert manifest["requiresAccessToken"] is False
    assert (manifest["deleted"], manifest["error"]) == ([], [])
    assert manifest["output"] == [{"type": "DiagnosticReport", "url": f"{place}/DiagnosticReport-1.ndjson", "count": 1}]


def test_post_takes_parameters(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    document = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Observation"},
            {"name": "_since", "valueInstant": "2020-01-01T00:00:00Z"},
            {"name": "_outputFormat", "valueString": "application/fhir+ndjson"},
        ],
    }
    answer = client.post(REPORTS, json=document, content_type="application/fhir+json", headers=ASYNC)
    assert answer.status_code == 202
    status = urlsplit(answer.headers["Content-Location"]).path
    assert list(fetch(client, finish(client, status).get_json())) == ["Observation"]
    assert client.post(ALL, headers=ASYNC).status_code == 202


def test_reports_come_alone_unless_more_is_asked_for(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    assert set(read_waiting(application)) == {"read"}
    assert list(export(client, REPORTS)) == ["DiagnosticReport"]
    assert list(export(client, REPORTS, _type="DiagnosticReport,Observation")) == ["DiagnosticReport", "Observation"]
    assert list(export(client, ALL, _type="Provenance")) == ["Provenance"]


def test_nothing_stored_is_a_manifest_without_files(client: FlaskClient) -> None:
    assert finish(client, begin(client)).get_json()["output"] == []


def test_an_export_is_a_view_of_its_moment(application: Application, client: FlaskClient, ecg: bytes) -> None:
    """Read and withdrawn afterwards, an ECG stands in it as it was; one that comes afterwards does not."""
    first, report = take(application, ecg)
    second, _ = take(application, ecg)
    before = {identity: client.get(f"/fhir/Observation/{identity}").get_json() for identity in (first, second)}
    registered = client.get(f"/fhir/DiagnosticReport/{report}").get_json()
    status = begin(client)
    moment = now()
    while now() <= moment:
        time.sleep(0.001)
    late, _ = take(application, ecg)
    assert client.delete(f"/fhir/Observation/{second}").status_code == 204
    read_all_but_withdrawn = finish(client, status)  # the files are found after all this
    assert read_all_but_withdrawn.status_code == 200
    assert set(read_waiting(application)) == {"read"}

    for _ in range(2):  # a download is repeated
        found = fetch(client, finish(client, status).get_json())
        assert list(found) == ["DiagnosticReport", "Observation"]
        assert {resource["id"]: resource for resource in found["Observation"]} == before
        assert {resource["status"] for resource in found["DiagnosticReport"]} == {"registered"}
        assert registered in found["DiagnosticReport"]
    later = export(client, _type="Observation,DiagnosticReport")
    assert {first, late} <= {resource["id"] for resource in later["Observation"]}
    assert second not in {resource["id"] for resource in later["Observation"]}
    assert {resource["status"] for resource in later["DiagnosticReport"]} == {"partial", "cancelled"}


def test_what_was_deleted_before_is_not_exported(application: Application, client: FlaskClient, ecg: bytes) -> None:
    kept, _ = take(application, ecg)
    deleted, _ = take(application, ecg)
    assert client.delete(f"/fhir/Observation/{deleted}").status_code == 204
    assert [resource["id"] for resource in export(client, _type="Observation")["Observation"]] == [kept]


def deletions(client: FlaskClient, **query: str) -> list[str]:
    """Export, and give the references of what was deleted."""
    manifest = finish(client, begin(client, **query)).get_json()
    found = []
    for file in manifest["deleted"]:
        assert file["type"] == "Bundle"
        bundles = [json.loads(line) for line in client.get(urlsplit(file["url"]).path).data.splitlines()]
        assert len(bundles) == file["count"]
        for bundle in bundles:
            [entry] = bundle["entry"]
            assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "transaction")
            assert entry.keys() == {"request"}
            assert entry["request"]["method"] == "DELETE"
            found.append(entry["request"]["url"])
    return found


def test_what_was_deleted_since_is_told_and_nothing_else(
    application: Application, client: FlaskClient, ecg: bytes
) -> None:
    long_gone, gone, expired, back, stays = (take(application, ecg)[0] for _ in range(5))
    assert client.delete(f"/fhir/Observation/{long_gone}").status_code == 204
    since = now()
    time.sleep(0.002)
    for identity in (gone, back):
        assert client.delete(f"/fhir/Observation/{identity}").status_code == 204
    content = client.get(f"/fhir/Observation/{stays}").get_json() | {"id": back}
    with application.store.transaction() as work:
        work.resources.delete("Observation", expired, now(), expired=True)
        work.resources.put(content, now())
    time.sleep(0.002)
    status = begin(client, _since=since.isoformat(), _type="Observation")
    time.sleep(0.002)
    assert client.delete(f"/fhir/Observation/{stays}").status_code == 204  # after the export's moment

    manifest = finish(client, status).get_json()
    assert [file["url"] for file in manifest["deleted"]] == [f"http://localhost{status}/deleted/Observation-1.ndjson"]
    assert [resource["id"] for resource in fetch(client, manifest)["Observation"]] == [back]
    assert deletions(client, _since=since.isoformat()) == sorted(
        f"Observation/{identity}" for identity in (gone, expired, stays)
    )
    assert deletions(client, _since=since.isoformat(), _type="DiagnosticReport") == []
    assert deletions(client, _since=since.isoformat(), _until=since.isoformat()) == []
    assert deletions(client) == []  # who knows no earlier state has nothing to delete
    assert client.get(f"{status}/deleted/Observation-2.ndjson").status_code == 404
    assert client.get(f"{status}/deleted/DiagnosticReport-1.ndjson").status_code == 404


def test_files_and_deletions_of_many_are_joined_each_with_its_like(
    application: Application, client: FlaskClient
) -> None:
    fill(application, "Observation", 595)
    with application.store.transaction() as work:
        for number in range(7, 595, 300):
            work.resources.delete("Observation", f"{number:05}", now())
    manifest = finish(client, begin(client, _since=(now() - timedelta(hours=1)).isoformat())).get_json()
    assert [file["count"] for file in manifest["output"]] == [249, 249, 95]
    assert [file["count"] for file in manifest["deleted"]] == [2]
    found = fetch(client, manifest)["Observation"]
    assert [int(resource["id"]) for resource in found] == [n for n in range(595) if n % 300 != 7]


def test_files_leave_threads_for_others(application: Application, settings: Settings) -> None:
    fill(application, "Observation", 200)
    client = create_app(application, settings.model_copy(update={"web_threads": 8})).test_client()
    [file] = finish(client, begin(client)).get_json()["output"]
    path = urlsplit(file["url"]).path
    begun = [client.get(path, buffered=False) for _ in range(2)]  # not read to their ends
    assert [answer.status_code for answer in begun] == [200, 200]

    refused = client.get(path)
    assert (refused.status_code, refused.get_json()["issue"][0]["code"]) == (503, "throttled")
    assert int(refused.headers["Retry-After"]) > 0
    assert client.get("/fhir/Observation?_count=1").status_code == 200
    begun[0].close()  # given up by its reader
    assert begun[1].data.count(b"\n") == 200  # read whole
    for _ in range(3):
        assert client.head(path).status_code == 200
        assert client.get(path).data.count(b"\n") == 200
    with Session(application.store.engine) as session:
        entries = session.scalars(select(AuditEventRow.detail).where(AuditEventRow.action == "export")).all()
    assert len([detail for detail in entries if "count" in detail]) == 2 + 6  # none of what was refused


def test_since_and_until_choose_by_the_last_change(application: Application, client: FlaskClient, ecg: bytes) -> None:
    old, _ = take(application, ecg)
    new, _ = take(application, ecg)
    with Session(application.store.engine) as session, session.begin():
        session.execute(
            update(ResourceVersionRow)
            .where(ResourceVersionRow.id == old)
            .values(last_updated=now() - timedelta(days=9))
        )
    between = (now() - timedelta(days=1)).isoformat()
    assert [r["id"] for r in export(client, _type="Observation", _since=between)["Observation"]] == [new]
    assert [r["id"] for r in export(client, _type="Observation", _until=between)["Observation"]] == [old]
    assert export(client, _type="Observation", _since=now().isoformat()) == {}


def test_one_exports_time_is_the_nexts_since(application: Application, client: FlaskClient, ecg: bytes) -> None:
    first, _ = take(application, ecg)
    manifest = finish(client, begin(client, _type="Observation")).get_json()
    second, _ = take(application, ecg)
    later = export(client, _type="Observation", _since=manifest["transactionTime"])
    assert [resource["id"] for resource in fetch(client, manifest)["Observation"]] == [first]
    assert [resource["id"] for resource in later["Observation"]] == [second]


def test_elements_cut_resources_down(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    found = export(client, REPORTS, _type="DiagnosticReport,Observation", _elements="DiagnosticReport.issued,subject")
    [report], [observation] = found["DiagnosticReport"], found["Observation"]
    assert report.keys() <= {"resourceType", "id", "meta", "status", "code", "issued", "subject"}
    assert observation.keys() == {"resourceType", "id", "meta", "status", "code", "subject"}
    assert report["meta"]["tag"][-1]["code"] == "SUBSETTED"


def test_a_file_is_compressed_for_whoever_takes_it(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    [file] = finish(client, begin(client, _type="Observation")).get_json()["output"]
    path = urlsplit(file["url"]).path
    plain = client.get(path)
    packed = client.get(path, headers={"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data)
    assert "Content-Encoding" not in client.get(path, headers={"Accept-Encoding": "gzip;q=0"}).headers


def fill(application: Application, kind: str, count: int) -> None:
    """Store many small resources, half of which have a second version."""
    moment = now() - timedelta(minutes=1)
    content = {"resourceType": kind, "status": "final", "code": {"text": "ECG"}}
    ids = [f"{number:05}" for number in range(count)]
    rows = [{"type": kind, "id": i, "version": 1 + int(i) % 2, "last_updated": moment} for i in ids]
    versions = [
        {
            "type": kind,
            "id": row["id"],
            "version": version,
            "last_updated": moment,
            "content": json.dumps(content | {"id": row["id"], "meta": {"versionId": str(version)}}).encode(),
        }
        for row in rows
        for version in range(1, int(row["version"]) + 1)
    ]
    with Session(application.store.engine) as session, session.begin():
        session.execute(insert(ResourceRow), rows)
        session.execute(insert(ResourceVersionRow), versions)


def test_many_resources_are_several_files_without_gap_or_overlap(application: Application, client: FlaskClient) -> None:
    fill(application, "Observation", 595)
    manifest = finish(client, begin(client)).get_json()
    assert [file["count"] for file in manifest["output"]] == [250, 250, 95]
    assert [file["url"].rpartition("/")[2] for file in manifest["output"]] == [
        f"Observation-{number}.ndjson" for number in (1, 2, 3)
    ]
    found = fetch(client, manifest)["Observation"]
    assert [resource["id"] for resource in found] == [f"{number:05}" for number in range(595)]
    assert all(resource["meta"]["versionId"] == str(1 + int(resource["id"]) % 2) for resource in found)


def test_few_resources_among_many_are_one_file(application: Application, client: FlaskClient) -> None:
    fill(application, "Observation", 2345)
    chosen = ["00007", "01500", "02344"]
    with Session(application.store.engine) as session, session.begin():
        session.execute(update(ResourceVersionRow).where(ResourceVersionRow.id.in_(chosen)).values(last_updated=now()))
    found = export(client, _since=(now() - timedelta(seconds=50)).isoformat())
    assert [resource["id"] for resource in found["Observation"]] == chosen
    manifest = finish(client, begin(client, _since=(now() - timedelta(seconds=50)).isoformat())).get_json()
    assert [file["count"] for file in manifest["output"]] == [3]


def test_polls_at_the_same_moment_find_each_file_once(application: Application, client: FlaskClient) -> None:
    fill(application, "Observation", 350)
    status = begin(client)
    identity = status.rpartition("/")[2]
    finish(client, status)
    with Session(application.store.engine) as session, session.begin():
        row = session.get_one(ExportRow, identity)
        row.kind, row.after, row.files, row.steps, row.walked = "Device", "", [], 0, 0
    seen = exporting.find(application, identity, Caller())
    assert seen is not None
    assert exporting.advance(application, seen).complete
    assert exporting.advance(application, seen) == seen  # who comes too late changes nothing
    assert [file["count"] for file in finish(client, status).get_json()["output"]] == [250, 100]


def test_a_walk_goes_on_where_it_was_left(application: Application, client: FlaskClient) -> None:
    fill(application, "Observation", 350)
    identity = begin(client).rpartition("/")[2]
    steps = 0
    while True:
        with application.store.transaction() as work:
            export_now = work.exports.get(identity, None, now())
            assert export_now is not None
            if export_now.complete:
                break
            assert work.exports.advance(export_now, work.exports.walk(export_now))
        steps += 1
    assert steps == 6  # an end for each of four types, and two pieces
    assert [file.count for file in export_now.files] == [250, 100]
    assert export_now.walked == 350


def test_given_up_it_is_gone(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    status = begin(client)
    [file, *_] = finish(client, status).get_json()["output"]
    answer = client.delete(status)
    assert (answer.status_code, answer.get_json()["resourceType"]) == (202, "OperationOutcome")
    for path in (status, urlsplit(file["url"]).path):
        assert client.get(path).status_code == 404
    assert client.delete(status).status_code == 404


def test_it_expires_and_is_swept_away(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    status = begin(client)
    finish(client, status)
    with Session(application.store.engine) as session, session.begin():
        session.execute(update(ExportRow).values(expires_at=now()))
    assert client.get(status).status_code == 404
    assert client.get(f"{status}/DiagnosticReport-1.ndjson").status_code == 404
    begin(client)
    with Session(application.store.engine) as session, session.begin():
        assert len(session.scalars(select(ExportRow)).all()) == 1
        session.execute(update(ExportRow).values(expires_at=now()))
    sweep(application)  # also where nobody begins another
    with Session(application.store.engine) as session:
        assert session.scalars(select(ExportRow)).all() == []


def test_a_client_has_so_many_at_a_time(client: FlaskClient) -> None:
    statuses = [begin(client) for _ in range(exporting.MOST_OPEN)]
    answer = client.get(ALL, headers=ASYNC)
    assert answer.status_code == 429
    assert answer.get_json()["issue"][0]["code"] == "throttled"
    assert int(answer.headers["Retry-After"]) > 0
    assert client.delete(statuses[0]).status_code == 202
    begin(client)


def test_only_who_asked_sees_it(application: Application, settings: Settings, ecg: bytes) -> None:
    take(application, ecg)
    tokens = {name: f"token-of-{name}" for name in ("archive", "other")}
    clients = {name: sha256(token.encode()).hexdigest() for name, token in tokens.items()}
    app = create_app(application, settings.model_copy(update={"clients": clients}))
    callers = {}
    for name, token in tokens.items():
        callers[name] = app.test_client()
        callers[name].environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    status = begin(callers["archive"])
    manifest = finish(callers["archive"], status).get_json()
    assert manifest["requiresAccessToken"] is True
    file = urlsplit(manifest["output"][0]["url"]).path

    for path in (status, file):
        assert callers["other"].get(path).status_code == 404
        assert app.test_client().get(path).status_code == 401
    assert callers["other"].delete(status).status_code == 404
    assert callers["archive"].get(file).status_code == 200
    assert app.test_client().get(ALL, headers=ASYNC).status_code == 401


def test_what_went_out_is_audited(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    status = begin(client, _type="Observation")
    finish(client, status)
    assert client.get(f"{status}/Observation-1.ndjson").status_code == 200
    with Session(application.store.engine) as session:
        entries = session.scalars(
            select(AuditEventRow).where(AuditEventRow.action == "export").order_by(AuditEventRow.sequence)
        ).all()
    kick_off, file = (entry.detail for entry in entries)
    assert kick_off["types"] == ["Observation"]
    assert (file["type"], file["count"]) == ("Observation", 1)
    assert kick_off["export"] == file["export"] == status.rpartition("/")[2]
    assert kick_off["as_of"] == file["as_of"]


@pytest.mark.parametrize("path", [ALL, REPORTS])
@pytest.mark.parametrize("prefer", [None, "return=minimal", "handling=lenient"])
def test_without_respond_async_it_is_refused(client: FlaskClient, path: str, prefer: str | None) -> None:
    answer = client.get(path, headers={"Prefer": prefer} if prefer else {})
    assert answer.status_code == 400
    assert "respond-async" in answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "query",
    [
        "patient=Patient/1",
        "_typeFilter=Observation%3Fstatus%3Dfinal",
        "_type=Patient",
        "_type=",
        "_since=yesterday",
        "_since=2026-02-30",
        "_until=%00",
        "_outputFormat=text/csv",
        "_elements=%00",
    ],
)
def test_what_is_not_understood_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"{ALL}?{query}", headers=ASYNC)
    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["diagnostics"]


def test_lenient_handling_leaves_out_what_is_unknown(client: FlaskClient) -> None:
    answer = client.get(
        f"{ALL}?patient=1&_type=Patient,Device", headers=ASYNC | {"Prefer": "respond-async, handling=lenient"}
    )
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "body", [b"{", b'{"resourceType": "Patient"}', b'{"resourceType": "Parameters", "parameter": 1}']
)
def test_odd_bodies_are_refused(client: FlaskClient, body: bytes) -> None:
    answer = client.post(ALL, data=body, content_type="application/fhir+json", headers=ASYNC)
    assert answer.status_code == 400


@pytest.mark.parametrize("identity", ["1", "x" * 36, "../..", "%00", str(uuid4()), str(uuid4()).upper()])
def test_an_unknown_export_is_404(client: FlaskClient, identity: str) -> None:
    for path in (f"/fhir/_export/{identity}", f"/fhir/_export/{identity}/Observation-1.ndjson"):
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()["resourceType"]) == (404, "OperationOutcome")
    assert client.delete(f"/fhir/_export/{identity}").status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "Observation-0.ndjson",
        "Observation-2.ndjson",
        "Observation--1.ndjson",
        "Observation-99999999999999999999.ndjson",
        "Observation-1",
        "Observation-1.json",
        "Device-1.ndjson",
        "Patient-1.ndjson",
        "Observation-one.ndjson",
    ],
)
def test_an_unknown_file_is_404(application: Application, client: FlaskClient, ecg: bytes, name: str) -> None:
    take(application, ecg)
    status = begin(client)
    finish(client, status)
    assert client.get(f"{status}/Observation-1.ndjson").status_code == 200
    answer = client.get(f"{status}/{name}", headers={"Accept": "application/fhir+ndjson"})
    assert (answer.status_code, answer.get_json()["resourceType"]) == (404, "OperationOutcome")


def test_a_file_that_is_not_known_yet_is_404(application: Application, client: FlaskClient, ecg: bytes) -> None:
    take(application, ecg)
    assert client.get(f"{begin(client)}/Observation-1.ndjson").status_code == 404
