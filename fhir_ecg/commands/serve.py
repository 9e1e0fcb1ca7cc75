"""`serve`, `web` and `worker`."""

import atexit
import logging

import click
from flask import Flask

from fhir_ecg.log_format import log_uncaught_errors
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
    web = {"web": ["web", "--host", host, "--port", str(port)]}
    return supervise(web | _worker_commands(settings), environment)


def run_web(settings: Settings, host: str, port: int) -> None:
    """Serve HTTP until SIGTERM."""
    from fhir_ecg.api.server import Limits, listen, serve_until_signal
    from fhir_ecg.supervisor import end_with_supervisor

    end_with_supervisor()
    _require_protection(host, settings)
    log_uncaught_errors()
    limits = Limits(settings.web_threads, settings.maximum_body_bytes, settings.request_seconds)
    try:
        sockets = listen(_web_application(settings), host, port, limits)
    except OSError as error:
        raise click.UsageError(
            f"{host}, port {port}, cannot be had: {error.strerror}; choose another --port"
        ) from error
    serve_until_signal(sockets)


def run_worker(settings: Settings) -> int:
    """Run the processes of a worker until SIGTERM; jobs in hand are finished. Returns the exit status."""
    from fhir_ecg.supervisor import supervise

    if settings.worker_metrics_port:
        from fhir_ecg.bootstrap import bootstrap
        from worker.metrics import serve_metrics, share_numbers

        share_numbers(settings.worker_metrics_port)
        serve_metrics(settings.worker_metrics_port, bootstrap(settings))
    return supervise(_worker_commands(settings), {})


def run_worker_process() -> None:
    """Work, one job at a time, until SIGTERM."""
    from celery.signals import setup_logging

    from fhir_ecg.classifier.weights import WeightsError
    from fhir_ecg.supervisor import end_with_supervisor
    from worker.app import start

    end_with_supervisor()
    log_uncaught_errors()
    setup_logging.connect(_keep_logging, weak=False)
    try:
        start()
    except WeightsError as error:
        # Found with the first job, it would cost every waiting ECG its attempts.
        raise click.UsageError(f"FHIR_ECG_WEIGHTS: {error}") from error


def _worker_commands(settings: Settings) -> dict[str, list[str]]:
    return {f"worker {number}": ["worker-process"] for number in range(1, settings.worker_processes + 1)}


def _keep_logging(**_: object) -> None:
    """Tell Celery that logging is set up, so that it leaves it alone."""


def _web_application(settings: Settings) -> Flask:
    from fhir_ecg.api.app import create_app
    from fhir_ecg.bootstrap import bootstrap
    from fhir_ecg.tracing import trace_process

    application = bootstrap(settings)
    app = create_app(application, settings)
    atexit.register(trace_process("web", application.store.engine, app))
    return app


def _require_protection(host: str, settings: Settings) -> None:
    from fhir_ecg.api.authorisation import UnprotectedError, require_protection

    try:
        require_protection(host, settings)
    except UnprotectedError as error:
        raise click.UsageError(str(error)) from error
