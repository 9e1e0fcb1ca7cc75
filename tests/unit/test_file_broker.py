"""The file broker over real folders, as processes share them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.exceptions import ChannelError

from fhir_ecg.broker import QUEUE, make_celery


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "broker"


def connect(folder: Path) -> Connection:
    connection: Connection = make_celery(f"file://{folder}").connection_for_write()
    return connection


def fetched(queue: Any) -> Iterator[str]:
    """Fetch until nothing is left."""
    while True:
        try:
            message = queue.get_nowait()
        except Empty:
            return
        message.ack()
        yield message.payload


def test_messages_come_once_and_in_order(folder: Path) -> None:
    with connect(folder) as sender, sender.SimpleQueue(QUEUE) as queue:
        for number in range(20):
            queue.put(f"job {number}")
    with connect(folder) as receiver, receiver.SimpleQueue(QUEUE) as queue:
        assert list(fetched(queue)) == [f"job {number}" for number in range(20)]
    assert not list((folder / QUEUE).iterdir())


def test_a_message_reaches_one_of_many_receivers(folder: Path) -> None:
    with connect(folder) as sender, sender.SimpleQueue(QUEUE) as queue:
        for number in range(200):
            queue.put(str(number))

    def receive(_: int) -> list[str]:
        with connect(folder) as receiver, receiver.SimpleQueue(QUEUE) as queue:
            return list(fetched(queue))

    with ThreadPoolExecutor(4) as pool:
        received = [each for part in pool.map(receive, range(4)) for each in part]
    assert sorted(received, key=int) == [str(number) for number in range(200)]


@pytest.mark.parametrize("torn", [b"", b'{"body": ', b"\xff\x00"], ids=["empty", "cut", "no text"])
def test_a_torn_message_is_passed_over(folder: Path, torn: bytes) -> None:
    with connect(folder) as connection, connection.SimpleQueue(QUEUE) as queue:
        queue.put("before")
        (folder / QUEUE / "1").write_bytes(torn)
        queue.put("after")

        assert list(fetched(queue)) == ["before", "after"]
    assert not list((folder / QUEUE).iterdir())


def test_what_is_being_written_is_not_seen(folder: Path) -> None:
    with connect(folder) as connection, connection.SimpleQueue(QUEUE) as queue:
        queue.put("whole")
        (folder / QUEUE / ".half").write_text('{"bo')

        assert queue.qsize() == 1
        assert list(fetched(queue)) == ["whole"]


def test_a_folder_that_takes_no_file_is_an_error_of_the_channel(folder: Path) -> None:
    folder.write_text("no folder")
    with connect(folder) as connection, pytest.raises(ChannelError), connection.SimpleQueue(QUEUE) as queue:
        queue.put("job")


def test_a_queue_can_be_emptied(folder: Path) -> None:
    with connect(folder) as connection, connection.SimpleQueue(QUEUE) as queue:
        queue.put("job")
        queue.clear()

        assert queue.qsize() == 0
