"""Which formats and versions a request offers and wants. https://hl7.org/fhir/R4/http.html#mime-type"""

from typing import Literal

from flask import request
from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType
from werkzeug.http import parse_options_header

from fhir_ecg.fhir.document import Form
from fhir_ecg.fhir.release import Release

_JSON = ("application/fhir+json", "application/json", "text/json")
_XML = ("application/fhir+xml", "application/xml", "text/xml")
Syntax = Literal["json", "xml"]
_SYNTAXES: dict[str, Syntax] = {
    **dict.fromkeys(_JSON, "json"),
    **dict.fromkeys(_XML, "xml"),
}
_RELEASES = {
    **dict.fromkeys(("4.0", "4.0.1", "4.3", "4.3.0"), Release.R4),
    **dict.fromkeys(("5.0", "5.0.0"), Release.R5),
}
Return = Literal["minimal", "representation", "OperationOutcome"]


def body_form() -> Form:
    """Tell the form of the body from its Content-Type.

    Raises:
        UnsupportedMediaType: It is announced as something else than FHIR JSON or XML, or not at all.
    """
    media_type, options = parse_options_header(request.headers.get("Content-Type"))
    syntax = _SYNTAXES.get(media_type)
    if syntax is None:
        raise UnsupportedMediaType(
            f"The body is announced as {media_type[:80] or 'nothing'}; send Content-Type: application/fhir+json "
            "or application/fhir+xml."
        )
    version = options.get("fhirversion", options.get("fhirVersion"))
    if version is not None and version not in _RELEASES:
        raise UnsupportedMediaType(f"fhirVersion {version[:20]} is not read here; send 4.0, 4.3 or 5.0.")
    if options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("FHIR resources are sent as UTF-8.")
    return Form(syntax, _RELEASES[version] if version else None)


def require_acceptable() -> None:
    """Refuse a request that can be answered neither with JSON nor with XML.

    Raises:
        NotAcceptable: It wants another format.
    """
    answer_syntax()


def answer_syntax() -> Syntax:
    """Choose the syntax of the answer from `_format` or Accept; JSON where both are as welcome.

    Raises:
        NotAcceptable: Neither is wanted.
    """
    wanted = request.args.get("_format")
    if wanted is not None:
        # A `+` in the address arrives as a space.
        named = parse_options_header(wanted.replace(" ", "+"))[0]
        syntax = {"json": "json", "xml": "xml"}.get(named) or _SYNTAXES.get(named)
        if syntax is None:
            raise NotAcceptable(f"_format={wanted[:80]} is not served; this server writes json and xml.")
        return "xml" if syntax == "xml" else "json"
    accepted = request.accept_mimetypes
    if not accepted:
        return "json"
    json = max(accepted[media_type] for media_type in _JSON)
    if accepted["application/fhir+xml"] > json:
        return "xml"
    if json == 0:
        if any(accepted[media_type] > 0 for media_type in _XML):
            return "xml"
        raise NotAcceptable("Nothing in Accept is served; this server writes application/fhir+json and fhir+xml.")
    return "json"  # to a browser too, which welcomes application/xml more than anything


def preferences() -> dict[str, str]:
    """Read the Prefer header, such as `return=minimal` and `handling=lenient`."""
    pairs = (part.partition("=") for part in request.headers.get("Prefer", "").replace(";", ",").split(","))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
