"""The `fhir-ecg` command; each subcommand a few lines.

Exit status: 0 done and sound; 1 the answer is no; 2 wrong use.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from fhir_ecg import __version__
from fhir_ecg.cli_audit import audit, patient
from fhir_ecg.cli_retention import retention
from fhir_ecg.cli_settings import Fault, command_settings

_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
_PORT = click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on."
)
_PTBXL = click.option(
    "--ptbxl",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of PTB-XL.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Read 12-lead ECGs out of FHIR Observations and answer with DiagnosticReports.

    The readings are unconfirmed machine output: they support a clinician and replace none.
    """


main.add_command(audit)
main.add_command(patient)
main.add_command(retention)


@main.command()
@_HOST
@_PORT
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Where the database and broker live."
)
def serve(host: str, port: int, data_dir: Path | None) -> None:
    """Run the whole service on this machine: web and worker, SQLite, no server needed."""
    from fhir_ecg.commands.serve import serve_all

    if data_dir is not None:
        os.environ["FHIR_ECG_DATA_DIR"] = str(data_dir.absolute())
    sys.exit(serve_all(command_settings(), host, port))


@main.command()
@_HOST
@_PORT
def web(host: str, port: int) -> None:
    """Run the web process alone."""
    from fhir_ecg.commands.serve import run_web

    run_web(command_settings(), host, port)


@main.command()
def worker() -> None:
    """Run a worker alone, of as many processes as FHIR_ECG_WORKER_PROCESSES says."""
    from fhir_ecg.commands.serve import run_worker

    sys.exit(run_worker(command_settings()))


@main.command("worker-process", hidden=True)
def worker_process() -> None:
    """Run one process of a worker, as `worker` and `serve` start it."""
    from fhir_ecg.commands.serve import run_worker_process

    command_settings()  # sets up logging, and refuses what is wrong
    run_worker_process()


@main.command()
def demo() -> None:
    """Start the service, send the shipped example ECGs as an EHR would, and print their reports."""
    from fhir_ecg.commands.demo import run_demo

    sys.exit(run_demo())


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def classify(files: Sequence[Path]) -> None:
    """Read ECGs without a server; one DiagnosticReport as JSON on a line for each.

    FILES are Observations or Bundles (those that a search gives, too) as JSON or XML, or WFDB records (with or without
    .hea). What cannot be read is refused by itself; the others are read.
    """
    from fhir_ecg.commands.classify import classify_files

    sys.exit(0 if classify_files(files, command_settings()) else 1)


@main.command("to-fhir")
@click.argument("record", type=click.Path(path_type=Path))
@click.option("--fhir-version", type=click.Choice(["4.0"]), default="4.0", show_default=True)
@click.option("--hz", type=click.FloatRange(50, 2000), help="Resample to so many samples a second.")
@click.option("--subject", help="Reference of the patient, such as Patient/123.")
def to_fhir(record: Path, fhir_version: str, hz: float | None, subject: str | None) -> None:
    """Write a WFDB record as an Observation."""
    from fhir_ecg.commands.to_fhir import record_as_observation

    del fhir_version  # one choice so far
    click.echo(record_as_observation(record, hz, subject))


@main.command()
@click.argument("name")
def token(name: str) -> None:
    """Make a bearer token for a client, and the entry of FHIR_ECG_CLIENTS that lets it in."""
    from fhir_ecg.api.authorisation import new_token

    secret, digest = new_token()
    click.echo(f"Give the client this token; it is shown only now:\n  {secret}\n")
    click.echo(f'Add the client to FHIR_ECG_CLIENTS:\n  FHIR_ECG_CLIENTS=\'{{"{name}": "{digest}"}}\'')


@main.command()
def settings() -> None:
    """Print every variable with its default and meaning, as a Markdown table."""
    from fhir_ecg.commands.settings import settings_table

    click.echo(settings_table())


@main.group()
def db() -> None:
    """Keep the database."""


@db.command()
def upgrade() -> None:
    """Bring the database to the tables of this version."""
    from fhir_ecg.commands.reindex import reindex_hint
    from fhir_ecg.store.engine import open_engine
    from fhir_ecg.store.migrations import upgrade as run_migrations

    settings = command_settings()
    click.echo(f"The database is at revision {run_migrations(open_engine(settings.database_url))}.")
    if hint := reindex_hint(settings):
        click.echo(hint)


