"""Where the service may be sent, and that it goes nowhere else."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from server.errors import ApiError
from server.jobs.webhooks import webhook_destination
from server.outbound import Destination


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Every name has these addresses."""

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def resolved(url: str, *allowed: str) -> Destination:
    return asyncio.run(webhook_destination(url, allowed))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "example.org",
        "http://",
        "http://user:password@example.org/",
        "http://exa mple.org/",
        "https://example.org/" + "x" * 3000,
        "http://" + "a" * 70 + ".org",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_usable_url_is_refused(url: str) -> None:
    with pytest.raises(ApiError) as refused:
        resolved(url)
    assert (refused.value.status, refused.value.param) == (400, "webhook_url")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  (refused, not bound)
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_refused_under_any_name(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for addresses in ((address,), ("93.184.215.14", address)):
        names(monkeypatch, *addresses)
        with pytest.raises(ApiError) as refused:
            resolved("https://example.org/hook")
        assert (refused.value.status, refused.value.code) == (403, "address_not_public")
    assert resolved("https://EXAMPLE.org/hook", "example.org").url.host == "example.org"


def test_a_public_address_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "93.184.215.14")
    destination = resolved("https://example.org:8443/hook?a=b")
    assert destination.address == "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
    assert destination.url == httpx.URL("https://example.org:8443/hook?a=b")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://0x7f000001/", "http://2130706433/"])
def test_addresses_in_any_spelling_are_addresses(url: str) -> None:
    with pytest.raises(ApiError):
        resolved(url)
