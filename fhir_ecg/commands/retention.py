"""`retention`: what expires, and what a legal hold keeps, for an operator."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import click
import orjson
from tqdm import tqdm

from fhir_ecg.commands.opened_application import opened_application
from fhir_ecg.fhir.report import instant
from fhir_ecg.service.application import Application, now
from fhir_ecg.service.legal_hold import HoldError, HoldView, hold_observation, hold_patient, list_holds, release_hold
from fhir_ecg.service.retention import Expired, Expiry, count_due, expire, expiries
from fhir_ecg.settings import Settings

_WHAT = {"waveform": "waveforms", "case": "whole cases"}


def expire_all(settings: Settings, batch: int, operator: str, *, dry_run: bool) -> str:
    """Let expire what is due; says how much that was, and what a hold keeps. A dry run prints each case.

    Raises:
        click.UsageError: Nothing ever expires by the settings.
    """
    wanted = expiries(settings.retention_waveform_days, settings.retention_case_days, now())
    if not wanted:
        raise click.UsageError(
            "nothing expires: set FHIR_ECG_RETENTION_WAVEFORM_DAYS, FHIR_ECG_RETENTION_CASE_DAYS, or both"
        )
    with opened_application(settings) as application:
        return _expire(application, wanted, batch, operator, dry_run=dry_run)


def _expire(application: Application, wanted: Sequence[Expiry], batch: int, operator: str, *, dry_run: bool) -> str:
    counts: Counter[tuple[str, bool]] = Counter()
    total = sum(count_due(application, expiry) for expiry in wanted)
    try:
        with tqdm(total=total, unit="case", desc="Looking" if dry_run else "Expiring") as bar:
            for expiry in wanted:
                for cases in expire(application, expiry, batch, operator, dry_run=dry_run):
                    counts.update((case.scope, case.hold is not None) for case in cases)
                    bar.update(len(cases))
                    if dry_run:
                        bar.clear()
                        click.echo("\n".join(map(_line, cases)))
    except KeyboardInterrupt:
        click.echo(f"Interrupted. {_summary(counts, wanted, dry_run=dry_run)} The same command goes on.", err=True)
        raise
    return _summary(counts, wanted, dry_run=dry_run)


def _line(case: Expired) -> str:
    kept = f", but the hold {case.hold} keeps it" if case.hold else ""
    return f"{case.report}, received {instant(case.received_at)}: {case.scope}{kept}"


def _summary(counts: Counter[tuple[str, bool]], wanted: Sequence[Expiry], *, dry_run: bool) -> str:
    parts = []
    for scope in (expiry.scope for expiry in wanted):
        held = f", {counts[scope, True]} kept by a hold" if counts[scope, True] else ""
        parts.append(f"{counts[scope, False]} {_WHAT[scope]} {'would expire' if dry_run else 'have expired'}{held}")
    return f"{'; '.join(parts)}."


def hold_lines(settings: Settings, patient: str | None, observation: str | None, reason: str, operator: str) -> str:
    """Place a hold on a patient or an Observation, and show it as JSON."""
    with opened_application(settings, refusal=HoldError) as application:
        if patient is None:
            return _shown(hold_observation(application, observation or "", reason, operator))
        hold, reports = hold_patient(application, patient, reason, operator)
        text = f"{reports} reports are about this patient now."
        click.echo(text if reports else f"{text} Is the patient named as the ECGs' subject does?", err=True)
        return _shown(hold)


def release_line(settings: Settings, identity: str, reason: str, operator: str) -> str:
    """Release a hold, and show it as JSON."""
    with opened_application(settings, refusal=HoldError) as application:
        return _shown(release_hold(application, identity, reason, operator))


def list_lines(settings: Settings, *, every: bool) -> str:
    """List holds as JSON, one on a line, the newest first."""
    with opened_application(settings) as application:
        return "\n".join(map(_shown, list_holds(application, every=every)))


def _shown(hold: HoldView) -> str:
    return orjson.dumps(asdict(hold), option=orjson.OPT_UTC_Z).decode()
