"""Ways to change a database behind the service's back, each with the table and key that verification must name."""
# ruff: noqa: E501, S608 -- a table of SQL statements

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.orm import Session

from fhir_ecg.store.audit_chain import EVIDENCE, append, digest_of_entry, digest_of_row
from fhir_ecg.store.tables import AuditEventRow, SubmissionRow

Named = tuple[str, str]


class Tampering(NamedTuple):
    """One thing that somebody does in SQL."""

    name: str
    do: Callable[[Connection], Named]
    """Returns the table, and the key or a part of it, that a finding must name."""


def one(connection: Connection, sql: str, **values: Any) -> Any:
    row = connection.execute(text(sql), values).first()
    assert row is not None, sql
    return row


def run(connection: Connection, sql: str, **values: Any) -> None:
    assert connection.execute(text(sql), values).rowcount > 0, sql


# The current version of the one report that was read and not changed since.
_READ = "SELECT report_id, id, observation_id FROM job WHERE state = 'done' AND report_id IN (SELECT p.report_id FROM prediction p JOIN resource r ON r.type = 'DiagnosticReport' AND r.id = p.report_id AND r.version = 2) ORDER BY id"


def _entry(column: str, value: Any, action: str = "create") -> Callable[[Connection], Named]:
    def do(connection: Connection) -> Named:
        row = one(connection, f"SELECT id FROM audit_event WHERE action = '{action}' ORDER BY sequence")
        run(connection, f"UPDATE audit_event SET {column} = :value WHERE id = :id", value=value, id=row.id)
        return "audit_event", row.id

    return do


def _delete_entry(order: str) -> Callable[[Connection], Named]:
    def do(connection: Connection) -> Named:
        row = one(connection, f"SELECT id, lane, position FROM audit_event ORDER BY {order}")
        run(connection, "DELETE FROM audit_event WHERE id = :id", id=row.id)
        return "audit_event", f"{row.lane}/{row.position}"

    return do


def _truncate(connection: Connection) -> Named:
    lane = one(connection, "SELECT lane FROM audit_lane WHERE position > 0 ORDER BY lane").lane
    run(connection, "DELETE FROM audit_event")
    return "audit_event", f"{lane}/1"


def _truncate_lane(connection: Connection) -> Named:
    lane = one(connection, "SELECT lane FROM audit_lane WHERE position > 0 ORDER BY position DESC").lane
    run(connection, "DELETE FROM audit_event WHERE lane = :lane", lane=lane)
    return "audit_event", f"{lane}/1"


_COPIED = "recorded, action, outcome, client, request_id, entities, detail"


def _insert_unchained(connection: Connection) -> Named:
    run(connection, f"INSERT INTO audit_event (id, {_COPIED}) SELECT 'forged', {_COPIED} FROM audit_event LIMIT 1")
    return "audit_event", "audit_event/forged"


def _insert_at_end(connection: Connection) -> Named:
    run(
        connection,
        f"INSERT INTO audit_event (id, {_COPIED}, lane, position, previous, digest) SELECT 'forged', {_COPIED}, "
        "lane, position + 1, digest, digest FROM audit_event ORDER BY lane, position DESC LIMIT 1",
    )
    return "audit_event", "forged"


def _insert_in_new_lane(connection: Connection) -> Named:
    run(
        connection,
        f"INSERT INTO audit_event (id, {_COPIED}, lane, position, previous, digest) SELECT 'forged', {_COPIED}, "
        "77, 1, digest, digest FROM audit_event LIMIT 1",
    )
    return "audit_lane", "77"


def _swap_entries(connection: Connection) -> Named:
    rows = connection.execute(text("SELECT id, lane, position FROM audit_event ORDER BY sequence LIMIT 2")).all()
    first, second = rows
    move = "UPDATE audit_event SET lane = :lane, position = :position WHERE id = :id"
    run(connection, move, id=first.id, lane=99, position=99)
    run(connection, move, id=second.id, lane=first.lane, position=first.position)
    run(connection, move, id=first.id, lane=second.lane, position=second.position)
    return "audit_event", first.id


