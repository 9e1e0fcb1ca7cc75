"""Bytes to a resource: strict JSON, then the model of fhir.resources.

fhir.resources has no R4 package; its R4B differs, of the types read here, only in reference targets.
"""

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from itertools import islice, takewhile
from typing import Any

import orjson
from fhir.resources.observation import Observation as R5Observation
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.observation import Observation as R4Observation
from pydantic import ValidationError

from fhir_ecg.fhir.element_rules import rule_faults
from fhir_ecg.fhir.json_form import Fault, Location, error_text, form_faults, type_faults
from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem, UnprocessableError
from fhir_ecg.fhir.release import Release

MAXIMUM_DEPTH = 64
# Whole numbers that orjson writes; larger ones are kept as Decimal.
_MAXIMUM_INTEGER_DIGITS = 18
# Of a number beyond that, arithmetic with Decimal raises errors.
_MAXIMUM_EXPONENT = 999
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Neither FHIR's strings nor XML may hold them. https://hl7.org/fhir/R4/datatypes.html#string
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CHOICE = re.compile(r"^(value|effective|deceased|onset|multipleBirth)([A-Z]\w+)$")
_MAXIMUM_PROBLEMS = 20
_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}", re.ASCII)
_LONGEST_PATH = 16
_MODELS: dict[Release, Any] = {Release.R4: R4Observation, Release.R5: R5Observation}
_ISSUE_TYPES: dict[str, IssueType] = {
    "missing": "required",
    "model_field_validation.missing": "required",
    "extra_forbidden": "structure",
}


def parse_json(body: bytes, expected: str | None = "Observation") -> dict[str, Any]:
    """Read one JSON object; numbers with a fraction become Decimal, so that they keep their precision.

    Args:
        body: The bytes.
        expected: The type that belongs here; problems are of that where the bytes do not tell their own.

    Raises:
        MalformedError: Not UTF-8, no JSON, no object, a name twice in one object, NaN, nested too deeply, or a
            string or number that nothing can hold: with NUL or half a character, above 1E+999.
    """
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_of_unique_names,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        text = f"The body is not UTF-8 (byte {error.start}). Send FHIR JSON as UTF-8."
        raise _malformed(text, expected) from error
    except json.JSONDecodeError as error:
        text = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise _malformed(text, expected) from error
    except RecursionError as error:
        raise _malformed(f"The JSON is nested deeper than {MAXIMUM_DEPTH} levels.", expected) from error
    if not isinstance(document, dict):
        raise _malformed("The body is JSON, but no object. Send one FHIR resource.", expected)
    # Raw, JSON holds no control character: one must be escaped.
    texts = b"\\" in body or b"\xef\xbf" in body
    for location, text in _content_faults(document, (), texts=texts):
        raise _malformed(text, _path(document.get("resourceType"), location, expected))
    return document


def serialise(resource: dict[str, Any], *, pretty: bool = False) -> bytes:
    """Write a resource as JSON; Decimals keep their digits."""
    option = orjson.OPT_INDENT_2 if pretty else None
    return orjson.dumps(resource, default=_decimal_as_written, option=option)


def check_observation(resource: dict[str, Any], release: Release = Release.R4) -> None:
    """Check a parsed document against the Observation model of a release.

    Raises:
        MalformedError: It is another resource, or none.
        UnprocessableError: An element is unknown, missing, or has a wrong type; each with its FHIRPath.
    """
    _check(resource, "Observation", _MODELS[release])


def check_resource(resource: dict[str, Any], kind: str) -> None:
    """Check a parsed document against R4's model of a type, as `check_observation` does."""
    _check(resource, kind, get_fhir_model_class(kind))


def _check(resource: dict[str, Any], kind: str, expected: Any) -> None:
    found = resource.get("resourceType")
    if found != kind:
        shown = found[:64] if isinstance(found, str) else None
        named = f"a resource of type {shown!r}" if shown else "no FHIR resource (resourceType is missing)"
        article = "an" if kind[0] in "AEIO" else "a"
        raise MalformedError(
            Problem("invalid", f"The body is {named}; {article} {kind} belongs here.", f"{kind}.resourceType")
        )
    if problems := _fault_problems(kind, form_faults(resource)):
        raise UnprocessableError(*problems)
    try:
        model = expected.model_validate(resource)
    except ValidationError as error:
        raise UnprocessableError(*_problems(kind, error)) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:  # failures of the library
        text = "An element has a JSON type that FHIR does not give it."
        raise UnprocessableError(Problem("structure", text, kind)) from error
    for faults in (type_faults, rule_faults):
        if problems := _fault_problems(kind, faults(model, resource)):
            raise UnprocessableError(*problems)


