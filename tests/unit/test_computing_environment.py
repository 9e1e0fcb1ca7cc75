"""What a process computes with, and which of it may change the last bits."""

import pytest

from fhir_ecg.computing_environment import _instructions, computing_environment, environment_changes


def test_the_same_environment_changes_nothing() -> None:
    here = computing_environment()
    assert environment_changes(here) == []
    assert environment_changes(here | {"python": "3.99", "processor": "another of the same kind"}) == []
    assert all(here[name] for name in ("python", "numpy", "scipy", "onnxruntime", "system", "machine"))


@pytest.mark.parametrize("name", ["numpy", "scipy", "onnxruntime", "system", "machine", "libc", "instructions"])
def test_whatever_may_change_bits_is_named(name: str) -> None:
    here = computing_environment()
    (change,) = environment_changes(here | {name: "another"})
    assert change.startswith(f"{name}: another then, ")
    (change,) = environment_changes({other: value for other, value in here.items() if other != name})
    assert change.startswith(f"{name}: unknown then, ")


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"flags": "fpu smep sse4_1 avx2 syscall avx512f fma ibrs"}, {"sse4_1", "avx2", "avx512f", "fma"}),
        ({"Features": "fp asimd aes sve bf16"}, {"asimd", "sve", "bf16"}),
        ({}, set()),
    ],
)
def test_only_what_libraries_compute_by_counts(processor: dict[str, str], expected: set[str]) -> None:
    assert _instructions(processor) == expected
