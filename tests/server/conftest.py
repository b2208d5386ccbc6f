"""Fixtures of the service's tests. The fakes are a module of their own so that worker processes can import them."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

# Worker processes inherit sys.path, and find the stubs by this name; tests/ has no packages.
sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import NO_POSTGRES, PostgresServer, postgres_programs, running_postgres
from service_fakes import FakeDecoder, FakeWorkers

from server.app import create_app
from server.settings import Settings


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests; each takes a schema of its own, and none stops it."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip(NO_POSTGRES)
    with running_postgres(programs) as server:
        yield server


@pytest.fixture
def workers() -> FakeWorkers:
    return FakeWorkers()


@pytest.fixture
def decoder() -> FakeDecoder:
    return FakeDecoder()


@pytest.fixture
def serve(
    workers: FakeWorkers, decoder: FakeDecoder, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., TestClient]]:
    """A client of the application over fake workers and a fake decoder; keyword arguments are settings."""
    clients: list[TestClient] = []
    folders = {"spool_dir": tmp_path, "state_dir": tmp_path_factory.mktemp("state")}

    def start(**settings: object) -> TestClient:
        app = create_app(Settings(**folders | settings), workers, decoder)
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
    """The files that lie in the spool now, whose folders may go while it is looked at."""
    return lambda: [Path(folder, name) for folder, _, names in os.walk(tmp_path) for name in names]
