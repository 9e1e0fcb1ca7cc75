"""Exports: begun at once, their files found piece by piece while they are asked after, and read while they are sent."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from threading import BoundedSemaphore
from time import monotonic
from typing import Any
from uuid import uuid4

from fhir_ecg.fhir.bulk_export import ExportWanted, deletion, with_elements
from fhir_ecg.fhir.outcome import Problem
from fhir_ecg.fhir.parsing import parse_json, serialise
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.admit import BusyError
from fhir_ecg.service.application import Application, Caller, now
from fhir_ecg.store.audit import AuditEntry
from fhir_ecg.store.exports import Export, ExportFile, Line

MOST_OPEN = 10
"""So many exports a client may have at a time."""
SETTLING = timedelta(seconds=1)
"""What was written before an export's moment is committed by then; not before is it looked at."""
_WALK_SECONDS = 2.0
_PAGE = 50


class Downloads:
    """Lets so many files be read at once, since each keeps a thread until it is written."""

    def __init__(self, places: int) -> None:
        self._count = places
        self._places = BoundedSemaphore(places)

    def open_file(
        self, application: Application, export: Export, wanted: ExportFile, caller: Caller
    ) -> Iterator[bytes]:
        """Open a file of an export; its pages are read as they are asked for, each in a transaction of its own.

        Raises:
            BusyError: So many are being read already.
        """
        chunks = self._in_a_place(_pages(application, export, wanted))
        next(chunks)
        # Versions never change: this tells for good what was given out.
        detail = {"type": wanted.kind, "after": wanted.after, "last": wanted.last, "count": wanted.count}
        with application.store.transaction() as work:
            work.audit.add(_entry(export, caller, detail | ({"deleted": True} if wanted.deleted else {})), now())
        return chunks

    def _in_a_place(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Hold a place from the first chunk, which is empty, until the last was read, or nobody will."""
        if not self._places.acquire(blocking=False):
            text = f"{self._count} files of exports are being read at this moment, as many as are at once. Ask again."
            raise BusyError(Problem("throttled", text))
        try:
            yield b""
            yield from chunks
        finally:
            self._places.release()


def begin(
    application: Application, wanted: ExportWanted, request: str, caller: Caller, keep: timedelta
) -> Export | None:
    """Begin an export of the versions that are current now; None where the client has too many.

    Args:
        application: The parts.
        wanted: Which resources.
        request: The address of the kick-off.
        caller: Who asks; nobody else can see the export.
        keep: How long the files can be fetched.
    """
    moment = now()
    export = Export(
        id=str(uuid4()),
        client=caller.client,
        request=request,
        kinds=wanted.kinds,
        elements=wanted.elements,
        since=wanted.since,
        until=wanted.until,
        as_of=moment,
        expires_at=moment + keep,
        kind=wanted.kinds[0] if wanted.kinds else None,
    )
    with application.store.transaction() as work:
        work.exports.delete_expired(moment)
        if work.exports.count(caller.client) >= MOST_OPEN:
            return None
        work.exports.add(export)
        work.audit.add(_entry(export, caller, {"types": list(export.kinds)}), moment)
    return export


def settled(export: Export) -> bool:
    """Tell whether everything that was written before the export's moment can be seen."""
    return now() >= export.as_of + SETTLING


def find(application: Application, identity: str, caller: Caller) -> Export | None:
    """Find a client's export; None where it has none of that id."""
    with application.store.transaction(writes=False) as work:
        return work.exports.get(identity, caller.client, now())


def advance(application: Application, export: Export) -> Export:
    """Look for a while where the files begin and end; each time a bit further."""
    if not settled(export):
        return export
    deadline, known = monotonic() + _WALK_SECONDS, export
    while not known.complete and monotonic() < deadline:
        with application.store.transaction(writes=False) as work:
            known = work.exports.walk(known)
    if known.steps == export.steps:
        return export
    with application.store.transaction() as work:
        kept = work.exports.advance(export, known)
    # Where another has come on meanwhile, the next look finds how far.
    return known if kept else export


def give_up(application: Application, export: Export) -> None:
    """Forget an export."""
    with application.store.transaction() as work:
        work.exports.delete(export.id)


def file_of(export: Export, kind: str, number: int, *, deleted: bool) -> ExportFile | None:
    """Find a file of an export, counted from 1 among its like; None where there is none."""
    files = [file for file in export.files if (file.kind, file.deleted) == (kind, deleted)]
    return files[number - 1] if export.complete and 1 <= number <= len(files) else None


def _pages(application: Application, export: Export, file: ExportFile) -> Iterator[bytes]:
    rest: ExportFile | None = file
    while rest is not None:
        with application.store.transaction(writes=False) as work:
            lines = list(work.exports.lines(export, rest, _PAGE))
        rest = replace(rest, after=lines[-1].identity) if len(lines) == _PAGE else None
        yield b"".join(_shown(export, file, line) + b"\n" for line in lines)


def _shown(export: Export, file: ExportFile, line: Line) -> bytes:
    if line.content is None:
        return serialise(deletion(file.kind, line.identity))
    if not export.elements:
        return line.content
    return serialise(with_elements(parse_json(line.content), export.elements))


def _entry(export: Export, caller: Caller, detail: dict[str, Any]) -> AuditEntry:
    view = {
        "export": export.id,
        "as_of": instant(export.as_of),
        "since": export.since and instant(export.since),
        "until": export.until and instant(export.until),
        "elements": list(export.elements),
    }
    return caller.entry("export", detail=view | detail)
