"""The page for people. In: ``/`` and ``/playground/...``. Out: files of this folder, which may load nothing else.

The page talks to the public routes like any other client. Knows nothing of recordings and of models.
"""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

__all__ = ["OPEN_PATHS", "add_playground"]

STATIC = Path(__file__).parent / "static"

OPEN_PATHS = frozenset({"/", "/playground"})  # the page asks for a key itself, where one is needed

# Nothing from elsewhere, nothing inline; recordings are played from memory (blob:).
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # asked for again, and answered 304 until an upgrade
}

router = APIRouter()


def add_playground(app: FastAPI) -> None:
    """Serve the page."""
    app.include_router(router)
    app.mount("/playground", _Static(directory=STATIC), name="playground")


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(STATIC / "index.html", headers=HEADERS)


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response
