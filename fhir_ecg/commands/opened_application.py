"""The application for as long as a command runs, and what its operator is told where it fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings
from fhir_ecg.store.engine import DatabaseError, database_problem

Errors = type[Exception] | tuple[type[Exception], ...]


@contextmanager
def opened_application(settings: Settings, *, refusal: Errors = (), misuse: Errors = ()) -> Iterator[Application]:
    """Open the application, and close its database in the end.

    Args:
        settings: The settings.
        refusal: Errors whose text tells why the answer is no.
        misuse: Errors whose text tells how the command is to be called.

    Raises:
        click.ClickException: A refusal, or the database does not answer.
        click.UsageError: A misuse.
    """
    application = bootstrap(settings)
    try:
        yield application
    except refusal as error:
        raise click.ClickException(str(error)) from error
    except misuse as error:
        raise click.UsageError(str(error)) from error
    except DatabaseError as error:
        raise click.ClickException(database_problem(error)) from error
    finally:
        application.store.engine.dispose()
