"""The service on Ray Serve: replicas that come and go with the requests under way. In: arguments. Out: an application.

On this machine's Ray, and the same on a cluster:

    serve run server.ray_serve:service model=base max_replicas=2
    serve run docker/ray/serve.yaml
    serve deploy docker/ray/serve.yaml

Each replica is the whole service with one worker process, on one GPU where the cluster has any; a replica gets requests
once its model is loaded. Other settings are AURICLE_* variables of the replicas. Knows no route.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from asr.installed_models import check_model_exists
from server.app import create_app
from server.logs import configure_logging
from server.models import Workers
from server.serving import SHUTDOWN_PATIENCE_S
from server.settings import Settings
from server.worker_seat import WorkerState

__all__ = ["ServeArguments", "service", "waits_until_ready"]

PLACES = 8  # of a worker: recordings that it decodes side by side
READY_PATIENCE_S = 600.0  # for the model to be loaded
LOOK_EVERY_S = 0.1


class ServeArguments(BaseModel):
    """What a command line or a file says of the replicas."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(default=None, description="Name or path; AURICLE_MODEL if unset.")
    num_gpus: float | None = Field(
        default=None, ge=0, description="For each replica; if unset 1 where the running Ray has a GPU, else 0."
    )
    num_cpus: int = Field(default=2, ge=1, description="For each replica, which then computes with so many threads.")
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=4, ge=1)
    target_ongoing_requests: float = Field(
        default=PLACES, gt=0, description="For each replica; more under way, and another is started."
    )
    upscale_delay_s: float = Field(default=5.0, ge=0)
    downscale_delay_s: float = Field(default=120.0, ge=0)


def service(arguments: ServeArguments) -> Any:
    """The application that ``serve run`` and ``serve deploy`` start: a Ray Serve ``Application``."""
    from ray import serve

    options: dict[str, Any] = {"workers": 1, **({} if arguments.model is None else {"model": arguments.model})}
    limits = Settings(**options)

    def build() -> FastAPI:
        """In the replica's own process."""
        settings = Settings(**options)
        configure_logging(settings.log_level, settings.log_format)
        for name in settings.models:
            check_model_exists(name)
        return waits_until_ready(create_app(settings))

    replica = serve.deployment(
        name="auricle",
        # What is over a replica's own queue is its own to refuse, with 429 and when to come back.
        max_ongoing_requests=limits.max_queued_requests + limits.max_streams + 2 * PLACES,
        graceful_shutdown_timeout_s=SHUTDOWN_PATIENCE_S,
        ray_actor_options={"num_cpus": arguments.num_cpus, "num_gpus": _gpus(arguments.num_gpus)},
        autoscaling_config={
            "min_replicas": arguments.min_replicas,
            "max_replicas": arguments.max_replicas,
            "target_ongoing_requests": arguments.target_ongoing_requests,
            "upscale_delay_s": arguments.upscale_delay_s,
            "downscale_delay_s": arguments.downscale_delay_s,
        },
    )(serve.ingress(build)())
    return replica.bind()


def waits_until_ready(app: FastAPI, patience_s: float = READY_PATIENCE_S) -> FastAPI:
    """The same application, whose start ends when its model is loaded.

    Raises RuntimeError at its start where the model cannot be loaded, or not in time: the replica is given up then.
    """
    begun: Callable[[FastAPI], Any] = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Any]:
        async with begun(app) as state:
            await _ready(app.state.workers, patience_s)
            yield state

    app.router.lifespan_context = lifespan
    return app


async def _ready(workers: Workers, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while (status := workers.status).state is not WorkerState.READY:
        if status.state is WorkerState.FAILED:
            raise RuntimeError(f"the model could not be loaded: {status.problem}")
        if time.monotonic() > until:
            raise RuntimeError(f"the model: got {status.state.value} after {patience_s:g} s, expected ready")
        await asyncio.sleep(LOOK_EVERY_S)


def _gpus(wanted: float | None) -> float:
    if wanted is not None:
        return wanted
    import ray

    # It runs when a file is deployed; `serve run` of an import path starts it later, and is told.
    has_gpus = ray.is_initialized() and ray.cluster_resources().get("GPU", 0) > 0  # type: ignore[no-untyped-call]
    return 1.0 if has_gpus else 0.0
