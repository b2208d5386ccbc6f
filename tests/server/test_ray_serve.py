"""The recipe for Ray Serve: what it asks of Ray, and when a replica gets requests; `make ray-check` runs it."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from service_fakes import FakeWorkers

from server.app import create_app
from server.pool_types import WorkerStatus
from server.ray_serve import ServeArguments, service, waits_until_ready
from server.settings import Settings
from server.worker_seat import WorkerState

RECIPE = yaml.safe_load((Path(__file__).parents[2] / "docker" / "ray" / "serve.yaml").read_text())
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")


@pytest.fixture
def loading(tmp_path):
    """Workers that are not ready, and the application over them."""
    workers = FakeWorkers()
    workers.status = WorkerStatus(state=WorkerState.LOADING)
    return workers, create_app(Settings(state_dir=tmp_path), workers)


def test_a_replica_has_begun_when_its_model_is_loaded(loading):
    workers, app = loading

    async def begin() -> None:
        waits_until_ready(app)
        entered = asyncio.create_task(app.router.lifespan_context(app).__aenter__())
        done, _ = await asyncio.wait({entered}, timeout=0.3)
        assert not done
        workers.status = WorkerStatus(state=WorkerState.READY)
        await asyncio.wait_for(entered, 5)

    asyncio.run(begin())


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (WorkerStatus(state=WorkerState.FAILED, problem="no such model"), "could not be loaded: no such model"),
        (WorkerStatus(state=WorkerState.LOADING), "got loading after 0 s, expected ready"),
    ],
)
def test_a_replica_without_a_model_is_given_up_and_ends_its_processes(loading, status, message):
    workers, app = loading
    workers.status = status

    async def begin() -> None:
        async with waits_until_ready(app, patience_s=0).router.lifespan_context(app):
            raise AssertionError("it has begun")

    with pytest.raises(RuntimeError, match=message):
        asyncio.run(begin())
    assert workers.stopped


def test_the_file_for_a_cluster_says_what_the_recipe_understands():
    (application,) = RECIPE["applications"]
    assert application["import_path"] == "server.ray_serve:service"
    arguments = ServeArguments(**application["args"])
    assert arguments.min_replicas < arguments.max_replicas
    known = {f"AURICLE_{name.upper()}" for name in Settings.model_fields}
    assert set(application["runtime_env"]["env_vars"]) <= known
    assert RECIPE["http_options"]["host"] == "127.0.0.1"


def test_unknown_arguments_are_refused():
    with pytest.raises(ValidationError, match="max_replica\n"):
        ServeArguments(max_replica=3)


@needs_ray
def test_what_ray_is_asked_for():
    asked = service(
        ServeArguments(model="tiny.en", num_cpus=3, num_gpus=0.5, max_replicas=7, target_ongoing_requests=2)
    )
    deployment = asked._bound_deployment
    assert deployment.name == "auricle"
    assert {name: deployment.ray_actor_options[name] for name in ("num_cpus", "num_gpus")} == {
        "num_cpus": 3,
        "num_gpus": 0.5,
    }
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests) == (1, 7, 2)
    assert deployment.max_ongoing_requests > Settings().max_queued_requests  # or the replica's 429 is never said
    assert service(ServeArguments())._bound_deployment.ray_actor_options["num_gpus"] == 0