def _swap_numbers(connection: Connection) -> Named:
    lane = one(connection, "SELECT lane FROM audit_lane WHERE position > 1 ORDER BY position DESC").lane
    wanted = "SELECT id, sequence FROM audit_event WHERE lane = :lane ORDER BY position LIMIT 2"
    first, second = connection.execute(text(wanted), {"lane": lane}).all()
    move = "UPDATE audit_event SET sequence = :sequence WHERE id = :id"
    for identity, sequence in ((first.id, 10**6), (second.id, first.sequence), (first.id, second.sequence)):
        run(connection, move, id=identity, sequence=sequence)
    return "audit_event", second.id


def _forge_entry(which: str) -> Callable[[Connection], Named]:
    """Change who did it, and compute its digest as the service does."""

    def do(connection: Connection) -> Named:
        lane = one(connection, "SELECT lane FROM audit_lane WHERE position > 1 ORDER BY position DESC").lane
        table = AuditEventRow.__table__
        order = table.c.position if which == "first" else table.c.position.desc()
        row = connection.execute(select(table).where(table.c.lane == lane).order_by(order)).mappings().first()
        assert row is not None
        forged = dict(row) | {"client": "somebody-else"}
        values = {"client": "somebody-else", "digest": digest_of_entry(forged)}
        connection.execute(update(AuditEventRow).where(AuditEventRow.id == row["id"]).values(**values))
        return "audit_event", row["id"]

    return do


def _cover_by_an_entry(connection: Connection) -> Named:
    """Change a row, and put an entry at the end of a lane that holds what it is now, as the service would write it."""
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        row = session.scalars(select(SubmissionRow).order_by(SubmissionRow.id).limit(1)).one()
        row.client = "somebody-else"
        session.flush()
        name, last = EVIDENCE[SubmissionRow].key(row), func.max(AuditEventRow.recorded)
        entry = {"id": "covering", "recorded": session.scalar(select(last)), "action": "create", "outcome": "success"}
        digests = {name: digest_of_row(row)}
        append(
            session, [entry | {"entities": [], "detail": {}, "digests": digests, "client": None, "request_id": None}]
        )
        session.commit()
    return "submission", name


def _lane(change: str) -> Callable[[Connection], Named]:
    def do(connection: Connection) -> Named:
        lane = one(connection, "SELECT lane FROM audit_lane ORDER BY position DESC").lane
        run(connection, f"{change} WHERE lane = :lane", lane=lane)
        return "audit_lane", str(lane)

    return do


def _genesis(connection: Connection) -> Named:
    lane = one(connection, "SELECT lane FROM audit_lane ORDER BY position DESC").lane
    change = "UPDATE audit_lane SET genesis = :genesis WHERE lane = :lane"
    run(connection, change, genesis='{"time": "2020-01-01T00:00:00+00:00", "lanes": 1, "rows": {}}', lane=lane)
    return "audit_lane", str(lane)


def _all_lanes(connection: Connection) -> Named:
    run(connection, "DELETE FROM audit_lane")
    return "audit_lane", "0"


def _row(table: str, change: str, key: str, names: str, where: str = "") -> Callable[[Connection], Named]:
    """Change, or delete, the first row of a table: `names` are its key's columns, `key` how the chain calls it."""

    def do(connection: Connection) -> Named:
        read = one(connection, _READ)
        known = {"report": read.report_id, "job": read.id, "observation": read.observation_id}
        condition = (where or "1 = 1").format(**known)
        row = one(connection, f"SELECT {names} FROM {table} WHERE {condition} ORDER BY {names}")._mapping
        same = " AND ".join(f"{name} = :{name}" for name in row)
        run(connection, f"{change.format(**known)} WHERE {same}", **row, new=b'{"id": "x"}', true=True, false=False)
        return table, key.format(**row)

    return do


_REPORT = "id = '{report}'"
_VERSION = "{type}/{id}/_history/{version}"


def _version(change: str, where: str = f"{_REPORT} AND version = 2") -> Callable[[Connection], Named]:
    return _row("resource_version", change, _VERSION, "type, id, version", where)


