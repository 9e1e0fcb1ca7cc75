"""The web process against clients that are slow, huge, or no HTTP clients."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from deployed_service import FHIR_JSON, Deployment, on_files, wait_until

from fhir_ecg.service.application import now
from fhir_ecg.store.engine import open_engine
from fhir_ecg.store.unit_of_work import Store

CAP = 2 * 1024**2
HEAD = b"POST /fhir/Observation HTTP/1.1\r\nHost: ecg\r\nContent-Type: application/fhir+json\r\n"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A web process alone, which gives a request three seconds to come."""
    yield from started(tmp_path_factory.mktemp("web"))


def started(folder: Path) -> Iterator[Deployment]:
    made = on_files(folder)
    made.environment["FHIR_ECG_MAXIMUM_BODY_BYTES"] = str(CAP)
    made.environment["FHIR_ECG_REQUEST_SECONDS"] = "3"
    made.environment["FHIR_ECG_WEB_THREADS"] = "2"
    assert made.run(["db", "upgrade"]).wait(60) == 0, made.logs()
    made.start_web()
    yield made
    made.http.close()
    made.stop()


def connect(web: Deployment) -> socket.socket:
    return socket.create_connection(("127.0.0.1", web.port), timeout=30)


def whole_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read until the server ends the connection: status and body."""
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def told(body: bytes) -> str:
    outcome = json.loads(body)
    assert outcome["resourceType"] == "OperationOutcome"
    code: str = outcome["issue"][0]["code"]
    return code


@pytest.mark.parametrize("begun", [b"POST /fhir/Obs", HEAD + b"Content-Length: 100000\r\n\r\n{"], ids=["head", "body"])
def test_slow_clients_hold_no_thread_and_are_given_up(web: Deployment, begun: bytes) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(web)) for _ in range(50)]
        for connection in slow:
            connection.sendall(begun)

        assert requests.get(f"http://127.0.0.1:{web.port}/livez", timeout=30).ok
        for connection in slow:
            assert connection.recv(100) == b""  # it is closed


def test_a_client_that_trickles_is_given_up(web: Deployment) -> None:
    with connect(web) as connection:
        connection.sendall(HEAD)
        connection.settimeout(0.2)
        for _ in range(200):
            try:
                connection.sendall(b"X: 1\r\n")
                if connection.recv(100) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("it was listened to for 40 seconds")


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_a_body_that_is_too_large_is_told_so_while_it_is_sent(web: Deployment, declared: bool) -> None:
    size = 16 * CAP
    with connect(web) as connection:
        length = f"Content-Length: {size}\r\n\r\n".encode() if declared else b"Transfer-Encoding: chunked\r\n\r\n"
        connection.sendall(HEAD + length)
        piece = b" " * 65536 if declared else b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(size // 65536):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)

        status, body = whole_answer(connection)

    assert (status, told(body)) == (413, "too-long")


def test_a_body_of_exactly_the_cap_is_read(web: Deployment) -> None:
    answer = requests.post(
        f"{web.base}/Observation", b"{" + b" " * (CAP - 1), headers={"Content-Type": FHIR_JSON}, timeout=30
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"MSH|^~\\&|EHR|||\r\n\r\n", 400, "structure"),
        (b"GET /fhir/metadata HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431, "too-long"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "structure"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nno length\r\n", 400, "structure"),
    ],
    ids=["HL7 v2", "long header", "two lengths", "broken chunk"],
)
def test_what_is_no_request_is_told_so(web: Deployment, sent: bytes, status: int, code: str) -> None:
    with connect(web) as connection:
        connection.sendall(sent)
        answered, body = whole_answer(connection)

    assert (answered, told(body)) == (status, code)


def exported(web: Deployment, count: int) -> str:
    """Store resources of 100 kB, and export them; gives the path of their file."""
    store = Store(open_engine(web.database_url))
    with store.transaction() as work:
        for number in range(count):
            device = {"resourceType": "Device", "id": f"{number:04}", "note": [{"text": "x" * 100_000}]}
            work.resources.put(device, now())
    store.engine.dispose()
    kicked = requests.get(f"{web.base}/$export", {"_type": "Device"}, headers={"Prefer": "respond-async"}, timeout=30)
    place = kicked.headers["Content-Location"]
    wait_until(lambda: requests.get(place, timeout=30).status_code == 200, 30, "the export is ready")
    return urlsplit(requests.get(place, timeout=30).json()["output"][0]["url"]).path


def test_who_takes_a_file_and_does_not_read_it_holds_no_thread(web: Deployment) -> None:
    count = 100  # more bytes than the sockets between hold
    path = exported(web, count)

    def begins(connection: socket.socket) -> bool:
        """Ask for the file; while the one before is written it is refused, since there are two threads."""
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: ecg\r\n\r\n".encode())
        status = int(connection.recv(100).split()[1])
        assert status in {200, 503}
        return status == 200

    with ExitStack() as stack:
        for _ in range(4):
            wait_until(lambda: begins(stack.enter_context(connect(web))), 30, "a file is begun")
        whole: list[requests.Response] = []

        def comes_whole() -> bool:
            whole[:] = [requests.get(f"http://127.0.0.1:{web.port}{path}", timeout=30)]
            return whole[0].ok

        wait_until(comes_whole, 30, "the file comes whole to who reads it")
    assert whole[0].content.count(b"\n") == count


def test_requests_in_hand_at_the_end_are_answered(tmp_path: Path, examples: dict[str, bytes]) -> None:
    observation = examples["normal-sinus-rhythm"]
    request = HEAD + f"Connection: close\r\nContent-Length: {len(observation)}\r\n\r\n".encode() + observation
    for web in started(tmp_path):
        with ExitStack() as stack:
            senders = [stack.enter_context(connect(web)) for _ in range(8)]
            for connection in senders:
                connection.sendall(request[:-1])
            for connection in senders:
                connection.sendall(request[-1:])
            senders[0].recv(1, socket.MSG_PEEK)  # the first answer is there, and the others' requests are read
            web.processes[-1].send_signal(signal.SIGTERM)

            assert [whole_answer(connection)[0] for connection in senders] == [201] * 8
        assert web.processes[-1].wait(30) == 0
