"""A profile's snapshot: the elements of its base, with what the differential says of them.

https://hl7.org/fhir/R4/profiling.html#snapshot. It does what our profiles need: it constrains elements, slices them,
and unfolds an element into those of its one data type.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

Element = dict[str, Any]

# What a differential adds to, where other elements replace what the base says.
_ADDED = ("constraint", "condition")


def snapshot(base: str, differential: list[Element]) -> list[Element]:
    """Merge a differential, in the order of the base, into the elements of an R4 resource type.

    Raises:
        LookupError: It names an element that the base has not.
    """
    elements = _base(base)
    for constraint in differential:
        index = _position(elements, constraint["id"])
        elements[index] = _constrained(elements[index], constraint)
    return elements


def _base(kind: str) -> list[Element]:
    read: list[Element] = json.loads(_base_text(kind))
    return read


@cache
def _base_text(kind: str) -> str:
    return files(__package__).joinpath("base", f"{kind}.json").read_text(encoding="utf-8")


def _position(elements: list[Element], identity: str) -> int:
    """Find an element by its id, making it where it is a slice, or within a data type."""
    index = _index(elements, identity)
    if index is None:
        parent, _, name = identity.rpartition(".")
        if ":" in name:
            _add_slice(elements, identity)
        else:
            _unfold(elements, _position(elements, parent))
        index = _index(elements, identity)
    if index is None:
        raise LookupError(f"{identity} is no element of the base")
    return index


def _index(elements: list[Element], identity: str) -> int | None:
    return next((index for index, element in enumerate(elements) if element["id"] == identity), None)


def _add_slice(elements: list[Element], identity: str) -> None:
    """Copy what is sliced, with its children, behind it and the slices before."""
    sliced, _, name = identity.rpartition(":")
    first = _position(elements, sliced)
    last = first
    while last < len(elements) and _is_within(elements[last]["id"], sliced):
        last += 1
    unsliced = [e for e in elements[first:last] if e["id"] == sliced or e["id"].startswith(f"{sliced}.")]
    copies = [_renamed(element, sliced, identity) for element in unsliced]
    copies[0] = {k: v for k, v in copies[0].items() if k != "slicing"} | {"sliceName": name, "min": 0}
    elements[last:last] = copies


def _is_within(identity: str, parent: str) -> bool:
    return identity == parent or identity.startswith((f"{parent}.", f"{parent}:"))


def _unfold(elements: list[Element], index: int) -> None:
    """Add the elements of an element's data type behind it."""
    parent = elements[index]
    [kind] = [kind["code"] for kind in parent["type"]]
    children = [_renamed(element, kind, parent["id"]) for element in _base(kind)[1:]]
    for child in children:
        child["path"] = child["path"].replace(kind, parent["path"], 1)
    elements[index + 1 : index + 1] = children


def _renamed(element: Element, old: str, new: str) -> Element:
    copy: Element = json.loads(json.dumps(element))
    return copy | {"id": new + copy["id"].removeprefix(old)}


def _constrained(element: Element, constraint: Element) -> Element:
    added = {name: [*element.get(name, []), *constraint[name]] for name in _ADDED if name in constraint}
    return _in_order(element | constraint | added)


_ORDER = (
    "id", "path", "sliceName", "slicing", "short", "definition", "min", "max", "base", "contentReference", "type",
)  # fmt: skip


def _in_order(element: Element) -> Element:
    return {name: element[name] for name in (*_ORDER, *element) if name in element}
