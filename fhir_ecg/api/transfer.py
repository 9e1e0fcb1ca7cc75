"""How bodies and answers travel: compressed, cached nowhere, and to which web pages."""

import gzip
import zlib

from flask import Flask, Response, request
from flask_cors import CORS
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from fhir_ecg.settings import Settings

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # with gzip's header
_LEAST_COMPRESSED = 1000
_CORS_METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]
_READ_BY_SCRIPTS = [
    "Content-Location", "ETag", "Last-Modified", "Link", "Location", "Retry-After", "X-Progress", "X-Request-Id",
]  # fmt: skip


def register(app: Flask, settings: Settings) -> None:
    """Hang it into the application."""
    app.before_request(_require_known_encoding)
    app.after_request(_compress)
    app.after_request(_keep_from_caches)
    if settings.cors_origins:
        CORS(
            app,
            origins=list(settings.cors_origins),
            methods=_CORS_METHODS,
            expose_headers=_READ_BY_SCRIPTS,
            max_age=3600,
        )


def decompressed(body: bytes, limit: int) -> bytes:
    """Undo the request's Content-Encoding.

    Raises:
        RequestEntityTooLarge: More than `limit` bytes come out.
        BadRequest: It is not what it is announced as.
    """
    if not _is_gzip():
        return body
    inflate = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = inflate.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadRequest("The body is announced as gzip (Content-Encoding), and is none.") from error
    if len(plain) > limit:
        raise RequestEntityTooLarge(f"Decompressed, the body has more than {limit} bytes.")
    if not inflate.eof or inflate.unused_data:
        raise BadRequest("The gzip of the body is cut short, or something follows it.")
    return plain


def _is_gzip() -> bool:
    return request.headers.get("Content-Encoding", "").strip().lower() in {"gzip", "x-gzip"}


def _require_known_encoding() -> None:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    if encoding != "identity" and (is_form or not _is_gzip()):
        raise UnsupportedMediaType(
            f"Content-Encoding {encoding[:40]} is not read here; send a resource plain or as gzip."
        )


def _compress(response: Response) -> Response:
    """Compress what is worth it, for whoever takes it."""
    response.vary.add("Accept-Encoding")
    if (
        response.is_streamed
        or response.direct_passthrough
        or response.content_encoding
        or response.calculate_content_length() is None
        or len(response.get_data()) < _LEAST_COMPRESSED
        or not request.accept_encodings["gzip"]
        or "Accept-Encoding" not in request.headers
    ):
        return response
    response.set_data(gzip.compress(response.get_data(), compresslevel=6, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    return response


def _keep_from_caches(response: Response) -> Response:
    """Let nothing about patients be written to a disk on the way."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response
