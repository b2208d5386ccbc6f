"""Bodies: limits on the way in, private files, and nothing left behind."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from service_fakes import FakeDecoder, FakeWorkers

from asr.errors import CorruptAudioError
from asr.options import Channels
from server.app import create_app
from server.settings import Settings
from server.uploads import FORM_ALLOWANCE_BYTES

Spooled = Callable[[], list[Path]]
Serve = Callable[..., TestClient]

BOUNDARY = "frontier"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(name: str, value: bytes, *, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def post_chunks(
    settings: Settings,
    chunks: AsyncIterator[bytes],
    headers: dict[str, str],
    *,
    workers: FakeWorkers | None = None,
    decoder: FakeDecoder | None = None,
) -> httpx.Response:
    """A body that arrives chunk by chunk, without a declared length."""
    app = create_app(settings, workers or FakeWorkers(), decoder or FakeDecoder())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/transcribe", content=chunks, headers=headers)


@pytest.mark.parametrize("step", [1, 97, 65_536])
def test_a_file_survives_the_form_byte_for_byte(
    workers: FakeWorkers, decoder: FakeDecoder, tmp_path: Path, step: int
) -> None:
    audio = bytes(range(256)) * (20 if step == 1 else 10_000) + b"\r\n--frontie\r\n--"
    body = part("language", b"de") + part("file", audio, filename="a.wav") + part("beam_size", b"2") + END

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), step):
            yield body[at : at + step]

    answer = asyncio.run(post_chunks(Settings(spool_dir=tmp_path), chunks(), FORM, decoder=decoder))
    assert answer.status_code == 200, answer.text
    assert decoder.uploads == [audio]


def test_the_file_is_private_and_deleted_after_the_answer(
    client: TestClient, workers: FakeWorkers, decoder: FakeDecoder, spooled: Spooled, tmp_path: Path
) -> None:
    client.post("/transcribe", files={"file": b"audio"})
    client.post("/transcribe", files={"file": b"audio"}, data={"stream": "true"})
    workers.failure = CorruptAudioError("x")
    client.post("/transcribe", files={"file": b"audio"})
    workers.failure = ZeroDivisionError()
    client.post("/transcribe", files={"file": b"audio"})
    assert decoder.modes == [0o600] * 4
    assert spooled() == []
    (folder,) = tmp_path.iterdir()
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_spool_is_gone_when_the_service_ends(workers: FakeWorkers, decoder: FakeDecoder, tmp_path: Path) -> None:
    with TestClient(create_app(Settings(spool_dir=tmp_path), workers, decoder)):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    assert workers.stopped
    assert decoder.stopped


def test_a_declared_length_over_the_limit_is_refused_unread(serve: Serve, workers: FakeWorkers) -> None:
    client = serve(max_upload_bytes=100)
    answer = client.post("/transcribe", content=b"x" * 101, headers={"Content-Type": "audio/wav"})
    assert code_of(answer) == (413, "file_too_large")
    form = client.post("/transcribe", files={"file": b"x" * (101 + FORM_ALLOWANCE_BYTES)})
    assert code_of(form) == (413, "file_too_large")
    assert workers.works == []


@pytest.mark.parametrize("is_form", [False, True])
def test_bytes_are_counted_as_they_come(workers: FakeWorkers, tmp_path: Path, spooled: Spooled, is_form: bool) -> None:
    """A chunked body has no length; it must be refused long before it ends."""
    n_sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal n_sent
        if is_form:
            yield part("file", b"", filename="a.wav").removesuffix(b"\r\n")
        for _ in range(10_000):
            n_sent += 1
            yield b"x" * 65_536

    settings = Settings(spool_dir=tmp_path, max_upload_bytes=3_000_000)
    headers = FORM if is_form else {"Content-Type": "audio/wav"}
    answer = asyncio.run(post_chunks(settings, endless(), headers, workers=workers))
    assert code_of(answer) == (413, "file_too_large")
    assert spooled() == []
    assert n_sent < 60
    assert workers.works == []


def test_exactly_the_limit_is_accepted(serve: Serve) -> None:
    client = serve(max_upload_bytes=100)
    assert client.post("/transcribe", files={"file": b"x" * 100}).status_code == 200
    assert client.post("/transcribe", files={"file": b"x" * 101}).status_code == 413


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (END, "missing_file"),
        (part("language", b"de") + END, "missing_file"),
        (part("file", b"", filename="a.wav") + END, "empty_file"),
        (part("file", b"a", filename="a") + part("file", b"b", filename="b") + END, "too_many_files"),
        (part("file", b"a", filename="a") + part("audio_file", b"b", filename="b") + END, "too_many_files"),
        (part("picture", b"a", filename="a.png") + END, "unsupported_parameter"),
        (part("file", b"a", filename="a"), "invalid_form"),
        (b"no form at all", "invalid_form"),
        (part("", b"a") + END, "invalid_form"),
        (part("file", b"a", filename="a") + part("prompt", b"\xff\xfe") + END, "invalid_value"),
        (part("file", b"a", filename="a") + part("temperature", b"0") * 200 + END, "too_many_fields"),
    ],
)
def test_forms_that_cannot_be_used(
    client: TestClient, workers: FakeWorkers, spooled: Spooled, body: bytes, code: str
) -> None:
    answer = client.post("/transcribe", content=body, headers=FORM)
    assert code_of(answer) == (400, code)
    assert workers.works == []
    assert spooled() == []


def test_an_empty_body(client: TestClient) -> None:
    answer = client.post("/transcribe", content=b"", headers={"Content-Type": "audio/wav"})
    assert code_of(answer) == (400, "empty_file")


@pytest.mark.parametrize("media_type", ["application/json", "application/x-www-form-urlencoded", "text/plain", ""])
def test_bodies_that_are_no_upload(client: TestClient, media_type: str) -> None:
    answer = client.post("/transcribe", content=b"{}", headers={"Content-Type": media_type})
    assert code_of(answer) == (415, "unsupported_media_type")
    assert "-F file=@" in answer.json()["error"]["message"]


def test_a_form_without_boundary(client: TestClient) -> None:
    answer = client.post("/transcribe", content=END, headers={"Content-Type": "multipart/form-data"})
    assert code_of(answer) == (400, "invalid_form")


def test_the_query_may_speak_where_the_form_is_silent(client: TestClient, workers: FakeWorkers) -> None:
    answer = client.post("/transcribe?language=de", files={"file": b"x"}, data={"beam_size": "2"})
    assert answer.status_code == 200
    both = client.post("/transcribe?temperature=0", files={"file": b"x"}, data={"temperature[]": "0"})
    assert code_of(both) == (400, "conflicting_parameter")
    assert len(workers.works) == 1


async def _pausing(pause_s: float, n_chunks: int) -> AsyncIterator[bytes]:
    yield part("file", b"", filename="a.wav").removesuffix(b"\r\n")
    for _ in range(n_chunks):
        yield b"x" * 10
        await asyncio.sleep(pause_s)


@pytest.mark.parametrize("is_form", [False, True])
def test_a_body_that_pauses_too_long_is_not_waited_for(tmp_path: Path, spooled: Spooled, is_form: bool) -> None:
    settings = Settings(spool_dir=tmp_path, upload_idle_timeout_s=0.2)
    headers = FORM if is_form else {"Content-Type": "audio/wav"}
    answer = asyncio.run(post_chunks(settings, _pausing(5, 2), headers))
    assert code_of(answer) == (408, "upload_timeout")
    assert "0.2 s" in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["connection"] == "close"
    assert spooled() == []


def test_a_body_that_trickles_ends_too(tmp_path: Path, spooled: Spooled) -> None:
    settings = Settings(spool_dir=tmp_path, upload_idle_timeout_s=5, upload_timeout_s=0.3)
    answer = asyncio.run(post_chunks(settings, _pausing(0.05, 1000), {"Content-Type": "audio/wav"}))
    assert code_of(answer) == (408, "upload_timeout")
    assert spooled() == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_compressed_bodies_are_refused(client: TestClient, workers: FakeWorkers, encoding: str) -> None:
    headers = {"Content-Type": "audio/wav", "Content-Encoding": encoding}
    assert code_of(client.post("/transcribe", content=b"x", headers=headers)) == (415, "unsupported_content_encoding")
    headers["Content-Encoding"] = "identity"
    assert client.post("/transcribe", content=b"x", headers=headers).status_code == 200


def test_a_full_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch, spooled: Spooled) -> None:
    monkeypatch.setattr("server.uploads._create", lambda _: os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb"))
    for body in (b"x" * 10, b"x" * 3_000_000):
        answer = client.post("/transcribe", files={"file": body})
        assert code_of(answer) == (507, "insufficient_storage")
        assert int(answer.headers["retry-after"]) > 0
    assert spooled() == []


def test_the_upload_is_gone_once_it_is_decoded(client: TestClient, workers: FakeWorkers, decoder: FakeDecoder) -> None:
    decoder.failure = CorruptAudioError("x")
    assert client.post("/transcribe", files={"file": b"audio"}).status_code == 422
    decoder.failure = None
    assert client.post("/transcribe", files={"file": b"audio"}, data={"channels": "split"}).status_code == 200
    assert decoder.asked == [(Channels.MIX, 10_800), (Channels.SPLIT, 10_800)]
    (work,) = workers.works
    assert work.audio_s == work.audio.duration
    assert workers.files == [[Path(work.audio.path).name]]
