"""The application over a real database of each kind, without processes of its own."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from databases import Fill, FilledPostgres, FilledSqlite
from flask.testing import FlaskClient

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.log_context import log_scope
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.migrations import upgrade


@pytest.fixture(autouse=True)
def log_fields_of_one_test() -> Iterator[None]:
    """A reading adds to the fields of the lines after it, up to the end of its scope."""
    with log_scope():
        yield


@pytest.fixture(scope="session")
def filled_sqlite(tmp_path_factory: pytest.TempPathFactory) -> FilledSqlite:
    return FilledSqlite(tmp_path_factory.mktemp("filled"))


@pytest.fixture(scope="session")
def filled_postgres(postgres_url: str) -> Iterator[FilledPostgres]:
    databases = FilledPostgres(postgres_url)
    yield databases
    databases.close()


def migrated(url: str) -> None:
    engine = open_engine(url)
    upgrade(engine)
    engine.dispose()


@pytest.fixture
def database_content() -> Fill:
    """What each test begins with: the tables alone, unless a module says otherwise."""
    return migrated


def filled_database(request: pytest.FixtureRequest, fill: Fill) -> AbstractContextManager[str]:
    # Asked for here, so that no server is started for SQLite alone.
    filled: FilledSqlite | FilledPostgres = request.getfixturevalue(
        "filled_postgres" if request.param == "postgresql" else "filled_sqlite"
    )
    return filled.copy(fill)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, database_content: Fill) -> Iterator[str]:
    with filled_database(request, database_content) as url:
        yield url


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database_url, maximum_body_bytes=2 * 1024**2)


@pytest.fixture(scope="session")
def shipped_model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The parts of an application that come from the shipped weights, which are loaded once for all tests."""
    application = bootstrap(Settings(data_dir=tmp_path_factory.mktemp("shipped")))
    return {name: getattr(application, name) for name in ("classifier", "model", "model_card", "weights_sha256")}


@pytest.fixture
def application(settings: Settings, shipped_model: dict[str, Any]) -> Iterator[Application]:
    application = replace(bootstrap(settings), **shipped_model)
    yield application
    application.store.engine.dispose()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def settings_of_module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of one database for all tests of a module: each leaves it as it was."""
    with filled_database(request, migrated) as url:
        yield Settings(data_dir=tmp_path_factory.mktemp("module"), database_url=url)


@pytest.fixture(scope="module")
def application_of_module(settings_of_module: Settings, shipped_model: dict[str, Any]) -> Iterator[Application]:
    application = replace(bootstrap(settings_of_module), **shipped_model)
    yield application
    application.store.engine.dispose()


@pytest.fixture
def client(application: Application, settings: Settings) -> FlaskClient:
    return create_app(application, settings).test_client()
