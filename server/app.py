"""The application. In: settings, and workers where a test brings its own. Out: a FastAPI application.

Nothing happens at import; the worker starts and ends with the application's lifespan.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from asr.errors import AuricleError, InvalidOptionError
from server.asr_webservice_routes import router as asr_webservice_router
from server.errors import ApiError, api_error_from, error_response
from server.middleware import RequestMiddleware
from server.openai_routes import router as openai_router
from server.routes import router
from server.settings import Settings
from server.uploads import Spool
from server.worker import load_recognizer
from server.worker_pool import WorkerPool, Workers

__all__ = ["create_app"]

CODES_OF_STATUS = {404: "not_found", 405: "method_not_allowed"}


def create_app(settings: Settings, workers: Workers | None = None) -> FastAPI:
    """The service; without ``workers`` it starts one worker process that loads ``settings.model``."""
    doing = workers or WorkerPool(
        partial(load_recognizer, settings.model, settings.device, settings.quantization),
        max_queued_requests=settings.max_queued_requests,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        with Spool(parent=settings.spool_dir, max_upload_bytes=settings.max_upload_bytes) as spool:
            app.state.spool = spool
            await doing.start()
            try:
                yield
            finally:
                await doing.stop()

    app = FastAPI(
        title="Auricle",
        summary="Speech to text, translation into English and language identification",
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.workers = doing
    app.state.started_at = int(time.time())
    app.include_router(router)
    app.include_router(openai_router)
    app.include_router(asr_webservice_router)
    app.add_middleware(RequestMiddleware)
    app.add_exception_handler(ApiError, _on_error)
    app.add_exception_handler(AuricleError, _on_error)
    app.add_exception_handler(HTTPException, _on_error)
    app.add_exception_handler(ClientDisconnect, _on_error)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    response: JSONResponse = error_response(_as_api_error(error), request.state.request_id)
    if isinstance(error, HTTPException) and error.headers:
        response.headers.update(error.headers)
    return response


def _as_api_error(error: Exception) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AuricleError):
        param = error.param if isinstance(error, InvalidOptionError) else None
        return api_error_from(type(error), str(error), param)
    if isinstance(error, HTTPException):
        code = CODES_OF_STATUS.get(error.status_code, "http_error")
        return ApiError(error.status_code, code, f"{error.detail}. The routes are listed at /docs.")
    # Nobody reads this answer; the status is for the log.
    return ApiError(499, "client_closed_request", "The client left before the answer was ready.")
