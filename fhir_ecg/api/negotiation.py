"""Which formats and versions a request offers and wants. https://hl7.org/fhir/R4/http.html#mime-type"""

from dataclasses import dataclass, field
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
_SHORT: dict[str, Syntax] = {"json": "json", "xml": "xml"}
_RELEASES = {
    **dict.fromkeys(("4.0", "4.0.1", "4.3", "4.3.0"), Release.R4),
    **dict.fromkeys(("5.0", "5.0.0"), Release.R5),
}
# What has a format of its own.
_FILES = {"fhir.export_file"}
OF_THE_ANSWER = ("_format", "_pretty")
"""The parameters of an address that say how the answer is written."""
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
    version = _version(options)
    if version is not None and version not in _RELEASES:
        raise UnsupportedMediaType(f"fhirVersion {version[:20]} is not read here; send 4.0, 4.3 or 5.0.")
    if options.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("FHIR resources are sent as UTF-8.")
    return Form(syntax, _RELEASES[version] if version else None)


def require_acceptable() -> None:
    """Refuse a request that can be answered in no form of ours, unless it is for a file of another format.

    Raises:
        NotAcceptable: It wants another format, or another release of FHIR.
    """
    if request.endpoint not in _FILES:
        answer_form()


@dataclass(frozen=True)
class _Range:
    """One media range of Accept."""

    media_type: str
    version: str | None
    quality: float

    @property
    def release(self) -> Release | None:
        """The release that it asks for, R4 where it names none; None where that is not written here."""
        return Release.R4 if self.version is None else _RELEASES.get(self.version)

    def fits(self, media_type: str) -> bool:
        """Whether the media type is in this range."""
        return self.media_type in {media_type, "*/*", media_type.partition("/")[0] + "/*"}


def answer_form() -> Form:
    """Choose the form of the answer from `_format` or Accept: JSON of R4 where others are no more welcome.

    Raises:
        NotAcceptable: No form that is written here is wanted.
    """
    wanted = request.args.get("_format")
    if wanted is not None:
        return _named_form(wanted)
    ranges = [_range(value, quality) for value, quality in request.accept_mimetypes]
    if not ranges:
        return Form("json", Release.R4)
    json = _best(ranges, _JSON)
    xml = _best(ranges, _XML[:1])
    if xml > json:
        return Form("xml", xml.release)
    if json.quality == 0:
        # A browser welcomes application/xml more than anything, and is better served with JSON.
        xml = _best(ranges, _XML)
        if xml.quality > 0:
            return Form("xml", xml.release)
        raise NotAcceptable(
            "Nothing in Accept is served; this server writes application/fhir+json and application/fhir+xml, "
            "with fhirVersion=4.0 or 5.0."
        )
    return Form("json", json.release)


@dataclass(frozen=True, order=True)
class _Offer:
    """How welcome a syntax is, and in which release."""

    quality: float
    explicit: bool
    """Whether the release was asked for: of equals, that is meant."""
    release: Release = field(default=Release.R4, compare=False)


def _best(ranges: list[_Range], media_types: tuple[str, ...]) -> _Offer:
    """Find the release in which one of some media types is most welcome."""
    offers = [_Offer(0, explicit=False)]
    for media_type in media_types:
        for release in Release:
            fitting = [r for r in ranges if r.fits(media_type) and r.release is release]
            if fitting:
                # Of ranges that fit, the most specific one counts. https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
                named = max(fitting, key=lambda r: (r.version is not None, r.media_type.count("*") * -1))
                offers.append(_Offer(named.quality, named.version is not None, release))
    return max(offers)


def _range(value: str, quality: float) -> _Range:
    media_type, options = parse_options_header(value)
    return _Range(media_type.lower(), _version(options), quality)


def _version(options: dict[str, str]) -> str | None:
    return next((value for name, value in options.items() if name.lower() == "fhirversion"), None)


def _named_form(wanted: str) -> Form:
    # A `+` in the address arrives as a space.
    named, options = parse_options_header(wanted.strip().replace("fhir ", "fhir+"))
    syntax = _SHORT.get(named) or _SYNTAXES.get(named)
    if syntax is None:
        raise NotAcceptable(f"_format={wanted[:80]} is not served; this server writes json and xml.")
    version = _version(options)
    release = Release.R4 if version is None else _RELEASES.get(version)
    if release is None:
        raise NotAcceptable(f"_format={wanted[:80]} is not served; this server writes fhirVersion 4.0 and 5.0.")
    return Form(syntax, release)


def preferences() -> dict[str, str]:
    """Read the Prefer header, such as `return=minimal` and `handling=lenient`."""
    pairs = (part.partition("=") for part in request.headers.get("Prefer", "").replace(";", ",").split(","))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def lenient() -> bool:
    """Tell whether parameters that are not served may be left out."""
    return preferences().get("handling") == "lenient"
