"""A person confirms, edits or rejects a report, by PUT and by `$confirm`."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ecg_steps import READER, decide, read_waiting, report_of
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.fhir.parsing import check_resource
from fhir_ecg.service.application import Application
from fhir_ecg.service.classify import classify
from fhir_ecg.settings import Settings
from fhir_ecg.store.migrations import upgrade
from fhir_ecg.store.tables import AuditEventRow, ConfirmationRow, JobRow

FHIR = "application/fhir+json"
LABEL = {
    "system": "http://hl7.org/fhir/uv/aitransparency/CodeSystem/AddedProvenanceCS",
    "code": "CLINAST_AIRPT",
    "display": "Clinician Asserted from AI Reported",
}
LABELLED_INSIDE = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
    "code": "PROCESSINLINELABEL",
    "display": "process inline security label",
}
INLINE = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
STATEMENTS = "http://fhir-ecg.org/fhir/CodeSystem/scp-ecg-statements"


def statement(code: str) -> dict[str, Any]:
    return {"coding": [{"system": STATEMENTS, "code": code}]}


@pytest.fixture
def observation(client: FlaskClient, examples: dict[str, bytes]) -> dict[str, Any]:
    answer = client.post("/fhir/Observation", data=examples["atrial-fibrillation"], content_type=FHIR)
    assert answer.status_code == 201
    sent: dict[str, Any] = answer.json
    return sent


@pytest.fixture
def report(client: FlaskClient, application: Application, observation: dict[str, Any]) -> dict[str, Any]:
    """A report that the model has written, with at least one finding."""
    assert read_waiting(application) == ["read"]
    found = report_of(client, observation)
    assert (found["status"], found["meta"]["versionId"]) == ("partial", "2")
    assert found["conclusionCode"]
    return found


def put(client: FlaskClient, report: dict[str, Any], **headers: str) -> TestResponse:
    given = {"If-Match": f'W/"{report["meta"]["versionId"]}"'} | {n.replace("_", "-"): v for n, v in headers.items()}
    body = json.dumps(report)
    return client.put(f"/fhir/DiagnosticReport/{report['id']}", data=body, content_type=FHIR, headers=given)


def codes(report: dict[str, Any]) -> list[str]:
    return [concept["coding"][0]["code"] for concept in report.get("conclusionCode", [])]


def plain(concepts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Concepts without what is said of them: how sure the model is, who asserts them."""
    return [{name: value for name, value in concept.items() if name != "extension"} for concept in concepts]


def problem(answer: TestResponse) -> tuple[int, str, str]:
    issue = answer.json["issue"][0]
    return answer.status_code, issue["code"], issue.get("expression", [""])[0]


def provenance_of(client: FlaskClient, report: dict[str, Any]) -> dict[str, Any]:
    version = f"DiagnosticReport/{report['id']}/_history/{report['meta']['versionId']}"
    found = client.get(f"/fhir/Provenance?target=DiagnosticReport/{report['id']}").json
    [provenance] = [e["resource"] for e in found["entry"] if e["resource"]["target"][0]["reference"] == version]
    check_resource(provenance, "Provenance")
    return dict(provenance)


def confirmations(application: Application) -> list[ConfirmationRow]:
    with Session(application.store.engine) as session:
        return list(session.scalars(select(ConfirmationRow).order_by(ConfirmationRow.report_version)))


def entries(application: Application, action: str) -> list[AuditEventRow]:
    with Session(application.store.engine) as session:
        wanted = select(AuditEventRow).where(AuditEventRow.action == action)
        return list(session.scalars(wanted.order_by(AuditEventRow.sequence)))


