"""The part of the application below `/fhir`; the modules beside this one hang their routes into it."""

from flask import Blueprint, current_app, g

from fhir_ecg.api.negotiation import require_acceptable
from fhir_ecg.service.application import Application
from fhir_ecg.settings import Settings

blueprint = Blueprint("fhir", __name__, url_prefix="/fhir")
blueprint.before_request(require_acceptable)


def application() -> Application:
    """Give the use cases what they work with; to a read of a transaction, with what that has done so far."""
    found: Application = g.get("application", current_app.extensions["fhir_ecg"])
    return found


def settings() -> Settings:
    """Give the settings of this process."""
    found: Settings = current_app.extensions["fhir_ecg_settings"]
    return found
