"""What an operation is given: names and values in the query, a form or a Parameters resource."""

from flask import current_app, request

from fhir_ecg.api.negotiation import body_form
from fhir_ecg.api.transfer import decompressed
from fhir_ecg.fhir.document import Form, read_document
from fhir_ecg.fhir.parameters import plain_values

_FORM = "application/x-www-form-urlencoded"


def given_values() -> list[tuple[str, str]]:
    """List names and values, those of the query first.

    Raises:
        MalformedError: The body is no Parameters resource of plain values.
        UnsupportedMediaType: It is announced as neither a resource nor a form.
    """
    values = list(request.args.items(multi=True))
    if request.method != "POST":
        return values
    if request.mimetype == _FORM:
        return values + list(request.form.items(multi=True))
    body, form = optional_body()
    if body:
        values += plain_values(read_document(body, form, "Parameters"))
    return values


def optional_body() -> tuple[bytes, Form]:
    """Read a body that may be absent; then its form is of no account.

    Raises:
        UnsupportedMediaType: It is announced as something else than a resource.
    """
    body = request.get_data(cache=False)
    if not body:
        return b"", Form()
    limit: int = current_app.config["MAX_CONTENT_LENGTH"]
    return decompressed(body, limit), body_form()
