"""The algebra of the limb leads: any two of them give the other four."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import CHEST_LEADS, LIMB_LEADS, TWELVE_LEADS, Lead, complete_leads, missing_leads

PAIRS = list(combinations(LIMB_LEADS, 2))
millivolts = arrays(np.float64, 8, elements=st.floats(-10, 10, allow_subnormal=False))


def twelve(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[Lead, NDArray[np.float64]]:
    """Twelve leads by the textbook, from I and II; the chest leads are six multiples of I."""
    limb = {
        Lead.I: first,
        Lead.II: second,
        Lead.III: second - first,
        Lead.AVR: -(first + second) / 2,
        Lead.AVL: first - second / 2,
        Lead.AVF: second - first / 2,
    }
    return limb | {lead: first * number for number, lead in enumerate(CHEST_LEADS, start=2)}


def only(leads: dict[Lead, NDArray[np.float64]], *limb: Lead) -> dict[Lead, NDArray[np.float64]]:
    return {lead: samples for lead, samples in leads.items() if lead in limb or lead in CHEST_LEADS}


def test_the_order_is_that_of_the_standard() -> None:
    assert [str(lead) for lead in TWELVE_LEADS] == [
        "I",
        "II",
        "III",
        "aVR",
        "aVL",
        "aVF",
        "V1",
        "V2",
        "V3",
        "V4",
        "V5",
        "V6",
    ]
    assert TWELVE_LEADS == LIMB_LEADS + CHEST_LEADS


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
@given(first=millivolts, second=millivolts)
def test_any_two_limb_leads_give_the_other_four(
    pair: tuple[Lead, Lead], first: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    expected = twelve(first, second)
    completed, derived = complete_leads(only(expected, *pair))
    assert derived == tuple(lead for lead in LIMB_LEADS if lead not in pair)
    np.testing.assert_allclose(completed, np.stack([expected[lead] for lead in TWELVE_LEADS]), atol=1e-12)


def test_what_was_sent_is_never_replaced_by_what_could_be_derived() -> None:
    sent = twelve(np.array([1.0, 2.0]), np.array([3.0, 4.0])) | {Lead.AVF: np.array([9.0, 9.0])}
    completed, derived = complete_leads(sent)
    assert derived == ()
    assert completed[TWELVE_LEADS.index(Lead.AVF)].tolist() == [9.0, 9.0]


def test_a_gap_in_a_source_is_a_gap_in_what_is_derived_and_nowhere_else() -> None:
    sent = only(twelve(np.array([1.0, np.nan, 2.0]), np.array([3.0, 4.0, 5.0])), Lead.I, Lead.II)
    sent |= {lead: np.ones(3) for lead in CHEST_LEADS}
    completed, _ = complete_leads(sent)
    assert np.isnan(completed[:, 1]).tolist() == [True, False, True, True, True, True] + [False] * 6
    assert not np.isnan(completed[:, [0, 2]]).any()


@pytest.mark.parametrize(
    ("given_leads", "missing"),
    [
        pytest.param(set(TWELVE_LEADS), [], id="all twelve"),
        pytest.param({Lead.I, Lead.II, *CHEST_LEADS}, [], id="the eight independent ones"),
        pytest.param({Lead.AVR, Lead.AVF, *CHEST_LEADS}, [], id="two augmented leads"),
        pytest.param({Lead.II, *CHEST_LEADS}, [lead for lead in LIMB_LEADS if lead != Lead.II], id="one limb lead"),
        pytest.param({Lead.I, Lead.II}, list(CHEST_LEADS), id="no chest lead"),
        pytest.param(set(TWELVE_LEADS) - {Lead.V4}, [Lead.V4], id="a chest lead cannot be derived"),
        pytest.param(set(), list(TWELVE_LEADS), id="nothing"),
    ],
)
def test_missing_leads_are_those_that_cannot_be_derived(given_leads: set[Lead], missing: list[Lead]) -> None:
    assert missing_leads(given_leads) == missing


def test_leads_that_cannot_be_derived_are_named() -> None:
    with pytest.raises(ValueError, match="V1, V2, V3, V4, V5, V6 are missing"):
        complete_leads({Lead.I: np.zeros(3), Lead.II: np.zeros(3)})
