"""Requests as spans, as a collector receives them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"

Serve = Callable[..., TestClient]


@dataclass
class Collector:
    url: str
    spans: list[Span] = field(default_factory=list)


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                got.spans += [span for scope in resource.scope_spans for span in scope.spans]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield got
    server.shutdown()
    thread.join()
    server.server_close()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_transcription_is_a_span_with_one_for_each_phase(serve: Serve, collector: Collector) -> None:
    client = serve(traces_url=collector.url)
    before = time.time_ns()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
    assert client.post("/transcribe", files={"file": b"secret words"}, headers=headers).status_code == 200
    client.__exit__(None, None, None)  # the end of the service sends what is left
    client.__enter__()  # which the fixture ends once more
    [request] = [span for span in collector.spans if span.name == "POST /transcribe"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    told = attributes(request)
    assert told["http.response.status_code"] == 200
    assert told["http.route"] == "/transcribe"
    assert told["auricle.request_id"] == "mine"
    assert told["auricle.model"] == "base"
    phases = [span for span in collector.spans if span.parent_span_id == request.span_id]
    assert [span.name for span in phases] == ["upload", "decode_audio", "queue", "encode", "decode"]
    assert before <= request.start_time_unix_nano <= phases[0].end_time_unix_nano <= request.end_time_unix_nano
    assert b"secret" not in b"".join(span.SerializeToString() for span in collector.spans)


def test_a_refusal_tells_its_code_and_no_span_is_sent_unasked(serve: Serve, collector: Collector) -> None:
    serve().post("/transcribe", files={"file": b""})
    client = serve(traces_url=collector.url)
    client.post("/transcribe", files={"file": b""})
    client.__exit__(None, None, None)
    client.__enter__()
    [refused] = collector.spans
    assert (attributes(refused)["error.type"], attributes(refused)["http.response.status_code"]) == ("empty_file", 400)


def test_a_collector_that_is_away_costs_no_request(serve: Serve) -> None:
    client = serve(traces_url="http://127.0.0.1:9/v1/traces")
    assert client.post("/transcribe", files={"file": b"words"}).status_code == 200
