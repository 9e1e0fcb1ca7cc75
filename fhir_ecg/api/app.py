"""The Flask application."""

from flask import Flask, redirect
from werkzeug.wrappers import Response as BaseResponse

from fhir_ecg.api import accounting, authorisation, errors, health, interactions
from fhir_ecg.api.metrics import WebMetrics
from fhir_ecg.service.application import Application
from fhir_ecg.service.health import HealthProbe
from fhir_ecg.settings import Settings


def create_app(application: Application, settings: Settings) -> Flask:
    """Build the web application over the use cases."""
    app = Flask("fhir_ecg", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.maximum_body_bytes
    app.extensions["fhir_ecg"] = application
    app.extensions["fhir_ecg_settings"] = settings
    app.extensions["fhir_ecg_health"] = probe = HealthProbe(application)
    app.url_map.strict_slashes = False
    accounting.register(app, WebMetrics(application, probe))
    app.before_request(authorisation.authorise)
    app.register_blueprint(interactions.blueprint)
    app.register_blueprint(health.blueprint)
    app.add_url_rule("/", "root", _root)
    errors.register(app)
    return app


def _root() -> BaseResponse:
    return redirect("/fhir/metadata")
