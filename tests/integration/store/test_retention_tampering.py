"""What expired and what is held is in the chain: what an entry lists is no finding, and all else is."""

import json
from datetime import timedelta

import pytest
from chain_findings import findings, findings_within
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from store_tampering import RETENTION_TAMPERINGS, Tampering

from fhir_ecg.examples import example_observations
from fhir_ecg.fhir.document import Form
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.service.classify import classify
from fhir_ecg.service.legal_hold import hold_observation, hold_patient, release_hold
from fhir_ecg.service.retention import Expiry, expire
from fhir_ecg.service.submit import submit
from fhir_ecg.store.expiry import Scope
from fhir_ecg.store.migrations import downgrade, upgrade
from fhir_ecg.store.tables import JobRow


def send(application: Application, patient: str) -> str:
    """Send an ECG, and let it be read; returns its id."""
    body = json.loads(example_observations()["sinus-tachycardia"]) | {"subject": {"reference": f"Patient/{patient}"}}
    accepted = submit(application, json.dumps(body).encode(), Form(), Caller("ehr"))
    identity: str = accepted.observation.content["id"]
    with Session(application.store.engine) as session:
        job = session.scalars(select(JobRow.id).where(JobRow.observation_id == identity)).one()
    assert classify(application, job) == "read"
    return identity


def expire_now(application: Application, scope: Scope) -> int:
    expiry = Expiry(scope, now() + timedelta(seconds=1))
    cases = [case for done in expire(application, expiry, 1, "the operator") for case in done]
    return len([case for case in cases if case.hold is None])


@pytest.fixture(scope="module")
def used(application_of_module: Application) -> Application:
    """One case has expired, of one the waveform, one is held, one is neither; one hold was released."""
    application = application_of_module
    held = send(application, "held")
    hold_observation(application, held, "a lawsuit", "the operator")
    send(application, "case")
    assert expire_now(application, "case") == 1
    send(application, "waveform")
    assert expire_now(application, "waveform") == 1
    hold, _ = hold_patient(application, "waveform", "a question", "the operator")
    release_hold(application, hold.id, "it is answered", "the operator")
    send(application, "neither")
    return application


def test_what_an_entry_lists_is_no_finding(used: Application) -> None:
    assert findings(used) == []


@pytest.mark.parametrize("tampering", RETENTION_TAMPERINGS, ids=[each.name for each in RETENTION_TAMPERINGS])
def test_tampering_with_retention_is_found_and_named(used: Application, tampering: Tampering) -> None:
    with used.store.engine.connect() as connection:
        named = tampering.do(connection)
        found = findings_within(connection)
        connection.rollback()
    assert named in [(each.table, each.key) for each in found]


def test_a_hold_that_is_put_away_for_an_expiry_is_found_and_named(application: Application) -> None:
    held = send(application, "held")
    hold, _ = hold_patient(application, "held", "a lawsuit", "the operator")
    with application.store.engine.begin() as connection:
        connection.execute(text("CREATE TABLE away AS SELECT * FROM legal_hold"))
        connection.execute(text("DELETE FROM legal_hold"))
    assert expire_now(application, "case") == 1
    with application.store.engine.begin() as connection:
        connection.execute(text("INSERT INTO legal_hold SELECT * FROM away"))
        connection.execute(text("DROP TABLE away"))
    assert held
    assert [(each.table, each.key, each.what) for each in findings(application)] == [
        ("legal_hold", f"legal_hold/{hold.id}", "disagrees")
    ]


def test_what_is_older_than_the_chain_expires_too(application: Application) -> None:
    send(application, "older")
    downgrade(application.store.engine, "0009")
    upgrade(application.store.engine)
    with application.store.engine.begin() as connection:  # the moments of a prediction are a later migration's
        connection.execute(text("UPDATE job SET state = 'done'"))
    assert findings(application) == []
    assert expire_now(application, "waveform") == 1
    assert expire_now(application, "case") == 1
    assert findings(application) == []
