"""Damages ECGs and sends them: through the decoder, or through HTTP. A seed repeats each run.

python tests/fuzz/fuzz_door.py decoder --inputs 200000
python tests/fuzz/fuzz_door.py http --inputs 20000

Ends with 1 where an answer is a 5xx, takes over a second, or is no sound OperationOutcome; the input is kept.
"""

import copy
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import psutil
from fhir.resources.R4B.operationoutcome import OperationOutcome
from flask.testing import FlaskClient
from tqdm import tqdm

from fhir_ecg.api.app import create_app
from fhir_ecg.bootstrap import bootstrap
from fhir_ecg.ecg.synthesis import EXAMPLES, synthesise
from fhir_ecg.fhir.ecg_observation import ecg_observation
from fhir_ecg.fhir.parsing import serialise
from fhir_ecg.fhir.repairs import Repair
from fhir_ecg.fhir.sampled_data import SampledDataError, decode_dimensions
from fhir_ecg.fhir.xml_form import serialise_xml
from fhir_ecg.settings import Settings
from fhir_ecg.store.migrations import upgrade

LONGEST_SECONDS = 1.0
TOKEN = re.compile(r"-?[0-9]*\.?[0-9]+|[EUL]")  # one of the XSD's pattern
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 2**31, 2**70, 1e300, 5e-324, "", " ", "x", "I", "V1", "mV", "uV", "131331", "\ud800", "\0",
    "\x01", "é" * 500, "2026-02-30", "9999-12-31T23:59:60Z", [], {}, [None], [[]], {"x": 1}, {"coding": [{}]},
    {"reference": "#p"}, {"resourceType": "Patient"}, {"code": "mV"}, "1 2 3", "E E E", "U L", "1  2", "1e5", "?",
    12, "12", 1000000000, {"start": "2026", "end": "2025"}, "1E+999999999", "0 1E+999999999", "0,10,20", "urn:uuid:3",
    "http://a.example/Observation/1", "Observation/1/_history/2", "-aVR", "I, II, V1-V6",
]  # fmt: skip
TOKENS = [
    "1",
    "-1",
    "0",
    "E",
    "U",
    "L",
    ".5",
    "-.5",
    "5.",
    "1e3",
    "+1",
    "--1",
    "",
    "?",
    "\t",
    "\n",
    "٣",
    "9" * 33,
    "1.2.3",
]


@click.group()
def main() -> None:
    """Damage ECGs and see what comes back."""


