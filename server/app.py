"""The application. In: settings, and workers and decoder where a test brings its own. Out: a FastAPI application.

Nothing happens at import; the worker and the decoding process start and end with the application's lifespan.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from asr.errors import AuricleError
from server.access import OPEN_PATHS, AccessMiddleware
from server.asr_webservice_routes import router as asr_webservice_router
from server.audio_decoder import AudioDecoder, Decoder
from server.errors import ApiError, api_error_of, error_response
from server.jobs.routes import router as jobs_router
from server.jobs.service import JobService
from server.keys import KeyRing
from server.limits import Limiter
from server.live_routes import router as live_router
from server.messages import ModelInfo
from server.metrics import Metrics
from server.middleware import RequestMiddleware
from server.models import ModelPools, Workers
from server.openai_routes import router as openai_router
from server.openapi import DESCRIPTION, TAGS, complete_openapi
from server.operator_routes import router as operator_router
from server.playground.routes import OPEN_PATHS as PLAYGROUND_PATHS
from server.playground.routes import add_playground
from server.pool_types import QueueLimits
from server.request_record import record_of
from server.roles import Role
from server.routes import router
from server.settings import Settings
from server.uploads import Spool, UploadLimits
from server.worker import load_recognizer, public_name
from server.worker_pool import WorkerPool

if TYPE_CHECKING:
    from server.tracing import RequestTracer

__all__ = ["create_app", "model_pools"]

# What a page of another origin may read of an answer beside its body.
READABLE_HEADERS = (
    "Asr-Engine",
    "Location",
    "Retry-After",
    "X-Ratelimit-Limit-Requests",
    "X-Ratelimit-Remaining-Requests",
    "X-Ratelimit-Reset-Requests",
    "X-Request-Id",
    "X-Should-Retry",
)

CODES_OF_STATUS = {404: "not_found", 405: "method_not_allowed"}


def model_pools(settings: Settings, on_ready: Callable[[ModelInfo], None] | None = None) -> ModelPools:
    """The worker processes that the settings ask for; ``on_ready`` hears when the default model is loaded first."""
    specs = {public_name(spec): spec for spec in settings.models}
    limits = QueueLimits(
        max_queued_requests=settings.max_queued_requests,
        max_queued_audio_s=settings.max_queued_audio_s,
        request_timeout_s=settings.request_timeout_s,
        max_streams=settings.max_streams,
    )

    def make_pool(name: str) -> WorkerPool:
        is_default = specs[name] == settings.model
        return WorkerPool(
            partial(load_recognizer, specs[name], settings.device, settings.quantization),
            n_workers=settings.workers if is_default else 1,
            limits=limits,
            on_ready=on_ready if is_default else None,
        )

    return ModelPools(tuple(specs), make_pool, idle_timeout_s=settings.model_idle_s)


def create_app(
    settings: Settings, workers: Workers | None = None, decoder: Decoder | None = None, role: Role = Role.ALL
) -> FastAPI:
    """The service, or the part of it that ``role`` names.

    Without ``workers`` it starts the processes that ``model_pools`` names; without ``decoder`` it decodes uploads in
    processes of their own. Raises KeyFileError where the key file that the settings name cannot be read.
    """
    doing = workers or model_pools(settings)
    decoding = decoder or AudioDecoder(
        settings.decode_limits, max_decoders=settings.max_decoders or os.cpu_count() or 1
    )
    tracer = _tracer_to(settings.traces_url) if settings.traces_url else None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        limits = UploadLimits(
            max_bytes=settings.max_upload_bytes,
            idle_timeout_s=settings.upload_idle_timeout_s,
            timeout_s=settings.upload_timeout_s,
        )
        with Spool(parent=settings.spool_dir, limits=limits) as spool:
            app.state.spool = spool
            app.state.jobs = jobs = JobService(settings, doing, decoding, role)
            await decoding.start()
            await doing.start()
            jobs.start()
            try:
                yield
            finally:
                await jobs.stop()
                await doing.stop()
                await decoding.stop()
                if tracer is not None:
                    await asyncio.to_thread(tracer.close)

    app = FastAPIOffline(  # whose /docs loads nothing from elsewhere
        title="Auricle",
        summary="Speech to text, translation into English and language identification",
        description=DESCRIPTION,
        version=version("auricle"),
        openapi_tags=TAGS,
        redoc_url=None,
        static_url="/docs/static",
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.workers = doing
    app.state.decoder = decoding
    app.state.started_at = int(time.time())
    app.state.metrics = metrics = Metrics(doing)
    app.include_router(operator_router)
    if role.serves_clients:
        for routes in (router, jobs_router, live_router, openai_router, asr_webservice_router):
            app.include_router(routes)
        add_playground(app)
    open_paths = OPEN_PATHS | PLAYGROUND_PATHS | (set() if settings.metrics_require_key else {"/metrics"})
    complete_openapi(app, open_paths=open_paths if settings.api_keys_file else None)
    if settings.api_keys_file:
        keys, limiter = KeyRing(settings.api_keys_file), Limiter(time.monotonic)
        app.add_middleware(AccessMiddleware, keys=keys, limiter=limiter, open_paths=open_paths)
    app.add_middleware(RequestMiddleware, metrics=metrics, tracer=tracer)
    if settings.web_origins:  # outermost: a preflight carries no key, and pages may read errors too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.web_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=READABLE_HEADERS,
        )
    for kind in (ApiError, AuricleError, HTTPException, ClientDisconnect):
        app.add_exception_handler(kind, _on_error)
    return app


def _tracer_to(url: str) -> "RequestTracer":
    from server.tracing import RequestTracer  # an extra, and slow to import

    return RequestTracer.to_endpoint(url)


async def _on_error(request: Request, error: Exception) -> Response:
    api_error = _as_api_error(error)
    record_of(request).error_code = api_error.code
    response: JSONResponse = error_response(api_error, request.state.request_id)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError | AuricleError):
        return api_error_of(error)
    if isinstance(error, HTTPException):
        code = CODES_OF_STATUS.get(error.status_code, "http_error")
        return ApiError(error.status_code, code, f"{error.detail}. The routes are listed at /docs.")
    # Nobody reads this answer; the status is for the log.
    return ApiError(499, "client_closed_request", "The client left before the answer was ready.")
