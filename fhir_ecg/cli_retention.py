"""The commands of retention: `fhir-ecg retention ...`."""

import click

from fhir_ecg.cli_audit import current_user
from fhir_ecg.cli_settings import command_settings

_OPERATOR = click.option(
    "--operator", default=current_user, help="Who answers for it; by default the user of this system."
)


@click.group()
def retention() -> None:
    """Let ECGs expire whose time is up, and keep those that a legal hold is on."""


@retention.command("expire")
@click.option("--dry-run", is_flag=True, help="Say what would expire, and change nothing.")
@click.option(
    "--batch", type=click.IntRange(1, 1000), default=50, show_default=True, help="Cases in one transaction, at most."
)
@_OPERATOR
def expire_due(*, dry_run: bool, batch: int, operator: str) -> None:
    """Remove the samples, or all that is stored, of ECGs as old as FHIR_ECG_RETENTION_..._DAYS say.

    Digests and the audit trail stay. It runs beside web and workers; interrupted, the same command goes on.
    """
    from fhir_ecg.commands.retention import expire_all

    click.echo(expire_all(command_settings(), batch, operator, dry_run=dry_run))


@retention.command("hold")
@click.option("--patient", metavar="REF", help="As the ECGs' subject names them: Patient/123, or system|value.")
@click.option("--observation", metavar="ID", help="An Observation that was sent.")
@click.option("--reason", required=True, help="Why; it stands in the hold alone.")
@_OPERATOR
def place_hold(patient: str | None, observation: str | None, reason: str, operator: str) -> None:
    """Keep all ECGs of a patient, or one ECG, from expiring and from being deleted; prints the hold as JSON."""
    from fhir_ecg.commands.retention import hold_lines

    if (patient is None) == (observation is None):
        raise click.UsageError("name either --patient REF or --observation ID")
    click.echo(hold_lines(command_settings(), patient, observation, reason, operator))


@retention.command("release")
@click.argument("hold")
@click.option("--reason", required=True, help="Why; it stands in the hold alone.")
@_OPERATOR
def release_one(hold: str, reason: str, operator: str) -> None:
    """Release HOLD, given by its id; it stays listed, and is printed as JSON."""
    from fhir_ecg.commands.retention import release_line

    click.echo(release_line(command_settings(), hold, reason, operator))


@retention.command("holds")
@click.option("--all", "every", is_flag=True, help="Those that were released, too.")
def list_holds(*, every: bool) -> None:
    """Print the holds as JSON, one on a line, the newest first."""
    from fhir_ecg.commands.retention import list_lines

    click.echo(list_lines(command_settings(), every=every))
