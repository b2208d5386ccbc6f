"""What operators and load balancers look at. In: states and counts. Out: /healthz, /readyz, /capacity, /metrics."""

from typing import cast

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel, ConfigDict, Field

from server.answers import HealthAnswer, ReadyAnswer
from server.metrics import Metrics
from server.models import ModelStatus
from server.recognition import ERRORS, workers_of
from server.settings import Settings
from server.worker_seat import WorkerState

__all__ = ["router"]

EXPOSITION_EXAMPLE = 'auricle_workers_ready{model="base"} 2.0\n'

router = APIRouter(tags=["Operation"])


class ModelCapacity(BaseModel):
    """How busy one model is; null where it is not in memory."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="What `model` may say.", examples=["base"])
    state: str = Field(description="loading, ready, load_failed, stopped or unloaded.", examples=["ready"])
    workers: int | None = Field(default=None, description="Workers there should be.", examples=[2])
    workers_ready: int | None = Field(default=None, description="Workers with the model loaded.", examples=[2])
    places: int | None = Field(default=None, description="Recordings that may be under way at once.", examples=[16])
    running_requests: int | None = Field(default=None, description="Requests under way.", examples=[16])
    running_audio_s: float | None = Field(default=None, description="Their audio, in seconds.", examples=[420.5])
    queued_requests: int | None = Field(default=None, description="Requests that wait.", examples=[3])
    queued_audio_s: float | None = Field(default=None, description="Their audio, in seconds.", examples=[95.0])
    streams: int | None = Field(default=None, description="Live streams under way.", examples=[1])
    speed: float | None = Field(
        default=None, description="Seconds of audio done per second, by all workers together.", examples=[38.4]
    )
    estimated_wait_s: float | None = Field(
        default=None,
        description="Seconds that a new request would wait for its turn, at most; null while no worker is ready.",
        examples=[13.4],
    )


class CapacityAnswer(BaseModel):
    """What the service can take now."""

    model_config = ConfigDict(frozen=True)

    max_queued_requests: int = Field(description="Requests that may wait; beyond it the answer is 429.", examples=[64])
    max_queued_audio_s: float = Field(
        description="Seconds of audio that may wait; beyond it the answer is 429.", examples=[14400.0]
    )
    models: list[ModelCapacity] = Field(description="Every model that may be asked for, the default first.")


@router.get("/healthz", summary="Alive?")
async def healthz() -> HealthAnswer:
    """Whether the service is alive; says nothing about the model."""
    return HealthAnswer()


@router.get("/readyz", summary="Ready?", responses={503: ERRORS[503]})
async def readyz(request: Request) -> ReadyAnswer:
    """Whether a request would be worked on; 503 while the model is being loaded."""
    workers = workers_of(request)
    if workers.status.state is not WorkerState.READY:
        workers.check_admission()
    return ReadyAnswer(model=workers.models[0].name)


@router.get("/capacity", summary="What the service can take now", responses={401: ERRORS[401]})
async def capacity(request: Request) -> CapacityAnswer:
    """How many requests run and wait, how fast they are done, and how long a new one would wait.

    For load balancers and clients that choose among services; the numbers are of this process only.
    """
    settings, workers = cast("Settings", request.app.state.settings), workers_of(request)
    return CapacityAnswer(
        max_queued_requests=settings.max_queued_requests,
        max_queued_audio_s=settings.max_queued_audio_s,
        models=[_capacity_of(model) for model in workers.models],
    )


def _capacity_of(model: ModelStatus) -> ModelCapacity:
    load = model.stats
    if load is None:
        return ModelCapacity(name=model.name, state=model.state)
    return ModelCapacity(
        name=model.name,
        state=model.state,
        workers=load.workers,
        workers_ready=load.workers_ready,
        places=load.places,
        running_requests=load.running_requests,
        running_audio_s=load.running_audio_s,
        queued_requests=load.queued_requests,
        queued_audio_s=load.queued_audio_s,
        streams=load.streams,
        speed=load.speed,
        estimated_wait_s=load.wait_s if load.workers_ready else None,
    )


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    responses={
        200: {
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": 'auricle_workers_ready{model="base"} 2.0\n'}
            },
            "description": "Text format 0.0.4",
        },
        401: ERRORS[401],
    },
)
async def metrics(request: Request) -> Response:
    """Counts, gauges and histograms in Prometheus' text format; docs/operating.md explains them."""
    measured = cast("Metrics", request.app.state.metrics)
    return Response(measured.exposition(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
