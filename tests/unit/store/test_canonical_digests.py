"""The digests of docs/audit.md: computed here by hand, so that no later version computes others."""

from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir_ecg.store.audit_chain import (
    EVIDENCE,
    canonical,
    digest_of_entry,
    digest_of_genesis,
    digest_of_row,
)
from fhir_ecg.store.tables import AuditEventRow, SubmissionRow

ENTRY: dict[str, Any] = {
    "id": "5c0ffee0-0000-4000-8000-000000000001",
    "recorded": datetime(2026, 11, 22, 8, 30, 0, 125000, tzinfo=UTC),
    "action": "search",
    "outcome": "success",
    "client": None,
    "request_id": "räquest",
    "entities": ["DiagnosticReport/a/_history/1"],
    "detail": {
        "type": "DiagnosticReport",
        "b": 0.1,
        "a": 1e-07,
        "query": [["code", "\N{SMILING FACE WITH OPEN MOUTH}"]],
    },
    "lane": 3,
    "position": 7,
    "previous": "ab" * 32,
    "digests": {"Task/t/_history/2": None, "submission/s": "cd" * 32},
}
WRITTEN = (
    b'{"action":"search","detail":{"a":1e-07,"b":0.1,"query":[["code","\\ud83d\\ude03"]],"type":"DiagnosticReport"},'
    b'"digests":{"Task/t/_history/2":null,"submission/s":"' + b"cd" * 32 + b'"},'
    b'"entities":["DiagnosticReport/a/_history/1"],"form":"fhir-ecg/audit_event/1",'
    b'"id":"5c0ffee0-0000-4000-8000-000000000001","lane":3,"outcome":"success","position":7,'
    b'"previous":"' + b"ab" * 32 + b'","recorded":"2026-11-22T08:30:00.125000Z","request_id":"r\\u00e4quest"}'
)


def test_an_entry_has_this_digest_for_ever() -> None:
    assert digest_of_entry(ENTRY) == sha256(WRITTEN).hexdigest()
    assert sha256(WRITTEN).hexdigest() == "81d8b947baf03b405ebc5701e8468fd67badc481e8cf359639599ab5a8b61297"


def test_neither_its_number_nor_its_own_digest_is_covered() -> None:
    assert digest_of_entry(ENTRY | {"sequence": 4, "digest": "x"}) == digest_of_entry(ENTRY)


def test_every_other_column_is_covered() -> None:
    for column in set(AuditEventRow.__table__.columns.keys()) - {"sequence", "digest"}:
        assert digest_of_entry(ENTRY | {column: "another"}) != digest_of_entry(ENTRY), column


def test_bytes_stand_for_their_digest_and_zones_do_not_matter() -> None:
    moment = datetime(2026, 11, 22, 9, 30, tzinfo=timezone(timedelta(hours=1)))
    row = SubmissionRow(id="s", received_at=moment, media_type="m", sha256="x", body=b"ECG", client=None)
    written = (
        b'{"body":"' + sha256(b"ECG").hexdigest().encode() + b'","form":"fhir-ecg/submission/1","id":"s",'
        b'"media_type":"m","received_at":"2026-11-22T08:30:00.000000Z","sha256":"x"}'
    )
    assert digest_of_row(row) == sha256(written).hexdigest()


def test_the_genesis_has_its_lane() -> None:
    genesis = {"time": "2026-11-22T08:30:00+00:00", "lanes": 16, "rows": {"job": 2}}
    written = b'{"form":"fhir-ecg/genesis/1","lane":4,"lanes":16,"rows":{"job":2},"time":"2026-11-22T08:30:00+00:00"}'
    assert digest_of_genesis(4, genesis) == sha256(written).hexdigest()


@given(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_what_comes_back_from_a_database_has_the_same_digest(detail: dict[str, Any]) -> None:
    import json

    assert canonical("x", {"detail": json.loads(json.dumps(detail))}) == canonical("x", {"detail": detail})


# A column that is added to one of these tables is null in rows that are there already, so that their digests stay.
DEMANDED = {
    "submission": {"id", "received_at", "media_type", "sha256", "body"},
    "resource_version": {"type", "id", "version", "last_updated", "deleted"},
    "prediction": {
        "report_id", "observation_id", "model_name", "model_version", "weights_sha256", "software_version", "runtime",
        "recording_sha256", "input_sha256", "repairs", "warnings", "scores", "attempt", "started_at", "finished_at",
    },
    "cancellation": {
        "id", "report_id", "observation_id", "reasons", "software_version", "repairs", "attempt", "started_at",
        "finished_at",
    },
    "confirmation": {"report_id", "report_version", "decision", "interpreters", "decided_at"},
    "weights": {"sha256", "name", "version", "manifest_sha256", "added_at", "body"},
    "job": {"id", "observation_id", "report_id", "repairs", "created_at"},
    "admission": {"scope", "key_sha256", "body_sha256", "observation_id", "admitted_at"},
    "legal_hold": {"id", "reason", "placed_at"},
    "audit_event": {"id", "recorded", "action", "outcome", "entities", "detail"},
}  # fmt: skip


def test_what_is_added_to_a_chained_table_may_be_null() -> None:
    covered = {each.table.__tablename__: (each.table, each.columns) for each in EVIDENCE.values()}
    own = tuple(set(AuditEventRow.__table__.columns.keys()) - {"sequence", "digest"})
    for name, (table, columns) in (covered | {"audit_event": (AuditEventRow, own)}).items():
        demanded = {c.key for c in table.__table__.columns if c.key in columns and not c.nullable}
        assert demanded == DEMANDED[name], name
