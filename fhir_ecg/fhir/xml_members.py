"""What the models of fhir.resources say of the elements of FHIR XML: names, order, types, which repeat."""

from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from fhir import resources
from fhir.resources import R4B
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from fhir_core.types import FhirBase
from fhir_core.utils import get_fhir_type_name

from fhir_ecg.fhir.release import Release

Model = type[FHIRAbstractModel]

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_LIBRARIES = {Release.R4: R4B, Release.R5: resources}


@dataclass(frozen=True)
class Member:
    """One child element of a type."""

    name: str
    position: int
    repeats: bool
    primitive: str
    """The name of its primitive type; empty where it has none."""
    model: Model | None
    """Of its content; None of a primitive."""
    is_resource: bool
    """Whether it holds a resource of any type, as `contained` does."""


@cache
def members(model: Model) -> dict[str, Member]:
    """Give the child elements of a type by name, in their order; what XML writes as attribute is left out."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    found = {}
    for position, name in enumerate(model.elements_sequence()):
        if name in attributes(model):
            continue
        kind = _without_wrapping(fields[name].annotation)
        is_complex = isinstance(kind, type) and issubclass(kind, FhirBase)
        content: Model | None = kind.get_model_klass() if is_complex else None
        found[name] = Member(
            name,
            position,
            repeats=_repeats(fields[name].annotation),
            primitive="" if is_complex else get_fhir_type_name(fields[name]),
            model=content,
            is_resource=content is not None and content.get_resource_type() == "Resource",
        )
    return found


@cache
def attributes(model: Model) -> tuple[str, ...]:
    """Name the elements of a type that XML writes as attributes. https://hl7.org/fhir/R4/xml.html"""
    if model.has_resource_base():
        return ()
    return ("id", "url") if model.get_resource_type() == "Extension" else ("id",)


def primitive_model(release: Release) -> Model:
    """Give the model of what a primitive has beside its value: an id and extensions.

    Every primitive may have them; the models themselves leave them out of the values of extensions.
    """
    model: Model = _LIBRARIES[release].get_fhir_model_class("FHIRPrimitiveExtension")
    return model


def resource_model(name: Any, release: Release) -> Model | None:
    """Find the model of a resource type; None if the release has no such resource."""
    if not isinstance(name, str):
        return None
    try:
        model: Model = _LIBRARIES[release].get_fhir_model_class(name)
    except ValueError:
        return None
    return model if model.has_resource_base() else None


def _repeats(annotation: Any) -> bool:
    return any(get_origin(part) is list for part in (annotation, *get_args(annotation)))


def _without_wrapping(annotation: Any) -> Any:
    """Reduce such as Optional[list[X]] to X."""
    for part in get_args(annotation):
        if part is not type(None):
            return _without_wrapping(part)
    return annotation
