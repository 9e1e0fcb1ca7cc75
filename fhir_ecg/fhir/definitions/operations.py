"""The operations as resources. https://hl7.org/fhir/R4/operationdefinition.html"""

from typing import Any

from fhir_ecg.fhir.definitions.heading import heading

_STANDARD = "http://hl7.org/fhir/OperationDefinition"
Parameter = dict[str, Any]


def operation_definitions() -> list[dict[str, Any]]:
    """Build our OperationDefinition resources."""
    return [_classify(), _validate(), _lastn(), _confirm(), _report_export(), _export()]


def _operation(
    resource_type: str | None,
    code: str,
    title: str,
    text: str,
    parameters: list[Parameter],
    *,
    levels: tuple[str, ...],
    base: str = "",
    affects_state: bool = False,
) -> dict[str, Any]:
    identity = f"{resource_type}-{code}" if resource_type else code
    definition: dict[str, Any] = heading(
        "OperationDefinition", identity, f"{resource_type or ''}{code.capitalize()}", title, text
    ) | {"kind": "operation", "affectsState": affects_state, "code": code}
    if base:
        definition["base"] = base
    if resource_type:
        definition["resource"] = [resource_type]
    places: dict[str, Any] = {level: level in levels for level in ("system", "type", "instance")}
    return definition | places | {"parameter": parameters}


def _in(name: str, kind: str, text: str, *, required: bool = False, most: str = "1") -> Parameter:
    return _parameter(name, "in", kind, text, int(required), most)


def _out(kind: str, text: str) -> Parameter:
    return _parameter("return", "out", kind, text, 1, "1")


def _parameter(name: str, use: str, kind: str, text: str, least: int, most: str) -> Parameter:
    return {"name": name, "use": use, "min": least, "max": most, "documentation": text, "type": kind}


def _classify() -> dict[str, Any]:
    text = (
        "Reads an ECG and waits for its report. At the type the ECG is taken in as by a create; at an instance the "
        "report of a stored ECG is waited for, and nothing is changed. Where the time is not enough, the report is "
        "answered as it is, registered, with Retry-After."
    )
    parameters = [
        _in("observation", "Observation", "The ECG; needed at the type, and at an instance not taken."),
        _out("DiagnosticReport", "The report of the ECG."),
    ]
    return _operation(
        "Observation", "classify", "Read an ECG", text, parameters, levels=("type", "instance"), affects_state=True
    )


def _validate() -> dict[str, Any]:
    text = "Says whether an ECG would be taken, what would be read of it, and stores nothing."
    parameters = [
        _in("resource", "Resource", "The Observation; needed unless the mode is delete."),
        _in("mode", "code", "create, profile, or at an instance also update and delete."),
        _in("profile", "uri", "The canonical of a profile of this server."),
        _out("OperationOutcome", "Why it would be refused, or what would be read."),
    ]
    base = f"{_STANDARD}/Resource-validate"
    levels = ("type", "instance")
    return _operation("Observation", "validate", "Validate an ECG", text, parameters, levels=levels, base=base)


def _lastn() -> dict[str, Any]:
    text = "The newest Observations of each code of one patient. Every other search parameter of Observation narrows."
    parameters = [
        _in("patient", "string", "Whose; this or subject is needed.") | {"searchType": "reference"},
        _in("subject", "string", "Whose; this or patient is needed.") | {"searchType": "reference"},
        _in("max", "positiveInt", "How many of each code, at most 100; 1 if absent."),
        _out("Bundle", "A searchset, the newest of each code first."),
    ]
    base = f"{_STANDARD}/Observation-lastn"
    return _operation("Observation", "lastn", "Newest Observations", text, parameters, levels=("type",), base=base)


def _confirm() -> dict[str, Any]:
    text = (
        "A person confirms, edits or rejects a report that a model has made. It becomes final, or amended where it was "
        "final before, or entered-in-error; the model's version stays readable. If-Match keeps a person from "
        "deciding on another version than was read."
    )
    parameters = [
        _in("decision", "code", "confirm, edit or reject.", required=True),
        _in("interpreter", "Reference", "Who decides: a Practitioner or PractitionerRole.", required=True),
        _in("conclusion", "string", "With edit: the reading in the person's words; if absent, it follows the codes."),
        _in("conclusionCode", "CodeableConcept", "With edit: every finding; if absent, they stay.", most="*"),
        _in("comment", "string", "Why."),
        _out("DiagnosticReport", "The report as it was decided."),
    ]
    return _operation(
        "DiagnosticReport", "confirm", "Confirm a report", text, parameters, levels=("instance",), affects_state=True
    )


_EXPORT_TEXT = (
    "Asks for NDJSON files by the asynchronous pattern: the answer is 202 with the address to poll in "
    "Content-Location. https://hl7.org/fhir/uv/bulkdata/"
)


def _export_parameters() -> list[Parameter]:
    return [
        _in("_outputFormat", "string", "application/fhir+ndjson, application/ndjson or ndjson."),
        _in("_since", "instant", "Only what was last changed after it; what was deleted after it is listed beside it."),
        _in("_until", "instant", "Only what was last changed before it."),
        _in("_type", "string", "Observation, DiagnosticReport, Device, Provenance, separated by commas.", most="*"),
        _in("_elements", "string", "Only these elements, separated by commas.", most="*"),
    ]


def _report_export() -> dict[str, Any]:
    title = "Export reports"
    return _operation("DiagnosticReport", "export", title, _EXPORT_TEXT, _export_parameters(), levels=("type",))


def _export() -> dict[str, Any]:
    base = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"
    title = "Export everything"
    return _operation(None, "export", title, _EXPORT_TEXT, _export_parameters(), levels=("system",), base=base)
