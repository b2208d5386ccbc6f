"""The command ``auricle-serve``. In: options and ``AURICLE_*`` variables. Out: a running service.

The only place that configures logging. Knows nothing of routes or models.
"""

import logging
from functools import partial
from typing import Annotated, Any

import typer
import uvicorn
from pydantic import ValidationError

from server.app import create_app
from server.messages import ModelInfo
from server.settings import Settings
from server.worker import load_recognizer
from server.worker_pool import WorkerPool

__all__ = ["main"]

SHUTDOWN_PATIENCE_S = 3  # for requests in flight; then the worker has a few seconds of its own


def _settings_help() -> str:
    """Every setting with default and description; the form feed keeps click from joining the lines."""
    lines = ["\b", "Settings, as environment variables:"]
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else field.default
        lines += [f"  AURICLE_{name.upper()}  [default: {default}]", f"      {field.description}"]
    return "\n".join(lines)


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=_settings_help())
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; before AURICLE_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; before AURICLE_PORT.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to serve; before AURICLE_MODEL.")] = None,
) -> None:
    """Serve speech recognition over HTTP."""
    settings = _read_settings({"host": host, "port": port, "model": model})
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    workers = WorkerPool(
        partial(load_recognizer, settings.model, settings.device, settings.quantization),
        max_queued_requests=settings.max_queued_requests,
        on_ready=partial(_greet, settings),
    )
    uvicorn.run(
        create_app(settings, workers),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # the application logs each request, with its id
        timeout_graceful_shutdown=SHUTDOWN_PATIENCE_S,
    )


def main() -> None:
    """Entry point of ``auricle-serve``."""
    app()


def _read_settings(options: dict[str, Any]) -> Settings:
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        for problem in error.errors():
            name = f"AURICLE_{'_'.join(str(part) for part in problem['loc']).upper()}"
            typer.echo(f"{name}: got {problem['input']!r}; {problem['msg']}", err=True)
        raise typer.Exit(2) from None


def _greet(settings: Settings, model: ModelInfo) -> None:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    where = f"http://{host}:{settings.port}"
    typer.echo(f"Auricle is ready with {model.name}. Try: curl -F file=@clip.wav {where}/transcribe")


if __name__ == "__main__":
    main()
