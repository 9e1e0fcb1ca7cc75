"""What an operation is given in a Parameters resource. https://hl7.org/fhir/R4/parameters.html"""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_ecg.fhir.outcome import IssueType, MalformedError, Problem

MOST_PARAMETERS = 100
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Parameter:
    """One parameter: a resource, or a plain value as text."""

    name: str
    place: str
    """FHIRPath of the parameter."""
    value: str | None = None
    resource: dict[str, Any] | None = None


def read_parameters(document: dict[str, Any]) -> list[Parameter]:
    """List the parameters of a Parameters resource that was parsed; what a resource in it holds is not looked at.

    Raises:
        MalformedError: It is no Parameters resource, or a parameter is neither a resource nor a plain value.
    """
    if document.get("resourceType") != "Parameters":
        raise _malformed("invalid", "The body is no Parameters resource; one belongs here.", "Parameters.resourceType")
    items = document.get("parameter", [])
    if not isinstance(items, list):
        raise _malformed("structure", "parameter is no array.", "Parameters.parameter")
    if len(items) > MOST_PARAMETERS:
        text = f"There are {len(items)} parameters; at most {MOST_PARAMETERS} are read."
        raise _malformed("too-long", text, "Parameters.parameter")
    return [_parameter(item, f"Parameters.parameter[{index}]") for index, item in enumerate(items)]


@dataclass(frozen=True)
class Given:
    """A resource and plain values, of which each may be absent."""

    resource: dict[str, Any] | None
    values: dict[str, str]
    place: str = "Parameters.parameter"
    """FHIRPath of the resource."""


def resource_and_values(document: dict[str, Any], name: str, values: Collection[str] = ()) -> Given:
    """Find the one resource that an operation is given, and the plain values beside it.

    Args:
        document: The Parameters resource, parsed.
        name: The name of the parameter that holds the resource.
        values: The names of the plain values that may stand beside it.

    Raises:
        MalformedError: A parameter is unknown, stands twice, or is of the wrong kind.
    """
    found: dict[str, Parameter] = {}
    for parameter in read_parameters(document):
        if parameter.name != name and parameter.name not in values:
            text = f"There is no parameter {parameter.name!r} here; there are {', '.join((name, *values))}."
            raise _malformed("not-supported", text, parameter.place)
        if parameter.name in found:
            text = f"The parameter {parameter.name} stands twice; which one is meant is unclear."
            raise _malformed("structure", text, parameter.place)
        if (parameter.resource is None) == (parameter.name == name):
            kind = "resource" if parameter.name == name else "plain value"
            raise _malformed("structure", f"The parameter {parameter.name} holds a {kind}.", parameter.place)
        found[parameter.name] = parameter
    held = found.pop(name, None)
    texts = {each: parameter.value or "" for each, parameter in found.items()}
    return Given(held.resource, texts, f"{held.place}.resource") if held else Given(None, texts)


def plain_values(document: dict[str, Any]) -> list[tuple[str, str]]:
    """List names and values, as a query would have them.

    Raises:
        MalformedError: It is no Parameters resource of plain values.
    """
    pairs = []
    for parameter in read_parameters(document):
        if parameter.value is None:
            text = f"The parameter {parameter.name} holds a resource; a plain value belongs here."
            raise _malformed("structure", text, parameter.place)
        pairs.append((parameter.name, parameter.value))
    return pairs


def _parameter(item: Any, place: str) -> Parameter:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name:
        raise _malformed("required", "A parameter is an object with a name.", f"{place}.name")
    content = [key for key in item if key == "resource" or key.startswith("value")]
    if len(content) != 1:
        text = f"The parameter {name[:_LONGEST_NAME]} has {len(content)} values; one belongs here."
        raise _malformed("structure", text, place)
    value, place_of_value = item[content[0]], f"{place}.{content[0]}"
    if content[0] == "resource":
        if not isinstance(value, dict):
            raise _malformed("structure", "resource is no object.", place_of_value)
        return Parameter(name[:_LONGEST_NAME], place, resource=value)
    return Parameter(name[:_LONGEST_NAME], place, value=_text(value, place_of_value))


def _text(value: Any, place: str) -> str:
    """Give a plain value, or the target of a Reference, as text."""
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        value = value["reference"]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | Decimal):
        return str(value)
    raise _malformed("value", "A string, number, boolean or Reference belongs here.", place)


def _malformed(code: IssueType, text: str, expression: str) -> MalformedError:
    return MalformedError(Problem(code, text, expression))
