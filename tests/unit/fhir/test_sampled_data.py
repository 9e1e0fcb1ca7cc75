"""SampledData: value = origin + factor x raw, in the unit of the origin; anything else is refused by name."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sent_ecg import sampled_data

from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.repairs import NONE
from fhir_ecg.fhir.sampled_data import UCUM, DecodedSamples, SampledDataError, decode_dimensions, encode_sampled_data

ABSENT = object()


def sampled(data: str = "1 2 3", **elements: Any) -> dict[str, Any]:
    """A SampledData as it comes out of parse_json; ABSENT leaves an element out."""
    merged = sampled_data(data) | elements
    return parse_json(json.dumps({name: value for name, value in merged.items() if value is not ABSENT}).encode())


def origin(value: Any = 0, **unit: Any) -> dict[str, Any]:
    return {"value": value} | unit


def decoded_lead(sample: dict[str, Any]) -> DecodedSamples:
    return decode_dimensions(sample, 1, NONE)


def faults(sample: dict[str, Any]) -> list[tuple[str, str | None]]:
    with pytest.raises(SampledDataError) as caught:
        decoded_lead(sample)
    assert str(caught.value) == "; ".join(problem.diagnostics for problem in caught.value.problems)
    return [(problem.code, problem.expression) for problem in caught.value.problems]


MILLIVOLT = {"unit": "mV", "system": UCUM, "code": "mV"}
GAP = float("nan")

VALUES = [
    pytest.param(sampled("1 2 3"), [0.005, 0.010, 0.015], id="factor"),
    pytest.param(sampled("1 2 3", factor=ABSENT), [1, 2, 3], id="no factor is 1"),
    pytest.param(sampled("1 2 3", factor=-0.5), [-0.5, -1, -1.5], id="negative factor"),
    pytest.param(sampled("1 2", origin=origin(-1.5, **MILLIVOLT)), [-1.495, -1.49], id="origin is added"),
    pytest.param(sampled("2047 2049", origin=origin(2048, **MILLIVOLT), factor=1), [4095, 4097], id="no ADC offset"),
    pytest.param(sampled("-1 .5 -.5 1.25 007 -0", factor=1), [-1, 0.5, -0.5, 1.25, 7, 0], id="forms of a decimal"),
    pytest.param(sampled("1 E E 2", factor=1), [1, GAP, GAP, 2], id="E is a gap"),
    pytest.param(sampled("E", factor=1), [GAP], id="nothing but a gap"),
    pytest.param(sampled("U 1 L E", upperLimit=3.3, lowerLimit=-3.3), [3.3, 0.005, -3.3, GAP], id="limits are values"),
    pytest.param(
        sampled("U L", upperLimit=3300, lowerLimit=-3300, factor=5, origin=origin(7, code="uV", system=UCUM)),
        [3.3, -3.3], id="limits in the unit of the origin",
    ),
    pytest.param(sampled("1 2", upperLimit=10, lowerLimit=5, factor=5), [5, 10], id="at its limits"),
    pytest.param(sampled("-3 3", upperLimit=10, lowerLimit=-10, factor=4), [-12, 12], id="limits rounded to a step"),
    pytest.param(sampled("9" * 12, factor=1), [999999999999], id="twelve digits"),
]  # fmt: skip


@pytest.mark.parametrize(("sample", "millivolts"), VALUES)
def test_values(sample: dict[str, Any], millivolts: list[float]) -> None:
    decoded = decoded_lead(sample)
    np.testing.assert_allclose(decoded.millivolts, [millivolts], rtol=1e-12)
    assert decoded.sampling_rate == 500


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ({"code": "mV", "system": UCUM}, 2),
        ({"code": "uV", "system": UCUM}, 0.002),
        ({"code": "nV", "system": UCUM}, 0.000002),
        ({"code": "V", "system": UCUM}, 2000),
        ({"code": "uV", "system": UCUM, "unit": "microvolt"}, 0.002),
        ({"code": "uV", "system": UCUM, "unit": "\u00b5V"}, 0.002),
        ({"code": "uV", "system": UCUM, "unit": "mcV"}, 0.002),
        ({"code": "uV", "system": UCUM, "unit": "Microvolts"}, 0.002),
        ({"code": "uV", "system": UCUM, "unit": "(\u00b5V)"}, 0.002),
        ({"code": "mV", "system": UCUM, "unit": "millivolt"}, 2),
        ({"code": "mV", "system": UCUM, "unit": "MILLIVOLTS"}, 2),
        ({"code": "mV", "system": UCUM, "unit": " mv "}, 2),
        ({"code": "mV", "system": UCUM, "unit": "[mV]"}, 2),
        ({"code": "mV", "system": UCUM, "unit": "MDC_DIM_MILLI_VOLT"}, 2),
        ({"code": "V", "system": UCUM, "unit": "Volts"}, 2000),
        ({"code": "nV", "system": UCUM, "unit": "nanovolt"}, 0.000002),
        ({"code": "266418", "system": "urn:oid:2.16.840.1.113883.6.24", "unit": "mV"}, 2),
        ({"code": "uV", "system": "urn:oid:2.16.840.1.113883.6.8"}, 0.002),
        ({"code": "uV"}, 0.002),
        ({"unit": "mV"}, 2),
        ({"unit": "uV"}, 0.002),
        ({"unit": "\u00b5V"}, 0.002),
        ({"unit": "\u03bcV"}, 0.002),
        ({"unit": "V", "system": UCUM}, 2000),
    ],
    ids=str,
)
def test_units(unit: dict[str, str], expected: float) -> None:
    decoded = decoded_lead(sampled("2", factor=1, origin=origin(**unit)))
    np.testing.assert_allclose(decoded.millivolts, [[expected]], rtol=1e-12)


@pytest.mark.parametrize(
    ("unit", "code", "expression"),
    [
        ({}, "required", "origin.code"),
        ({"system": UCUM}, "required", "origin.code"),
        ({"unit": "mm[Hg]"}, "code-invalid", "origin.unit"),
        ({"unit": "mcV"}, "code-invalid", "origin.unit"),
        ({"unit": "MV"}, "code-invalid", "origin.unit"),
        ({"unit": "millivolt"}, "code-invalid", "origin.unit"),
        ({"code": "mm[Hg]", "system": UCUM}, "code-invalid", "origin.code"),
        ({"code": "MV", "system": UCUM}, "code-invalid", "origin.code"),
        ({"code": "\u00b5V", "system": UCUM}, "code-invalid", "origin.code"),
        ({"code": "mm[Hg]", "unit": "mV", "system": UCUM}, "code-invalid", "origin.code"),
        ({"code": "mV", "system": "urn:iso:std:iso:11073:10101"}, "code-invalid", "origin.code"),
        ({"code": "mV", "system": "urn:iso:std:iso:11073:10102"}, "code-invalid", "origin.system"),
        ({"code": "mV", "unit": "uV", "system": UCUM}, "value", "origin.unit"),
        ({"code": "uV", "unit": "mV"}, "value", "origin.unit"),
        ({"code": "mV", "unit": "\u03bcV", "system": UCUM}, "value", "origin.unit"),
        ({"code": "uV", "unit": "LSB", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "cm", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "mmHg", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "microvolt", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "MV", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "mVs", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "()", "system": UCUM}, "value", "origin.unit"),
        ({"code": "mV", "unit": "10 mV", "system": UCUM}, "value", "origin.unit"),
        ({"code": "266419", "unit": "mV", "system": "urn:oid:2.16.840.1.113883.6.24"}, "value", "origin.unit"),
        ({"code": "mV", "system": "urn:oid:2.16.840.1.113883.6.24"}, "code-invalid", "origin.code"),
    ],
    ids=str,
)
def test_a_unit_that_is_no_voltage_or_contradicts_itself(unit: dict[str, str], code: str, expression: str) -> None:
    assert faults(sampled(origin=origin(**unit))) == [(code, expression)]


@pytest.mark.parametrize(
    ("unit", "sides"),
    [
        ({"code": "uV", "unit": "LSB", "system": UCUM}, "code says uV, its text 'LSB'"),
        (
            {"code": "266419", "unit": "mV", "system": "urn:oid:2.16.840.1.113883.6.24"},
            "code says 266419, which is uV, its text 'mV'",
        ),
    ],
)
def test_both_sides_of_a_unit_are_named(unit: dict[str, str], sides: str) -> None:
    with pytest.raises(SampledDataError, match=sides):
        decoded_lead(sampled(origin=origin(**unit)))


@pytest.mark.parametrize(
    ("elements", "code", "expression"),
    [
        ({"period": 0}, "value", "period"),
        ({"period": -2}, "value", "period"),
        ({"period": ABSENT}, "required", "period"),
        ({"period": 10**13}, "value", "period"),
        ({"factor": 0}, "value", "factor"),
        ({"factor": 0.000}, "value", "factor"),
        ({"factor": 10**13}, "value", "factor"),
        ({"origin": origin(ABSENT, **MILLIVOLT)}, "required", "origin.value"),
        ({"origin": origin(-(10**13), **MILLIVOLT)}, "value", "origin.value"),
        ({"dimensions": 2}, "value", "dimensions"),
        ({"dimensions": 0}, "value", "dimensions"),
        ({"dimensions": 10**9}, "value", "dimensions"),
        ({"dimensions": ABSENT}, "value", "dimensions"),
        ({"data": ABSENT}, "required", "data"),
        ({"data": ""}, "required", "data"),
        ({"data": "1" * 13}, "value", "data"),
        ({"data": "1 -" + "9" * 400}, "value", "data"),
        ({"data": "1 U"}, "required", "upperLimit"),
        ({"data": "1 L"}, "required", "lowerLimit"),
        ({"data": "1 L", "upperLimit": 3}, "required", "lowerLimit"),
        ({"data": "1 U", "upperLimit": 10**13}, "value", "upperLimit"),
        ({"lowerLimit": 5, "upperLimit": -5}, "value", "lowerLimit"),
        ({"lowerLimit": 5, "upperLimit": 5}, "value", "lowerLimit"),
        ({"data": "U L", "lowerLimit": 5, "upperLimit": -5}, "value", "lowerLimit"),
        ({"data": "E E", "lowerLimit": 0.5, "upperLimit": 0.50}, "value", "lowerLimit"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_numbers_that_make_no_signal(elements: dict[str, Any], code: str, expression: str) -> None:
    if elements.get("origin", {}).get("value") is ABSENT:
        elements = {"origin": dict(MILLIVOLT)}
    assert faults(sampled(**elements)) == [(code, expression)]


@pytest.mark.parametrize(("low", "high", "why"), [(5, -5, "swapped"), (0, 0, "equal")])
def test_limits_that_exclude_every_value_are_named(low: int, high: int, why: str) -> None:
    with pytest.raises(SampledDataError, match=f"lowerLimit is {low} and upperLimit {high}: they are {why}"):
        decoded_lead(sampled(lowerLimit=low, upperLimit=high))


OFFSETS = [
    ("0 1E+999999999 4", "at sample 1 ('1E+999999999'). Decimals without exponent"),
    ("0 1e1 4", "at sample 1 ('1e1'). Decimals without exponent"),
    ("0 2 +4", "at sample 2 ('+4'). Decimals"),
    ("0 2  4", "at sample 2 (''). Decimals"),
    ("0 2 4 ", "at sample 3 (''). Decimals"),
    ("0 2 NaN", "at sample 2 ('NaN'). Decimals"),
    ("0 2 1_0", "at sample 2 ('1_0'). Decimals"),
    ("0 2 \u0664", "at sample 2 ('\u0664'). Decimals"),
    ("0 2 4.", "at sample 2 ('4.'). Decimals"),
    ("0 2 " + "1" * 33, "at sample 2 ('" + "1" * 32 + "'). Decimals"),
    ("0 2 1000000000001", "offsets is no number within 10^12."),
    ("0\n2\n4", "at sample 0 ('0\\n2\\n4'). Between numbers belongs one space, and in decimals a point; a line break"),
    ("0 2,4", "a comma stands there"),
    ("0;2;4", "a semicolon stands there"),
    ("0\t2\t4", "a tab stands there"),
]


@pytest.mark.parametrize(("offsets", "text"), OFFSETS, ids=ascii)
def test_offsets_that_are_no_decimals_are_one_problem(offsets: str, text: str) -> None:
    with pytest.raises(SampledDataError) as caught:
        decoded_lead(sampled("1 2 3", period=ABSENT, offsets=offsets, intervalUnit="ms"))
    (problem,) = caught.value.problems
    assert (problem.code, problem.expression) == ("value", "offsets")
    assert text in problem.diagnostics


@pytest.mark.parametrize(("offsets", "rate"), [("0 2 4", 500), ("-2 0 2", 500), (".0 .5 1.0", 2000)])
def test_offsets(offsets: str, rate: float) -> None:
    sample = sampled("1 2 3", period=ABSENT, offsets=offsets, intervalUnit="ms")
    assert decoded_lead(sample).sampling_rate == rate


@pytest.mark.parametrize("period", [b"1e-999", b"1e-40", b"0.000000001"])
def test_a_tiny_period_is_a_huge_rate_and_no_crash(period: bytes) -> None:
    sample = parse_json(serialise(sampled(period=17)).replace(b"17", period))
    assert decoded_lead(sample).sampling_rate > 1e11


def test_every_fault_is_told_at_once() -> None:
    sample = sampled("1  2", period=0, factor=0, dimensions=3, origin=origin(code="mmol", system=UCUM))
    assert [expression for _, expression in faults(sample)] == ["period", "factor", "dimensions", "data", "origin.code"]


# The offset is that of the first token that is none.
BROKEN = [
    ("x", 0, "x"),
    (" 1 2", 0, ""),
    ("1 2 ", 4, ""),
    ("1 2  3", 4, ""),
    ("1 2\n3", 2, "2\n3"),
    ("1 2\t3", 2, "2\t3"),
    ("1 2 3\n", 4, "3\n"),
    ("1,2,3", 0, "1,2,3"),
    ("1 2 ?", 4, "?"),
    ("1 ? 3", 2, "?"),
    ("10 1e3 5", 3, "1e3"),
    ("10 1E3 5", 3, "1E3"),
    ("1 +2", 2, "+2"),
    ("1 --2", 2, "--2"),
    ("1 - 2", 2, "-"),
    ("1 2. 3", 2, "2."),
    ("1 1.2.3 4", 2, "1.2.3"),
    ("1 nan 2", 2, "nan"),
    ("1 inf", 2, "inf"),
    ("1 e", 2, "e"),
    ("1 EU 2", 2, "EU"),
    ("1 5E", 2, "5E"),
    ("1 0x10", 2, "0x10"),
    ("1 1_0", 2, "1_0"),
    ("1 \u0661 2", 2, "\u0661"),
    ("1 2\u00a03", 2, "2\u00a03"),
    ("1 " + "7" * 40 + "x", 2, "7" * 32),
]


@pytest.mark.parametrize(("data", "offset", "token"), BROKEN, ids=ascii)
def test_a_token_that_is_none_is_refused_with_its_offset(data: str, offset: int, token: str) -> None:
    with pytest.raises(SampledDataError) as caught:
        decoded_lead(sampled(data, upperLimit=1, lowerLimit=-1))
    (problem,) = caught.value.problems
    assert (problem.code, problem.expression) == ("value", "data")
    assert f"at character {offset} ({token!r})." in problem.diagnostics


tokens = st.from_regex(r"-?[0-9]{0,6}\.?[0-9]{1,6}|E", fullmatch=True).filter(str.isascii)


@given(
    good=st.lists(tokens, max_size=8), bad=st.text("0123456789.-EULx?+e", min_size=1).filter(lambda t: not _is_token(t))
)
def test_the_first_bad_token_is_found_wherever_it_stands(good: list[str], bad: str) -> None:
    data = " ".join([*good, bad, "1", "y"])
    with pytest.raises(SampledDataError, match=f"at character {len(' '.join([*good, '']))} "):
        decoded_lead(sampled(data))


def _is_token(text: str) -> bool:
    """The pattern of the XSD, written as a person would check it."""
    digits = text.removeprefix("-")
    whole, point, fraction = digits.partition(".")
    decimal = (whole + fraction).isdigit() and (not point or fraction.isdigit()) and digits.count(".") <= 1
    return text in {"E", "U", "L"} or decimal


@given(
    raw=st.integers(-32768, 32767),
    factor=st.decimals("0.0001", "9.9999", places=4),
    start=st.decimals("-100", "100", places=3),
)
def test_the_formula_holds_to_the_last_digit_of_a_double(raw: int, factor: Decimal, start: Decimal) -> None:
    sample = {"origin": origin(start, **MILLIVOLT), "period": 2, "factor": factor, "dimensions": 1, "data": str(raw)}
    decoded = decoded_lead(sample)
    assert decoded.millivolts[0, 0] == pytest.approx(float(start + factor * raw), rel=1e-15, abs=1e-13)


@given(
    millivolts=arrays(np.float64, st.integers(1, 50), elements=st.floats(-30, 30) | st.just(GAP)),
    resolution=st.sampled_from([0.001, 0.0025, 0.00488, 0.005, 1e-05]),
    rate=st.sampled_from([50.0, 100.0, 128.0, 240.0, 257.73, 360.0, 500.0, 1000.0, 2000.0]),
)
def test_what_is_encoded_comes_back_within_half_a_step_with_its_gaps(
    millivolts: NDArray[np.float64], resolution: float, rate: float
) -> None:
    body = serialise(encode_sampled_data(millivolts, rate, resolution))
    decoded = decoded_lead(parse_json(body))
    np.testing.assert_array_equal(np.isnan(decoded.millivolts[0]), np.isnan(millivolts))
    np.testing.assert_allclose(decoded.millivolts[0], millivolts, rtol=0, atol=resolution / 2 * (1 + 1e-9))
    assert decoded.sampling_rate == pytest.approx(rate, rel=1e-12)


def test_encoding() -> None:
    written = encode_sampled_data(np.array([0.0, 0.0149, -1.0, np.nan, 0.005]), 500.0, 0.005)
    assert serialise(written) == (
        b'{"origin":{"value":0,"unit":"mV","system":"http://unitsofmeasure.org","code":"mV"},'
        b'"period":2.0,"factor":0.005,"dimensions":1,"data":"0 3 -200 E 1"}'
    )


def test_numbers_of_numpy_are_encoded_as_numbers() -> None:
    written = encode_sampled_data(np.array([1.0]), np.float64(250.0), np.float64(0.005))
    assert (written["period"], written["factor"]) == (Decimal("4.0"), Decimal("0.005"))