@main.command()
@click.option("--inputs", default=200_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def decoder(inputs: int, seed: int) -> None:
    """Compare the decoder with the XSD's pattern and with float."""
    chance = random.Random(seed)
    for _ in tqdm(range(inputs), unit="input", mininterval=5):
        tokens = [chance.choice(TOKENS[:8] if chance.random() < 0.97 else TOKENS) for _ in range(chance.randint(1, 30))]
        tokens = [str(chance.randint(-5000, 5000)) if chance.random() < 0.6 else token for token in tokens]
        data = chance.choice([" "] * 20 + ["  ", ""]).join(tokens)
        sampled = {
            "origin": {"value": 0, "code": "mV"}, "period": 2, "dimensions": 1, "data": data,
            "upperLimit": 10**12, "lowerLimit": -(10**12),
        }  # fmt: skip
        allowed = frozenset(repair for repair in Repair if chance.random() < 0.1)
        legal = all(
            TOKEN.fullmatch(token) and len(token) <= 32 and (token in "EUL" or abs(float(token)) <= 10**12)
            for token in data.split(" ")
        )
        try:
            values = decode_dimensions(sampled, 1, allowed).millivolts[0].tolist()
        except SampledDataError:
            assert not legal, f"seed {seed}: refused although legal: {data!r}"
            continue
        if not allowed:
            assert legal, f"seed {seed}: taken although illegal: {data!r}"
            limits = {"E": float("nan"), "U": 1e12, "L": -1e12}
            expected = [limits[token] if token in limits else float(token) for token in data.split(" ")]
            # The repr of nan is always the same, that of a number tells every bit of it; -0 may become 0.
            assert [repr(v + 0) for v in values] == [repr(e + 0) for e in expected], (
                f"seed {seed}: {data!r} is {values}"
            )
    click.echo(f"{inputs} inputs through the decoder, seed {seed}: no fault")


@main.command()
@click.option("--inputs", default=20_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def http(inputs: int, seed: int) -> None:
    """Send damaged ECGs through the whole door, in every form."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url="", broker_url="")
        application = bootstrap(settings)
        upgrade(application.store.engine)
        client = create_app(application, settings).test_client()
        statuses: Counter[int] = Counter()
        slowest, memory = 0.0, [0, 0]
        for number in tqdm(range(inputs), unit="input", mininterval=5):
            path, body, content_type = damaged(chance)
            began = time.perf_counter()
            status = check(client, path, body, content_type)
            slowest = max(slowest, time.perf_counter() - began)
            statuses[status] += 1
            if number in {inputs // 4, inputs - 1}:
                memory[number == inputs - 1] = psutil.Process().memory_info().rss
        application.store.engine.dispose()
    growth = (memory[1] - memory[0]) / 2**20
    click.echo(f"{inputs} inputs through HTTP, seed {seed}: statuses {dict(statuses)}, slowest {slowest:.2f} s,")
    click.echo(f"memory grew by {growth:.1f} MiB from the first quarter's end to the end")
    sys.exit(0 if slowest < LONGEST_SECONDS else 1)


def check(client: FlaskClient, path: str, body: bytes, content_type: str) -> int:
    """Send one input; keep it and fail where the answer is unsound."""
    answer = client.post(path, data=body, content_type=content_type, headers={"Prefer": "return=minimal"})
    sound = answer.status_code in {200, 201}
    if 400 <= answer.status_code < 500:
        outcome = json.loads(answer.data)
        OperationOutcome.model_validate(outcome)
        sound = all(issue["diagnostics"] and issue["expression"] for issue in outcome["issue"])
    if not sound:
        kept = Path(tempfile.mkdtemp(prefix="fhir-ecg-fuzz-")) / "input"
        kept.write_bytes(body)
        raise SystemExit(f"{path} {content_type}: {answer.status_code} {answer.data[:1000]!r}; the input is in {kept}")
    return answer.status_code


def damaged(chance: random.Random) -> tuple[str, bytes, str]:
    """Make an input: where to send it, its bytes and their type."""
    form = chance.choice(["R4", "R4", "R5", "XML", "Bundle"])
    document = copy.deepcopy(_SOUND)
    if form == "R5":
        _to_r5(document, offsets=chance.random() < 0.3)
    if form == "Bundle":
        document = _as_bundle(document, chance.choice(["batch", "transaction"]), with_panel=chance.random() < 0.5)
    body = b""
    if form == "XML":
        body = serialise_xml(document)
    else:
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            _damage(document, chance)
        body = json.dumps(document).encode()
    if form == "XML" or chance.random() < 0.2:
        body = _damage_bytes(body, chance)
    return (
        ("/fhir" if form == "Bundle" else "/fhir/Observation"),
        body,
        ("application/fhir+xml" if form == "XML" else "application/fhir+json"),
    )


def _to_r5(document: dict[str, Any], *, offsets: bool) -> None:
    for component in document["component"]:
        sampled = component["valueSampledData"]
        period = sampled.pop("period")
        sampled["intervalUnit"] = "ms"
        if offsets:
            sampled["offsets"] = " ".join(f"{period * n:g}" for n in range(sampled["data"].count(" ") + 1))
        else:
            sampled["interval"] = period


def _as_bundle(document: dict[str, Any], kind: str, *, with_panel: bool) -> dict[str, Any]:
    """One Observation for each lead, and perhaps a panel that names them."""
    shared = {name: value for name, value in document.items() if name != "component"}
    resources = [shared | component for component in document["component"]]
    if with_panel:
        members = [{"reference": f"urn:uuid:{place}"} for place in range(len(resources))]
        resources.append(shared | {"hasMember": members})
    entries = [
        {
            "fullUrl": f"urn:uuid:{place}",
            "resource": resource,
            "request": {"method": "POST", "url": "Observation"},
        }
        for place, resource in enumerate(resources)
    ]
    return copy.deepcopy({"resourceType": "Bundle", "type": kind, "entry": entries})


def _damage(document: Any, chance: random.Random) -> None:
    places = list(_places(document))
    if not places:
        return
    above, step = chance.choice(places)
    damage = chance.randrange(5)
    if damage == 0:
        del above[step]
    elif damage == 1:
        above[step] = [above[step]]
    elif damage == 2 and isinstance(above, list):
        above.append(copy.deepcopy(above[step]))
    elif damage == 3 and isinstance(above, dict):
        above[chance.choice(["_" + str(step), "valueSampledData", "extension", "component", "meta", "x"])] = above[step]
    else:
        above[step] = copy.deepcopy(chance.choice(ODD))


def _places(node: Any) -> Any:
    children = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for step, child in children:
        yield node, step
        yield from _places(child)


def _damage_bytes(body: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(body))
    damage = chance.randrange(5)
    if damage == 0:
        return body[:at]
    if damage == 1:
        return body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
    if damage == 2:
        return body[:at] + body[at : at + 40] * 2 + body[at + 40 :]
    if damage == 3:
        return (
            body[:at]
            + chance.choice([b"<x/>", b"<!-- -->", b"&a;", b"<![CDATA[x]]>", b'"', b"{", b"]", b"\xff"])
            + body[at:]
        )
    return body


def _sound() -> dict[str, Any]:
    recording = synthesise(EXAMPLES["normal-sinus-rhythm"], 2, 100, seed=1)
    observation = ecg_observation(recording, 0.005, effective="2026-01-01T08:30:00Z", subject="Patient/1")
    parsed: dict[str, Any] = json.loads(serialise(observation))
    return parsed


_SOUND = _sound()

if __name__ == "__main__":
    main()
