"""What an operation is given in a Parameters resource, and what is none."""

from decimal import Decimal
from typing import Any

import pytest

from fhir_ecg.fhir.outcome import MalformedError
from fhir_ecg.fhir.parameters import MOST_PARAMETERS, plain_values, resource_and_values

OBSERVATION = {"resourceType": "Observation"}


def parameters(*items: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(items)}


def test_a_resource_and_values_are_found() -> None:
    document = parameters(
        {"name": "mode", "valueCode": "create"}, {"name": "resource", "resource": OBSERVATION, "id": "p1"}
    )
    given = resource_and_values(document, "resource", ("mode", "profile"))
    assert (given.resource, given.values) == (OBSERVATION, {"mode": "create"})


def test_what_is_not_given_is_absent() -> None:
    given = resource_and_values({"resourceType": "Parameters"}, "resource", ("mode",))
    assert (given.resource, given.values) == (None, {})


def test_values_are_text_in_their_order() -> None:
    document = parameters(
        {"name": "max", "valuePositiveInt": 3},
        {"name": "patient", "valueReference": {"reference": "Patient/1", "display": "A"}},
        {"name": "code", "valueString": "a"},
        {"name": "code", "valueString": "b"},
        {"name": "on", "valueBoolean": True},
        {"name": "ratio", "valueDecimal": Decimal("0.50")},
    )
    assert plain_values(document) == [
        ("max", "3"),
        ("patient", "Patient/1"),
        ("code", "a"),
        ("code", "b"),
        ("on", "true"),
        ("ratio", "0.50"),
    ]


@pytest.mark.parametrize(
    ("document", "expression"),
    [
        (OBSERVATION, "Parameters.resourceType"),
        ({}, "Parameters.resourceType"),
        ({"resourceType": ["Parameters"]}, "Parameters.resourceType"),
        ({"resourceType": "Parameters", "parameter": {"name": "resource"}}, "Parameters.parameter"),
        ({"resourceType": "Parameters", "parameter": None}, "Parameters.parameter"),
        ({"resourceType": "Parameters", "parameter": 1}, "Parameters.parameter"),
        (parameters(*[{"name": "mode", "valueCode": "create"}] * (MOST_PARAMETERS + 1)), "Parameters.parameter"),
        (parameters(1), "Parameters.parameter[0].name"),
        (parameters(None), "Parameters.parameter[0].name"),
        (parameters({"resource": OBSERVATION}), "Parameters.parameter[0].name"),
        (parameters({"name": ["resource"], "resource": OBSERVATION}), "Parameters.parameter[0].name"),
        (parameters({"name": "", "resource": OBSERVATION}), "Parameters.parameter[0].name"),
        (parameters({"name": "resource"}), "Parameters.parameter[0]"),
        (parameters({"name": "resource", "resource": OBSERVATION, "valueString": "a"}), "Parameters.parameter[0]"),
        (parameters({"name": "resource", "resource": "Observation"}), "Parameters.parameter[0].resource"),
        (parameters({"name": "resource", "resource": [OBSERVATION]}), "Parameters.parameter[0].resource"),
        (parameters({"name": "resource", "valueString": "Observation/1"}), "Parameters.parameter[0]"),
        (parameters({"name": "mode", "resource": OBSERVATION}), "Parameters.parameter[0]"),
        (parameters({"name": "mode", "valueCode": {"code": "create"}}), "Parameters.parameter[0].valueCode"),
        (parameters({"name": "mode", "valueCode": None}), "Parameters.parameter[0].valueCode"),
        (parameters({"name": "mode", "part": [{"name": "a", "valueCode": "b"}]}), "Parameters.parameter[0]"),
        (parameters(*[{"name": "mode", "valueCode": "create"}] * 2), "Parameters.parameter[1]"),
        (parameters(*[{"name": "resource", "resource": OBSERVATION}] * 2), "Parameters.parameter[1]"),
        (parameters({"name": "colour", "valueCode": "red"}), "Parameters.parameter[0]"),
    ],
)
def test_what_is_no_such_parameters_is_refused_with_its_place(document: dict[str, Any], expression: str) -> None:
    with pytest.raises(MalformedError) as caught:
        resource_and_values(document, "resource", ("mode", "profile"))
    [problem] = caught.value.problems
    assert problem.expression == expression
    assert problem.diagnostics


def test_a_long_name_is_not_told_back() -> None:
    with pytest.raises(MalformedError) as caught:
        resource_and_values(parameters({"name": "x" * 10_000, "valueCode": "a"}), "resource")
    assert len(caught.value.problems[0].diagnostics) < 200


def test_a_resource_is_no_plain_value() -> None:
    with pytest.raises(MalformedError, match="plain value"):
        plain_values(parameters({"name": "code", "resource": OBSERVATION}))
