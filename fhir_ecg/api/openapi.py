"""The OpenAPI description of this server, and a page to try it."""

from html import escape
from importlib.resources import files

from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import NotFound

from fhir_ecg.api.answers import base_url
from fhir_ecg.api.blueprint import application, settings
from fhir_ecg.api.description.document import describe
from fhir_ecg.fhir.parsing import serialise

blueprint = Blueprint("openapi", __name__)

# Of Swagger UI, which comes with swagger-ui-py: what the page needs.
_PARTS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START = b"""\
window.addEventListener("load", function () {
  SwaggerUIBundle({
    url: "openapi.json", dom_id: "#page", deepLinking: true, docExpansion: "none", tryItOutEnabled: true,
    validatorUrl: null,
  });
});
"""
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>fhir-ecg</title>
<base href="{base}/">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'"
)
OPEN_PATHS = {"/openapi.json", "/docs", *(f"/docs/{name}" for name in (*_PARTS, "start.js"))}
"""What tells nothing of patients, and is answered without a token."""


@blueprint.get("/openapi.json")
def description() -> Response:
    """Describe every route."""
    secured = bool(settings().clients)
    version = application().software_version
    document = describe(current_app.url_map, _root(), version, secured=secured)
    return Response(serialise(document), content_type="application/json")


@blueprint.get("/docs")
def page() -> Response:
    """Show the description as a page on which each request can be tried."""
    return _guarded(Response(_PAGE.format(base=escape(_root())), content_type="text/html; charset=utf-8"))


@blueprint.get("/docs/<name>")
def page_part(name: str) -> Response:
    """Give a file of that page."""
    if name == "start.js":
        return _guarded(Response(_START, content_type="text/javascript"))
    if name not in _PARTS:
        raise NotFound(f"/docs/{name[:64]} is not here.")
    content = (files("swagger_ui") / "static" / name).read_bytes()
    return _guarded(Response(content, content_type=_PARTS[name]))


def _root() -> str:
    """Give the address below which `/fhir` stands."""
    base = base_url()
    return base.removesuffix("/fhir") if base.endswith("/fhir") else request.url_root.rstrip("/")


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
