"""WFDB records (PhysioNet's format) as Recordings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fhir_ecg.ecg.leads import TWELVE_LEADS, Lead, complete_leads, missing_leads
from fhir_ecg.ecg.recording import Recording

_BY_NAME = {lead.upper(): lead for lead in TWELVE_LEADS}
_TO_MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3}


class UnreadableRecordError(Exception):
    """A WFDB record that is absent, broken or no 12-lead ECG; its text says which and what to do."""


@dataclass(frozen=True, eq=False)
class WfdbRecord:
    """A 12-lead WFDB record."""

    name: str
    recording: Recording
    resolution: float
    """The least significant bit of its finest lead, in mV."""
    date: str | None
    """`YYYY-MM-DD` where the header has one; WFDB has no time zone, so no time is taken."""


def read_wfdb(path: Path) -> WfdbRecord:
    """Read a record by its path, with or without `.hea`; signals that are no standard lead are left out.

    Raises:
        UnreadableRecordError: It cannot be read, a unit is no voltage, or leads are missing.
    """
    import wfdb

    stem = path.with_suffix("") if path.suffix in {".hea", ".dat"} else path
    try:
        record = wfdb.rdrecord(str(stem))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise UnreadableRecordError(f"{stem} is no readable WFDB record: {error}") from error
    leads = {}
    resolutions = []
    signals = zip(record.sig_name or [], record.units or [], record.adc_gain or [], strict=True)
    for column, (name, unit, gain) in enumerate(signals):
        if (lead := _BY_NAME.get(str(name).upper())) is None:
            continue
        if lead in leads:
            raise UnreadableRecordError(f"{stem}: lead {lead} stands twice; which one is meant is unclear")
        if not 0 < abs(gain) < np.inf:
            raise UnreadableRecordError(f"{stem}: lead {name} has gain {gain}, which gives no voltage")
        if (scale := _TO_MILLIVOLTS.get(unit.lower())) is None:
            raise UnreadableRecordError(f"{stem}: lead {name} is in {unit}; voltages are in V, mV or uV")
        leads[lead] = np.asarray(record.p_signal[:, column], np.float64) * scale
        resolutions.append(abs(scale / gain))
    return WfdbRecord(stem.name, _recording(stem, leads, float(record.fs)), min(resolutions), _date(record.base_date))


def _recording(
    stem: Path, leads: dict[Lead, np.ndarray[tuple[int, ...], np.dtype[np.float64]]], rate: float
) -> Recording:
    if missing := missing_leads(set(leads)):
        raise UnreadableRecordError(f"{stem} lacks leads {', '.join(missing)}; a 12-lead ECG is needed")
    twelve, derived = complete_leads(leads)
    try:
        return Recording(twelve, rate, derived)
    except ValueError as error:
        raise UnreadableRecordError(f"{stem}: {error}") from error


def _date(base_date: object) -> str | None:
    return None if base_date is None else str(base_date)
