"""Rules of FHIR's JSON form that the model library does not check. https://hl7.org/fhir/R4/json.html

It takes JSON in a string for an object, a string for a number, null for an absent element, and it fails with
other errors than its own on a resource type it does not know.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel

from fhir_ecg.fhir.outcome import IssueType

Location = tuple[int | str, ...]
Fault = tuple[Location, IssueType, str]
"""Where, which issue, and what is wrong."""

_TYPES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    bool: "a boolean, true or false without quotes",
    int: "a whole number, without point or quotes",
    Decimal: "a number, without quotes",
    str: "a string, in quotes",
}
# What the library looked for, by the types of its errors.
_EXPECTED: dict[str, type] = {
    "model_validation_format": dict,
    "json_invalid": dict,
    "list_type": list,
    "bool_type": bool,
    "bool_parsing": bool,
    "int_type": int,
    "int_parsing": int,
    "int_from_float": int,
    **dict.fromkeys(("string_type", "bytes_type", "date_type", "datetime_type", "time_type", "uuid_type"), str),
}
_FORMAT = re.compile(r"Value error, (\w+) value string does not match spec regex")
_WRITTEN = {
    "Date": "2026-11-22",
    "DateTime": "2026-11-22T09:30:00+01:00",
    "Instant": "2026-11-22T09:30:00+01:00",
    "Time": "09:30:00",
}


def form_faults(node: Any, location: Location = ()) -> Iterator[Fault]:
    """Find what no FHIR JSON may hold, whatever the resource: null, what is empty, unknown resource types."""
    if isinstance(node, dict):
        if not node:
            yield location, "structure", "An object is empty; leave the element out."
        for name, child in node.items():
            yield from _member_faults(node, name, child, (*location, name))
    elif isinstance(node, list):
        if not node:
            yield location, "structure", "An array is empty; leave the element out."
        for index, child in enumerate(node):
            if child is not None:  # by _member_faults
                yield from form_faults(child, (*location, index))


def type_faults(model: BaseModel, node: dict[str, Any], location: Location = ()) -> Iterator[Fault]:
    """Find values whose JSON type is not that of their element, given the model that was made of them."""
    for name, field in type(model).model_fields.items():
        alias = field.alias or name
        if alias in node:
            yield from _value_faults(getattr(model, name), node[alias], (*location, alias))


def error_text(kind: str, message: str, node: Any) -> str:
    """Say what the library found wrong with a value in words for those who sent it.

    Args:
        kind: The type of the library's error.
        message: Its own words.
        node: The value, as JSON.
    """
    found = _FORMAT.match(message)
    if found and isinstance(node, str) and found[1] in _WRITTEN:
        return f"{node[:40]!r} is no {found[1][0].lower()}{found[1][1:]} of FHIR; write such as {_WRITTEN[found[1]]}."
    expected = (Decimal if found[1] == "Decimal" else str) if found else _EXPECTED.get(kind)
    if expected is None or _is_of_type(node, expected):
        return f"{message}.".replace("..", ".")
    return _another_type(node, expected)


def _member_faults(parent: dict[str, Any], name: str, child: Any, location: Location) -> Iterator[Fault]:
    if child is None:
        yield location, "structure", "null stands for an element; leave the element out."
    elif name == "fhir_comments":
        yield location, "structure", "fhir_comments is no element of R4."
    elif name == "resourceType" and not _is_resource(child):
        yield location, "structure", "resourceType names no resource of R4."
    elif name.startswith("_") and not _is_extended(child):
        yield location, "structure", f"{name[:64]} is no object with id or extension, nor an array of such."
    else:
        if isinstance(child, list):
            yield from _null_faults(parent, name, child, location)
        yield from form_faults(child, location)


def _null_faults(parent: dict[str, Any], name: str, items: list[Any], location: Location) -> Iterator[Fault]:
    """Admit null in an array only where the array of its extensions, or of its values, fills the place."""
    other = parent.get(name[1:] if name.startswith("_") else f"_{name}")
    others = other if isinstance(other, list) and len(other) == len(items) else [None] * len(items)
    for index, (item, counterpart) in enumerate(zip(items, others, strict=True)):
        if item is None and counterpart is None:
            yield (*location, index), "structure", "null stands in an array; leave it out."


def _is_extended(child: Any) -> bool:
    items = child if isinstance(child, list) else [child]
    return all(item is None or isinstance(item, dict) for item in items)


def _is_resource(name: Any) -> bool:
    try:
        return isinstance(name, str) and get_fhir_model_class(name).has_resource_base()
    except ValueError:
        return False


def _value_faults(value: Any, node: Any, location: Location) -> Iterator[Fault]:
    if isinstance(value, BaseModel) and isinstance(node, dict):
        yield from type_faults(value, node, location)
    elif isinstance(value, list) and isinstance(node, list):
        for index, (item, child) in enumerate(zip(value, node, strict=True)):
            yield from _value_faults(item, child, (*location, index))
    elif node is not None and not _is_of_type(node, expected := _json_type(value)):
        yield location, "value", _another_type(node, expected)


def _json_type(value: Any) -> type:
    if isinstance(value, BaseModel):
        return dict
    return next((kind for kind in (list, bool, int, Decimal) if isinstance(value, kind)), str)


def _is_of_type(node: Any, expected: type) -> bool:
    return type(node) in ((int, float, Decimal) if expected is Decimal else (expected,))


def _another_type(node: Any, expected: type) -> str:
    return f"{_json_type_name(node)} stands where FHIR has {_TYPES[expected]}."


def _json_type_name(node: Any) -> str:
    names = {dict: "An object", list: "An array", str: "A string", bool: "A boolean"}
    return names.get(type(node), "A number")
