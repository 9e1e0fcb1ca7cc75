"""The application over a real database of each kind, without processes of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.log_context import log_scope
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.migrations import upgrade


@pytest.fixture(autouse=True)
def log_fields_of_one_test() -> Iterator[None]:
    """A reading adds to the fields of the lines after it, up to the end of its scope."""
    with log_scope():
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_database")
        return url
    return f"sqlite:///{tmp_path / 'test.sqlite3'}"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database_url, maximum_body_bytes=2 * 1024**2)


@pytest.fixture
def application(settings: Settings) -> Iterator[Application]:
    application = bootstrap(settings)
    upgrade(application.store.engine)
    yield application
    application.store.engine.dispose()


@pytest.fixture
def client(application: Application, settings: Settings) -> FlaskClient:
    return create_app(application, settings).test_client()
