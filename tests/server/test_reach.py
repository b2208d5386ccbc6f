"""Uploads and addresses that would have the service read its own files, or connect to somebody: none does.

A listener on this machine sees whether anybody connects, and a file with a mark whether anybody reads it.
"""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from chaos_record import IS_SHORT, measuring
from hostile_media import by_hand
from media_makers import tone, wav
from service_fakes import FakeWorkers

from server.app import create_app
from server.settings import Settings

MARK = "a-mark-that-only-this-file-has"
ADDRESSES = ("127.0.0.1", "0.0.0.0", "[::1]", "localhost", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]")  # noqa: S104
LINK_LOCAL = ("http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://169.254.0.1/")
PUBLIC = "93.184.215.14"


class Listener:
    """A port of this machine; remembers who has come."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def n_connections(self) -> int:
        n = 0
        while True:
            try:
                self._socket.accept()[0].close()
            except BlockingIOError:
                return n
            n += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def playlists(secret: Path, port: int) -> list[bytes]:
    """Files that name this file, and this port, in every way that FFmpeg knows."""
    named = []
    for target in (
        f"{secret}",
        f"file:{secret}",
        f"file://{secret}",
        f"concat:{secret}|{secret}",
        f"subfile,,start,0,end,0,,:{secret}",
        f"async:file:{secret}",
        f"cache:file:{secret}",
        f"crypto:file:{secret}",
        f"data:audio/wav;base64,{'A' * 40}",
        *(
            f"{scheme}://127.0.0.1:{port}/a"
            for scheme in ("http", "https", "tcp", "udp", "rtp", "rtmp", "ftp", "gopher")
        ),
        *(f"http://{address}:{port}/a" for address in ADDRESSES),
        *LINK_LOCAL,
    ):
        named += [
            f"ffconcat version 1.0\nfile '{target}'\n",
            f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
            f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF:1,\n{target}\n',
            f'#EXTM3U\n#EXT-X-MAP:URI="{target}"\n#EXTINF:1,\n{target}\n',
            f"[playlist]\nFile1={target}\nNumberOfEntries=1\n",
            f'<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>',
        ]
    return [text.encode() for text in named]


def urls(port: int) -> list[str]:
    """Addresses that nobody outside may have fetched, under names that are allowed and names that are not."""
    return [
        *(f"http://{address}:{port}/a" for address in ADDRESSES),
        *LINK_LOCAL,
        f"http://rebinding.test:{port}/a",
        f"http://both.test:{port}/a",
        f"http://elsewhere.test:{port}/a",
        f"http://allowed.test:{port}@127.0.0.1:{port}/a",
        f"http://127.0.0.1:{port}#@allowed.test/a",
        "file:///etc/passwd",
        f"gopher://127.0.0.1:{port}/_a",
        f"ftp://127.0.0.1:{port}/a",
    ]


def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A name that is public when it is first asked for and this machine's afterwards, and one that is both at once."""
    asked: dict[str, int] = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *args: object, **options: object) -> list[object]:
        if not host.endswith(".test"):
            return look_up(host, port, *args, **options)
        asked[host] = asked.get(host, 0) + 1
        first = PUBLIC if asked[host] == 1 else "127.0.0.1"
        found = [PUBLIC, "127.0.0.1"] if host == "both.test" else [first]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_no_file_is_read_and_nobody_is_called(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(tone(16_000, 1)) + MARK.encode())
    asked_for = names(monkeypatch)
    allowed = ("rebinding.test", "both.test", "allowed.test", *(address.strip("[]") for address in ADDRESSES))
    hosts = [f"{name}:{listener.port}" for name in allowed]
    settings = Settings(
        spool_dir=tmp_path,
        max_decoders=2,
        allow_urls=",".join([*hosts, "169.254.169.254", "169.254.0.1", "fe80::1"]),
        url_timeout_s=1.0 if IS_SHORT else 5.0,  # nobody answers at the public address
    )
    # test_hostile_uploads.py sends those made by hand in the short form.
    named = playlists(secret, listener.port)
    files = named[::5] if IS_SHORT else [*named, *by_hand(listener.port).values()]

    async def answers() -> list[httpx.Response]:
        app = create_app(settings, FakeWorkers())
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:
                raw = {"Content-Type": "application/octet-stream"}
                got = [await client.post("/transcribe", content=data, headers=raw) for data in files]
                forms = ({"url": (None, url)} for url in urls(listener.port))
                return got + [await client.post("/transcribe", files=form) for form in forms]

    n = len(files) + len(urls(listener.port))
    with measuring("reach", n=n, asked=n, unit="files and addresses") as row:
        got = asyncio.run(answers())
        row.check("connections made", listener.n_connections(), at_most=0)
        leaked = [answer for answer in got if MARK in answer.text or "root:" in answer.text]
        row.check("answers with a byte of a file", len(leaked), at_most=0)
        row.check("answers that were no refusal", sum(answer.status_code < 400 for answer in got), at_most=0)
        row.check("answers of 500 and above", sum(answer.status_code >= 500 for answer in got), at_most=0)
        assert asked_for["both.test"] == 1
        row.check("look-ups of a name that changes its address", asked_for["rebinding.test"], at_most=1)
