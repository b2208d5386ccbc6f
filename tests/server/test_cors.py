"""Which pages of other origins may call the service from a browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from server.settings import Settings

THEIRS = "https://app.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
ALLOWED = "access-control-allow-origin"

Serve = Callable[..., TestClient]


def test_pages_of_other_origins_may_read_nothing_unless_they_are_named(serve: Serve) -> None:
    client = serve()
    assert ALLOWED not in client.get("/models", headers={"Origin": THEIRS}).headers
    assert client.options("/transcribe", headers={"Origin": THEIRS} | PREFLIGHT).status_code == 405


def test_a_named_origin_may_ask_and_read_and_no_other(serve: Serve) -> None:
    client = serve(cors_origins=f"{THEIRS}, http://localhost:5173")
    preflight = client.options("/jobs", headers={"Origin": THEIRS} | PREFLIGHT)
    assert (preflight.status_code, preflight.headers[ALLOWED]) == (200, THEIRS)
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    answer = client.get("/models", headers={"Origin": "http://localhost:5173"})
    assert answer.headers[ALLOWED] == "http://localhost:5173"
    assert {"Location", "Retry-After"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert client.options("/jobs", headers={"Origin": "https://evil.example"} | PREFLIGHT).status_code == 400
    assert ALLOWED not in client.get("/models", headers={"Origin": "https://evil.example"}).headers


def test_a_preflight_needs_no_key_and_a_refusal_can_be_read(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"version": 1, "keys": []}')
    client = serve(cors_origins="*", api_keys_file=keys)
    assert client.options("/transcribe", headers={"Origin": THEIRS} | PREFLIGHT).status_code == 200
    refused = client.get("/models", headers={"Origin": THEIRS})
    assert (refused.status_code, refused.headers[ALLOWED]) == (401, "*")


@pytest.mark.parametrize("wrong", ["app.example.org", "https://app.example.org/", "ftp://app.example.org"])
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="expected scheme://host"):
        Settings(cors_origins=wrong)
