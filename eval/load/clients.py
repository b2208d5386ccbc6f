"""Clients of one server. In: recordings, and how many ask at once or how often. Out: ``Outcome``s.

Every request has a connection of its own, so that a server of several processes can share them out. A refused request
is not asked again: the refusal is its outcome. Knows no server process and no statistics.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from eval.load.types import Dialect, LoadClip, Outcome, ServerSpec
from eval.targets.http import clip_error

__all__ = ["ROUTES", "Address", "ask_at_rate", "ask_in_turn", "http_client"]

ROUTES = {Dialect.AURICLE: "/transcribe", Dialect.OPENAI: "/v1/audio/transcriptions"}
EMPTY_TEXT = "empty_text"  # an answer that leaves everything out is none

OnAnswer = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server that is ready."""

    spec: ServerSpec
    url: str
    timeout_s: float


@asynccontextmanager
async def http_client(address: Address) -> AsyncIterator[httpx.AsyncClient]:
    """As many connections as there are requests under way."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    timeout = httpx.Timeout(address.timeout_s)
    async with httpx.AsyncClient(base_url=address.url, limits=limits, timeout=timeout, trust_env=False) as client:
        yield client


async def ask_in_turn(
    address: Address, clips: Sequence[LoadClip], clients: int, *, on_answer: OnAnswer = lambda: None
) -> tuple[tuple[Outcome, ...], float]:
    """All clips in their order, by so many clients, each of which asks again as soon as it is answered.

    Returns the outcomes and the seconds from the first request to the last answer.
    """
    waiting = iter(clips)
    outcomes: list[Outcome] = []

    async def client() -> None:
        for clip in waiting:
            outcomes.append(await _ask(http, address, clip))
            on_answer()

    async with http_client(address) as http:
        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        elapsed_s = time.perf_counter() - began
    return tuple(outcomes), elapsed_s


async def ask_at_rate(
    address: Address, clips: Sequence[LoadClip], rate: float, *, on_answer: OnAnswer = lambda: None
) -> tuple[tuple[Outcome, ...], float]:
    """All clips in their order, so many a second, whatever becomes of those before. Returns as ``ask_in_turn``."""

    async def ask_later(place: int, clip: LoadClip) -> Outcome:
        await asyncio.sleep(place / rate)
        outcome = await _ask(http, address, clip)
        on_answer()
        return outcome

    async with http_client(address) as http:
        began = time.perf_counter()
        outcomes = await asyncio.gather(*(ask_later(place, clip) for place, clip in enumerate(clips)))
        elapsed_s = time.perf_counter() - began
    return tuple(outcomes), elapsed_s


async def _ask(http: httpx.AsyncClient, address: Address, clip: LoadClip) -> Outcome:
    began = time.perf_counter()
    heard = _Heard()
    try:
        async with asyncio.timeout(address.timeout_s):
            await _hear(http, address.spec, clip, heard, began)
    except (TimeoutError, httpx.TimeoutException):
        heard.fail("timeout")
    except httpx.HTTPError as error:
        heard.fail(type(error).__name__)
    except (ValueError, LookupError, TypeError):
        heard.fail("unexpected_response")
    if heard.code is None and clip.text and not (heard.text or "").strip():
        heard.fail(EMPTY_TEXT)
    return Outcome(
        clip=clip,
        seconds=time.perf_counter() - began,
        first_text_s=heard.first_text_s,
        text=heard.text,
        status=heard.status,
        code=heard.code,
    )


@dataclass(slots=True)
class _Heard:
    """What came of a request so far."""

    status: int | None = None
    first_text_s: float | None = None
    text: str | None = None
    code: str | None = None

    def fail(self, code: str) -> None:
        self.text, self.code = None, code

    def tell(self, text: str, began: float) -> None:
        if self.first_text_s is None and text.strip():
            self.first_text_s = time.perf_counter() - began


async def _hear(http: httpx.AsyncClient, spec: ServerSpec, clip: LoadClip, heard: _Heard, began: float) -> None:
    form = dict(spec.fields) | ({} if clip.language is None else {"language": clip.language})
    files = {"file": (clip.name, clip.data)}
    async with http.stream("POST", ROUTES[spec.dialect], data=form, files=files) as response:
        heard.status = response.status_code
        if not response.is_success:
            await response.aread()
            heard.fail(clip_error(response).code)
        elif response.headers.get("content-type", "").startswith("text/event-stream"):
            await _hear_events(response, heard, began)
        else:
            await response.aread()
            heard.text = str(response.json()["text"])
            heard.tell(heard.text, began)


async def _hear_events(response: httpx.Response, heard: _Heard, began: float) -> None:
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data: dict[str, Any] = json.loads(line.removeprefix("data: "))
            if kind == "error":
                heard.fail(str(data["error"]["code"]))
                return
            heard.tell(str(data["text"]), began)
            if kind == "done":
                heard.text = str(data["text"])
    if heard.text is None:
        heard.fail("stream_broke_off")
