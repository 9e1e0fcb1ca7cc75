"""Validators that were not written here, and what each says against an answer.

Two of them run in Node (tests/javascript/validate.mjs) and four here, so that a machine without Node has checks too.
Those of R5, but for fhir.resources, read HL7's own package of its definitions and schemas, which npm installs.
"""

import importlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from conformance.answers import Answer
from javascript.node_programs import FOLDER, run_node
from lxml import etree

_LONGEST_DATA = 2000


@dataclass(frozen=True)
class Complaint:
    """What a validator has against an answer."""

    answer: Answer
    validator: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.answer.origin}\n    {self.validator}: {self.place}: {self.message}"


@dataclass(frozen=True)
class FalseAlarm:
    """A complaint that is wrong, and why."""

    validator: str
    complaint: re.Pattern[str]
    """Matches place and message."""
    body: re.Pattern[str]
    """Is found in the answer."""
    reason: str

    def covers(self, complaint: Complaint) -> bool:
        said = f"{complaint.place}: {complaint.message}"
        return bool(
            complaint.validator == self.validator
            and self.complaint.fullmatch(said)
            and self.body.search(complaint.answer.body)
        )


_HISTORY = re.compile('"type": ?"history"')
FALSE_ALARMS = (
    FalseAlarm(
        "pyrofile",
        re.compile(r"Bundle\.entry\[\d+\]\.resource: bundle\.entry\.resource: Bundle\.entry\.resource is required"),
        re.compile('"type": ?"(history|transaction)".*"method": ?"DELETE"', re.DOTALL),
        "a deletion, in a history or to be repeated, has no resource: https://hl7.org/fhir/R4/http.html#history",
    ),
    FalseAlarm(
        "pyrofile",
        re.compile(r"Bundle\.entry\.fullUrl: bundle\.fullurl\.duplicate: .*"),
        _HISTORY,
        "the versions of a resource have one fullUrl: bdl-7 excepts histories",
    ),
    FalseAlarm(
        "pyrofile",
        re.compile(r"id: resource\.id\.duplicate: .*"),
        re.compile('"type": ?"(history|(batch|transaction)-response)"'),
        "several requests, or versions, of one resource",
    ),
    FalseAlarm(
        "pyrofile",
        re.compile(r"[\w.\[\]]+\.(query|data): datatype\.invalid: [\w.\[\]]+ must be EncodedBytes"),
        re.compile(r'"(query|data)": ?"[A-Za-z0-9+/]+={0,2}"'),
        "it takes no base64Binary for one, since fhir.resources calls the type EncodedBytes",
    ),
    FalseAlarm(
        "pyrofile",
        re.compile(
            r"[\w.\[\]]+\.extension\[\d+\]: extension\.unknown: "
            r"The extension http://hl7\.org/fhir/uv/(aitransparency|security-label-ds4p)/StructureDefinition/"
            r"(AIconfidence|aitransparency\.AIKind|aitransparency\.modelCardDescription|extension-inline-sec-label) "
            r"could not be found .*"
        ),
        re.compile("http://hl7.org/fhir/uv/(aitransparency|security-label-ds4p)/"),
        "it knows the extensions of the standard alone, not those of HL7's guides",
    ),
    FalseAlarm(
        "medplum",
        re.compile(r"[\w.\[\]]+\.(snapshot|differential)\.element\[\d+\]\.id: Invalid id format"),
        re.compile('"resourceType": ?"StructureDefinition"|<StructureDefinition[ >]'),
        "R5's definitions give the ids of elements the pattern of a resource's id, which no id with a colon or [x] has",
    ),
    FalseAlarm(
        "medplum",
        re.compile(
            r"[\w.\[\]]+\.parameter\[\d+\]: "
            "(Error evaluating invariant expression|Constraint opd-3 not met: A targetProfile can only be .*)"
        ),
        re.compile('"resourceType": ?"OperationDefinition"|<OperationDefinition[ >]'),
        "opd-3 of R5 asks memberOf, which it does not have; our parameters have no targetProfile",
    ),
)


def complaints_in_node(answers: Iterable[Answer]) -> list[Complaint]:
    """Ask @medplum/core and npm's fhir, and about XML of R5 the schema of HL7's package.

    Raises:
        NodeAbsentError: There is no Node on this machine.
    """
    answers = list(answers)
    of_release = {release: [answer for answer in answers if answer.release == release] for release in ("4.0", "5.0")}
    told = (complaint for release, asked in of_release.items() if asked for complaint in _in_node(release, asked))
    return _serious([*told, *_by_schema(answer for answer in of_release["5.0"] if answer.syntax == "xml")])


