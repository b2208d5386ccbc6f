"""Prometheus metrics of one application. In: request records, and the workers' numbers at each scrape. Out: its text.

Labels take values of ours only: a route's pattern, a method, a status, an error's code, a served model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.models import Workers
from server.pool_types import PoolStats
from server.request_record import RequestRecord

__all__ = ["Metrics"]

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
SPEEDS = (0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# Of each model in memory.
GAUGES: tuple[tuple[str, str, Callable[[PoolStats], float]], ...] = (
    ("workers", "Workers there should be.", lambda load: load.workers),
    ("workers_ready", "Workers with the model loaded.", lambda load: load.workers_ready),
    ("places", "Recordings that may be under way at once.", lambda load: load.places),
    ("running_requests", "Requests under way at the model.", lambda load: load.running_requests),
    ("running_audio_seconds", "Their audio.", lambda load: load.running_audio_s),
    ("queued_requests", "Requests that wait for the model.", lambda load: load.queued_requests),
    ("queued_audio_seconds", "Their audio.", lambda load: load.queued_audio_s),
    ("live_streams", "Live streams under way.", lambda load: load.streams),
    ("speed_ratio", "Seconds of audio done per second, all workers together.", lambda load: load.speed),
)
COUNTERS: tuple[tuple[str, str, Callable[[PoolStats], float]], ...] = (
    ("worker_deaths", "Workers that died or were ended because they hung.", lambda load: load.deaths),
    ("retried_requests", "Recordings begun again after a death.", lambda load: load.retried),
    ("decoder_steps", "Steps of the decoder, each for all windows under way.", lambda load: load.engine.steps),
    ("decoder_step_seconds", "Time in them.", lambda load: load.engine.step_s),
    ("decoder_window_steps", "Windows in them: over the steps, the batch size.", lambda load: load.engine.window_steps),
    ("windows", "Windows of audio begun.", lambda load: load.engine.windows),
    ("encoder_seconds", "Time in the encoder.", lambda load: load.engine.encode_s),
    ("heard_audio_seconds", "Audio of the windows.", lambda load: load.engine.heard_s),
    ("padded_audio_seconds", "What the encoder was given for it, padding included.", lambda load: load.engine.padded_s),
    ("tokens", "Tokens in the answers.", lambda load: load.engine.tokens),
)


class Metrics:
    """Everything counted; a registry of its own, so that several applications can live in one process."""

    def __init__(self, workers: Workers) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_LoadCollector(workers))
        self._requests = Counter(
            "auricle_http_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._in_flight = Gauge("auricle_http_requests_in_flight", "Requests under way.", registry=registry)
        self._durations = Histogram(
            "auricle_http_request_duration_seconds",
            "From the request's first byte to the answer's last.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._errors = Counter(
            "auricle_rejections", "Requests refused or failed, by the error's code.", ("code",), registry=registry
        )
        self._body_bytes = Counter("auricle_upload_bytes", "Bytes of request bodies.", registry=registry)
        self._audio = Counter("auricle_audio_seconds", "Seconds of audio worked on.", ("route",), registry=registry)
        self._first_text = Histogram(
            "auricle_first_text_seconds",
            "From a stream's start to its first text.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._queue = Histogram("auricle_queue_seconds", "Wait for the model.", buckets=SECONDS, registry=registry)
        self._speed = Histogram(
            "auricle_request_speed_ratio",
            "Seconds of audio per second of work, request by request (× real time).",
            buckets=SPEEDS,
            registry=registry,
        )

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request as under way."""
        with self._in_flight.track_inprogress():
            yield

    def observe(self, record: RequestRecord, *, route: str, method: str, status: int, duration_s: float) -> None:
        """Count a request that is over; ``route`` is the pattern, never a path."""
        self._requests.labels(route, method, str(status)).inc()
        self._durations.labels(route).observe(duration_s)
        self._body_bytes.inc(record.n_body_bytes)
        if record.error_code:
            self._errors.labels(record.error_code).inc()
        if record.audio_s is not None:
            self._audio.labels(route).inc(record.audio_s)
        if record.first_text_s is not None:
            self._first_text.labels(route).observe(record.first_text_s)
        if record.queue_s is not None:
            self._queue.observe(record.queue_s)
        if record.speed is not None:
            self._speed.observe(record.speed)

    def exposition(self) -> bytes:
        """The page that Prometheus reads, in its text format 0.0.4."""
        return generate_latest(self._registry)


class _LoadCollector(Collector):
    """Asks the workers at each scrape, so that no number is kept twice."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def describe(self) -> list[Metric]:
        return []  # else the registry would ask before the workers have started

    def collect(self) -> Iterator[Metric]:
        loads = [(model.name, model.stats) for model in self._workers.models if model.stats]
        for name, help_text, value_of in GAUGES:
            gauge = GaugeMetricFamily(f"auricle_{name}", help_text, labels=["model"])
            for model, load in loads:
                gauge.add_metric([model], value_of(load))
            yield gauge
        for name, help_text, value_of in COUNTERS:
            counter = CounterMetricFamily(f"auricle_{name}", help_text, labels=["model"])
            for model, load in loads:
                counter.add_metric([model], value_of(load))
            yield counter
