"""The definitions as a FHIR package. https://confluence.hl7.org/display/FHIR/NPM+Package+Specification"""

import json
from pathlib import Path
from typing import Any

from fhir_ecg.fhir.definitions import definitions
from fhir_ecg.fhir.definitions.guide import PACKAGE
from fhir_ecg.fhir.definitions.heading import DATE, VERSION
from fhir_ecg.fhir.terminology import CANONICAL

_INDEXED = ("resourceType", "id", "url", "version", "kind", "type", "derivation")


def package_files() -> dict[str, str]:
    """Give the text of every file of the package by its path."""
    resources = {
        f"{kind}-{identity}.json": resource
        for kind, by_id in definitions().items()
        for identity, resource in by_id.items()
    }
    index = {
        "index-version": 1,
        "files": [
            {"filename": name} | {key: resource[key] for key in _INDEXED if key in resource}
            for name, resource in sorted(resources.items())
        ],
    }
    contents = {"package.json": _manifest(), ".index.json": index, **resources}
    return {f"package/{name}": _text(content) for name, content in contents.items()}


def _manifest() -> dict[str, Any]:
    return {
        "name": PACKAGE,
        "version": VERSION,
        "tools-version": 3,
        "type": "fhir.ig",
        "date": f"{DATE.replace('-', '')}000000",
        "license": "Apache-2.0",
        "canonical": CANONICAL,
        "title": "fhir-ecg",
        "description": "Profiles, codes and operations of fhir-ecg, a second reader for 12-lead ECGs",
        "author": "fhir-ecg",
        "fhirVersions": ["4.0.1"],
        "dependencies": {"hl7.fhir.r4.core": "4.0.1"},
    }


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def write_package(folder: Path) -> None:
    """Write the package into a folder, and remove the resources that it no longer has."""
    files = package_files()
    (folder / "package").mkdir(parents=True, exist_ok=True)
    for old in (folder / "package").glob("*.json"):
        if str(old.relative_to(folder)) not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
