"""To the bit, or within the tolerance; the first place that differs is named."""

from typing import Any

import pytest

from fhir_ecg.service.replay_comparison import TOLERANCE, Comparison, DifferenceError


@pytest.mark.parametrize(
    ("stored", "replayed", "place", "values"),
    [
        (1, 2, "", (1, 2)),
        ({"a": 1, "b": [1, {"c": "x"}]}, {"a": 1, "b": [1, {"c": "y"}]}, ".b[1].c", ("x", "y")),
        ({"a": 1}, {"a": 1, "b": 2}, ".b", (None, 2)),
        ({"a": 1, "b": 2}, {"b": 3}, ".a", (1, None)),
        ({"a": [1, 2]}, {"a": [1]}, ".a", ([1, 2], [1])),
    ],
)
def test_the_first_place_that_differs_is_named(stored: Any, replayed: Any, place: str, values: tuple[Any, Any]) -> None:
    comparison = Comparison()
    comparison.stage = "report"
    with pytest.raises(DifferenceError) as caught:
        comparison.equal("It", stored, replayed)
    assert (caught.value.stage, caught.value.what) == ("report", f"It{place}")
    assert (caught.value.stored, caught.value.replayed) == values
    comparison.equal("It", stored, stored)


def test_where_nothing_has_changed_the_last_bit_counts() -> None:
    comparison = Comparison()
    for compare in (comparison.close, comparison.equal_bits):
        with pytest.raises(DifferenceError):
            compare("x", 1.0, 1.0 + 2**-52)
        compare("x", 1.0, 1.0)
    assert comparison.exact


def test_where_something_has_changed_the_tolerance_counts() -> None:
    comparison = Comparison()
    comparison.changes = ["numpy"]
    comparison.close("x", 1.0, 1.0)
    assert comparison.exact
    comparison.close("x", 1.0, 1.0 + TOLERANCE / 2)
    assert not comparison.exact
    comparison.equal_bits("digest", "a", "b")
    for stored, replayed in ((1.0, 1.0 + 2 * TOLERANCE), (1.0, float("nan"))):
        with pytest.raises(DifferenceError):
            comparison.close("x", stored, replayed)
