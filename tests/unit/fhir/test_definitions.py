"""Our profiles, codes and operations: valid, complete, and the same as the package that is shipped."""

import csv
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from locations import REPOSITORY

from fhir_ecg.ecg.statements import STATEMENT_CODES
from fhir_ecg.fhir.capability import INTERACTIONS
from fhir_ecg.fhir.definitions import definitions
from fhir_ecg.fhir.definitions.package import package_files, write_package
from fhir_ecg.fhir.definitions.search import Found, find_definitions
from fhir_ecg.fhir.definitions.snapshot import snapshot
from fhir_ecg.fhir.outcome import MalformedError

CANONICAL = "http://fhir-ecg.org/fhir"
EVERY = {f"{kind}/{identity}": d for kind, by_id in definitions().items() for identity, d in by_id.items()}
PROFILES = definitions()["StructureDefinition"]


@pytest.mark.parametrize("reference", EVERY)
def test_a_definition_is_valid_and_has_its_canonical(reference: str) -> None:
    definition = EVERY[reference]
    get_fhir_model_class(definition["resourceType"]).model_validate(json.loads(json.dumps(definition)))
    assert definition["url"] == f"{CANONICAL}/{reference}"
    assert {"version", "name", "title", "status", "description"} <= set(definition)


def test_every_definition_that_another_names_is_there() -> None:
    text = json.dumps(EVERY)
    named = {part.partition('"')[0] for part in text.split(f'"{CANONICAL}/')[1:]}
    assert {name for name in named if not name.startswith("sid/")} == set(EVERY)


@pytest.mark.parametrize("identity", PROFILES)
def test_a_snapshot_says_what_the_differential_says(identity: str) -> None:
    profile = PROFILES[identity]
    assert profile["type"] in INTERACTIONS
    elements = {element["id"]: element for element in profile["snapshot"]["element"]}
    assert len(elements) == len(profile["snapshot"]["element"])
    for stated in profile["differential"]["element"]:
        merged = elements[stated["id"]]
        added = {"constraint", "condition"}
        assert {k: v for k, v in merged.items() if k in stated.keys() - added} == {
            k: v for k, v in stated.items() if k not in added
        }
        assert all(constraint in merged["constraint"] for constraint in stated.get("constraint", []))


@pytest.mark.parametrize("identity", PROFILES)
def test_a_snapshot_has_each_element_behind_its_parent(identity: str) -> None:
    seen: set[str] = set()
    for element in PROFILES[identity]["snapshot"]["element"]:
        parent = element["id"].rpartition(".")[0]
        assert not parent or parent in seen, element["id"]
        assert {"min", "max", "base"} <= set(element)
        seen.add(element["id"])


def test_the_leads_of_an_ecg_are_a_slice_with_all_its_children() -> None:
    elements = PROFILES["ecg-in"]["snapshot"]["element"]
    ids = [element["id"] for element in elements]
    lead = "Observation.component:lead"
    children = [i.removeprefix(lead) for i in ids if i.startswith(lead)]
    assert children[:7] == ["", ".id", ".extension", ".modifierExtension", ".code", ".value[x]", ".value[x].id"]
    assert {".value[x].origin.code", ".value[x].data", ".interpretation", ".referenceRange"} <= set(children)
    assert ids.index("Observation.component.referenceRange") < ids.index(lead)
    [origin] = [element for element in elements if element["id"] == f"{lead}.value[x].origin.value"]
    assert (origin["path"], origin["min"]) == ("Observation.component.value[x].origin.value", 1)


@pytest.mark.parametrize("identity", ["Observation.bogus", "Observation.code.bogus.more", "Observation.meta.bogus"])
def test_a_differential_of_unknown_elements_is_refused(identity: str) -> None:
    with pytest.raises((LookupError, FileNotFoundError)):
        snapshot("Observation", [{"id": identity, "path": identity, "min": 1}])


def test_the_code_systems_are_complete() -> None:
    systems = definitions()["CodeSystem"]
    assert set(systems) == {"scp-ecg-statements", "ecg-reading"}
    for system in systems.values():
        assert system["count"] == len(system["concept"])
    statements = systems["scp-ecg-statements"]
    assert [concept["code"] for concept in statements["concept"]] == list(STATEMENT_CODES)
    assert statements["concept"][STATEMENT_CODES.index("AFIB")] == {
        "code": "AFIB",
        "display": "atrial fibrillation",
        "property": [{"code": "kind", "valueString": "rhythm"}],
    }
    assert [definition["code"] for definition in statements["property"]] == ["kind"]


