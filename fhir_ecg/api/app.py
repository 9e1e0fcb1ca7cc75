"""The Flask application."""

from flask import Flask, Response, redirect
from werkzeug.routing import BaseConverter
from werkzeug.wrappers import Response as BaseResponse

from fhir_ecg.api import (
    accounting,
    asynchronous,
    audit_events,
    authorisation,
    bundles,
    confirmation,
    conformance,
    errors,
    exports,
    health,
    history,
    interactions,
    openapi,
    operations,
    searches,
    transfer,
)
from fhir_ecg.api.blueprint import blueprint
from fhir_ecg.api.metrics import WebMetrics
from fhir_ecg.service.application import Application
from fhir_ecg.service.health import HealthProbe
from fhir_ecg.service.login import FailedLogins
from fhir_ecg.settings import Settings

# These modules hang their routes into the blueprint.
_ROUTES = (
    asynchronous,
    audit_events,
    bundles,
    confirmation,
    conformance,
    exports,
    history,
    interactions,
    operations,
    searches,
)


class _Segment(BaseConverter):
    """A segment of an address that names a resource: what begins with `$` names an operation."""

    regex = r"[^$/][^/]*"
    part_isolating = True


class _Web(Flask):
    """Answers OPTIONS with Allow and nothing else."""

    def make_default_options_response(self) -> Response:
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        return response


def create_app(application: Application, settings: Settings) -> Flask:
    """Build the web application over the use cases."""
    app = _Web("fhir_ecg", static_folder=None)
    app.url_map.converters["default"] = _Segment
    app.config["MAX_CONTENT_LENGTH"] = settings.maximum_body_bytes
    app.extensions["fhir_ecg"] = application
    app.extensions["fhir_ecg_settings"] = settings
    app.extensions["fhir_ecg_failed_logins"] = FailedLogins(application)
    app.extensions["fhir_ecg_health"] = probe = HealthProbe(application)
    app.url_map.strict_slashes = False
    accounting.register(app, WebMetrics(application, probe))
    app.before_request(authorisation.authorise)
    transfer.register(app, settings)
    app.register_blueprint(blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(openapi.blueprint)
    app.add_url_rule("/", "root", _root)
    errors.register(app)
    return app


def _root() -> BaseResponse:
    return redirect("/fhir/metadata")
