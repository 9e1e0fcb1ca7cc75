"""The commands of an auditor: `fhir-ecg audit ...` and `fhir-ecg patient ...`."""

import os
import sys
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path

import click

from fhir_ecg.cli_settings import command_settings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


def current_user() -> str:
    """Name the user of this system who runs the command."""
    try:
        return getuser()
    except (KeyError, OSError):  # as in a container whose user has no name
        return f"uid {os.getuid()}"


@click.group()
def audit() -> None:
    """Prove that what is stored is what was stored."""


@audit.command("verify")
@click.option("--checkpoint", type=_FILE, help="A checkpoint that the chain is to pass through; .sig stands beside it.")
@click.option("--public-key", type=_FILE, help="The key, as PEM, that the checkpoint is signed with.")
@click.option("--json", "as_json", is_flag=True, help="Print each finding, and the sum, as JSON.")
def verify_audit(checkpoint: Path | None, public_key: Path | None, *, as_json: bool) -> None:
    """Find what was changed, removed or inserted behind the service's back; beside processes that go on."""
    from fhir_ecg.commands.audit import verify_chain

    sys.exit(0 if verify_chain(command_settings(), checkpoint, public_key, as_json=as_json) else 1)


@audit.command("adopt")
@click.option("--reason", help="Why they are genuine, for the audit trail; name no patient.")
@click.option("--operator", default=current_user, help="Who answers for them; by default the user of this system.")
@click.option("--dry-run", is_flag=True, help="Name them alone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def adopt_into_audit(reason: str | None, operator: str, *, dry_run: bool, yes: bool) -> None:
    """Take rows into the chain that a process of an older version wrote after `fhir-ecg db upgrade`.

    It verifies, and names the rows that no audit entry holds. Where anything else is found, nothing is adopted. That
    they were adopted, by whom and why, is told for ever: see docs/audit.md.
    """
    from fhir_ecg.commands.audit import adopt_rows

    reason = (reason or "").strip() or None
    if not dry_run and (reason is None or not operator.strip()):
        raise click.UsageError("say with --reason why the rows are genuine, or see with --dry-run which they are")
    sys.exit(0 if adopt_rows(command_settings(), operator.strip(), reason, dry_run=dry_run, asks=not yes) else 1)


@audit.command("checkpoint")
@click.option("--key", required=True, type=_FILE, help="The private key, as PEM: see `fhir-ecg audit key`.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def checkpoint_audit(key: Path, out: Path) -> None:
    """Write down where the chain stands, signed, so that entries cut off later are missed."""
    from fhir_ecg.commands.audit import write_checkpoint

    click.echo(write_checkpoint(command_settings(), key, out))


@audit.command("key")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File of the private key.")
def make_audit_key(out: Path) -> None:
    """Make a key pair to sign checkpoints with."""
    from fhir_ecg.commands.audit import write_key

    click.echo(write_key(out))


@audit.command()
@click.argument("report", required=False)
@click.option("--day", type=_MOMENT, help="All readings that ended on a day, such as 2026-11-22, in UTC.")
@click.option("--since", type=_MOMENT, help="All that ended from a day or moment on.")
@click.option("--until", type=_MOMENT, help="All that ended before a day or moment.")
@click.option("--all", "every", is_flag=True, help="All that are stored.")
@click.option("--after", metavar="REPORT", help="Go on after the report that an interrupted run names.")
@click.option("--json", "as_json", is_flag=True, help="Print every reading as JSON, one on a line.")
def replay(
    report: str | None,
    day: datetime | None,
    since: datetime | None,
    until: datetime | None,
    every: bool,
    after: str | None,
    as_json: bool,
) -> None:
    """Compute readings again from the bytes as sent, with the weights that read, and compare.

    REPORT is the id of a DiagnosticReport, or of an Observation that it is about. Ends with 1 where a reading comes to
    something else than what is stored, or cannot be replayed.
    """
    from fhir_ecg.commands.replay import replay_many, replay_one

    if [report is not None, day is not None, bool(since or until), every].count(True) != 1:
        raise click.UsageError("name one REPORT, or --day, or --since and --until, or --all")
    if report is not None:
        if after:
            raise click.UsageError("--after goes with --day, --since, --until or --all")
        sys.exit(0 if replay_one(command_settings(), report, as_json=as_json) else 1)
    since, until = (moment and moment.replace(tzinfo=UTC) for moment in (day or since, until))
    if day is not None and since is not None:
        until = since + timedelta(days=1)
    sys.exit(0 if replay_many(command_settings(), since, until, after, as_json=as_json) else 1)


@audit.command("agreement")
@click.option("--since", type=_MOMENT, help="What the model read from a day or moment on, in UTC.")
@click.option("--until", type=_MOMENT, help="What it read before a day or moment.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def audit_agreement(since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """Compare the model's findings with those of the persons who confirmed its reports, by statement and month."""
    from fhir_ecg.commands.agreement import agreement_figures

    since, until = (moment and moment.replace(tzinfo=UTC) for moment in (since, until))
    click.echo(agreement_figures(command_settings(), since, until, as_json=as_json))


@click.group()
def patient() -> None:
    """Give out what is stored about a patient."""


@patient.command("export")
@click.argument("name", metavar="PATIENT")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="New file to write.")
@click.option("--current", is_flag=True, help="The current versions alone, rather than every one.")
def export_patient(name: str, out: Path, *, current: bool) -> None:
    """Write everything about a patient to a file, as one Bundle: ECGs, reports, who made and read them.

    PATIENT is named as the ECGs' subject does: Patient/123, 123, an address, or system|value of an identifier.
    """
    from fhir_ecg.commands.patient import export_patient as export

    click.echo(export(command_settings(), name, out, every_version=not current))
