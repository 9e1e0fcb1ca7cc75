"""The Celery application, for those who send and those who work.

Messages are wake-ups: a job's id and nothing else. What is lost here is found again by the sweeper.
"""

from urllib.parse import unquote, urlsplit

from celery import Celery
from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES

from fhir_ecg.file_broker import SCHEME

CLASSIFY_TASK = "fhir_ecg.classify"
QUEUE = "fhir-ecg"


def make_celery(broker_url: str) -> Celery:
    """Configure Celery for a `redis://`, `amqp://` or `file:///path` broker."""
    app = Celery("fhir-ecg", set_as_current=False)
    redis = broker_url.startswith(("redis:", "rediss:"))
    if redis:
        TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "fhir_ecg.redis_broker:Transport"))
    app.conf.update(
        broker_url=broker_url,
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        # The database holds the answers.
        task_ignore_result=True,
        # A message is spent when it is fetched: where its worker dies, the job is due again when its lease ends. On
        # Redis kombu makes acknowledgements itself, and one that is lost with the connection stops the worker for good.
        task_queues=[Queue(QUEUE, no_ack=redis or broker_url.startswith("file:"))],  # type: ignore[no-untyped-call]
        task_acks_late=False,
        # Fetched messages would wait behind a long job while another worker idles.
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        # The web process must not hang in front of a dead broker: the sweeper sends again.
        broker_transport_options=_transport_options(broker_url),
        broker_connection_timeout=2,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
    )
    if broker_url.startswith("file:"):
        app.conf.broker_url = f"{SCHEME}://"
    return app


def _transport_options(broker_url: str) -> dict[str, object]:
    if broker_url.startswith("file:"):
        return {"folder": unquote(urlsplit(broker_url).path)}
    if broker_url.startswith(("redis:", "rediss:")):
        return {"socket_timeout": 5, "socket_connect_timeout": 2}
    return {}