def _insert_version(connection: Connection) -> Named:
    read = one(connection, _READ)
    copied = "INSERT INTO resource_version (type, id, version, last_updated, content, deleted) SELECT type, id, 3, last_updated, content, deleted FROM resource_version WHERE id = :id AND version = 2"
    run(connection, copied, id=read.report_id)
    run(connection, "UPDATE resource SET version = 3 WHERE id = :id", id=read.report_id)
    return "resource_version", f"DiagnosticReport/{read.report_id}/_history/3"


def _insert_resource(connection: Connection) -> Named:
    copied = "INSERT INTO resource_version (type, id, version, last_updated, content, deleted) SELECT type, 'forged', 1, last_updated, content, deleted FROM resource_version WHERE type = 'Provenance' AND content IS NOT NULL"
    run(connection, f"{copied} LIMIT 1")
    run(
        connection,
        "INSERT INTO resource (type, id, version, last_updated, deleted, index_version) SELECT type, id, version, "
        "last_updated, deleted, 1 FROM resource_version WHERE id = 'forged'",
    )
    return "resource_version", "Provenance/forged/_history/1"


def _swap_contents(connection: Connection) -> Named:
    rows = connection.execute(
        text("SELECT id, content FROM resource_version WHERE type = 'DiagnosticReport' AND version = 1 ORDER BY id")
    ).all()
    for row, other in ((rows[0], rows[1]), (rows[1], rows[0])):
        change = "UPDATE resource_version SET content = :content WHERE id = :id AND version = 1"
        run(connection, change, content=other.content, id=row.id)
    return "resource_version", f"DiagnosticReport/{rows[1].id}/_history/1"


def _swap_bodies(connection: Connection) -> Named:
    rows = connection.execute(text("SELECT id, body, sha256 FROM submission ORDER BY id LIMIT 2")).all()
    for row, other in ((rows[0], rows[1]), (rows[1], rows[0])):
        change = "UPDATE submission SET body = :body, sha256 = :sha256 WHERE id = :id"
        run(connection, change, body=other.body, sha256=other.sha256, id=row.id)
    return "submission", f"submission/{rows[0].id}"


def _delete_submission(connection: Connection) -> Named:
    row = one(connection, "SELECT id FROM submission ORDER BY id")
    run(connection, "UPDATE resource_version SET submission_id = NULL WHERE submission_id = :id", id=row.id)
    run(connection, "DELETE FROM submission WHERE id = :id", id=row.id)
    return "submission", f"submission/{row.id}"


def _swap_jobs(connection: Connection) -> Named:
    rows = connection.execute(text("SELECT id, report_id FROM job ORDER BY id LIMIT 2")).all()
    move = "UPDATE job SET report_id = :report WHERE id = :id"
    for identity, report in ((rows[0].id, "none"), (rows[1].id, rows[0].report_id), (rows[0].id, rows[1].report_id)):
        run(connection, move, id=identity, report=report)
    return "job", f"job/{rows[0].id}"


def _swap_predictions(connection: Connection) -> Named:
    rows = connection.execute(text("SELECT report_id FROM prediction ORDER BY report_id LIMIT 2")).all()
    first, second = (row.report_id for row in rows)
    move = "UPDATE prediction SET report_id = :new WHERE report_id = :old"
    for old, new in ((first, "none"), (second, first), ("none", second)):
        run(connection, move, old=old, new=new)
    return "prediction", f"prediction/{first}"


def _copy(table: str, but: dict[str, str], key: str) -> Callable[[Connection], Named]:
    """Insert a copy of a row of which some columns are others."""

    def do(connection: Connection) -> Named:
        columns = list(one(connection, f"SELECT * FROM {table}")._mapping)
        values = ", ".join(f"'{but[name]}'" if name in but else name for name in columns)
        copied = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} LIMIT 1"
        run(connection, copied)
        return table, key

    return do


def _index(table: str, change: str, where: str = "resource_id = '{report}'") -> Callable[[Connection], Named]:
    names = "resource_type, resource_id, parameter"
    return _row(table, change, "{resource_type}/{resource_id}", names, where)


