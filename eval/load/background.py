"""A long recording that a server works on meanwhile. In: a server's address, a file. Out: whether the work still lasts.

As a job where the server has ``POST /jobs``, which is cancelled at the end; else as a request whose answer nobody
waits for. Knows no statistics.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from eval.errors import EvaluationError
from eval.load.clients import ROUTES, Address, http_client
from eval.targets.http import clip_error

__all__ = ["Lasting", "working_on"]

JOBS = "/jobs"

Lasting = Callable[[], Awaitable[bool]]
"""Whether the recording is still being worked on."""


@asynccontextmanager
async def working_on(
    recording: Path, address: Address, *, as_request: bool, settle_s: float
) -> AsyncGenerator[Lasting]:
    """Send the recording, and give the server time to come to work on it. Raises EvaluationError when it is refused.

    A job is cancelled afterwards. A request's client leaves; whether the work then stops is the server's affair.
    """
    async with http_client(address) as http:
        work = _request if as_request or not await _has_jobs(http) else _job
        async with work(http, address, recording) as lasting:
            await asyncio.sleep(settle_s)
            if not await lasting():
                raise EvaluationError(
                    f"--background {recording}: {address.spec.name} was done with it within {settle_s:g} s; "
                    "expected a longer recording, or a shorter --settle"
                )
            yield lasting


async def _has_jobs(http: httpx.AsyncClient) -> bool:
    """Whether the server says so of itself."""
    try:
        return JOBS in (await http.get("/openapi.json")).json()["paths"]
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return False


@asynccontextmanager
async def _job(http: httpx.AsyncClient, address: Address, recording: Path) -> AsyncGenerator[Lasting]:
    response = await _sent(http, address, JOBS, recording)
    where = f"{JOBS}/{response.json()['id']}"

    async def lasting() -> bool:
        return (await http.get(f"{where}/result")).status_code == httpx.codes.CONFLICT

    try:
        yield lasting
    finally:
        await http.delete(where)


@asynccontextmanager
async def _request(http: httpx.AsyncClient, address: Address, recording: Path) -> AsyncGenerator[Lasting]:
    request = asyncio.create_task(_sent(http, address, ROUTES[address.spec.dialect], recording))

    async def lasting() -> bool:
        if request.done():
            request.result()  # raises what it was refused with
        return not request.done()

    try:
        yield lasting
    finally:
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)


async def _sent(http: httpx.AsyncClient, address: Address, route: str, recording: Path) -> httpx.Response:
    server = address.spec.name
    form = {name: value for name, value in address.spec.fields.items() if name != "stream"}
    try:
        with recording.open("rb") as file:
            response = await http.post(route, data=form, files={"file": (recording.name, file)}, timeout=None)
    except OSError as error:
        message = f"--background {recording}: {error.strerror or error}; expected an audio file"
        raise EvaluationError(message) from error
    except httpx.HTTPError as error:
        message = f"--background {recording}: {server} broke off ({type(error).__name__}: {error})"
        raise EvaluationError(message) from error
    if not response.is_success:
        message = f"--background {recording}: {server} answered {response.status_code}: {clip_error(response).message}"
        raise EvaluationError(message)
    return response
