"""The description of the service for programs and people. In: an application. Out: its OpenAPI document, completed.

Adds what FastAPI cannot know: what the groups of routes are for, and who needs a key. Knows nothing of their work.
"""

from collections.abc import Set as AbstractSet
from typing import Any

from fastapi import FastAPI

__all__ = ["DESCRIPTION", "TAGS", "complete_openapi"]

DESCRIPTION = """\
Send a recording, get its text: `curl -F file=@clip.wav http://localhost:8000/transcribe`.

Every answer that is not a success has one shape, `{"error": {"message", "type", "param", "code", "request_id"}}`.
`Retry-After` says when to come back where that helps.
"""

TAGS = [
    {"name": "Speech", "description": "Recordings in, text, subtitles or languages out."},
    {
        "name": "Jobs",
        "description": "Long recordings: accepted at once, worked on later, through crashes and restarts.",
    },
    {"name": "OpenAI", "description": "The same for programs written for OpenAI's audio API."},
    {"name": "whisper-asr-webservice", "description": "The same for its callers."},
    {"name": "Operation", "description": "Models, health, load and metrics."},
]

SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key that `auricle-serve keys create NAME` printed.",
}


def complete_openapi(app: FastAPI, *, open_paths: AbstractSet[str] | None) -> None:
    """Make ``app.openapi`` tell who needs a key: all routes but the open ones, or with None no route."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        schema = plain()
        _drop_unused_422(schema)
        if open_paths is None:
            return schema
        schema["components"]["securitySchemes"] = {"ApiKey": SECURITY_SCHEME}
        schema["security"] = [{"ApiKey": []}]
        for path in open_paths & schema["paths"].keys():
            for operation in schema["paths"][path].values():
                operation["security"] = []
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _drop_unused_422(schema: dict[str, Any]) -> None:
    """FastAPI promises its own error wherever there is a parameter; ours are read by us, and refused in our shape."""
    for methods in schema["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
