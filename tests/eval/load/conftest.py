"""A small server that answers as Auricle and as OpenAI do, at once or when it is told to."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from eval.load.clients import Address
from eval.load.servers import openai_server, our_server
from eval.load.types import LoadClip, LoadPlan

TEXT = "the cat sat"


class FakeService:
    """What it does is set by its fields; what it was asked is in ``asked``."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.capacity = 1000
        self.text = TEXT
        self.events: list[str] | None = None
        self.has_jobs = False
        self.asked: list[str] = []
        self.forms: list[bytes] = []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    def answer(self, route: str) -> tuple[int, str, str]:
        """Status, media type, body."""
        with self.lock:
            self.asked.append(route)
            is_full = route.startswith("POST") and self.under_way >= self.capacity
            self.under_way += not is_full
            self.most_under_way = max(self.most_under_way, self.under_way)
        if is_full:
            error = {"message": "full", "type": "rate_limit_error", "code": "queue_full"}
            return 429, "application/json", json.dumps({"error": error})
        try:
            time.sleep(self.delay_s)
            return self._body(route)
        finally:
            with self.lock:
                self.under_way -= 1

    def _body(self, route: str) -> tuple[int, str, str]:
        if route == "POST /transcribe":
            segment = f"event: segment\ndata: {json.dumps({'text': ' ' + self.text})}\n\n"
            done = f"event: done\ndata: {json.dumps({'text': self.text})}\n\n"
            return (
                200,
                "text/event-stream; charset=utf-8",
                "".join([segment, done] if self.events is None else self.events),
            )
        if route == "POST /jobs":
            return 202, "application/json", '{"id": "7"}'
        if route == "GET /jobs/7/result":
            return 409, "application/json", "{}"
        if route == "GET /openapi.json":
            return 200, "application/json", json.dumps({"paths": {"/jobs": {}} if self.has_jobs else {}})
        return 200, "application/json", json.dumps({"text": self.text})


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def url(service: FakeService) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            service.forms.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            status, media_type, body = service.answer(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_DELETE = _reply

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def make_clip(name: str = "clip", **fields: Any) -> LoadClip:
    values = {"id": name, "name": f"{name}.wav", "data": b"RIFF", "text": TEXT, "language": "en", "duration": 10.0}
    return LoadClip(**values | fields)


@pytest.fixture
def clip() -> LoadClip:
    return make_clip()


@pytest.fixture
def plan(url: str) -> LoadPlan:
    """Of one server, small."""
    return LoadPlan(
        servers=(our_server(url, model="base", beam_size=1),),
        clips=(make_clip("a"), make_clip("b")),
        long=None,
        clients=(1, 3),
        rounds=2,
        requests=4,
        background=None,
        as_request=False,
        settle_s=0.0,
        overload_s=None,
        timeout_s=5.0,
        seed=0,
    )


@pytest.fixture
def ours(url: str) -> Address:
    return Address(spec=our_server(url, model="base", beam_size=1), url=url, timeout_s=5.0)


@pytest.fixture
def openai(url: str) -> Address:
    return Address(spec=openai_server("peer", url), url=url, timeout_s=5.0)
