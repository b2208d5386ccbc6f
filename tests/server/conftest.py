"""Fixtures of the service's tests. The fakes are a module of their own so that worker processes can import them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

# Worker processes inherit sys.path, and find the stubs by this name; tests/ has no packages.
sys.path.insert(0, str(Path(__file__).parent))

from service_fakes import FakeWorkers

from server.app import create_app
from server.settings import Settings


@pytest.fixture
def workers() -> FakeWorkers:
    return FakeWorkers()


@pytest.fixture
def serve(workers: FakeWorkers, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """A client of the application over fake workers; keyword arguments are settings."""
    clients: list[TestClient] = []

    def start(**settings: object) -> TestClient:
        app = create_app(Settings(spool_dir=tmp_path, **settings), workers)
        client = TestClient(app)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    return serve()


@pytest.fixture
def spooled(tmp_path: Path) -> Callable[[], list[Path]]:
    """The files that lie in the spool now."""
    return lambda: [path for path in tmp_path.rglob("*") if path.is_file()]
