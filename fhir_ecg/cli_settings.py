"""What every command begins with: the settings, and how it says no."""

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from fhir_ecg.log_format import configure_logging
from fhir_ecg.settings import Settings


class Fault(click.ClickException):
    """An answer of no, with what to do next; exit status 1."""

    exit_code = 1


def command_settings() -> Settings:
    """Read the settings and set the log up.

    Raises:
        UsageError: A variable has no value that can be.
    """
    try:
        settings = Settings()
    except SettingsError as error:  # a variable that should be JSON and is none
        raise click.UsageError(f"the settings are wrong: {error}; FHIR_ECG_CLIENTS is a JSON object") from error
    except ValidationError as error:
        lines = "; ".join(f"FHIR_ECG_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise click.UsageError(f"the settings are wrong: {lines}") from error
    role = (click.get_current_context().info_name or "fhir-ecg").removesuffix("-process")
    configure_logging(settings.log_format, settings.log_level, role)
    return settings
