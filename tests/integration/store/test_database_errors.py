"""What is said of the databases' own errors: PostgreSQL shows the row that it refuses."""

import pytest
from locations import free_port
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fhir_ecg.error_text import describe_error, format_error
from fhir_ecg.store.engine import open_engine

MARKER = "Marker4711Schmidt"


def test_neither_the_row_nor_the_parameters_are_told(database_url: str) -> None:
    engine = open_engine(database_url)
    insert = text("INSERT INTO patient (name) VALUES (:name)")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE patient (name TEXT, CONSTRAINT nobody CHECK (length(name) < 3))"))
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(insert, {"name": MARKER})
    engine.dispose()

    shown_by_the_driver = MARKER in str(caught.value)
    assert shown_by_the_driver == database_url.startswith("postgresql")
    assert MARKER not in describe_error(caught.value) + format_error(caught.value)
    assert describe_error(caught.value).startswith("IntegrityError: ")
    assert "nobody" in describe_error(caught.value)


def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    port = free_port()
    engine = open_engine(f"postgresql://fhir_ecg:secret@127.0.0.1:{port}/x")
    with pytest.raises(DBAPIError) as caught, engine.connect():
        pass
    engine.dispose()

    assert str(port) in describe_error(caught.value)
    assert "refused" in describe_error(caught.value)
    assert "secret" not in describe_error(caught.value)