@pytest.mark.parametrize("how", ["PUT", "$confirm"])
def test_a_confirmed_report_is_final_and_says_who_confirmed_it(
    client: FlaskClient, application: Application, report: dict[str, Any], how: str
) -> None:
    if how == "PUT":
        answer = put(client, report | {"status": "final", "resultsInterpreter": [READER]})
    else:
        answer = decide(client, report, "confirm", {"name": "comment", "valueString": "As on the ward's monitor."})

    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"3"')
    final = answer.json
    check_resource(final, "DiagnosticReport")
    assert (final["status"], final["resultsInterpreter"]) == ("final", [READER])
    assert all("AIconfidence" in json.dumps(concept) for concept in report["conclusionCode"])
    assert final["conclusionCode"] == plain(report["conclusionCode"])
    assert final["meta"]["security"] == [LABEL]
    lines = final["conclusion"].split("\n")
    assert lines[0].startswith("Confirmed by Dr Ada Reader, 20")
    assert lines[0].endswith(" UTC.")
    assert lines[-1] == "The reading by machine stands in version 2 of this report."
    assert ("Comment: As on the ward's monitor." in lines) == (how == "$confirm")
    assert set(report["conclusion"].split("\n")[1:]) <= set(lines)
    for said in (final["conclusion"], final["text"]["div"]):
        assert "unconfirmed" not in said.lower()
        assert "Dr Ada Reader" in said
    assert client.get(f"/fhir/DiagnosticReport/{report['id']}/_history/2").json == report

    provenance = provenance_of(client, final)
    [agent] = provenance["agent"]
    assert (agent["who"], agent["type"]["coding"][0]["code"]) == (READER, "verifier")
    before = f"DiagnosticReport/{report['id']}/_history/2"
    assert provenance["entity"] == [{"role": "revision", "what": {"reference": before}}]
    [row] = confirmations(application)
    assert (row.decision, row.report_version, row.machine_version, row.interpreters) == ("confirm", 3, 2, [READER])
    [entry] = entries(application, "confirm")
    assert entry.entities[0] == f"DiagnosticReport/{report['id']}/_history/3"
    assert (entry.detail["decision"], entry.detail["from"]) == ("confirm", 2)


def test_the_probabilities_stay_the_models(client: FlaskClient, report: dict[str, Any]) -> None:
    address = f"/fhir/{report['result'][1]['reference']}"
    before = client.get(address).json
    assert decide(client, report, "confirm").status_code == 200
    after = client.get(address).json
    assert (after, after["status"]) == (before, "preliminary")
    assert after["meta"]["security"][0]["code"] == "AIAST"


def test_an_edited_report_has_the_persons_words_and_codes(
    client: FlaskClient, application: Application, report: dict[str, Any]
) -> None:
    snomed_of_left_bundle = {"coding": [{"system": "http://snomed.info/sct", "code": "164909002"}]}
    answer = decide(
        client,
        report,
        "edit",
        {"name": "conclusion", "valueString": "Left bundle branch block.\nOld infarction of the lower wall."},
        {"name": "conclusionCode", "valueCodeableConcept": snomed_of_left_bundle},
        {"name": "conclusionCode", "valueCodeableConcept": statement("IMI")},
    )
    assert answer.status_code == 200
    final = answer.json
    assert (final["status"], codes(final)) == ("final", ["CLBBB", "IMI"])
    lines = final["conclusion"].split("\n")
    assert lines[0].startswith("Edited and confirmed by Dr Ada Reader, ")
    assert lines[1:3] == ["Left bundle branch block.", "Old infarction of the lower wall."]
    assert lines[3].startswith("Coded findings: ")
    assert "(AFIB)" not in final["conclusion"]
    assert "security" not in final["meta"]  # nothing of it is the model's
    assert final["conclusionCode"] == plain(final["conclusionCode"])
    assert provenance_of(client, final)["agent"][0]["type"]["coding"][0]["code"] == "author"
    found = client.get("/fhir/DiagnosticReport?conclusion=CLBBB&results-interpreter=Practitioner/7").json
    assert found["total"] == 1
    assert confirmations(application)[0].decision == "edit"


