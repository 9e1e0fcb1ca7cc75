"""A Recording: twelve leads in mV with their rate, and how they came to be."""

import hashlib
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.ecg.leads import TWELVE_LEADS, ExtraLead, Lead

MINIMUM_RATE_HZ = 50.0
MAXIMUM_RATE_HZ = 2000.0


@dataclass(frozen=True, eq=False)
class Recording:
    """A 12-lead ECG.

    Attributes:
        leads: (12, samples) in mV, in the order of TWELVE_LEADS; nan where the sender marks a gap.
        sampling_rate: Samples a second, 50 to 2000.
        derived: Leads that were not sent but follow from the limb leads that were.
        repairs: Names of the repairs that were applied to what was sent.
        parts: In how many consecutive parts each lead was sent.
        unread: Leads beyond the twelve that were sent too.

    Raises:
        ValueError: The shape, a value or the rate is out of range.
    """

    leads: NDArray[np.float64]
    sampling_rate: float
    derived: tuple[Lead, ...] = ()
    repairs: tuple[str, ...] = ()
    parts: int = 1
    unread: tuple[ExtraLead, ...] = ()

    def __post_init__(self) -> None:
        if self.leads.ndim != 2 or self.leads.shape[0] != len(TWELVE_LEADS) or self.leads.shape[1] == 0:
            raise ValueError(f"a Recording has 12 leads of at least one sample, not shape {self.leads.shape}")
        if np.isinf(self.leads).any():
            raise ValueError("a Recording's samples are finite, or nan for a gap")
        if not MINIMUM_RATE_HZ <= self.sampling_rate <= MAXIMUM_RATE_HZ:
            raise ValueError(f"a Recording has 50 to 2000 samples a second, not {self.sampling_rate:g}")

    @property
    def samples(self) -> int:
        """Number of samples in each lead."""
        return int(self.leads.shape[1])

    @property
    def seconds(self) -> float:
        """Duration, counting one sampling interval for each sample."""
        return self.samples / self.sampling_rate

    def with_repair(self, name: str) -> Self:
        """Note a further repair."""
        return replace(self, repairs=tuple(sorted({*self.repairs, name})))

    def sha256(self) -> str:
        """Digest of the rate and the samples as little-endian doubles, for the audit."""
        digest = hashlib.sha256(np.float64(self.sampling_rate).astype("<f8").tobytes())
        digest.update(np.ascontiguousarray(self.leads, dtype="<f8").tobytes())
        return digest.hexdigest()
