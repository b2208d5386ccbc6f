"""The field url: off unless hosts are named, one look-up, public addresses only, redirects checked, bytes counted."""

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from service_fakes import FakeDecoder, FakeWorkers

from server import outbound

Serve = Callable[..., TestClient]
Spooled = Callable[[], list[Path]]
AUDIO = b"RIFF not really"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.headers["Host"], self.path))  # type: ignore[attr-defined]
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
            return
        if self.path == "/slow":
            self.server.leaving.wait(20)  # type: ignore[attr-defined]
        status = {"/missing": 404, "/empty": 200}.get(self.path, 200)
        body = {"/empty": b"", "/large": b"x" * 300_000}.get(self.path, AUDIO)
        self.send_response(status)
        if self.path == "/gzip":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def media(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A server on this machine, reached under names that only this test knows; its address counts as public."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.asked, server.leaving = [], threading.Event()  # type: ignore[attr-defined]
    look_up = socket.getaddrinfo

    def known(host: str, port: int, *args: object, **options: object) -> list[object]:
        if host in {"media.test", "mirror.test"}:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return look_up(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", known)
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.leaving.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def post(client: TestClient, url: str, route: str = "/transcribe", **fields: str) -> httpx.Response:
    return client.post(route, files={"url": (None, url), **{name: (None, value) for name, value in fields.items()}})


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_urls_are_off_by_default_and_the_refusal_says_how_to_allow_them(client: TestClient) -> None:
    answer = post(client, "https://media.example.org/a.wav")
    assert code_of(answer) == (403, "urls_disabled")
    assert "AURICLE_ALLOW_URLS" in answer.json()["error"]["message"]


@pytest.mark.parametrize("route", ["/transcribe", "/translate", "/detect-language", "/vad"])
def test_a_recording_is_fetched_by_address_under_its_name(
    serve: Serve, decoder: FakeDecoder, media: ThreadingHTTPServer, spooled: Spooled, route: str
) -> None:
    client = serve(allow_urls=f"cdn.example.org, media.test:{media.server_port}")
    assert post(client, f"http://media.test:{media.server_port}/a.wav", route).status_code == 200
    assert decoder.uploads == [AUDIO]
    assert media.asked == [(f"media.test:{media.server_port}", "/a.wav")]  # type: ignore[attr-defined]
    assert spooled() == []


def test_redirects_are_followed_where_they_may_lead_only(
    serve: Serve, decoder: FakeDecoder, media: ThreadingHTTPServer
) -> None:
    port = media.server_port
    client = serve(allow_urls=f"media.test:{port}")
    here = f"http://media.test:{port}"
    assert post(client, f"{here}/to?/a.wav").status_code == 200
    assert code_of(post(client, f"{here}/to?http://mirror.test:{port}/a.wav")) == (403, "host_not_allowed")
    assert code_of(post(client, f"{here}/to?http://127.0.0.1:{port}/a.wav")) == (403, "host_not_allowed")
    assert code_of(post(client, f"{here}/to?file:///etc/passwd")) == (400, "invalid_value")
    assert code_of(post(client, f"{here}/to?/to?/to?/to?/to?/a.wav")) == (400, "url_not_fetched")
    assert decoder.uploads == [AUDIO]


def test_what_cannot_be_fetched(serve: Serve, media: ThreadingHTTPServer, spooled: Spooled) -> None:
    port = media.server_port
    client = serve(allow_urls=f"media.test:{port},media.test:1,no-such-host.invalid", max_upload_bytes=100_000)
    here = f"http://media.test:{port}"
    assert code_of(post(client, f"{here}/missing")) == (400, "url_not_fetched")
    assert code_of(post(client, f"{here}/empty")) == (400, "empty_file")
    assert code_of(post(client, f"{here}/large")) == (413, "file_too_large")
    assert code_of(post(client, f"{here}/gzip")) == (400, "url_not_fetched")
    assert code_of(post(client, "http://media.test:1/a.wav")) == (400, "url_not_fetched")
    assert code_of(post(client, "http://no-such-host.invalid/a.wav")) == (400, "host_not_found")
    assert spooled() == []


def test_a_slow_server_is_not_waited_for(serve: Serve, media: ThreadingHTTPServer, spooled: Spooled) -> None:
    client = serve(allow_urls=f"media.test:{media.server_port}", url_timeout_s=0.3)
    answer = post(client, f"http://media.test:{media.server_port}/slow")
    assert code_of(answer) == (400, "url_not_fetched")
    assert "AURICLE_URL_TIMEOUT_S" in answer.json()["error"]["message"]
    assert spooled() == []


@pytest.mark.parametrize(
    "url",
    ["ftp://media.test/a", "file:///etc/passwd", "media.test/a", "http://", "http://me:pw@media.test/a"],
)
def test_urls_of_another_kind(serve: Serve, url: str) -> None:
    assert code_of(post(serve(allow_urls="media.test"), url)) == (400, "invalid_value")


def test_other_hosts_ports_and_private_addresses(serve: Serve) -> None:
    client = serve(allow_urls="media.test,localhost,169.254.169.254")
    assert code_of(post(client, "http://elsewhere.test/a")) == (403, "host_not_allowed")
    assert code_of(post(client, "http://media.test:8080/a")) == (403, "host_not_allowed")
    assert code_of(post(client, "http://localhost/a")) == (403, "address_not_public")
    assert code_of(post(client, "http://169.254.169.254/latest/meta-data")) == (403, "address_not_public")


def test_a_name_with_a_private_address_among_public_ones(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert code_of(post(serve(allow_urls="media.test"), "http://media.test/a")) == (403, "address_not_public")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  (looked at, not bound)
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_public_addresses(address: str, expected: bool) -> None:
    assert outbound.is_public(address) is expected


def test_a_url_and_a_file_are_too_much_and_neither_is_too_little(serve: Serve, workers: FakeWorkers) -> None:
    client = serve(allow_urls="media.test")
    both = client.post("/transcribe", files={"file": AUDIO}, data={"url": "http://media.test/a"})
    assert code_of(both) == (400, "conflicting_parameter")
    assert code_of(client.post("/transcribe", files={"language": (None, "de")})) == (400, "missing_file")
    assert workers.works == []


def test_raw_samples_from_a_url_get_their_header(
    serve: Serve, decoder: FakeDecoder, media: ThreadingHTTPServer
) -> None:
    client = serve(allow_urls=f"media.test:{media.server_port}")
    post(client, f"http://media.test:{media.server_port}/a.pcm", "/detect-language?encode=false")
    assert decoder.uploads[0].startswith(b"RIFF")
    assert decoder.uploads[0].endswith(AUDIO)


def test_a_job_fetches_its_recording_before_it_is_accepted(
    serve: Serve, decoder: FakeDecoder, media: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = serve(allow_urls=f"media.test:{media.server_port}", state_dir=tmp_path_factory.mktemp("jobs"))
    assert code_of(post(client, "http://elsewhere.test/a.wav", "/jobs")) == (403, "host_not_allowed")
    accepted = post(client, f"http://media.test:{media.server_port}/a.wav", "/jobs")
    assert accepted.status_code == 202
    with client.stream("GET", f"{accepted.headers['location']}/events") as events:
        assert "event: done" in events.read().decode()
    assert decoder.uploads == [AUDIO]


def test_other_dialects_fetch_nothing(serve: Serve) -> None:
    client = serve(allow_urls="media.test")
    for route in ("/v1/audio/transcriptions", "/asr"):
        assert code_of(post(client, "http://media.test/a", route)) == (400, "missing_file")


def test_a_form_that_is_refused_fetches_nothing(serve: Serve, media: ThreadingHTTPServer) -> None:
    client = serve(allow_urls=f"media.test:{media.server_port}")
    answer = post(client, f"http://media.test:{media.server_port}/a.wav", beam_size="0")
    assert code_of(answer) == (400, "invalid_value")
    assert media.asked == []  # type: ignore[attr-defined]
