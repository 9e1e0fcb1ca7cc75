"""Alembic's entry: runs on the connection it is given, or opens the configured database."""

from alembic import context
from sqlalchemy import Connection

from fhir_ecg.settings import Settings
from fhir_ecg.store import search_tables, tables
from fhir_ecg.store.base import Base
from fhir_ecg.store.engine import open_engine

# What they define stands in the metadata.
_TABLES = (search_tables, tables)


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with open_engine(Settings().database_url).connect() as opened:
        run(opened)
        opened.commit()
