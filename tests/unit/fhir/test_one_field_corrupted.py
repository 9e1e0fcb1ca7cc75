"""One field of a sound ECG is corrupted: it is refused, or the reading is the same, or the corruption is one of those
that nobody can notice because each stands for itself alone. Those are listed here and in docs/accepted-forms.md."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fhir_ecg.classifier.preprocessing import GLOBAL_SCALE_MV, preprocess
from fhir_ecg.ecg.leads import CHEST_LEADS, TWELVE_LEADS, Lead
from fhir_ecg.ecg.quality import quality_findings
from fhir_ecg.ecg.recording import Recording
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise
from fhir_ecg.fhir.document import Form, read_observation
from fhir_ecg.fhir.ecg_observation import Sent, ecg_observation, read_joined
from fhir_ecg.fhir.outcome import RefusedError
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.plausibility import check_plausibility
from fhir_ecg.fhir.release import r4_form

RECORDING = synthesise(EXAMPLES["normal-sinus-rhythm"], 10, 100, seed=1)
SOUND: dict[str, Any] = json.loads(
    serialise(
        ecg_observation(RECORDING, 0.005, effective="2026-01-01T08:30:00Z", subject="Patient/1")
        | {"identifier": [{"system": "http://a.example", "value": "1"}]}
    )
)
Path = tuple[str | int, ...]
OTHER_TYPES = (None, True, "", "x", [], {}, -1, 0)
LEFT_OUT = object()

# What stands for itself alone: no second element says what it should have been.
_UNNOTICED = {
    "the gain of a chest lead, within what hearts make": lambda path: path[-1] == "factor" and _is_chest(path),
}


def _is_chest(path: Path) -> bool:
    return path[0] == "component" and TWELVE_LEADS[int(path[1])] in CHEST_LEADS


def paths(node: Any, path: Path = ()) -> Iterator[Path]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in children:
        yield (*path, step)
        yield from paths(child, (*path, step))


def corruptions(value: Any) -> list[Any]:
    """What may come out when a field goes wrong: it is lost, of another type, or another value of the same type."""
    if isinstance(value, bool | int | float):
        return [LEFT_OUT, *OTHER_TYPES, -value, value + 1, *(value * f for f in (2, 10, 0.1, 1000, 0.001))]
    if isinstance(value, str):
        numbers = value.split()
        changed = [" ".join(numbers[1:]), " ".join(numbers[:-1]), value + " ", value + "x", value.replace("-", "+")]
        return [LEFT_OUT, *OTHER_TYPES, *changed, value.replace(" ", ","), value.swapcase(), value[::-1]]
    return [LEFT_OUT, *OTHER_TYPES]


def others_codes(path: Path) -> list[Any]:
    """Every other lead's code in place of this one's."""
    if path[-2:] == ("coding", 0) and path[0] == "component":
        return [c["code"]["coding"][0] for i, c in enumerate(SOUND["component"]) if i != path[1]]
    if path[-1:] == ("code",) and len(path) == 3:
        return [c["code"] for i, c in enumerate(SOUND["component"]) if i != path[1]]
    return []


def corrupted(path: Path, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(SOUND)
    node: Any = document
    for step in path[:-1]:
        node = node[step]
    if value is LEFT_OUT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return document


def read(document: dict[str, Any]) -> Recording:
    observation, _ = read_observation(json.dumps(document).encode(), Form())
    recording = read_joined([Sent(r4_form(observation))])
    check_plausibility(recording, "Observation")
    return recording


def seen(recording: Recording) -> np.ndarray[Any, np.dtype[np.float32]]:
    return preprocess(recording.leads, "band-pass, global scale")


ALL = list(paths(SOUND))


@pytest.mark.parametrize("top", sorted({str(path[:2]) for path in ALL}))
def test_a_corrupted_field_is_refused_or_changes_no_reading_or_cannot_be_noticed(top: str) -> None:
    sound = read(SOUND)
    for path in (path for path in ALL if str(path[:2]) == top):
        node: Any = SOUND
        for step in path:
            node = node[step]
        for value in [*corruptions(node), *others_codes(path)]:
            if value == node and type(value) is type(node):
                continue
            try:
                recording = read(corrupted(path, value))
            except RefusedError:
                continue
            if any(unnoticed(path) for unnoticed in _UNNOTICED.values()):
                continue
            shown = f"{path} = {str(value)[:80]!r} was taken"
            assert recording.sampling_rate == sound.sampling_rate, shown
            # The network's input, from which every constant is removed. A limb lead that is lost is computed from
            # two others, whose steps add up.
            np.testing.assert_allclose(seen(recording), seen(sound), atol=0.0101 / GLOBAL_SCALE_MV, err_msg=shown)


@pytest.mark.parametrize("lead", TWELVE_LEADS)
@pytest.mark.parametrize("factor", [-1, 1000, 0.001])
def test_a_lead_upside_down_or_in_another_unit_is_noticed(lead: Lead, factor: float) -> None:
    if lead in CHEST_LEADS and factor == -1:
        pytest.skip("a chest lead upside down is what some hearts make; docs/accepted-forms.md says so")
    document = corrupted(("component", TWELVE_LEADS.index(lead), "valueSampledData", "factor"), 0.005 * factor)
    if lead in CHEST_LEADS and factor == 0.001:  # it is flat: taken, but never read
        findings = quality_findings(read(document))
        assert [(finding.lead, finding.severity) for finding in findings] == [(lead, "cancels")]
        return
    with pytest.raises(RefusedError) as caught:
        read(document)
    assert any(re.search(rf"\b{lead}\b", problem.diagnostics) for problem in caught.value.problems)