def test_of_an_edited_report_each_code_says_whether_the_model_had_reported_it(
    client: FlaskClient, report: dict[str, Any]
) -> None:
    kept, *_ = codes(report)
    both = put(
        client,
        report | {
            "status": "final", "resultsInterpreter": [READER],
            "conclusionCode": [report["conclusionCode"][0], statement("IMI")],
        },
    ).json  # fmt: skip
    check_resource(both, "DiagnosticReport")
    assert codes(both) == [kept, "IMI"]
    assert both["meta"]["security"] == [LABELLED_INSIDE]
    models, persons = both["conclusionCode"]
    assert models["extension"] == [{"url": INLINE, "valueCoding": LABEL}]
    assert "extension" not in persons
    for accept in ("application/fhir+xml", "application/fhir+json; fhirVersion=5.0"):
        shown = client.get(f"/fhir/DiagnosticReport/{report['id']}", headers={"Accept": accept})
        assert (shown.status_code, shown.text.count("CLINAST_AIRPT")) == (200, 1)
    assert put(client, both).headers["ETag"] == 'W/"3"'  # as it was read it is no change

    edit = [{"name": "conclusionCode", "valueCodeableConcept": statement(code)} for code in ("IMI", kept)]
    models_again = decide(client, both, "edit", edit[1]).json
    assert (codes(models_again), models_again["meta"]["security"]) == ([kept], [LABEL])
    assert models_again["conclusionCode"] == plain(report["conclusionCode"][:1])
    persons_alone = decide(client, models_again, "edit", edit[0]).json
    assert (codes(persons_alone), persons_alone["meta"].get("security")) == (["IMI"], None)
    # What was taken away and comes back is what the model had reported, and a person asserts.
    assert decide(client, persons_alone, "edit", *edit).json["conclusionCode"][1] == models
    assert "AIconfidence" in client.get(f"/fhir/DiagnosticReport/{report['id']}/_history/2").text
    assert client.get("/fhir/DiagnosticReport?_security=AIAST").json["total"] == 0


def test_codes_alone_are_edited_by_put_and_the_words_follow(client: FlaskClient, report: dict[str, Any]) -> None:
    changed = {"status": "final", "resultsInterpreter": [READER], "conclusionCode": [statement("NORM")]}
    final = put(client, report | changed).json
    assert (final["status"], codes(final)) == ("final", ["NORM"])
    assert "- normal ECG (NORM)" in final["conclusion"].split("\n")
    assert "AFIB" not in final["conclusion"]
    assert any(line.startswith("Model: ") for line in final["conclusion"].split("\n"))


def test_all_codes_are_taken_away_by_put(client: FlaskClient, report: dict[str, Any]) -> None:
    changed = report | {"status": "final", "resultsInterpreter": [READER], "conclusion": "Not an ECG of a heart."}
    del changed["conclusionCode"]
    final = put(client, changed).json
    assert "conclusionCode" not in final
    assert "Coded findings: none." in final["conclusion"]


def test_after_final_a_report_is_amended_and_each_version_stays(
    client: FlaskClient, application: Application, report: dict[str, Any]
) -> None:
    final = decide(client, report, "confirm").json
    other = {"identifier": {"system": "urn:example:staff", "value": "8"}, "display": "Dr Bo Second"}
    words = final["conclusion"] + "\nAlso low voltage."
    amended = put(client, final | {"status": "amended", "resultsInterpreter": [other], "conclusion": words}).json
    assert (amended["status"], amended["meta"]["versionId"]) == ("amended", "4")
    assert amended["resultsInterpreter"] == [other]
    lines = amended["conclusion"].split("\n")
    assert lines[0].startswith("Amended by Dr Bo Second, ")
    assert "Also low voltage." in lines
    assert "Ada Reader" not in amended["conclusion"]
    assert lines.count("The reading by machine stands in version 2 of this report.") == 1
    assert [e["what"]["reference"][-1] for e in provenance_of(client, amended)["entity"]] == ["3", "2"]

    again = decide(client, amended, "edit", {"name": "conclusionCode", "valueCodeableConcept": statement("AFIB")})
    assert (again.json["status"], again.json["meta"]["security"]) == ("amended", [LABEL])
    history = client.get(f"/fhir/DiagnosticReport/{report['id']}/_history").json
    assert [e["resource"]["status"] for e in history["entry"]] == [
        "amended", "amended", "final", "partial", "registered",
    ]  # fmt: skip
    assert [row.decision for row in confirmations(application)] == ["confirm", "edit", "edit"]


@pytest.mark.parametrize("how", ["PUT", "$confirm"])
@pytest.mark.parametrize("confirmed", [False, True])
def test_a_rejected_report_is_void(
    client: FlaskClient, application: Application, report: dict[str, Any], how: str, confirmed: bool
) -> None:
    if confirmed:
        report = decide(client, report, "confirm").json
    if how == "PUT":
        answer = put(client, report | {"status": "entered-in-error", "resultsInterpreter": [READER]})
    else:
        answer = decide(client, report, "reject", {"name": "comment", "valueString": "Arms were swapped."})
    void = answer.json
    assert (answer.status_code, void["status"]) == (200, "entered-in-error")
    assert "conclusionCode" not in void
    assert "THIS REPORT IS VOID" in void["conclusion"]
    assert "Rejected by Dr Ada Reader" in void["conclusion"]
    assert ("Arms were swapped." in void["conclusion"]) == (how == "$confirm")
    assert confirmations(application)[-1].decision == "reject"
    assert problem(decide(client, void, "confirm")) == (422, "business-rule", "DiagnosticReport.status")
    assert problem(put(client, void | {"status": "final"}))[0] == 422


