"""A recording from a url into the spool. In: the url of a form. Out: the upload's file, counted while it streams.

Off unless AURICLE_ALLOW_URLS names hosts. Every hop must be an allowed host and a public address
(``server.outbound``).
Knows nothing of what the bytes hold.
"""

import asyncio
from collections.abc import Collection

import httpx

from asr.errors import EmptyAudioError
from server.errors import ApiError
from server.outbound import new_client, opened, parsed_url, port_of, resolve_public
from server.settings import Settings
from server.uploads import SpoolWriter, storage_errors

__all__ = ["fetch"]

MAX_REDIRECTS = 3
DEFAULT_PORTS = frozenset({80, 443})
HEADERS = {"Accept": "audio/*, video/*, */*", "Accept-Encoding": "identity", "User-Agent": "auricle"}


async def fetch(url: str, path: str, settings: Settings) -> None:
    """Append what the url holds to the file at the path.

    Raises ApiError: 403 where urls are off, or the host is not allowed or not public; 400 for an url that cannot be
    fetched, in time or at all; 413 for too many bytes; EmptyAudioError for none.
    """
    if not settings.url_hosts:
        message = "url: not allowed on this service; AURICLE_ALLOW_URLS=media.example.org allows a host"
        raise ApiError(403, "urls_disabled", message, param="url")
    try:
        with storage_errors():
            async with asyncio.timeout(settings.url_timeout_s), new_client(settings.url_timeout_s) as client:
                await _follow(client, parsed_url(url, param="url"), path, settings)
    except (TimeoutError, httpx.TimeoutException):
        raise _failed(f"it took more than {settings.url_timeout_s:g} s (AURICLE_URL_TIMEOUT_S)") from None
    except httpx.HTTPError:
        raise _failed("the connection failed") from None


async def _follow(client: httpx.AsyncClient, url: httpx.URL, path: str, settings: Settings) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        _check_allowed(url, settings.url_hosts)
        destination = await resolve_public(url, param="url")
        async with opened(client, "GET", destination, headers=HEADERS) as response:
            if not response.has_redirect_location:
                await _save(response, path, settings.max_upload_bytes)
                return
            url = parsed_url(str(url.join(response.headers["location"])), param="url")
    raise _failed(f"it redirects more than {MAX_REDIRECTS} times")


def _check_allowed(url: httpx.URL, allowed_hosts: Collection[str]) -> None:
    """Lower-case names among ``allowed_hosts`` stand for ports 80 and 443, ``name:port`` for one."""
    name, port = url.host.lower().rstrip("."), port_of(url)
    if not (f"{name}:{port}" in allowed_hosts or (name in allowed_hosts and port in DEFAULT_PORTS)):
        message = f"url: the host {name[:128]}:{port} is not allowed here; AURICLE_ALLOW_URLS names those that are"
        raise ApiError(403, "host_not_allowed", message, param="url")


async def _save(response: httpx.Response, path: str, max_bytes: int) -> None:
    if response.status_code != httpx.codes.OK:
        raise _failed(f"the answer was {response.status_code}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise _failed("the answer is compressed, which was not asked for")
    writer = SpoolWriter(await asyncio.to_thread(open, path, "ab"), max_bytes)
    try:
        async for chunk in response.aiter_raw():
            await writer.write(chunk)
    finally:
        await writer.close()
    if not writer.n_bytes:
        raise EmptyAudioError("The file at the url is empty.")


def _failed(why: str) -> ApiError:
    return ApiError(400, "url_not_fetched", f"url: the recording could not be fetched: {why}", param="url")
