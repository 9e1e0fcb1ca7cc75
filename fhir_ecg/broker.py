"""The Celery application, for those who send and those who work.

Messages are wake-ups: a job's id and nothing else. What is lost here is found again by the sweeper.
"""

import logging
from urllib.parse import unquote, urlsplit

from celery import Celery
from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES

from fhir_ecg.file_broker import SCHEME

CLASSIFY_TASK = "fhir_ecg.classify"
QUEUE = "fhir-ecg"

logger = logging.getLogger(__name__)


class WakeUps:
    """Messages to workers, each a job's id."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def send(self, job_id: str) -> None:
        """Send one; never raises, for the job's row is stored, and a sweeper sends it again when the broker is back."""
        try:
            self._celery.send_task(CLASSIFY_TASK, (job_id,), retry=False)
        except Exception:
            logger.warning("the broker took no wake-up", extra={"job": job_id}, exc_info=True)

    def waiting(self) -> int:
        """Count those that no worker has taken; 0 where the broker does not tell."""
        try:
            with self._celery.connection_or_acquire() as connection:
                queue = connection.default_channel.queue_declare(QUEUE, passive=True)
                return int(queue.message_count)
        except Exception:  # no queue yet, or no broker
            return 0

    def problem(self) -> str | None:
        """Say what keeps them from being sent; None where nothing does."""
        try:
            with self._celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except Exception as error:
            return f"the broker does not answer ({type(error).__name__}); is FHIR_ECG_BROKER_URL right?"
        return None


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
