"""Heads of requests that come too slowly or never end, over real sockets."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from server import connections
from server.connections import HttpConnection
from server.serving import make_server

PATIENCE_S = 20.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"

Dial = Callable[[], socket.socket]


@pytest.fixture
def dial(serve: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> Iterator[Dial]:
    """Connections to a service that waits 0.3 s for a head, and 0.5 s for the rest of a body that it does not want."""
    monkeypatch.setattr(connections, "HEAD_PATIENCE_S", 0.3)
    monkeypatch.setattr(connections, "LINGER_S", 0.5)
    server = make_server(serve().app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    address = server.servers[0].sockets[0].getsockname()
    yield lambda: socket.create_connection(address, timeout=PATIENCE_S)
    server.should_exit = True
    thread.join()


def all_of(client: socket.socket) -> bytes:
    answer = b""
    while data := client.recv(65_536):
        answer += data
    return answer


def test_a_head_that_does_not_end_is_answered_and_the_connection_closed(dial: Dial) -> None:
    for head in (b"", b"POST /transcribe HTTP/1.1\r\nX: 1"):
        with dial() as client:
            client.sendall(head)
            assert all_of(client).startswith(b"HTTP/1.1 408 ")


def test_the_second_head_of_a_connection_is_not_waited_for_either(dial: Dial) -> None:
    with dial() as client:
        client.sendall(HEALTH + b"\r\n" + HEALTH)
        answers = all_of(client)
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in answers


def test_a_head_that_grows_is_refused(dial: Dial) -> None:
    with dial() as client:
        client.sendall(HEALTH + b"X: " + b"a" * (connections.MAX_HEAD_BYTES + 1))
        assert all_of(client).startswith(b"HTTP/1.1 431 ")


def test_a_body_may_come_later_than_a_head_may(dial: Dial) -> None:
    with dial() as client:
        client.sendall(b"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nContent-Length: 5\r\n\r\n")
        time.sleep(0.4)
        client.sendall(b"audio")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_refusal_reaches_who_is_still_sending(dial: Dial) -> None:
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    body = bytes(8_000_000)
    with dial() as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert all_of(client).startswith(b"HTTP/1.1 415 ")


def test_the_rest_of_a_refused_body_is_not_waited_for_for_ever(dial: Dial) -> None:
    with dial() as client:
        client.sendall(b"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbody")
        assert all_of(client).startswith(b"HTTP/1.1 415 ")


def test_after_a_refused_body_the_connection_serves_on(dial: Dial) -> None:
    with dial() as client:
        client.sendall(b"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 415 ")
        client.sendall(b"body" + HEALTH + b"Connection: close\r\n\r\n")
        assert b"HTTP/1.1 200 " in all_of(client)


def test_a_body_that_there_is_no_memory_for_is_refused_unread(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: audio/wav\r\nConnection: close\r\n"
    body = bytes(8_000_000)
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    monkeypatch.setattr(connections, "ROOM_BYTES", 2**62)
    for wanted, code in ((request, b"503"), (HEALTH + b"Connection: close\r\n\r\n", b"200")):
        with dial() as client:
            client.sendall(wanted)
            answer = all_of(client)
            assert answer.startswith(b"HTTP/1.1 " + code)
            assert (b"out_of_memory" in answer) == (b"retry-after: 5" in answer) == (code == b"503")
    monkeypatch.undo()
    with dial() as client:
        client.sendall(request)
        assert all_of(client).startswith(b"HTTP/1.1 200 ")


def test_a_connection_leaves_nothing_to_the_garbage_collector(dial: Dial) -> None:
    """Which comes by so rarely that what waits for it makes the process grow."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with dial() as client:
                client.sendall(HEALTH + b"Connection: close\r\n\r\n")
                assert all_of(client).startswith(b"HTTP/1.1 200 ")
        deadline = time.monotonic() + PATIENCE_S
        while any(type(each) is HttpConnection for each in gc.get_objects()):  # isinstance would ask weak proxies
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        gc.enable()