def test_a_report_that_is_rejected_before_the_reading_is_never_read(
    client: FlaskClient, application: Application, observation: dict[str, Any]
) -> None:
    registered = report_of(client, observation)
    assert problem(decide(client, registered, "confirm")) == (422, "business-rule", "DiagnosticReport.status")
    assert decide(client, registered, "reject").json["status"] == "entered-in-error"
    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow.id)).one()
    assert classify(application, job) == "not claimed"
    [row] = confirmations(application)
    assert (row.machine_version, row.read_at) == (None, None)


def test_if_match_is_needed_and_must_be_the_present_version(
    client: FlaskClient, application: Application, report: dict[str, Any]
) -> None:
    final = report | {"status": "final", "resultsInterpreter": [READER]}
    for absent in ("", "*"):
        assert problem(put(client, final, If_Match=absent))[:2] == (428, "required")
    assert problem(put(client, final, If_Match="two")) == (400, "value", "DiagnosticReport")
    assert problem(put(client, final, If_Match='W/"1"')) == (412, "conflict", "DiagnosticReport.meta.versionId")
    stale = client.post(
        f"/fhir/DiagnosticReport/{report['id']}/$confirm", content_type=FHIR, headers={"If-Match": '"1"'},
        data=json.dumps({"resourceType": "Parameters", "parameter": [
            {"name": "decision", "valueCode": "confirm"}, {"name": "interpreter", "valueReference": READER},
        ]}),
    )  # fmt: skip
    assert problem(stale)[0] == 412
    assert confirmations(application) == []
    assert len(entries(application, "refuse")) == 5
    assert put(client, final).status_code == 200
    assert put(client, final).status_code == 412


def test_what_is_put_again_unchanged_makes_no_version(
    client: FlaskClient, application: Application, report: dict[str, Any]
) -> None:
    assert put(client, report).headers["ETag"] == 'W/"2"'
    final = decide(client, report, "confirm").json
    assert put(client, final).headers["ETag"] == 'W/"3"'
    assert len(confirmations(application)) == 1


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"subject": {"reference": "Patient/other"}}, "DiagnosticReport.subject"),
        ({"code": {"text": "Another study"}}, "DiagnosticReport.code"),
        ({"effectiveDateTime": "1999-01-01"}, "DiagnosticReport.effectiveDateTime"),
        ({"performer": [READER]}, "DiagnosticReport.performer"),
        ({"meta": {"versionId": "2", "security": []}}, "DiagnosticReport.meta.security"),
        ({"meta": {"versionId": "2", "tag": [{"code": "x"}]}}, "DiagnosticReport.meta"),
        ({"status": "preliminary"}, "DiagnosticReport.status"),
        ({"status": "amended"}, "DiagnosticReport.status"),
        ({"status": "partial", "conclusion": "Other words."}, "DiagnosticReport.status"),
        ({"status": "confirmed"}, "DiagnosticReport.status"),
        ({"resultsInterpreter": [{"reference": "Organization/1"}]}, "DiagnosticReport.resultsInterpreter[0]"),
        ({"resultsInterpreter": [{"reference": "Device/1"}]}, "DiagnosticReport.resultsInterpreter[0].reference"),
        ({"resultsInterpreter": [{"display": "Dr Nobody"}]}, "DiagnosticReport.resultsInterpreter[0]"),
        ({"resultsInterpreter": []}, "DiagnosticReport.resultsInterpreter"),
        ({"resultsInterpreter": None}, "DiagnosticReport.resultsInterpreter"),
        ({"conclusionCode": [statement("NONE")]}, "DiagnosticReport.conclusionCode[0]"),
        ({"conclusionCode": [statement("AFIB"), {"text": "Fever"}]}, "DiagnosticReport.conclusionCode[1]"),
        (
            {"conclusionCode": [{"coding": [*statement("AFIB")["coding"],
                                            {"system": "http://snomed.info/sct", "code": "27885002"}]}]},
            "DiagnosticReport.conclusionCode[0]",
        ),
        ({"issued": "2999-01-01T00:00:00Z"}, "DiagnosticReport.issued"),
        ({"unknown": 1}, "DiagnosticReport.unknown"),
        ({"conclusion": 5}, "DiagnosticReport.conclusion"),
    ],
)  # fmt: skip
def test_what_may_not_be_changed_is_named(
    client: FlaskClient, application: Application, report: dict[str, Any], change: dict[str, Any], where: str
) -> None:
    changed = report | {"status": "final", "resultsInterpreter": [READER]} | change
    if change == {"resultsInterpreter": None}:
        del changed["resultsInterpreter"]
    status, _, expression = problem(put(client, changed | {"meta": changed["meta"] | {"versionId": "2"}}))
    assert (status, expression) == (422, where)
    assert confirmations(application) == []
    assert entries(application, "refuse")[-1].outcome == "failure"


