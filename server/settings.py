"""Everything an operator may set. In: environment variables ``AURICLE_*``. Out: one validated, frozen object.

Knows nothing of HTTP or of models; ``server.settings_page`` shows fields and descriptions to people.
"""

import base64
import binascii
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asr.options import Quantization
from server.decoder_protocol import DecodeLimits
from server.logs import LogFormat

__all__ = ["WEBHOOK_SECRET_PREFIX", "Settings"]

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105  (Standard Webhooks: base64 follows)
_ORIGIN = re.compile(r"https?://[^/?#\s]+")


class Settings(BaseSettings):
    """The service's settings; each field is the environment variable ``AURICLE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="AURICLE_", frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    cors_origins: str | None = Field(
        default=None,
        description="Web origins whose pages may call the service from a browser, separated by commas "
        "(https://app.example.org), or *; none but the service's own if unset.",
    )
    model: str = Field(default="base", description="Model to serve: a name or a local path.")
    more_models: str | None = Field(
        default=None,
        description="Further models that requests may name, separated by commas; loaded when they are first asked for.",
    )
    model_idle_s: float = Field(
        default=900.0, ge=0, description="Seconds without work after which a further model is unloaded; 0: never."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Worker processes of the default model, each with the model in memory; they share the cores, and "
        "spread over GPUs. One decodes several recordings side by side: more are for more GPUs.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Device to run on: cpu, cuda, or auto, which is cuda where there is one."
    )
    quantization: Quantization = Field(
        default=Quantization.AUTO,
        description="int8, none, or auto, which is int8 on a CPU with AVX-512 VNNI.",
    )
    max_upload_bytes: int = Field(default=512 * 2**20, ge=1, description="Largest file accepted, in bytes.")
    max_duration_s: float = Field(default=10_800, gt=0, description="Longest recording accepted, in seconds.")
    upload_idle_timeout_s: float = Field(
        default=30, gt=0, description="Longest pause in an upload, in seconds; after it the answer is 408."
    )
    upload_timeout_s: float = Field(default=900, gt=0, description="Longest time an upload may take, in seconds.")
    max_decoders: int | None = Field(
        default=None,
        ge=1,
        description="Uploads decoded at once, each in a process of its own; one a core if unset. Those that take "
        "longer than a short recording make room, up to four times as many.",
    )
    decode_timeout_s: float = Field(
        default=120, gt=0, description="Longest time decoding one upload may take, in seconds."
    )
    decode_memory_bytes: int = Field(
        default=256 * 2**20, ge=2**24, description="Memory that decoding one upload may take, in bytes."
    )
    max_decoded_bytes: int = Field(
        default=2 * 2**30,
        ge=2**20,
        description="Largest decoded recording, in bytes on disk: 230 MB an hour, and with channels=split a channel.",
    )
    allow_urls: str | None = Field(
        default=None,
        description="Hosts that the field url may name, separated by commas (media.example.org,cdn.example.org); none "
        "if unset.",
    )
    url_timeout_s: float = Field(
        default=120, gt=0, description="Longest time fetching a recording from a url may take, in seconds."
    )
    max_queued_requests: int = Field(
        default=64, ge=0, description="Requests that may wait for the model; beyond it the answer is 429."
    )
    max_queued_audio_s: float = Field(
        default=14_400.0,
        gt=0,
        description="Seconds of audio that may wait for the model; beyond it the answer is 429. An empty queue takes "
        "any recording.",
    )
    request_timeout_s: float = Field(
        default=1_800.0, gt=0, description="Seconds from a request to its answer; after that the answer is 504."
    )
    max_streams: int = Field(
        default=8, ge=0, description="Live streams that a worker follows at once; 0 turns /stream off."
    )
    max_stream_s: float = Field(default=10_800, gt=0, description="Longest live stream, in seconds.")
    stream_idle_s: float = Field(
        default=30, gt=0, description="A live stream is closed after so many seconds in which nothing comes from it."
    )
    spool_dir: Path | None = Field(
        default=None, description="Folder for uploads while they are worked on; the system's temporary one if unset."
    )
    state_dir: Path | None = Field(
        default=None,
        description="Folder that jobs survive in: their store and their recordings; $XDG_STATE_HOME/auricle, else "
        "~/.local/state/auricle, if unset.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL database that hosts share their jobs in; a file in the state folder if unset. Needs "
        "auricle[cluster].",
    )
    media_url: str | None = Field(
        default=None,
        description="Where every host finds the recordings of jobs, as fsspec understands it; the state folder if "
        "unset. Needs auricle[cluster], and for S3 the package s3fs.",
    )
    job_ttl: float = Field(
        default=86_400,
        gt=0,
        description="How long a job's result is kept after its end, in seconds; then it is deleted.",
    )
    max_running_jobs: int = Field(
        default=2, ge=1, description="Jobs worked on at once; the others wait, and requests pass between them."
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Key that webhooks are signed with, as any text or as whsec_ and base64; webhook_url is refused if "
        "unset.",
    )
    webhook_allowed_hosts: str | None = Field(
        default=None,
        description="Hosts that webhooks may reach though their addresses are private, separated by commas. Public "
        "hosts need no entry.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="File of API keys, which `auricle-serve keys` writes; read again when it changes. Unset: no key "
        "is asked for.",
    )
    metrics_require_key: bool = Field(default=False, description="Whether /metrics asks for an API key too.")
    traces_url: str | None = Field(
        default=None,
        description="Where OpenTelemetry traces are sent, over OTLP/HTTP; none if unset. Needs auricle[tracing].",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line written: debug, info, warning or error."
    )
    log_format: LogFormat = Field(
        default="auto",
        description="json, one object a line; text; or auto, which is text on a terminal and json elsewhere.",
    )

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str | None) -> str | None:
        wrong = [origin for origin in _listed(value) if origin != "*" and not _ORIGIN.fullmatch(origin)]
        if wrong:
            raise ValueError(f"expected scheme://host[:port] without a path, or *; wrong: {', '.join(wrong)}")
        return value

    @field_validator("traces_url")
    @classmethod
    def _can_be_sent_to(cls, value: str | None) -> str | None:
        if value is not None and find_spec("opentelemetry.sdk") is None:
            raise ValueError("needs OpenTelemetry: pip install 'auricle[tracing]'")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_of_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("expected postgresql://user:password@host/database")
        if url is not None and find_spec("procrastinate") is None:
            raise ValueError("needs procrastinate: pip install 'auricle[cluster]'")
        return url

    @field_validator("media_url")
    @classmethod
    def _is_of_fsspec(cls, url: str | None) -> str | None:
        if url is not None and find_spec("fsspec") is None:
            raise ValueError("needs fsspec: pip install 'auricle[cluster]'")
        if url is not None and "://" not in url:
            raise ValueError("expected a URL such as file:///srv/auricle or s3://bucket/recordings")
        return url

    @field_validator("metrics_require_key")
    @classmethod
    def _needs_keys(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("api_keys_file") is None:
            raise ValueError("needs AURICLE_API_KEYS_FILE, which is unset")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _is_base64_where_it_says_so(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and secret.get_secret_value().startswith(WEBHOOK_SECRET_PREFIX):
            try:
                base64.b64decode(secret.get_secret_value().removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
            except binascii.Error:
                raise ValueError("expected base64 after whsec_") from None
        return secret

    @property
    def models(self) -> tuple[str, ...]:
        """Names or paths of all models, the default first."""
        return (self.model, *_listed(self.more_models))

    @property
    def web_origins(self) -> tuple[str, ...]:
        """What ``cors_origins`` names."""
        return tuple(_listed(self.cors_origins))

    @property
    def url_hosts(self) -> frozenset[str]:
        """What ``allow_urls`` names."""
        return frozenset(host.lower() for host in _listed(self.allow_urls))

    @property
    def webhook_hosts(self) -> frozenset[str]:
        """What ``webhook_allowed_hosts`` names."""
        return frozenset(host.lower() for host in _listed(self.webhook_allowed_hosts))

    @property
    def decode_limits(self) -> DecodeLimits:
        """What decoding one upload may take."""
        return DecodeLimits(
            timeout_s=self.decode_timeout_s,
            memory_bytes=self.decode_memory_bytes,
            max_decoded_bytes=self.max_decoded_bytes,
        )


def _listed(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]
