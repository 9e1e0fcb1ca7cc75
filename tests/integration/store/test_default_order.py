"""The order of a search that names none: it never changes, so that pages stay together while much else changes."""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.search import parse_search
from fhir_ecg.service.application import Application, now
from fhir_ecg.store import search as search_sql
from fhir_ecg.store.migrations import downgrade, upgrade
from fhir_ecg.store.search_index import write_index
from fhir_ecg.store.tables import ResourceRow, ResourceVersionRow

KIND = "DiagnosticReport"
# The SQL goes other ways where much is stored; here small numbers are much.
WAYS = [(0, 1, 2), (0, 1, 10_000), (0, 2000, 2), (1000, 2000, 10_000)]


def report(identity: str, status: str) -> dict[str, Any]:
    return {"resourceType": KIND, "id": identity, "status": status}


class Changing:
    """A store in which much happens between two pages."""

    def __init__(self, application: Application, seed: int) -> None:
        self.application = application
        self.chance = random.Random(seed)
        self.statuses: dict[str, str] = {}
        self.stays: set[str] = set()
        """What is there, and final, from the first page to the last."""

    def new_id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def create(self, status: str, moment: datetime) -> str:
        identity = self.new_id()
        with self.application.store.transaction() as work:
            work.resources.put(report(identity, status), moment)
        self.statuses[identity] = status
        return identity

    def change(self, identity: str, status: str) -> None:
        with self.application.store.transaction() as work:
            work.resources.put(report(identity, status), now())
        self.statuses[identity] = status
        if status != "final":
            self.stays.discard(identity)

    def delete(self, identity: str) -> None:
        with self.application.store.transaction() as work:
            work.resources.delete(KIND, identity, now())
        del self.statuses[identity]
        self.stays.discard(identity)

    def create_as_older_processes_do(self) -> str:
        """Write a row without what they do not know."""
        identity, moment = self.new_id(), now()
        with Session(self.application.store.engine) as session, session.begin():
            row = {"type": KIND, "id": identity, "version": 1, "last_updated": moment}
            session.execute(insert(ResourceRow), [row])
            resource = report(identity, "final")
            session.execute(insert(ResourceVersionRow), [row | {"content": serialise(resource)}])
            write_index(session, resource, new=True)
        self.statuses[identity] = "final"
        return identity

    def happen(self) -> None:
        """Let a few things happen."""
        for _ in range(3):
            some = self.chance.choice(sorted(self.statuses))
            what = self.chance.choice(["create", "older", "touch", "touch", "leave", "return", "delete"])
            if what == "create":
                self.create("final", now())
            elif what == "older":
                self.create_as_older_processes_do()
            elif what == "delete":
                self.delete(some)
            else:
                self.change(some, {"touch": self.statuses[some], "leave": "partial", "return": "final"}[what])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("query", [[], [("status", "final")]], ids=["no criterion", "status"])
def test_what_stays_is_met_once_while_others_come_change_and_go(
    application: Application, monkeypatch: pytest.MonkeyPatch, query: list[tuple[str, str]], seed: int
) -> None:
    store = Changing(application, seed)
    before = now()
    for number in range(24):
        # Three at each moment, so that the id has to decide.
        store.create(store.chance.choice(["final", "final", "partial"]), before + timedelta(milliseconds=number // 3))
    store.stays = {identity for identity, status in store.statuses.items() if status == "final"}

    met: list[str] = []
    cursor: list[tuple[str, str]] = []
    while True:
        for name, value in zip(("MOST_COUNTED", "_WINDOW", "_MOST_GATHERED"), store.chance.choice(WAYS), strict=True):
            monkeypatch.setattr(search_sql, name, value)
        with application.store.transaction(writes=False) as work:
            page = work.find(parse_search(KIND, [*query, ("_count", "3"), *cursor]))
        met += page.ids
        if page.next_cursor is None:
            break
        cursor = [("_cursor", page.next_cursor)]
        store.happen()

    assert len(met) == len(set(met))
    assert store.stays <= set(met)
    assert len(store.stays) >= 3  # else this would say nothing


def default_order(application: Application) -> list[str]:
    with application.store.transaction(writes=False) as work:
        return work.find(parse_search(KIND, [])).ids


def test_what_older_processes_write_has_its_place(application: Application) -> None:
    store = Changing(application, 0)
    first = store.create("final", now() - timedelta(minutes=1))
    second = store.create_as_older_processes_do()
    store.change(first, "partial")
    store.change(second, "partial")
    third = store.create("final", now() + timedelta(minutes=1))
    assert default_order(application) == [third, second, first]


def test_the_migration_finds_when_what_is_there_was_created(application: Application) -> None:
    store, moment = Changing(application, 0), now()
    ids = [store.create("final", moment + timedelta(seconds=second)) for second in range(5)]
    store.change(ids[0], "partial")
    store.delete(ids[3])
    with Session(application.store.engine) as session, session.begin():  # left by a crash long ago
        session.execute(text("DELETE FROM resource_version WHERE id = :id"), {"id": ids[4]})
    downgrade(application.store.engine, "0013")
    assert upgrade(application.store.engine) >= "0014"
    with Session(application.store.engine) as session:
        found: dict[str, datetime] = dict(session.execute(select(ResourceRow.id, ResourceRow.created)).all())
    assert found == {identity: moment + timedelta(seconds=second) for second, identity in enumerate(ids)}
    assert default_order(application) == [ids[4], ids[2], ids[1], ids[0]]