def test_a_text_of_the_persons_own_is_kept_with_who_confirmed(client: FlaskClient, report: dict[str, Any]) -> None:
    people = {"status": "final", "resultsInterpreter": [READER]}
    still = report["text"] | {"div": report["text"]["div"].replace("Findings", "Found")}
    refused = put(client, report | people | {"text": still})
    assert problem(refused) == (422, "business-rule", "DiagnosticReport.text")
    own = {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Seen&nbsp;<b>twice</b>.</div>'}
    final = put(client, report | people | {"text": own}).json
    assert final["text"]["status"] == "additional"
    who = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Edited and confirmed by Dr Ada Reader, '
    assert final["text"]["div"].startswith(who)
    assert "<b>twice</b>" in final["text"]["div"]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ([], "required"),
        ([{"name": "decision", "valueCode": "confirm"}], "required"),
        ([{"name": "decision", "valueCode": "agree"}, {"name": "interpreter", "valueReference": READER}], "code-invalid"),  # noqa: E501
        ([{"name": "decision", "valueCode": "confirm"}, {"name": "interpreter", "valueString": "me"}], "value"),
        ([{"name": "decision", "valueCode": "confirm"}, {"name": "interpreter", "valueReference": {"reference": "Patient/1"}}], "value"),  # noqa: E501
        ([{"name": "decision", "valueCode": "edit"}, {"name": "interpreter", "valueReference": READER}], "required"),
        ([{"name": "decision", "valueCode": "confirm"}, {"name": "interpreter", "valueReference": READER},
          {"name": "conclusion", "valueString": "Other"}], "business-rule"),
        ([{"name": "decision", "valueCode": "confirm"}] * 2, "structure"),
        ([{"name": "verdict", "valueCode": "confirm"}], "not-supported"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_refused(
    client: FlaskClient, report: dict[str, Any], parameters: list[dict[str, Any]], code: str
) -> None:
    document: dict[str, Any] = {"resourceType": "Parameters"} | ({"parameter": parameters} if parameters else {})
    address = f"/fhir/DiagnosticReport/{report['id']}/$confirm"
    answer = client.post(address, data=json.dumps(document), content_type=FHIR)
    assert problem(answer)[:2] == (422, code)


def test_other_bodies_and_unknown_reports_are_refused(client: FlaskClient, report: dict[str, Any]) -> None:
    address = f"/fhir/DiagnosticReport/{report['id']}"
    match = {"If-Match": 'W/"2"'}
    assert problem(client.put(address, data="{", content_type=FHIR, headers=match)) == (
        400, "structure", "DiagnosticReport",
    )  # fmt: skip
    patient = json.dumps({"resourceType": "Patient"})
    assert client.put(address, data=patient, content_type=FHIR, headers=match).status_code == 400
    r5 = f"{FHIR}; fhirVersion=5.0"
    assert client.put(address, data=json.dumps(report), content_type=r5, headers=match).status_code == 422
    assert problem(put(client, report | {"id": "other"}))[0] == 405
    renamed = client.put(address, data=json.dumps(report | {"id": "other"}), content_type=FHIR, headers=match)
    assert problem(renamed) == (400, "value", "DiagnosticReport.id")
    assert decide(client, {"id": "other"}, "confirm").status_code == 404
    assert decide(client, {"id": "an_id"}, "confirm").status_code == 404


def test_a_report_is_confirmed_in_xml(client: FlaskClient, report: dict[str, Any]) -> None:
    address = f"/fhir/DiagnosticReport/{report['id']}"
    xml = client.get(address, headers={"Accept": "application/fhir+xml"}).text
    person = '<resultsInterpreter><reference value="Practitioner/7"/></resultsInterpreter><result>'
    changed = xml.replace('<status value="partial"/>', '<status value="final"/>').replace("<result>", person, 1)
    headers = {"If-Match": 'W/"2"', "Accept": "application/fhir+xml"}
    answer = client.put(address, data=changed, content_type="application/fhir+xml", headers=headers)
    assert answer.status_code == 200, answer.text
    assert '<status value="final"/>' in answer.text
    final = client.get(address).json
    assert final["conclusion"].startswith("Confirmed by Practitioner/7, ")
    assert client.get(address, headers={"Accept": f"{FHIR}; fhirVersion=5.0"}).json["status"] == "final"


def test_an_amended_ecg_keeps_what_was_confirmed_and_a_withdrawn_one_voids_it(
    client: FlaskClient, report: dict[str, Any], observation: dict[str, Any]
) -> None:
    final = decide(client, report, "confirm").json
    moved = observation | {"subject": {"reference": "Patient/other"}}
    body = json.dumps(moved)
    address = f"/fhir/Observation/{observation['id']}"
    assert client.put(address, data=body, content_type=FHIR).status_code == 200
    carried = report_of(client, observation)
    assert carried["subject"] == {"reference": "Patient/other"}
    for name in ("status", "conclusion", "conclusionCode", "text", "resultsInterpreter"):
        assert carried[name] == final[name]
    assert carried["meta"]["security"] == [LABEL]

    assert client.delete(address).status_code == 204
    void = client.get(f"/fhir/DiagnosticReport/{report['id']}").json
    assert (void["status"], "conclusionCode" in void) == ("entered-in-error", False)


def test_both_tell_what_is_preferred(client: FlaskClient, report: dict[str, Any]) -> None:
    final = report | {"status": "final", "resultsInterpreter": [READER]}
    answer = put(client, final, Prefer="return=minimal")
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (200, b"", 'W/"3"')


@pytest.fixture
def guarded(database_url: str, tmp_path: Path) -> Iterator[tuple[FlaskClient, Application]]:
    clients = {name: sha256(name.encode()).hexdigest() for name in ("ehr", "reading-room")}
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, clients=clients, confirming_clients=("reading-room",)
    )
    application = bootstrap(settings)
    upgrade(application.store.engine)
    yield create_app(application, settings).test_client(), application
    application.store.engine.dispose()


def test_only_the_named_clients_may_confirm(
    guarded: tuple[FlaskClient, Application], examples: dict[str, bytes]
) -> None:
    client, application = guarded
    ehr, room = ({"Authorization": f"Bearer {name}"} for name in ("ehr", "reading-room"))
    sent = client.post("/fhir/Observation", data=examples["atrial-fibrillation"], content_type=FHIR, headers=ehr).json
    assert read_waiting(application) == ["read"]
    [entry] = client.get(f"/fhir/DiagnosticReport?result=Observation/{sent['id']}", headers=ehr).json["entry"]
    final = entry["resource"] | {"status": "final", "resultsInterpreter": [READER]}
    refused = put(client, final, **ehr)
    assert problem(refused)[:2] == (403, "forbidden")
    assert "FHIR_ECG_CONFIRMING_CLIENTS" in refused.json["issue"][0]["diagnostics"]
    [refusal] = [e for e in entries(application, "refuse") if e.detail.get("problems", [{}])[0]["code"] == "forbidden"]
    assert (refusal.client, refusal.outcome) == ("ehr", "failure")
    assert put(client, final, **room).status_code == 200
    assert confirmations(application)[0].client == "reading-room"


def test_confirming_clients_must_be_known() -> None:
    with pytest.raises(ValueError, match="nobody: no such client in FHIR_ECG_CLIENTS"):
        Settings(confirming_clients=("nobody",))


def test_of_two_who_decide_at_once_one_is_told_to_read_again(
    client: FlaskClient, application: Application, settings: Settings, report: dict[str, Any]
) -> None:
    app = create_app(application, settings)
    final = report | {"status": "final", "resultsInterpreter": [READER]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: put(app.test_client(), final).status_code, range(4)))
    assert sorted(answers) == [200, 412, 412, 412]
    assert len(confirmations(application)) == 1
