"""How long twelve leads of SampledData text take to become numbers: this package's parser beside the plain way.

    python benchmarks/decode_sampled_data.py [--samples 5000] [--repeats 41]

Both ways take turns in one run, so that what else the machine does falls on both.
"""  # noqa: INP001 -- a folder of scripts, no package

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fhir_ecg.fhir.sample_text import parse_samples

LEADS = 12
Values = NDArray[np.float64]


def parse(data: str) -> Values:
    """By arithmetic on eight characters at a time, with the check of the pattern."""
    return parse_samples(data, len(data)).values


def parse_plainly(data: str) -> Values:
    """Token by token, without any check; letters have to become nan first."""
    for letter in "EUL":
        data = data.replace(letter, "nan")
    return np.array([float(token) for token in data.split()])


def texts(samples: int) -> dict[str, list[str]]:
    """Twelve texts of each kind, from the same values within -2000 to 2000, most of them small as in an ECG."""
    generator = np.random.default_rng(0)
    raw = np.clip(np.rint(generator.laplace(0, 200, (LEADS, samples))), -2000, 2000).astype(int).tolist()
    gaps = (generator.random((LEADS, samples)) < 0.02).tolist()
    return {
        "integers": [" ".join(map(str, lead)) for lead in raw],
        "decimals": [" ".join(f"{value / 1000:.3f}" for value in lead) for lead in raw],
        "8 decimals": [" ".join(f"{value * 0.00123456:.8f}" for value in lead) for lead in raw],
        "17 decimals": [" ".join(f"{value * 0.00123456:.17f}" for value in lead) for lead in raw],
        "2 % letters": [
            " ".join("EUL"[value % 3] if gap else str(value) for value, gap in zip(*lead, strict=True))
            for lead in zip(raw, gaps, strict=True)
        ],
    }


def milliseconds(ways: list[Callable[[str], Values]], leads: list[str], repeats: int) -> list[float]:
    """The median time of each way for all leads, one after the other."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, taken in zip(ways, times, strict=True):
            start = time.perf_counter()
            for lead in leads:
                way(lead)
            taken.append((time.perf_counter() - start) * 1000)
    return [statistics.median(taken) for taken in times]


def peak(way: Callable[[str], Values], lead: str) -> float:
    """The most memory that one lead takes on the way, its numbers included, as a multiple of its text."""
    tracemalloc.start()
    way(lead)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / len(lead)


def main() -> None:
    """Print a line for each kind of text."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--samples", type=int, default=5000, help="samples of each lead")
    arguments.add_argument("--repeats", type=int, default=41)
    options = arguments.parse_args()
    print(f"{LEADS} leads x {options.samples} samples; medians of {options.repeats}; memory as a multiple of the text")
    print(f"{'':12}{'kB':>8}{'here ms':>10}{'plain ms':>10}{'ratio':>8}{'memory':>9}{'plain':>8}")
    for kind, leads in texts(options.samples).items():
        here, plain = milliseconds([parse, parse_plainly], leads, options.repeats)
        memory = [peak(way, leads[0]) for way in (parse, parse_plainly)]
        size = sum(map(len, leads)) / 1000
        print(f"{kind:12}{size:8.0f}{here:10.2f}{plain:10.2f}{plain / here:8.1f}{memory[0]:9.1f}{memory[1]:8.1f}")


if __name__ == "__main__":
    main()
