"""Writes the example Observations, the same bytes each time, into a folder (this one, unless another is named)."""

import sys
from pathlib import Path
from typing import Any

from fhir_ecg.ecg.leads import CHEST_LEADS, Lead
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise
from fhir_ecg.fhir.ecg_observation import ecg_observation
from fhir_ecg.fhir.parsing import serialise

SECONDS = 10.0
RESOLUTION_MV = 0.005
IDENTIFIER_SYSTEM = "http://fhir-ecg.org/fhir/sid/example-ecg"
# Senders differ: these rates take turns, and one sender leaves out what follows from leads I and II.
_RATES_HZ = (250.0, 500.0)
_EIGHT_LEADS = {"sinus-bradycardia"}


def example(name: str) -> dict[str, Any]:
    """Build one example Observation."""
    number = list(EXAMPLES).index(name)
    recording = synthesise(EXAMPLES[name], SECONDS, _RATES_HZ[number % 2], seed=number)
    observation = ecg_observation(
        recording,
        RESOLUTION_MV,
        effective=f"2026-01-{number + 1:02d}T08:30:00+01:00",
        subject=f"Patient/example-{number + 1}",
    )
    if name in _EIGHT_LEADS:
        kept = {f"Lead {lead}" for lead in (Lead.I, Lead.II, *CHEST_LEADS)}
        observation["component"] = [c for c in observation["component"] if c["code"]["text"] in kept]
    identifier = [{"system": IDENTIFIER_SYSTEM, "value": name}]
    return {"resourceType": "Observation", "identifier": identifier} | observation


def main() -> None:
    """Write every example."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name in EXAMPLES:
        (folder / f"{name}.json").write_bytes(serialise(example(name)) + b"\n")


if __name__ == "__main__":
    main()