@db.command()
def reindex() -> None:
    """Let what older versions have stored be found by every search parameter, and audit entries by what they say.

    Interrupted, the same command has only the rest to write.
    """
    from fhir_ecg.commands.reindex import reindex_all

    click.echo(reindex_all(command_settings()))


@db.command()
@click.argument("revision")
@click.confirmation_option(prompt="What later revisions have added is lost. Go on?")
def downgrade(revision: str) -> None:
    """Take the database back to REVISION, such as 0004, which an older version needs."""
    from fhir_ecg.store.engine import open_engine
    from fhir_ecg.store.migrations import UnknownRevisionError
    from fhir_ecg.store.migrations import downgrade as take_back

    try:
        click.echo(f"The database is at revision {take_back(open_engine(command_settings().database_url), revision)}.")
    except UnknownRevisionError as error:
        raise Fault(str(error)) from error


@main.group()
def jobs() -> None:
    """Look after the queue. A job can be named by its own id, its report's or its Observation's."""


@jobs.command("list")
@click.option(
    "--state",
    type=click.Choice(["waiting", "running", "done", "failed", "withdrawn"]),
    help="Those in one state alone.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def list_jobs(state: str | None, limit: int) -> None:
    """Print jobs as JSON, one on a line, the newest first."""
    from fhir_ecg.commands.jobs import job_lines

    click.echo(job_lines(command_settings(), state, limit))


@jobs.command("show")
@click.argument("identity")
def show_job(identity: str) -> None:
    """Print one job as JSON."""
    from fhir_ecg.commands.jobs import job_line

    click.echo(job_line(command_settings(), identity))


@jobs.command("retry")
@click.argument("identity")
def retry_job(identity: str) -> None:
    """Let a failed job be tried again, with all its attempts."""
    from fhir_ecg.commands.jobs import retry_line

    click.echo(retry_line(command_settings(), identity))


@main.group()
def weights() -> None:
    """Look at models and import them."""


@weights.command()
def show() -> None:
    """Print the manifest of the model in use and the SHA-256 of its weights."""
    from fhir_ecg.commands.weights import describe_weights

    click.echo(describe_weights(command_settings()))


@weights.command("import")
@click.argument("source")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Weights file to write; by default one in the data directory, named after its digest.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
def import_weights(source: str, out: Path | None, force: bool) -> None:
    """Take in a model, checked, as a weights file.

    SOURCE is a weights file of ours (.safetensors), the checkpoint of the published Clinical ECG Classifier, or its
    id on the hub: zackyabd/clinical-ecg-classifier, with @REVISION if need be.
    """
    from fhir_ecg.commands.weights import import_model

    click.echo(import_model(source, out, force, command_settings()))


@main.command()
@_PTBXL
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file of the run.")
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/latest"),
    show_default=True,
)
@click.option("--threads", type=click.IntRange(1), help="Processor threads; all of them if not set.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
def train(ptbxl: Path, config: Path | None, run_dir: Path, threads: int | None, device: str) -> None:
    """Train a model on PTB-XL; interrupted, the same command goes on."""
    from fhir_ecg.commands.train import train_model

    click.echo(train_model(ptbxl, config, run_dir, threads, device))


@main.command()
@_PTBXL
@click.option("--folds", default="9", show_default=True, help="Folds to evaluate on, separated by commas.")
@click.option(
    "--card", type=click.Path(file_okay=False, path_type=Path), help="Folder to write the model card to, such as docs."
)
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another model's probabilities of the same records: array `p` of an npz file.",
)
@click.option(
    "--run-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Training run, whose logs the card shows.",
)
def evaluate(ptbxl: Path, folds: str, card: Path | None, against: Path | None, run_dir: Path | None) -> None:
    """Measure the model in use on PTB-XL, and write its model card."""
    from fhir_ecg.commands.evaluate import evaluate_model

    try:
        numbers = [int(fold) for fold in folds.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{folds!r} are no numbers of folds", param_hint="--folds") from error
    click.echo(evaluate_model(ptbxl, numbers, command_settings(), card, against, run_dir))