def _insert_token(connection: Connection) -> Named:
    read = one(connection, _READ)
    columns = "resource_type, resource_id, parameter, system, code"
    run(
        connection,
        f"INSERT INTO search_token ({columns}) VALUES ('DiagnosticReport', :id, 'status', '', 'final')",
        id=read.report_id,
    )
    return "search_token", f"DiagnosticReport/{read.report_id}"


def _index_of_nothing(connection: Connection) -> Named:
    columns = "resource_type, resource_id, parameter, target"
    run(connection, f"INSERT INTO search_reference ({columns}) VALUES ('DiagnosticReport', 'ghost', 'subject', 'x')")
    return "search_reference", "DiagnosticReport/ghost"


def _audit_reference(change: str) -> Callable[[Connection], Named]:
    def do(connection: Connection) -> Named:
        row = one(connection, "SELECT event_id FROM audit_reference ORDER BY event_id, role, value")
        run(connection, f"{change} WHERE event_id = :event", event=row.event_id)
        return "audit_reference", row.event_id

    return do


_UTC = "'2020-01-01 00:00:00.000000'"
_JOB = "id = '{job}'"
_PREDICTION = "report_id = '{report}'"
_ADMISSION = "admission/{scope}/{key_sha256}/{observation_id}"
_ADMISSION_KEY = "scope, key_sha256, observation_id"


def _job(change: str, where: str = _JOB) -> Callable[[Connection], Named]:
    return _row("job", f"UPDATE job SET {change}", "job/{id}", "id", where)


def _prediction(change: str) -> Callable[[Connection], Named]:
    return _row("prediction", f"UPDATE prediction SET {change}", "prediction/{report_id}", "report_id", _PREDICTION)


def _submission(change: str) -> Callable[[Connection], Named]:
    return _row("submission", f"UPDATE submission SET {change}", "submission/{id}", "id")


def _resource(change: str, where: str = _REPORT) -> Callable[[Connection], Named]:
    return _row("resource", f"UPDATE resource SET {change}", "{type}/{id}", "type, id", where)


def _admission(change: str) -> Callable[[Connection], Named]:
    return _row("admission", change, _ADMISSION, _ADMISSION_KEY)


def _confirmation(change: str) -> Callable[[Connection], Named]:
    return _row("confirmation", change, "confirmation/{report_id}/{report_version}", "report_id, report_version")


def _expired_again(connection: Connection) -> Named:
    """Let a prediction that expired with its case be there again."""
    gone = one(
        connection,
        "SELECT report_id FROM job WHERE report_id IN (SELECT id FROM resource WHERE type = 'DiagnosticReport' AND deleted)",
    )
    return _copy("prediction", {"report_id": gone.report_id}, f"prediction/{gone.report_id}")(connection)


_GONE = "expired_at IS NOT NULL"
_EMPTY = f"{_GONE} AND NOT deleted AND type = 'Observation'"
_HELD = "id IN (SELECT submission_id FROM resource_version WHERE id IN (SELECT observation_id FROM legal_hold))"


def _hold(change: str, key: str, where: str) -> Callable[[Connection], Named]:
    return _row("legal_hold", change, key, "id", where)


