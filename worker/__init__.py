"""The Celery worker: a door to the use cases, without logic of its own."""