def fhirpath(root: str, location: tuple[int | str, ...]) -> str:
    """Write a location as FHIRPath.

    ("component", 0, "valueSampledData", "period") of an Observation becomes
    `Observation.component[0].value.ofType(SampledData).period`.
    """
    path = root
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif choice := _CHOICE.match(step):
            kind = choice[2]
            primitive = kind in {"DateTime", "Boolean", "Integer", "String", "Time", "Instant", "Decimal"}
            path += f".{choice[1]}.ofType({kind[0].lower() + kind[1:] if primitive else kind})"
        else:
            path += f".{step}"
    return path


def _malformed(text: str, expression: str | None) -> MalformedError:
    return MalformedError(Problem("structure", text, expression))


def _path(kind: Any, location: Location, expected: str | None) -> str | None:
    """Write where in a document of some type a fault is, as far as its names are FHIR's."""
    root = kind if isinstance(kind, str) and _NAME.fullmatch(kind) else expected
    names = list(takewhile(lambda step: isinstance(step, int) or _NAME.fullmatch(step), location))
    return fhirpath(root, tuple(names[:_LONGEST_PATH])) if root else None


class _Unreadable:
    """Stands for a value that cannot be read, until it is known where it stands."""

    def __init__(self, why: str) -> None:
        self.why = why


class _Repeating(dict[str, Any]):
    """An object in which a name stands twice."""

    repeated = ""


def _object_of_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) == len(pairs):
        return document
    found, seen = _Repeating(document), set[str]()
    for name, _ in pairs:
        if name in seen:
            found.repeated = name
            break
        seen.add(name)
    return found


def _constant(name: str) -> _Unreadable:
    return _Unreadable(f"{name} is no JSON number.")


def _integer(text: str) -> int | Decimal | _Unreadable:
    return int(text) if len(text) <= _MAXIMUM_INTEGER_DIGITS else _decimal(text)


def _decimal(text: str) -> Decimal | _Unreadable:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = None
    if number is None or abs(number.adjusted()) > _MAXIMUM_EXPONENT:
        return _Unreadable(f"The number {text[:40]} is beyond what can be held.")
    return number


def _content_faults(node: Any, location: Location, *, texts: bool) -> Iterator[tuple[Location, str]]:
    """Find what was not read, what is nested too deeply and, where any may be at fault, texts that none can hold."""
    if isinstance(node, str):
        if texts and (fault := _text_fault(node)):
            yield location, fault
    elif isinstance(node, _Unreadable):
        yield location, node.why
    elif isinstance(node, dict | list):
        if len(location) == MAXIMUM_DEPTH:
            yield location, f"The JSON is nested deeper than {MAXIMUM_DEPTH} levels."
            return
        if isinstance(node, _Repeating):
            text = f"The name {node.repeated[:64]!r} stands twice in one JSON object; which one is meant is unclear."
            yield location, text
        for step, child in node.items() if isinstance(node, dict) else enumerate(node):
            if texts and isinstance(step, str) and (fault := _text_fault(step)):
                yield location, fault
            yield from _content_faults(child, (*location, step), texts=texts)


def _text_fault(text: str) -> str | None:
    if found := _FORBIDDEN.search(text):
        return f"A string holds the control character U+{ord(found[0]):04X}, which no FHIR string may."
    if not text.isascii() and _LONE_SURROGATE.search(text):
        return "A string holds half a surrogate pair, which is no character."
    return None


def _decimal_as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is no JSON")


def _problems(root: str, error: ValidationError) -> list[Problem]:
    return [
        Problem(
            _ISSUE_TYPES.get(detail["type"], "value"),
            error_text(detail["type"], detail["msg"], detail["input"]),
            fhirpath(root, detail["loc"]),
        )
        for detail in error.errors(include_url=False, include_context=False)[:_MAXIMUM_PROBLEMS]
    ]


def _fault_problems(root: str, faults: Iterable[Fault]) -> list[Problem]:
    return [Problem(code, text, fhirpath(root, location)) for location, code, text in islice(faults, _MAXIMUM_PROBLEMS)]