RETENTION_TAMPERINGS = [
    Tampering("submission: restored", _row("submission", "UPDATE submission SET expired_at = NULL, body = :new", "submission/{id}", "id", _GONE)),
    Tampering("submission: bytes in what has expired", _row("submission", "UPDATE submission SET body = :new", "submission/{id}/expired", "id", _GONE)),
    Tampering("submission: time of expiry changed", _row("submission", f"UPDATE submission SET expired_at = {_UTC}", "submission/{id}/expired", "id", _GONE)),
    Tampering("submission: expiry of a held ECG forged", _row("submission", f"UPDATE submission SET body = '', expired_at = {_UTC}", "submission/{id}", "id", _HELD)),
    Tampering("submission: emptied without expiry", _row("submission", "UPDATE submission SET body = ''", "submission/{id}", "id", _HELD)),
    Tampering("version: restored", _row("resource_version", "UPDATE resource_version SET expired_at = NULL, content = :new", _VERSION, "type, id, version", _EMPTY)),
    Tampering("version: content in what has expired", _row("resource_version", "UPDATE resource_version SET content = :new", f"{_VERSION}/expired", "type, id, version", _EMPTY)),
    Tampering("version: expiry forged", _version(f"UPDATE resource_version SET content = NULL, expired_at = {_UTC}")),
    Tampering("version: an expired one deleted", _row("resource_version", "DELETE FROM resource_version", f"{_VERSION}/expired", "type, id, version", _EMPTY)),
    Tampering("version: the deletion of an expired case undone", _row("resource_version", "UPDATE resource_version SET deleted = :false", f"{_VERSION}/expired", "type, id, version", f"{_GONE} AND deleted")),
    Tampering("prediction: one more removed than is listed", _row("prediction", "DELETE FROM prediction", "prediction/{report_id}", "report_id")),
    Tampering("prediction: one of an expired case again", _expired_again),
    Tampering("hold: reason changed", _hold("UPDATE legal_hold SET reason = 'none'", "legal_hold/{id}", "released_at IS NULL")),
    Tampering("hold: another ECG", _hold("UPDATE legal_hold SET observation_id = 'another'", "legal_hold/{id}", "released_at IS NULL")),
    Tampering("hold: deleted", _hold("DELETE FROM legal_hold", "legal_hold/{id}", "released_at IS NULL")),
    Tampering("hold: released", _hold(f"UPDATE legal_hold SET released_at = {_UTC}, release_reason = 'x'", "legal_hold/{id}", "released_at IS NULL")),
    Tampering("hold: release changed", _hold("UPDATE legal_hold SET release_reason = 'x'", "legal_hold/{id}/released", "released_at IS NOT NULL")),
    Tampering("hold: release undone", _hold("UPDATE legal_hold SET released_at = NULL, release_reason = NULL", "legal_hold/{id}", "released_at IS NOT NULL")),
    Tampering("hold: inserted", _copy("legal_hold", {"id": "forged"}, "legal_hold/forged")),
]  # fmt: skip

