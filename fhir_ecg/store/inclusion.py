"""What stands beside the matches of a search: `_include` and `_revinclude`. https://hl7.org/fhir/R4/search.html#include"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from fhir_ecg.fhir.search import Include
from fhir_ecg.fhir.search_index import ReferenceEntry, index_entries
from fhir_ecg.fhir.search_parameters import SEARCH_PARAMETERS, SEARCHABLE_TYPES
from fhir_ecg.store.resources import Resources, StoredResource
from fhir_ecg.store.search_tables import ReferenceRow

MOST_INCLUDED = 1000


@dataclass(frozen=True)
class Included:
    """Resources beside the matches, each once and none that matches."""

    resources: list[StoredResource]
    complete: bool
    """False where there were more than are given."""


def include(session: Session, matches: Sequence[StoredResource], includes: Sequence[Include]) -> Included:
    """Follow references from the matches and to them; with `:iterate` also from and to what was included."""
    resources = Resources(session)
    seen = {match.reference for match in matches}
    found: list[StoredResource] = []
    layer, wanted = list(matches), list(includes)
    while layer and wanted:
        references = [r for r in dict.fromkeys(_references(session, layer, wanted)) if r not in seen]
        layer = _stored(resources, references[: MOST_INCLUDED + 1 - len(found)])
        seen |= set(references)
        found += layer
        if len(found) > MOST_INCLUDED:
            return Included(found[:MOST_INCLUDED], complete=False)
        wanted = [include for include in includes if include.iterate]
    return Included(found, complete=True)


def _references(session: Session, layer: Sequence[StoredResource], includes: Sequence[Include]) -> Iterable[str]:
    for include in includes:
        yield from _to(session, layer, include) if include.reverse else _from(layer, include)


def _from(layer: Sequence[StoredResource], include: Include) -> Iterable[str]:
    for stored in layer:
        if include.source in {None, stored.content["resourceType"]}:
            for entry in index_entries(stored.content):
                if isinstance(entry, ReferenceEntry) and include.parameter in {None, entry.parameter}:
                    kind = entry.target.partition("/")[0]
                    if kind in SEARCHABLE_TYPES and include.target in {None, kind}:
                        yield entry.target


def _to(session: Session, layer: Sequence[StoredResource], include: Include) -> Iterable[str]:
    targets = [s.reference for s in layer if include.target in {None, s.content["resourceType"]}]
    sources = SEARCHABLE_TYPES if include.source is None else (include.source,)
    # Every part of the index is named, also where any parameter will do: without, it would be read as a whole.
    parameters = {p.name for source in sources for p in SEARCH_PARAMETERS[source].values() if p.kind == "reference"}
    wanted = select(ReferenceRow.resource_type, ReferenceRow.resource_id).where(
        ReferenceRow.resource_type.in_(sources),
        ReferenceRow.parameter.in_([include.parameter] if include.parameter else sorted(parameters)),
        ReferenceRow.target.in_(targets),
    )
    # Twice as many, since some may be there already.
    for kind, identity in session.execute(wanted.distinct().limit(2 * MOST_INCLUDED)):
        yield f"{kind}/{identity}"


def _stored(resources: Resources, references: Iterable[str]) -> list[StoredResource]:
    by_kind: dict[str, list[str]] = {}
    for reference in references:
        kind, _, identity = reference.partition("/")
        by_kind.setdefault(kind, []).append(identity)
    return [stored for kind, ids in by_kind.items() for stored in resources.get_many(kind, ids)]
