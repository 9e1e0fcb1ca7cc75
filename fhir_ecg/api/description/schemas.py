"""The JSON schemas of what is sent and answered. The models check more than a JSON schema can say."""

import json
from importlib.resources import files
from typing import Any

Schema = dict[str, Any]

ID_PATTERN = r"^[A-Za-z0-9\-.]{1,64}$"
_EXAMPLE = "normal-sinus-rhythm"
_TEXT: Schema = {"type": "string", "minLength": 1}
_DECIMAL: Schema = {"type": "number"}


def _object(properties: dict[str, Schema], required: tuple[str, ...] = (), **rest: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **rest}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SAMPLED_DATA = _object(
    {
        "origin": _object(
            {
                "value": _DECIMAL,
                "unit": _TEXT,
                "system": {"const": "http://unitsofmeasure.org"},
                "code": {"enum": ["V", "mV", "uV", "nV"]},
            },
            ("value",),
        ),
        "period": {"type": "number", "exclusiveMinimum": 0, "description": "R4: milliseconds between samples"},
        "interval": {"type": "number", "exclusiveMinimum": 0, "description": "R5: time between samples"},
        "intervalUnit": {"enum": ["ns", "us", "ms", "cs", "ds", "s", "min", "h"], "description": "R5"},
        "factor": {"type": "number", "not": {"const": 0}},
        "lowerLimit": _DECIMAL,
        "upperLimit": _DECIMAL,
        "dimensions": {"type": "integer", "minimum": 1},
        "data": {"type": "string", "pattern": r"^(-?\d+(\.\d+)?|[ELU])( (-?\d+(\.\d+)?|[ELU]))*$"},
    },
    ("origin", "dimensions", "data"),
)
_SCHEMAS: dict[str, Schema] = {
    "CodeableConcept": _object({
        "coding": _list(_object({"system": _TEXT, "code": _TEXT, "display": _TEXT})),
        "text": _TEXT,
    }, minProperties=1),
    "Reference": _object(
        {"reference": _TEXT, "type": _TEXT, "display": _TEXT, "identifier": _ref("Identifier")}, minProperties=1
    ),
    "Identifier": _object({"system": _TEXT, "value": _TEXT}, minProperties=1),
    "SampledData": _SAMPLED_DATA,
    "ECG": _object(
        {
            "resourceType": {"const": "Observation"},
            "identifier": _list(_ref("Identifier")),
            "status": {"enum": ["preliminary", "final", "amended", "corrected", "unknown"]},
            "category": _list(_ref("CodeableConcept")),
            "code": _ref("CodeableConcept"),
            "subject": _ref("Reference"),
            "encounter": _ref("Reference"),
            "effectiveDateTime": _TEXT,
            "component": _list(
                _object({"code": _ref("CodeableConcept"), "valueSampledData": _ref("SampledData")}, ("code",))
            ),
        },
        ("resourceType", "status", "code", "component"),
        description="A 12-lead ECG. docs/accepted-forms.md has every form that is taken.",
    ),
    "Parameters": _object(
        {
            "resourceType": {"const": "Parameters"},
            "parameter": _list(_object({"name": _TEXT}, ("name",))),
        },
        ("resourceType",),
    ),
    "Requests": _object(
        {
            "resourceType": {"const": "Bundle"},
            "type": {"enum": ["transaction", "batch"]},
            "entry": _list(
                _object(
                    {
                        "fullUrl": _TEXT,
                        "resource": _object({"resourceType": _TEXT}, ("resourceType",)),
                        "request": _object(
                            {
                                "method": {"enum": ["GET", "POST", "PUT", "DELETE"]},
                                "url": _TEXT,
                                "ifNoneExist": _TEXT,
                                "ifMatch": _TEXT,
                                "ifNoneMatch": _TEXT,
                                "ifModifiedSince": _TEXT,
                            },
                            ("method", "url"),
                        ),
                    },
                    ("request",),
                )
            ),
        },
        ("resourceType", "type"),
        description="A Bundle of requests.",
    ),
    "OperationOutcome": _object(
        {
            "resourceType": {"const": "OperationOutcome"},
            "issue": _list(
                _object(
                    {
                        "severity": {"enum": ["fatal", "error", "warning", "information"]},
                        "code": _TEXT,
                        "diagnostics": _TEXT,
                        "expression": _list(_TEXT),
                    },
                    ("severity", "code"),
                )
            ),
        },
        ("resourceType", "issue"),
    ),
    "Manifest": _object(
        {
            "transactionTime": _TEXT,
            "request": _TEXT,
            "requiresAccessToken": {"type": "boolean"},
            "output": {
                "type": "array",
                "items": _object(
                    {"type": _TEXT, "url": _TEXT, "count": {"type": "integer", "minimum": 0}}, ("type", "url")
                ),
            },
            "error": {"type": "array"},
        },
        ("transactionTime", "request", "requiresAccessToken", "output", "error"),
    ),
}  # fmt: skip


def resource_schema(kind: str) -> Schema:
    """Say of a resource in an answer which type it is."""
    return _object({"resourceType": {"const": kind}}, ("resourceType",))


def schemas(kinds: set[str]) -> dict[str, Schema]:
    """Give every schema by name: the written ones, and a plain one for each other type of resource."""
    return _SCHEMAS | {kind: resource_schema(kind) for kind in sorted(kinds) if kind not in _SCHEMAS}


def example_ecg() -> Any:
    """Give a whole ECG, to try a create with."""
    return json.loads(files("fhir_ecg").joinpath("examples", f"{_EXAMPLE}.json").read_bytes())
