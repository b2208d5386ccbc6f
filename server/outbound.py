"""Requests that the service makes itself, to addresses that somebody else has named. In: a URL. Out: an answer.

A name is looked up once, every address it has must be a public one unless the operator says otherwise, and the
connection goes to the address that was checked: a name that changes its mind in between reaches nothing. Redirects are
not followed, proxies of the environment not used. Knows nothing of what is sent or fetched.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from server.errors import ApiError

__all__ = ["Destination", "is_public", "new_client", "opened", "parsed_url", "port_of", "resolve_public"]

MAX_URL_CHARACTERS = 2048
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A URL and the address to reach it at."""

    url: httpx.URL
    address: str


def parsed_url(url: str, *, param: str) -> httpx.URL:
    """A URL that a request may be made to. Raises ApiError (400), naming ``param``."""
    try:
        parsed = httpx.URL(url[: MAX_URL_CHARACTERS + 1])
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    is_usable = parsed.scheme in {"http", "https"} and parsed.host and not parsed.userinfo
    if not is_usable or len(url) > MAX_URL_CHARACTERS:
        expected = f"expected http or https, a host, no password and at most {MAX_URL_CHARACTERS} characters"
        raise ApiError(400, "invalid_value", f"{param}: got {url[:128]!r}, {expected}", param=param)
    return parsed


def port_of(url: httpx.URL) -> int:
    """The port that a URL leads to."""
    return url.port or (443 if url.scheme == "https" else 80)


async def resolve_public(url: httpx.URL, *, param: str, may_be_private: bool = False) -> Destination:
    """Where a URL leads.

    Raises ApiError, naming ``param``: 400 for a host that is not found, 403 for one of whose addresses any is not
    public, unless it ``may_be_private``.
    """
    host = url.host.lower().rstrip(".")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port_of(url), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ApiError(400, "host_not_found", f"{param}: the host {host[:128]} is not found", param=param) from None
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    # One private address among public ones is how a name is made to lead inside: none of them is used.
    if not addresses or not (may_be_private or all(is_public(address) for address in addresses)):
        message = f"{param}: the host {host[:128]} has no public address, or one that is not"
        raise ApiError(403, "address_not_public", message, param=param)
    return Destination(url=url, address=addresses[0])


def new_client(timeout_s: float) -> httpx.AsyncClient:
    """For ``opened``. No connection is used twice: the pool knows them by address, certificates go by the name."""
    unshared = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=timeout_s, limits=unshared)


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient,
    method: str,
    destination: Destination,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
) -> AsyncIterator[httpx.Response]:
    """The answer, whose body is still to be read, of the checked address under its name. Raises httpx.HTTPError."""
    url = destination.url
    named = {**headers, "Host": url.netloc.decode("ascii")}
    extensions = {"sni_hostname": url.raw_host.decode("ascii")}  # the certificate is the name's, not the address's
    pinned = url.copy_with(host=destination.address)
    async with client.stream(method, pinned, content=content, headers=named, extensions=extensions) as answer:
        yield answer


def is_public(address: str) -> bool:
    """Whether an address lies in the open internet, also after unwrapping IPv4 inside IPv6."""
    parsed: Address = ipaddress.ip_address(address.partition("%")[0])
    return all(each.is_global and not each.is_multicast for each in (parsed, *_embedded(parsed)))


def _embedded(address: Address) -> list[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
