"""`audit replay`: compute stored readings again and compare."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
import orjson
from tqdm import tqdm

from fhir_ecg.commands.opened_application import opened_application
from fhir_ecg.service.replay import (
    SOUND,
    Replayed,
    Tally,
    UnknownReportError,
    count_readings,
    find_report,
    reading_after,
    record_run,
    replay_period,
    replay_report,
)
from fhir_ecg.settings import Settings
from fhir_ecg.store.readings import Period

_LONGEST_VALUE = 200


def replay_one(settings: Settings, identity: str, *, as_json: bool) -> bool:
    """Replay the readings of one report, print each, and tell whether they all came to what is stored.

    Raises:
        click.UsageError: There is no such report.
    """
    with opened_application(settings, misuse=UnknownReportError) as application:
        report_id = find_report(application, identity)
        tally = Tally()
        for replayed in replay_report(application, report_id):
            tally.add(replayed)
            click.echo(_line(replayed) if as_json else _text(replayed))
        record_run(application, tally, {"report": f"DiagnosticReport/{report_id}"})
    return tally.sound


def replay_many(
    settings: Settings, since: datetime | None, until: datetime | None, after: str | None, *, as_json: bool
) -> bool:
    """Replay the readings that ended in a time, print each or those that are not sound, and tell whether all are.

    Raises:
        click.UsageError: There is no such report to go on after.
    """
    tally, last = Tally(), after
    scope = {"since": since and since.isoformat(), "until": until and until.isoformat(), "after": after}
    with opened_application(settings, misuse=UnknownReportError) as application:
        key = reading_after(application, find_report(application, after)) if after else None
        period = Period(since, until, key)
        try:
            for replayed in _with_bar(replay_period(application, period), count_readings(application, period)):
                tally.add(replayed)
                last = replayed.report
                if as_json:
                    click.echo(_line(replayed))
                elif replayed.outcome not in SOUND:
                    tqdm.write(_text(replayed), file=sys.stdout)
        except KeyboardInterrupt:
            hint = f"Go on with the same command and: --after {last}" if last else "Nothing was replayed yet."
            click.echo(f"Interrupted. {hint}", err=True)
            raise
        finally:
            record_run(application, tally, scope | {"last": last})
    click.echo(_summary(tally), err=as_json)
    return tally.sound


def _with_bar(found: Iterable[Replayed], total: int) -> Iterator[Replayed]:
    yield from tqdm(found, total=total, unit="reading", desc="Replaying")


def _line(replayed: Replayed) -> str:
    return orjson.dumps(asdict(replayed), default=_number, option=orjson.OPT_UTC_Z).decode()


def _number(value: Any) -> Any:
    return orjson.Fragment(str(value)) if isinstance(value, Decimal) else str(value)


def _text(replayed: Replayed) -> str:
    lines = [f"{replayed.report}: {_OUTCOMES[replayed.outcome]}"]
    if replayed.stage:
        lines.append(f"  stage: {replayed.stage}")
    if replayed.what:
        lines.append(f"  {replayed.what}")
    if replayed.outcome == "different":
        lines += [f"  stored:   {_shown(replayed.stored)}", f"  replayed: {_shown(replayed.replayed)}"]
    if replayed.changes and replayed.outcome != "not read":
        lines += ["  other bits are admitted, within 0.0001 of a logit or probability, since not all is as it was:"]
        lines += [f"    {change}" for change in replayed.changes]
    return "\n".join(lines)


_OUTCOMES = {
    "equal": "equal to the bit",
    "within tolerance": "equal within the tolerance",
    "different": "DIFFERENT",
    "impossible": "cannot be replayed",
    "not read": "not read",
}


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _summary(tally: Tally) -> str:
    if not tally.counts:
        return "No reading ended in that time."
    counts = ", ".join(f"{number} {_OUTCOMES[outcome]}" for outcome, number in sorted(tally.counts.items()))
    return f"{sum(tally.counts.values())} readings were replayed: {counts}."