TAMPERINGS = [
    Tampering("entry: put in to cover a change", _cover_by_an_entry),
    Tampering("entry: client changed", _entry("client", "somebody-else")),
    Tampering("entry: request erased", _entry("request_id", None)),
    Tampering("entry: time changed", _entry("recorded", "2020-01-01 00:00:00.000000")),
    Tampering("entry: action changed", _entry("action", "read")),
    Tampering("entry: outcome changed", _entry("outcome", "success", "refuse")),
    Tampering("entry: request changed", _entry("request_id", "another")),
    Tampering("entry: entities changed", _entry("entities", "[]")),
    Tampering("entry: query changed", _entry("detail", "{}", "search")),
    Tampering("entry: held digests changed", _entry("digests", "{}")),
    Tampering("entry: id changed", lambda c: (_entry("id", "forged")(c)[0], "forged")),
    Tampering("entry: digest changed", _entry("digest", "0" * 64)),
    Tampering("entry: link changed", _entry("previous", "0" * 64)),
    Tampering("entry: the first deleted", _delete_entry("sequence")),
    Tampering("entry: one in the middle deleted", _delete_entry("position DESC, lane LIMIT 1 OFFSET 1")),
    Tampering("entry: the last deleted", _delete_entry("sequence DESC")),
    Tampering("entries: all deleted", _truncate),
    Tampering("entries: a lane cut off", _truncate_lane),
    Tampering("entry: inserted beside the chain", _insert_unchained),
    Tampering("entry: inserted at the end", _insert_at_end),
    Tampering("entry: inserted in a lane of its own", _insert_in_new_lane),
    Tampering("entries: two swapped", _swap_entries),
    Tampering("entries: numbers of two swapped", _swap_numbers),
    Tampering("entry: the first forged with its digest", _forge_entry("first")),
    Tampering("entry: the last forged with its digest", _forge_entry("last")),
    Tampering("lane: head changed", _lane(f"UPDATE audit_lane SET head = '{'0' * 64}'")),
    Tampering("lane: put back", _lane("UPDATE audit_lane SET position = position - 1")),
    Tampering("lane: put forward", _lane("UPDATE audit_lane SET position = position + 1")),
    Tampering("lane: deleted", _lane("DELETE FROM audit_lane")),
    Tampering("lane: genesis changed", _genesis),
    Tampering("lanes: all deleted", _all_lanes),
    Tampering("version: content changed", _version("UPDATE resource_version SET content = :new")),
    Tampering("version: an older one changed", _version("UPDATE resource_version SET content = :new", f"{_REPORT} AND version = 1")),
    Tampering("version: time changed", _version(f"UPDATE resource_version SET last_updated = {_UTC}")),
    Tampering("version: marked as deleted", _version("UPDATE resource_version SET deleted = :true")),
    Tampering("version: a deletion undone", _version("UPDATE resource_version SET deleted = :false", "deleted")),
    Tampering("version: another submission", _version("UPDATE resource_version SET submission_id = (SELECT max(s.id) FROM submission s WHERE s.id <> resource_version.submission_id)", "submission_id IS NOT NULL")),
    Tampering("version: deleted", _version("DELETE FROM resource_version")),
    Tampering("version: an older one deleted", _version("DELETE FROM resource_version", f"{_REPORT} AND version = 1")),
    Tampering("version: inserted", _insert_version),
    Tampering("versions: contents of two swapped", _swap_contents),
    Tampering("resource: inserted", _insert_resource),
    Tampering("resource: put back to an older version", _resource("version = 1")),
    Tampering("resource: time changed", _resource(f"last_updated = {_UTC}")),
    Tampering("resource: marked as deleted", _resource("deleted = :true")),
    Tampering("resource: a deletion undone", _resource("deleted = :false", "deleted")),
    Tampering("resource: said to be indexed by an older version", _resource("index_version = 0")),
    Tampering("resource: deleted", _row("resource", "DELETE FROM resource", "{type}/{id}", "type, id", _REPORT)),
    Tampering("submission: body changed", _submission("body = :new")),
    Tampering("submission: digest changed", _submission(f"sha256 = '{'0' * 64}'")),
    Tampering("submission: sender changed", _submission("client = 'somebody-else'")),
    Tampering("submission: type changed", _submission("media_type = 'text/plain'")),
    Tampering("submission: time changed", _submission(f"received_at = {_UTC}")),
    Tampering("submission: inserted", _copy("submission", {"id": "forged"}, "submission/forged")),
    Tampering("submission: deleted", _delete_submission),
    Tampering("submissions: bodies of two swapped", _swap_bodies),
    Tampering("prediction: model changed", _prediction("model_name = 'another'")),
    Tampering("prediction: weights changed", _prediction(f"weights_sha256 = '{'0' * 64}'")),
    Tampering("prediction: scores changed", _prediction("scores = '[]'")),
    Tampering("prediction: repairs changed", _prediction("repairs = '[\"none\"]'")),
    Tampering("prediction: input changed", _prediction(f"input_sha256 = '{'0' * 64}'")),
    Tampering("prediction: time changed", _prediction(f"finished_at = {_UTC}")),
    Tampering("prediction: deleted", _row("prediction", "DELETE FROM prediction", "prediction/{report_id}", "report_id", _PREDICTION)),
    Tampering("prediction: inserted", _copy("prediction", {"report_id": "forged"}, "prediction/forged")),
    Tampering("predictions: two swapped", _swap_predictions),
    Tampering("cancellation: reasons changed", _row("cancellation", "UPDATE cancellation SET reasons = '[]'", "cancellation/{id}", "id")),
    Tampering("cancellation: deleted", _row("cancellation", "DELETE FROM cancellation", "cancellation/{id}", "id")),
    Tampering("confirmation: decision changed", _confirmation("UPDATE confirmation SET decision = 'reject'")),
    Tampering("confirmation: person changed", _confirmation("UPDATE confirmation SET interpreters = '[{{\"reference\": \"Practitioner/8\"}}]'")),
    Tampering("confirmation: client changed", _confirmation("UPDATE confirmation SET client = 'somebody-else'")),
    Tampering("confirmation: model's version changed", _confirmation("UPDATE confirmation SET machine_version = 1")),
    Tampering("confirmation: time changed", _confirmation(f"UPDATE confirmation SET decided_at = {_UTC}")),
    Tampering("confirmation: deleted", _confirmation("DELETE FROM confirmation")),
    Tampering("confirmation: inserted", _copy("confirmation", {"report_id": "forged"}, "confirmation/forged/3")),
    Tampering("weights: name changed", _row("weights", "UPDATE weights SET name = 'another'", "weights/{sha256}", "sha256")),
    Tampering("weights: bytes changed", _row("weights", "UPDATE weights SET body = :new", "weights/{sha256}", "sha256")),
    Tampering("weights: deleted", _row("weights", "DELETE FROM weights", "weights/{sha256}", "sha256")),
    Tampering("job: to be read again", _job("state = 'waiting', finished_at = NULL")),
    Tampering("job: failed", _job("state = 'failed'")),
    Tampering("job: withdrawn", _job("state = 'withdrawn'")),
    Tampering("job: no state", _job("state = 'lost'")),
    Tampering("job: end changed", _job(f"finished_at = {_UTC}")),
    Tampering("job: attempts changed", _job("attempts = 9")),
    Tampering("job: repairs changed", _job("repairs = '[\"none\"]'")),
    Tampering("job: request changed", _job("request_id = 'another'")),
    Tampering("job: begin changed", _job(f"created_at = {_UTC}")),
    Tampering("job: another ECG", _job("observation_id = 'another'")),
    Tampering("job: a waiting one done", _job(f"state = 'done', finished_at = {_UTC}", "state = 'waiting'")),
    Tampering("job: deleted", _row("job", "DELETE FROM job", "job/{id}", "id", _JOB)),
    Tampering("job: inserted", _copy("job", {"id": "forged", "report_id": "x", "observation_id": "y"}, "job/forged")),
    Tampering("jobs: reports of two swapped", _swap_jobs),
    Tampering("index: tokens deleted", _index("search_token", "DELETE FROM search_token")),
    Tampering("index: a token changed", _index("search_token", "UPDATE search_token SET code = 'other'")),
    Tampering("index: a token inserted", _insert_token),
    Tampering("index: references deleted", _index("search_reference", "DELETE FROM search_reference")),
    Tampering("index: a reference changed", _index("search_reference", "UPDATE search_reference SET target = 'Patient/x'")),
    Tampering("index: a reference of nothing", _index_of_nothing),
    Tampering("index: dates deleted", _index("search_date", "DELETE FROM search_date")),
    Tampering("index: a date changed", _index("search_date", f"UPDATE search_date SET low = {_UTC}")),
    Tampering("index: an order deleted", _index("search_sort", "DELETE FROM search_sort")),
    Tampering("index: an order changed", _index("search_sort", f"UPDATE search_sort SET value = {_UTC}")),
    Tampering("index: strings deleted", _index("search_string", "DELETE FROM search_string", "1 = 1")),
    Tampering("audit index: deleted", _audit_reference("DELETE FROM audit_reference")),
    Tampering("audit index: changed", _audit_reference("UPDATE audit_reference SET value = value || 'x'")),
    Tampering("admission: another ECG", lambda c: (_admission("UPDATE admission SET observation_id = 'another'")(c)[0], "admission/")),
    Tampering("admission: bytes changed", _admission(f"UPDATE admission SET body_sha256 = '{'0' * 64}'")),
    Tampering("admission: time changed", _admission(f"UPDATE admission SET admitted_at = {_UTC}")),
    Tampering("admission: deleted", _admission("DELETE FROM admission")),
    Tampering("admission: inserted", _copy("admission", {"key_sha256": "f" * 64}, "f" * 64)),
]  # fmt: skip