def _in_node(release: str, asked: list[Answer]) -> Iterator[Complaint]:
    lines = (
        json.dumps({"number": number, "syntax": answer.syntax, "body": answer.body})
        for number, answer in enumerate(asked)
    )
    printed = run_node("validate.mjs", release, text="\n".join(lines))
    for line in printed.splitlines():
        told = json.loads(line)
        yield Complaint(asked[told["number"]], told["validator"], told["place"], told["message"])


def _by_schema(answers: Iterable[Answer]) -> Iterator[Complaint]:
    """Hold XML of R5 against HL7's schema, which alone of all knows the order of the elements."""
    for answer in answers:
        try:
            _r5_schema().assertValid(etree.fromstring(answer.body.encode()))
        except (etree.XMLSyntaxError, etree.DocumentInvalid) as error:
            yield Complaint(answer, "HL7's schema", "", str(error))


@cache
def _r5_schema() -> etree.XMLSchema:
    return etree.XMLSchema(file=FOLDER / "node_modules" / "hl7.fhir.r5.core" / "xml" / "fhir-single.xsd")


def complaints_in_python(answers: Iterable[Answer]) -> list[Complaint]:
    """Ask fhirkit, fhirclient and pyrofile about JSON of R4, and the models of fhir.resources about XML and R5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _serious(
            Complaint(answer, validator, place, message)
            for answer in answers
            for validator, place, message in _complaints(answer)
        )


def _serious(complaints: Iterable[Complaint]) -> list[Complaint]:
    return [complaint for complaint in complaints if not any(alarm.covers(complaint) for alarm in FALSE_ALARMS)]


def _complaints(answer: Answer) -> Iterator[tuple[str, str, str]]:
    if answer.syntax == "xml" or answer.release == "5.0":
        yield from _fhir_resources(answer)
        return
    try:
        resource = json.loads(answer.body)
    except ValueError as error:
        yield "json", "", str(error)
        return
    yield from _fhirkit(answer.body)
    yield from _fhirclient(resource)
    yield from _pyrofile(resource)


def _fhir_resources(answer: Answer) -> Iterator[tuple[str, str, str]]:
    [kind] = re.findall(r"<(\w+) |\"resourceType\": ?\"(\w+)\"", answer.body)[:1]
    kind = next(filter(None, kind))
    package = "fhir.resources.R4B" if answer.release == "4.0" else "fhir.resources"
    model = getattr(importlib.import_module(f"{package}.{kind.lower()}"), kind)
    try:
        if answer.syntax == "xml":
            model.model_validate_xml(answer.body.encode())
        else:
            model.model_validate_json(answer.body)
    except Exception as error:  # its XML reader raises errors of many kinds
        yield "fhir.resources", kind, f"{type(error).__name__}: {error}"


def _fhirkit(body: str) -> Iterator[tuple[str, str, str]]:
    import fhirkit

    for issue in fhirkit.validate(body):
        if issue.severity == "error":
            yield "fhirkit", issue.path, issue.message


def _fhirclient(resource: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    from fhirclient.models.fhirabstractbase import FHIRValidationError

    kind = resource["resourceType"]
    model = getattr(importlib.import_module(f"fhirclient.models.{kind.lower()}"), kind)
    try:
        model(resource, strict=True).as_json()
    except FHIRValidationError as error:
        yield "fhirclient", kind, str(error)


def _pyrofile(resource: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for issue in _pyrofile_validator().validate_resource(_with_short_leads(resource)).issues:
        if issue.severity.name == "ERROR":
            yield "pyrofile", issue.path, f"{issue.code}: {issue.message}"


@cache
def _pyrofile_validator() -> Any:
    from pyrofile_validator.config import TerminologyConfig, ValidatorConfig
    from pyrofile_validator.core.engine import Validator

    # Its value sets are the short lists of fhir.resources, of which many end with "+". npm's fhir has the whole ones.
    return Validator(ValidatorConfig(terminology=TerminologyConfig(mode="off")))


def _with_short_leads(node: Any) -> Any:
    """Cut the samples: pyrofile takes FHIR's limit of 1 MB for a string as one for the whole resource."""
    if isinstance(node, list):
        return [_with_short_leads(item) for item in node]
    if not isinstance(node, dict):
        return node
    cut = {name: _with_short_leads(value) for name, value in node.items()}
    if isinstance(cut.get("data"), str) and len(cut["data"]) > _LONGEST_DATA and "origin" in cut:
        cut["data"] = cut["data"][:_LONGEST_DATA].rpartition(" ")[0]
    return cut