def test_the_map_says_what_the_table_says() -> None:
    with files("fhir_ecg.fhir").joinpath("snomed.csv").open(encoding="utf-8", newline="") as lines:
        rows = {(r["statement"], r["snomed"], r["relationship"]) for r in csv.DictReader(lines)}
    [group] = definitions()["ConceptMap"]["scp-ecg-statements-to-snomed-ct"]["group"]
    assert (group["source"], group["target"]) == (
        f"{CANONICAL}/CodeSystem/scp-ecg-statements",
        "http://snomed.info/sct",
    )
    targets = [(element["code"], target) for element in group["element"] for target in element["target"]]
    assert {(code, target["code"], target["equivalence"]) for code, target in targets} == rows
    # cmd-1 of https://hl7.org/fhir/R4/conceptmap.html#invs
    assert all("comment" in t for _, t in targets if t["equivalence"] in {"narrower", "inexact"})


def test_without_snomed_there_is_no_map() -> None:
    without = definitions(snomed=False)
    assert without["ConceptMap"] == {}
    assert "snomed.info" not in json.dumps(without)
    assert {kind for kind in without if without[kind] != definitions()[kind]} == {"ConceptMap", "ImplementationGuide"}


def test_the_shipped_package_is_what_the_code_makes() -> None:
    """Else: python -m fhir_ecg.fhir.definitions docs."""
    folder = REPOSITORY / "docs"
    shipped = {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in (folder / "package").iterdir()
    }
    assert shipped == package_files()


def test_a_package_is_written_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    old = tmp_path / "package" / "CodeSystem-old.json"
    old.parent.mkdir()
    old.write_text("{}")
    write_package(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in (tmp_path / "package").iterdir()} == set(package_files())
    index = json.loads((tmp_path / "package" / ".index.json").read_text())
    for entry in index["files"]:
        resource = json.loads((tmp_path / "package" / entry["filename"]).read_text())
        assert (entry["resourceType"], entry["id"], entry["url"]) == (
            resource["resourceType"],
            resource["id"],
            resource["url"],
        )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ([], ["scp-ecg-statements", "ecg-reading"]),
        ([("_id", "ecg-reading")], ["ecg-reading"]),
        ([("url", f"{CANONICAL}/CodeSystem/ecg-reading")], ["ecg-reading"]),
        ([("url", f"{CANONICAL}/CodeSystem/ecg")], []),
        ([("name", "scpecg")], ["scp-ecg-statements"]),
        ([("name", "ecg")], ["ecg-reading"]),
        ([("status", "active"), ("version", "1.0.0")], ["scp-ecg-statements", "ecg-reading"]),
        ([("status", "draft,retired")], []),
        ([("status", "draft,active"), ("_id", "ecg-reading,x")], ["ecg-reading"]),
        ([("_format", "json"), ("_pretty", "true"), ("_id", "ecg-reading")], ["ecg-reading"]),
    ],
)
def test_definitions_are_found(query: list[tuple[str, str]], found: list[str]) -> None:
    systems = definitions()["CodeSystem"].values()
    assert [r["id"] for r in find_definitions("CodeSystem", systems, query, lenient=False).resources] == found


def find(*query: tuple[str, str]) -> Found:
    return find_definitions("CodeSystem", definitions()["CodeSystem"].values(), query, lenient=False)


def test_pages_of_definitions_follow_each_other() -> None:
    first = find(("_count", "1"), ("status", "active"))
    assert ([r["id"] for r in first.resources], first.total) == (["scp-ecg-statements"], 2)
    assert first.following
    second = find(*first.following)
    assert ([r["id"] for r in second.resources], second.following) == (["ecg-reading"], None)


@pytest.mark.parametrize("query", [("_summary", "count"), ("_count", "0")])
def test_definitions_are_counted(query: tuple[str, str]) -> None:
    assert find(query) == Found([], 2, [query], None)


def test_a_part_of_a_definition() -> None:
    [summary] = find(("_id", "ecg-reading"), ("_summary", "true")).resources
    assert "concept" not in summary
    assert summary["meta"]["tag"][0]["code"] == "SUBSETTED"
    [part] = find(("_id", "ecg-reading"), ("_elements", "url,concept")).resources
    assert {"url", "concept", "status", "content"} <= set(part)
    assert "title" not in part


@pytest.mark.parametrize("query", [("_summary", "some"), ("_count", "-1"), ("_count", "9999999"), ("_cursor", "x")])
def test_what_no_page_can_be_is_refused(query: tuple[str, str]) -> None:
    with pytest.raises(MalformedError, match=f"{query[0]} is"):
        find(query)


def test_an_unknown_parameter_is_refused_or_left_out() -> None:
    query = [("date", "2026"), ("_id", "ecg-reading")]
    systems: list[dict[str, Any]] = list(definitions()["CodeSystem"].values())
    with pytest.raises(MalformedError, match="CodeSystem is searched by _id, name, status, url, version, not by date"):
        find_definitions("CodeSystem", systems, query, lenient=False)
    lenient = find_definitions("CodeSystem", systems, query, lenient=True)
    assert ([r["id"] for r in lenient.resources], lenient.applied) == (["ecg-reading"], [("_id", "ecg-reading")])
