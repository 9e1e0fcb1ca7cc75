"""Exports by the Bulk Data pattern. https://hl7.org/fhir/uv/bulkdata/export.html"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from uuid import UUID

from flask import Response, current_app, g, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound
from werkzeug.http import http_date

from fhir_ecg.api.answers import base_url, fhir_response, told
from fhir_ecg.api.blueprint import application, blueprint, settings
from fhir_ecg.api.negotiation import lenient, preferences
from fhir_ecg.api.operation_input import given_values
from fhir_ecg.fhir.bulk_export import EXPORTED_TYPES, NDJSON, manifest, parse_export
from fhir_ecg.fhir.outcome import MalformedError, Problem, operation_outcome
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.service import export as exporting
from fhir_ecg.service.export import Downloads
from fhir_ecg.settings import Settings
from fhir_ecg.store.exports import Export, ExportFile

_RETRY_SECONDS = 1
_TOO_MANY_RETRY_SECONDS = 600
_KINDS = ",".join(EXPORTED_TYPES)
# A gzip header, and a window of 32 KiB. https://docs.python.org/3/library/zlib.html#zlib.compressobj
_GZIP = 16 + zlib.MAX_WBITS
_FILE = f"<any({_KINDS}):kind>-<int(max=2147483647):number>.ndjson"
_DOWNLOADS = "fhir_ecg_downloads"


@blueprint.record
def _open_downloads(state: BlueprintSetupState) -> None:
    settings: Settings = state.app.extensions["fhir_ecg_settings"]
    # Files take long: the greater part of the threads is left for other requests.
    state.app.extensions[_DOWNLOADS] = Downloads(max(1, settings.web_threads // 4))


@blueprint.route("/$export", methods=["GET", "POST"])
def export_all() -> Response:
    """Begin an export of all types."""
    return _begin(EXPORTED_TYPES)


@blueprint.route("/DiagnosticReport/$export", methods=["GET", "POST"])
def export_reports() -> Response:
    """Begin an export of reports."""
    return _begin(("DiagnosticReport",))


@blueprint.get("/_export/<uuid:identity>")
def export_status(identity: UUID) -> Response:
    """Tell how far an export is, and when it is ready, where its files are."""
    export = exporting.advance(application(), _find(identity))
    if not export.complete:
        response = fhir_response(None, 202)
        response.headers["X-Progress"] = f"{export.walked} resources looked at"
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
        return response
    there = [(file.kind, url, file.count) for file, url in _files(export) if not file.deleted]
    deleted = [(url, file.count) for file, url in _files(export) if file.deleted]
    body = manifest(export.as_of, export.request, there, deleted, secured=bool(settings().clients))
    response = Response(serialise(body), content_type="application/json")
    response.headers["Expires"] = http_date(export.expires_at)
    return response


@blueprint.delete("/_export/<uuid:identity>")
def give_export_up(identity: UUID) -> Response:
    """Forget an export."""
    exporting.give_up(application(), _find(identity))
    return told("The export is given up, and its files are gone.", 202)


@blueprint.get(f"/_export/<uuid:identity>/{_FILE}")
@blueprint.get(f"/_export/<uuid:identity>/deleted/{_FILE}", defaults={"deleted": True})
def export_file(identity: UUID, kind: str, number: int, *, deleted: bool = False) -> Response:
    """Send a file of an export, which is read from the database meanwhile."""
    export = _find(identity)
    file = exporting.file_of(export, kind, number, deleted=deleted)
    if file is None:
        raise NotFound("The export has no such file; its manifest names those it has.")
    downloads: Downloads = current_app.extensions[_DOWNLOADS]
    chunks = downloads.open_file(application(), export, file, g.caller)
    if request.accept_encodings["gzip"] > 0:
        return Response(_compressed(chunks), content_type=NDJSON, headers={"Content-Encoding": "gzip"})
    return Response(chunks, content_type=NDJSON)


def _begin(default_kinds: tuple[str, ...]) -> Response:
    if "respond-async" not in preferences():
        text = "An export is answered by files that take a while; send `Prefer: respond-async`."
        raise MalformedError(Problem("required", text))
    wanted = parse_export(given_values(), default_kinds, lenient=lenient())
    keep = timedelta(hours=settings().export_hours)
    export = exporting.begin(application(), wanted, _request_url(), g.caller, keep)
    if export is None:
        text = f"{exporting.MOST_OPEN} exports are open already. DELETE the address of one that is no longer needed."
        response = fhir_response(operation_outcome([Problem("throttled", text)]), 429)
        response.headers["Retry-After"] = str(_TOO_MANY_RETRY_SECONDS)
        return response
    address = f"{base_url()}/_export/{export.id}"
    response = told(f"The export has begun; poll {address}", 202)
    response.headers["Content-Location"] = address
    return response


def _request_url() -> str:
    """Give the address of this request, as clients see it."""
    query = request.query_string.decode("ascii", "replace")
    return f"{base_url()}{request.path.removeprefix('/fhir')}" + (f"?{query}" if query else "")


def _find(identity: UUID) -> Export:
    export = exporting.find(application(), str(identity), g.caller)
    if export is None:
        raise NotFound(f"There is no export {identity}: it never was, has expired, or was given up.")
    return export


def _files(export: Export) -> Iterator[tuple[ExportFile, str]]:
    """Give each file with its address."""
    numbers: dict[str, int] = {}
    for file in export.files:
        path = f"{export.id}/deleted/{file.kind}" if file.deleted else f"{export.id}/{file.kind}"
        number = numbers[path] = numbers.get(path, 0) + 1
        yield file, f"{base_url()}/_export/{path}-{number}.ndjson"


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=_GZIP)
    for chunk in chunks:
        if packed := packer.compress(chunk):
            yield packed
    yield packer.flush()
