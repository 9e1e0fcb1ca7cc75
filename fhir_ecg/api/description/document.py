"""The routes of the application as an OpenAPI document. https://spec.openapis.org/oas/v3.1.0"""

import re
from collections.abc import Iterator
from typing import Any

from werkzeug.routing import Map, Rule

from fhir_ecg.api.description.parameters import HEADERS, QUERY, query_parameters
from fhir_ecg.api.description.routes import MEANINGS, ROUTES, Route
from fhir_ecg.api.description.schemas import ID_PATTERN, example_ecg, schemas
from fhir_ecg.fhir.capability import DOCUMENTATION, INTERACTIONS

Node = dict[str, Any]

_KINDS = re.compile(r"<any\(([^)]*)\):kind>")
_PLACE = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
_PLACES: dict[str, Node] = {
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "": {"type": "string", "pattern": ID_PATTERN},
}
_IMPLIED = {"HEAD", "OPTIONS"}
_FHIR = ("application/fhir+json", "application/fhir+xml")
_FORM = "application/x-www-form-urlencoded"
_EVERY_STATUS = (405,)
_EVERY_FHIR_STATUS = (401, 406, 503)
_ANSWER_HEADERS = {
    200: ("ETag", "Last-Modified", "Location", "Content-Location", "Link"),
    201: ("Location", "ETag", "Last-Modified", "Link"),
    202: ("Content-Location", "X-Progress", "Retry-After"),
    304: ("ETag", "Last-Modified"),
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}


def describe(url_map: Map, server: str, version: str, *, secured: bool) -> Node:
    """Describe every route.

    Raises:
        LookupError: Of a route nothing is known.
    """
    paths: dict[str, Node] = {}
    for path, kind, rule in _paths(url_map):
        for method in sorted((rule.methods or set()) - _IMPLIED):
            operation = _operation(path, kind, method, ROUTES[rule.endpoint], rule, secured=secured)
            paths.setdefault(path, {})[method.lower()] = operation
    components: Node = {
        "schemas": schemas({*INTERACTIONS, "Bundle", "CapabilityStatement"}),
        "parameters": QUERY | HEADERS,
        "examples": {"ecg": {"summary": "A normal sinus rhythm", "value": example_ecg()}},
    }
    if secured:
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fhir-ecg",
            "version": version,
            "description": "Reads 12-lead ECGs and answers with unconfirmed reports. It is not a medical device.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "tags": _tags(),
        "paths": dict(sorted(paths.items())),
        "components": components,
    }


def _paths(url_map: Map) -> Iterator[tuple[str, str, Rule]]:
    """Give each address, a type of resource at a time, with its rule."""
    for rule in url_map.iter_rules():
        kinds = _KINDS.search(rule.rule)
        for kind in (
            [part.strip() for part in kinds[1].split(",")]
            if kinds
            else ["AuditEvent" if "/AuditEvent" in rule.rule else ""]
        ):
            path = _KINDS.sub(kind, rule.rule)
            yield _PLACE.sub(lambda place: "{" + place[2] + "}", path), kind, rule


def _operation(path: str, kind: str, method: str, route: Route, rule: Rule, *, secured: bool) -> Node:
    operation: Node = {
        "operationId": re.sub(r"\W+", "-", f"{method.lower()}{path}").strip("-"),
        "summary": route.summary,
        "tags": [kind or _tag(path)],
        "parameters": [*_places(rule), *_parameters(kind, route)],
        "responses": {str(status): _response(status, kind, route) for status in _statuses(route, secured=secured)},
    }
    if not operation["parameters"]:
        del operation["parameters"]
    if route.body and method in {"POST", "PUT"}:
        operation["requestBody"] = _request_body(kind, route)
    if secured and not route.is_open:
        operation["security"] = [{"bearer": []}]
    return operation


def _tags() -> list[Node]:
    """Give the groups of routes in the order in which one meets them."""
    undescribed = [kind for kind in INTERACTIONS if kind not in DOCUMENTATION]
    described = [{"name": kind, "description": text} for kind, text in DOCUMENTATION.items()]
    return [*described, *({"name": name} for name in (*undescribed, "server"))]


def _tag(path: str) -> str:
    parts = path.strip("/").split("/")
    return parts[1] if len(parts) > 1 and parts[1] in INTERACTIONS else "server"


def _statuses(route: Route, *, secured: bool) -> list[int]:
    own = {*route.statuses, *_EVERY_STATUS, *(_EVERY_FHIR_STATUS if route.is_fhir else ())}
    return sorted(own if secured and not route.is_open else own - {401})


def _places(rule: Rule) -> list[Node]:
    path = _KINDS.sub("", rule.rule)
    return [
        {"name": place[2], "in": "path", "required": True, "schema": _PLACES[place[1] or ""]}
        for place in _PLACE.finditer(path)
    ]


def _parameters(kind: str, route: Route) -> list[Node]:
    names = [name for name in route.query if name in QUERY]
    own = query_parameters(kind, route.query)
    common = ("_format", "_pretty") if route.is_fhir else ()
    references = [{"$ref": f"#/components/parameters/{name}"} for name in (*names, *common, *route.headers)]
    return [*own, *references]


def _request_body(kind: str, route: Route) -> Node:
    content: Node = {}
    if "form" in route.body:
        fields = {parameter["name"]: parameter["schema"] for parameter in query_parameters(kind, ("search",))}
        content[_FORM] = {"schema": {"type": "object", "properties": fields}}
    names = [name for name in ("ECG", "Parameters", "DiagnosticReport", "Requests") if name in route.body]
    if names:
        references = [{"$ref": f"#/components/schemas/{name}"} for name in names]
        content[_FHIR[0]] = {"schema": references[0] if len(references) == 1 else {"anyOf": references}}
        content[_FHIR[1]] = {"schema": {"type": "string", "description": "The XML form of the same"}}
    if "ECG" in names:
        content[_FHIR[0]]["examples"] = {"ecg": {"$ref": "#/components/examples/ecg"}}
    return {"content": content, "required": route.body in {"ECG", "DiagnosticReport", "Requests", "form"}}


def _response(status: int, kind: str, route: Route) -> Node:
    response: Node = {"description": MEANINGS[status]}
    headers = (*_ANSWER_HEADERS.get(status, ()), "X-Request-Id")
    response["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    content = _content(status, kind, route)
    return response | ({"content": content} if content else {})


def _content(status: int, kind: str, route: Route) -> Node:
    if status in route.bare:
        return {}
    is_answer = status < 400 or (status == 503 and not route.is_fhir)
    if not is_answer or status in route.told:
        return _resource("OperationOutcome")
    if "/" not in route.answer:
        return _resource(route.answer.replace("{kind}", kind))
    is_manifest = route.is_fhir and route.answer == "application/json"
    return {route.answer: {"schema": {"$ref": "#/components/schemas/Manifest"} if is_manifest else {}}}


def _resource(name: str) -> Node:
    return {_FHIR[0]: {"schema": {"$ref": f"#/components/schemas/{name}"}}, _FHIR[1]: {"schema": {}}}
