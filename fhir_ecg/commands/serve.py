"""`serve`, `web` and `worker`."""

import logging
from functools import partial

import click
from flask import Flask

from fhir_ecg.settings import Settings

logger = logging.getLogger(__name__)


def serve_all(settings: Settings, host: str, port: int) -> int:
    """Migrate, then run web and worker until a signal arrives; returns the exit status."""
    from fhir_ecg.store.engine import open_engine
    from fhir_ecg.store.migrations import upgrade
    from fhir_ecg.supervisor import supervise

    _require_protection(host, settings)
    upgrade(open_engine(settings.database_url))
    environment = {
        "FHIR_ECG_DATA_DIR": str(settings.data_dir),
        "FHIR_ECG_DATABASE_URL": settings.database_url,
        "FHIR_ECG_BROKER_URL": settings.broker_url,
    }
    click.echo(
        f"fhir-ecg: FHIR base http://{host}:{port}/fhir, data in {settings.data_dir}; Ctrl-C ends it",
        err=True,
    )
    return supervise({"web": ["web", "--host", host, "--port", str(port)], "worker": ["worker"]}, environment)


def run_web(settings: Settings, host: str, port: int) -> None:
    """Serve HTTP until SIGTERM."""
    from fhir_ecg.api.server import serve_web

    _require_protection(host, settings)
    serve_web(partial(_web_application, settings), host, port, settings.web_threads)


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM; the job in hand is finished."""
    from fhir_ecg.classifier.weights import WeightsError, read_weights
    from worker.app import celery

    try:
        read_weights(settings.weights)
    except WeightsError as error:
        # Found by the inference process, it would cost every waiting ECG its attempts.
        raise click.ClickException(str(error)) from error
    celery.worker_main(
        [
            "--quiet",
            "worker",
            f"--concurrency={settings.worker_processes}",
            f"--loglevel={settings.log_level}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]
    )


def _web_application(settings: Settings) -> Flask:
    from fhir_ecg.api.app import create_app
    from fhir_ecg.bootstrap import bootstrap

    return create_app(bootstrap(settings), settings)


def _require_protection(host: str, settings: Settings) -> None:
    from fhir_ecg.api.authorisation import UnprotectedError, require_protection

    try:
        require_protection(host, settings)
    except UnprotectedError as error:
        raise click.UsageError(str(error)) from error
