"""Reading what is stored; each read leaves its audit entry."""

from collections.abc import Sequence

from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.resources import HistoryPage, HistoryWanted, StoredResource


def read(
    application: Application, kind: str, identity: str, caller: Caller, version: int | None = None
) -> StoredResource | None:
    """Read a resource's current version, or the one named."""
    action = "read" if version is None else "vread"
    with application.store.transaction() as work:
        stored = work.resources.get(kind, identity, version)
        if stored is not None:
            work.audit.add(caller.entry(action, [stored]), now())
    return stored


def history(
    application: Application, wanted: HistoryWanted, query: Sequence[tuple[str, str]], caller: Caller
) -> HistoryPage | None:
    """List versions, the newest first; None where one resource is named that was never stored."""
    with application.store.transaction() as work:
        page = work.resources.history(wanted)
        if wanted.identity is not None and not work.resources.exists(wanted.kinds[0], wanted.identity):
            return None
        detail = {"types": list(wanted.kinds), "id": wanted.identity, "query": [list(pair) for pair in query]}
        level = "instance" if wanted.identity else "type" if len(wanted.kinds) == 1 else "system"
        work.audit.add(caller.entry(f"history-{level}", page.versions, detail), now())
    return page
