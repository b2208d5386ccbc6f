"""The command ``auricle-serve``. In: options and ``AURICLE_*`` variables. Out: a running service.

The only place that turns logging on. Knows nothing of routes, and of models only whether there is one.
"""

import os
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from asr.errors import UnknownModelError
from asr.installed_models import check_model_exists
from server.app import create_app, model_pools
from server.keys import KeyFileError
from server.keys_cli import keys_app
from server.logs import configure_logging
from server.messages import ModelInfo
from server.roles import Role
from server.serving import make_server
from server.settings import Settings
from server.settings_page import misspelt, settings_help, settings_markdown

__all__ = ["main"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.add_typer(keys_app, name="keys")


Host = Annotated[str | None, typer.Option(help="Address to listen on; before AURICLE_HOST.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; before AURICLE_PORT.")]
Model = Annotated[str | None, typer.Option(help="Model to serve; before AURICLE_MODEL.")]


@app.callback(invoke_without_command=True, epilog=settings_help())
def serve(context: typer.Context, host: Host = None, port: Port = None, model: Model = None) -> None:
    """Serve speech recognition over HTTP; the commands do a part of it, or other things instead."""
    if not context.invoked_subcommand:
        _serve({"host": host, "port": port, "model": model}, Role.ALL)


@app.command("api")
def serve_clients(host: Host = None, port: Port = None, model: Model = None) -> None:
    """Serve requests and streams, and take jobs for workers to do."""
    _serve({"host": host, "port": port, "model": model}, Role.API)


@app.command("worker")
def work_on_jobs(host: Host = None, port: Port = None, model: Model = None) -> None:
    """Work on the jobs that API processes take; serves its health and metrics."""
    _serve({"host": host, "port": port, "model": model}, Role.WORKER)


def _serve(options: dict[str, Any], role: Role) -> None:
    settings = _read_settings(options)
    try:
        for name in settings.models:
            check_model_exists(name)
        pools = model_pools(settings, on_ready=partial(_greet, settings, role))
        application = create_app(settings, pools, role=role)
    except (UnknownModelError, KeyFileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    configure_logging(settings.log_level, settings.log_format)
    server = make_server(application, host=settings.host, port=settings.port)
    with suppress(KeyboardInterrupt):  # which uvicorn raises again when all is in order
        server.run()
    if not server.started:
        raise typer.Exit(3)  # as uvicorn itself ends


@app.command("settings")
def show_settings() -> None:
    """Print every setting as a page of Markdown."""
    typer.echo(settings_markdown(), nl=False)


def main() -> None:
    """Entry point of ``auricle-serve``."""
    app()


def _read_settings(options: dict[str, Any]) -> Settings:
    problems = misspelt(os.environ)
    if not problems:
        try:
            return Settings(**{name: value for name, value in options.items() if value is not None})
        except ValidationError as error:
            problems = [_told(problem) for problem in error.errors()]
    for problem in problems:
        typer.echo(problem, err=True)
    raise typer.Exit(2)


def _told(problem: Any) -> str:
    name = f"AURICLE_{'_'.join(str(part) for part in problem['loc']).upper()}"
    got = "a secret" if name.endswith(("_SECRET", "_DATABASE_URL")) else repr(problem["input"])
    return f"{name}: got {got}; {problem['msg']}"


def _greet(settings: Settings, role: Role, model: ModelInfo) -> None:
    if not role.serves_clients:
        typer.echo(f"Auricle is ready for jobs with {model.name}.")
        return
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    where = f"http://{host}:{settings.port}"
    typer.echo(f"Auricle is ready with {model.name}. Try: curl -F file=@clip.wav {where}/transcribe")


if __name__ == "__main__":
    main()
