"""Everything an operator may set. In: environment variables ``AURICLE_*``. Out: one validated, frozen object.

Knows nothing of HTTP or of models; ``server.cli`` prints the fields and their descriptions in ``--help``.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from asr.options import Quantization

__all__ = ["Settings"]


class Settings(BaseSettings):
    """The service's settings; each field is the environment variable ``AURICLE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="AURICLE_", frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    model: str = Field(default="base", description="Model to serve: a name or a local path.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Device to run on: cpu, cuda, or auto, which is cuda where there is one."
    )
    quantization: Quantization = Field(
        default=Quantization.AUTO,
        description="int8, none, or auto, which is int8 on a CPU with AVX-512 VNNI.",
    )
    max_upload_bytes: int = Field(default=512 * 2**20, ge=1, description="Largest file accepted, in bytes.")
    max_duration_s: float = Field(default=10_800, gt=0, description="Longest recording accepted, in seconds.")
    max_queued_requests: int = Field(
        default=64, ge=0, description="Requests that may wait for the model; beyond it the answer is 429."
    )
    spool_dir: Path | None = Field(
        default=None, description="Folder for uploads while they are worked on; the system's temporary one if unset."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line written."
    )
