"""Bytes to a resource: strict JSON, then the R4 model of fhir.resources.

fhir.resources has no R4 package; its R4B differs, of the types read here, only in reference targets.
"""

import json
import re
from decimal import Decimal
from typing import Any

import orjson
from fhir.resources.R4B.observation import Observation
from pydantic import ValidationError

from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem, UnprocessableError

MAXIMUM_DEPTH = 64
_CHOICE = re.compile(r"^(value|effective|deceased|onset|multipleBirth)([A-Z]\w+)$")
_MAXIMUM_PROBLEMS = 20
_ISSUE_TYPES: dict[str, IssueType] = {
    "missing": "required",
    "model_field_validation.missing": "required",
    "extra_forbidden": "structure",
}


def parse_json(body: bytes) -> dict[str, Any]:
    """Read one JSON object; numbers with a fraction become Decimal, so that they keep their precision.

    Raises:
        MalformedError: Not UTF-8, no JSON, no object, a name twice in one object, NaN, or nested too deeply.
    """
    if b"\0" in body or b"\\u0000" in body:
        raise _malformed("The body holds a NUL character, which no FHIR string may.")
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_of_unique_names,
            parse_float=Decimal,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise _malformed(f"The body is not UTF-8 (byte {error.start}). Send FHIR JSON as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise _malformed(f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from error
    except RecursionError as error:
        raise _malformed(f"The JSON is nested deeper than {MAXIMUM_DEPTH} levels.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise _malformed("The body holds a number with too many digits.") from error
    if not isinstance(document, dict):
        raise _malformed("The body is JSON, but no object. Send one FHIR resource.")
    _limit_depth(document, MAXIMUM_DEPTH)
    return document


def serialise(resource: dict[str, Any], *, pretty: bool = False) -> bytes:
    """Write a resource as JSON; Decimals keep their digits."""
    option = orjson.OPT_INDENT_2 if pretty else None
    return orjson.dumps(resource, default=_decimal_as_written, option=option)


def check_observation(resource: dict[str, Any]) -> None:
    """Check a parsed document against the R4 Observation model.

    Raises:
        MalformedError: It is another resource, or none.
        UnprocessableError: An element is unknown, missing, or has a wrong type; each with its FHIRPath.
    """
    kind = resource.get("resourceType")
    if kind != "Observation":
        shown = kind[:64] if isinstance(kind, str) else None
        named = f"a resource of type {shown!r}" if shown else "no FHIR resource (resourceType is missing)"
        raise MalformedError(
            Problem("invalid", f"The body is {named}; an Observation belongs here.", "Observation.resourceType")
        )
    try:
        Observation.model_validate(resource)
    except ValidationError as error:
        raise UnprocessableError(*_problems(error)) from error


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


def _malformed(text: str) -> MalformedError:
    return MalformedError(Problem("structure", text, "Observation"))


def _object_of_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _malformed(f"The name {twice[:64]!r} stands twice in one JSON object; which one is meant is unclear.")
    return document


def _refuse_constant(name: str) -> None:
    raise _malformed(f"{name} is no JSON number.")


def _limit_depth(node: Any, left: int) -> None:
    if left == 0:
        raise _malformed(f"The JSON is nested deeper than {MAXIMUM_DEPTH} levels.")
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, dict | list):
            _limit_depth(child, left - 1)


def _decimal_as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is no JSON")


def _problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(
            _ISSUE_TYPES.get(detail["type"], "value"),
            f"{detail['msg']}.".replace("..", "."),
            fhirpath("Observation", detail["loc"]),
        )
        for detail in error.errors(include_input=False, include_url=False, include_context=False)[:_MAXIMUM_PROBLEMS]
    ]
