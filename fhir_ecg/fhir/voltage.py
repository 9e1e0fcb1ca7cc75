"""The unit of an ECG's samples: voltages of UCUM or MDC. https://ucum.org/ucum"""

import re
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.fhir.outcome import Problem

UCUM = "http://unitsofmeasure.org"
_UCUM_AS_OID = "urn:oid:2.16.840.1.113883.6.8"
MILLIVOLTS: dict[str, Decimal] = {
    "V": Decimal("1e3"),
    "mV": Decimal(1),
    "uV": Decimal("1e-3"),
    "nV": Decimal("1e-6"),
}
# ISO/IEEE 11073-10101 names units too. The Personal Health Device guide leaves that to units that UCUM lacks, but a
# number or reference id of its has one meaning all the same.
_MDC = "urn:iso:std:iso:11073:10101"
_MDC_AS_OID = "urn:oid:2.16.840.1.113883.6.24"
_MDC_NAMES = {"MDC_DIM_VOLT": "V", "MDC_DIM_MILLI_VOLT": "mV", "MDC_DIM_MICRO_VOLT": "uV", "MDC_DIM_NANO_VOLT": "nV"}
_UCUM_CODES = {unit: unit for unit in MILLIVOLTS}
_MDC_CODES = _MDC_NAMES | {"266400": "V", "266418": "mV", "266419": "uV", "266420": "nV"}
_CODES = {UCUM: _UCUM_CODES, _UCUM_AS_OID: _UCUM_CODES, _MDC: _MDC_CODES, _MDC_AS_OID: _MDC_CODES}
# The micro sign and the Greek mu are the two ways in which people write UCUM's `u`.
_TEXTS = {"\u00b5V": "uV", "\u03bcV": "uV"} | _UCUM_CODES | _MDC_NAMES
# Beside a code, people's other ways to write the same. MV, which is UCUM's megavolt, is none of them.
_WORDS = {"volt": "V", "millivolt": "mV", "microvolt": "uV", "nanovolt": "nV"}
_OTHER_TEXTS = {"v": "V", "mv": "mV", "uv": "uV", "mcV": "uV", "\u00b5v": "uV", "\u03bcv": "uV", "nv": "nV"}
_BRACKETED = re.compile(r"\[(.*)\]|\((.*)\)")

# Between the lowest and the highest sample of a lead, a heart makes this many mV.
_LEAST_MV, _MOST_MV = 0.05, 20.0


def likely_unit(amplitudes: NDArray[np.float64]) -> str | None:
    """Find the one of mV and uV in which samples of unknown unit are a heart's; None where none or both are."""
    known = amplitudes[~np.isnan(amplitudes)]
    spread = float(np.ptp(known)) if known.size else 0.0
    fitting = [unit for unit in ("mV", "uV") if _LEAST_MV <= spread * float(MILLIVOLTS[unit]) <= _MOST_MV]
    return fitting[0] if len(fitting) == 1 else None


def millivolts_per_unit(origin: dict[str, Any], problems: list[Problem]) -> Decimal | None:
    """Read the unit of an origin; None where it is missing, unknown or contradicts itself, with the problem."""
    code, text, system = origin.get("code"), origin.get("unit"), origin.get("system") or UCUM
    if code is not None and system not in _CODES:
        problems.append(Problem("code-invalid", f"The unit's system is {system}; send {UCUM}.", "origin.system"))
        return None
    unit = _TEXTS.get(str(text)) if code is None else _CODES[system].get(code)
    if unit is None:
        problems.append(_unknown_unit(code, text))
        return None
    if text is not None and _unit_of_text(text) != unit:
        said = code if code == unit else f"{code}, which is {unit}"
        text = f"The unit's code says {said}, its text {text[:40]!r}; correct the wrong one, or leave the text out."
        problems.append(Problem("value", text, "origin.unit"))
        return None
    return MILLIVOLTS[unit]


def _unit_of_text(text: str) -> str | None:
    """Read a text that stands beside a code, more freely than one that stands alone."""
    bare = text.strip()
    if bracketed := _BRACKETED.fullmatch(bare):
        bare = (bracketed[1] or bracketed[2] or "").strip()
    return _TEXTS.get(bare) or _OTHER_TEXTS.get(bare) or _WORDS.get(bare.lower().removesuffix("s"))


def _unknown_unit(code: str | None, text: str | None) -> Problem:
    if code is None and text is None:
        return Problem("required", "The origin has no unit. State it in UCUM: mV or uV.", "origin.code")
    where = "origin.code" if code is not None else "origin.unit"
    shown = str(code if code is not None else text)[:40]
    text = f"The unit {shown!r} is no voltage known here. Use V, mV, uV or nV of {UCUM}."
    return Problem("code-invalid", text, where)
