"""Migrations on both databases: forward, back, at the same time, and under processes of the version before."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine.interfaces import ReflectedColumn

from fhir_ecg.fhir.document import Form
from fhir_ecg.service.application import Application, Caller
from fhir_ecg.service.classify import classify
from fhir_ecg.service.health import HealthProbe
from fhir_ecg.service.submit import submit
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.migrations import UnknownRevisionError, _config, _known, downgrade, newer, pending, upgrade

REVISIONS = sorted(_known(_config()))


def job_of(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT id FROM job")))


def columns(connection: Connection) -> dict[tuple[str, str], ReflectedColumn]:
    seen = inspect(connection)
    return {
        (table, column["name"]): column
        for table in seen.get_table_names()
        if table != "alembic_version"
        for column in seen.get_columns(table)
    }


def test_the_migrations_make_the_tables(application: Application) -> None:
    config = _config()
    assert pending(application.store.engine) is None
    with application.store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.check(config)


def test_each_migration_goes_back_and_forward_with_ecgs_in_the_tables(
    application: Application, examples: dict[str, bytes]
) -> None:
    engine = application.store.engine
    accepted = submit(application, examples["normal-sinus-rhythm"], Form(), Caller())
    for revision in reversed(REVISIONS[:-1]):
        assert downgrade(engine, revision) == revision
        assert "fhir-ecg db upgrade" in (pending(engine) or "")
    assert upgrade(engine) == REVISIONS[-1]

    assert classify(application, job_of(engine)) == "read"
    with application.store.transaction(writes=False) as work:
        report = work.resources.get("DiagnosticReport", accepted.report.content["id"])
        assert report is not None
        assert report.content["status"] == "partial"


def test_what_a_migration_adds_to_a_table_older_processes_need_not_write(application: Application) -> None:
    engine = application.store.engine
    with engine.connect() as connection:
        after = columns(connection)
    for revision in reversed(REVISIONS[:-1]):
        downgrade(engine, revision)
        with engine.connect() as connection:
            before = columns(connection)
        old_tables = {table for table, _ in before}
        added: dict[tuple[str, str], Any] = {
            name: column for name, column in after.items() if name not in before and name[0] in old_tables
        }
        assert before.keys() <= after.keys(), f"the migration after {revision} drops what older processes use"
        demanded = [name for name, column in added.items() if not column["nullable"] and column["default"] is None]
        assert demanded == [], f"the migration after {revision} demands what older processes do not write"
        after = before


@pytest.mark.parametrize("database_content", [lambda _: None], ids=["empty"])
def test_many_upgrades_at_once_are_one(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(upgrade, engines)) == {REVISIONS[-1]}
    for engine in engines:
        engine.dispose()


def test_a_process_of_the_version_before_goes_on(application: Application) -> None:
    engine = application.store.engine
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert pending(engine) is None
    assert "9999" in (newer(engine) or "")
    readiness = HealthProbe(application).readiness()
    assert readiness.problems["database"] is None
    assert any("9999" in note for note in readiness.notes)
    assert upgrade(engine) == "9999"
    with pytest.raises(UnknownRevisionError, match="newer version"):
        downgrade(engine, REVISIONS[0])


def test_an_unknown_revision_is_refused(application: Application) -> None:
    with pytest.raises(UnknownRevisionError, match="0001"):
        downgrade(application.store.engine, "none")
    assert downgrade(application.store.engine, REVISIONS[-1]) == REVISIONS[-1]
