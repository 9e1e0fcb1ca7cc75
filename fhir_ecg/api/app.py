"""The Flask application."""

import re
from uuid import uuid4

from flask import Flask, Response, g, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_ecg.api import authorisation, errors, health, interactions
from fhir_ecg.service.application import Application, Caller
from fhir_ecg.settings import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def create_app(application: Application, settings: Settings) -> Flask:
    """Build the web application over the use cases."""
    app = Flask("fhir_ecg", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.maximum_body_bytes
    app.extensions["fhir_ecg"] = application
    app.extensions["fhir_ecg_settings"] = settings
    app.url_map.strict_slashes = False
    app.before_request(_identify_request)
    app.before_request(authorisation.authorise)
    app.after_request(_return_request_id)
    app.register_blueprint(interactions.blueprint)
    app.register_blueprint(health.blueprint)
    app.add_url_rule("/", "root", _root)
    errors.register(app)
    return app


def _root() -> BaseResponse:
    return redirect("/fhir/metadata")


def _identify_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.caller = Caller(request_id=given if _REQUEST_ID.fullmatch(given) else str(uuid4()))


def _return_request_id(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.caller.request_id
    return response
