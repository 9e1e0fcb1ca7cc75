"""The twelve leads and the algebra between the six limb leads.

Einthoven: III = II - I. Goldberger: aVR = -(I + II) / 2, aVL = I - II / 2, aVF = II - I / 2. So two of the
limb leads give the other four.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Lead(StrEnum):
    """A lead of the standard 12-lead ECG."""

    I = "I"  # noqa: E741 - the lead's own name
    II = "II"
    III = "III"
    AVR = "aVR"
    AVL = "aVL"
    AVF = "aVF"
    V1 = "V1"
    V2 = "V2"
    V3 = "V3"
    V4 = "V4"
    V5 = "V5"
    V6 = "V6"


TWELVE_LEADS: tuple[Lead, ...] = tuple(Lead)
"""The order in which a Recording and the network hold the leads."""


class ExtraLead(StrEnum):
    """A lead beyond the twelve, such as a 15- or 18-lead ECG has. It is known, but not read."""

    V7 = "V7"
    V8 = "V8"
    V9 = "V9"
    V2R = "V2R"
    V3R = "V3R"
    V4R = "V4R"
    V5R = "V5R"
    V6R = "V6R"
    V7R = "V7R"
    V8R = "V8R"
    V9R = "V9R"
    X = "X"
    Y = "Y"
    Z = "Z"


CHEST_LEADS: tuple[Lead, ...] = TWELVE_LEADS[6:]

_IN_TERMS_OF_I_AND_II: dict[Lead, tuple[float, float]] = {
    Lead.I: (1.0, 0.0),
    Lead.II: (0.0, 1.0),
    Lead.III: (-1.0, 1.0),
    Lead.AVR: (-0.5, -0.5),
    Lead.AVL: (1.0, -0.5),
    Lead.AVF: (-0.5, 1.0),
}
LIMB_LEADS: tuple[Lead, ...] = tuple(_IN_TERMS_OF_I_AND_II)


def missing_leads(given: set[Lead]) -> list[Lead]:
    """Name the leads that are absent and cannot be derived; empty where twelve leads can be had."""
    missing = [lead for lead in CHEST_LEADS if lead not in given]
    limb = [lead for lead in LIMB_LEADS if lead in given]
    if len(limb) < 2:
        missing = [lead for lead in LIMB_LEADS if lead not in given] + missing
    return missing


def complete_leads(given: dict[Lead, NDArray[np.float64]]) -> tuple[NDArray[np.float64], tuple[Lead, ...]]:
    """Put twelve leads in order, deriving limb leads that were not sent from the first two that were.

    Args:
        given: Leads of equal length in one unit; `missing_leads` of them must be empty.

    Returns:
        An array (12, samples) in the order of TWELVE_LEADS, and the leads that were derived.

    Raises:
        ValueError: Leads are missing that cannot be derived.
    """
    if missing := missing_leads(set(given)):
        raise ValueError(f"leads {', '.join(missing)} are missing and cannot be derived")
    derived = tuple(lead for lead in LIMB_LEADS if lead not in given)
    sources = [lead for lead in LIMB_LEADS if lead in given][:2]
    weights = np.array([_IN_TERMS_OF_I_AND_II[lead] for lead in sources])
    i_and_ii = np.linalg.solve(weights, np.stack([given[lead] for lead in sources]))
    completed = given | {lead: np.array(_IN_TERMS_OF_I_AND_II[lead]) @ i_and_ii for lead in derived}
    return np.stack([completed[lead] for lead in TWELVE_LEADS]), derived
