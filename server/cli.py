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
from server.serving import make_server
from server.settings import Settings
from server.settings_page import misspelt, settings_help, settings_markdown

__all__ = ["main"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.add_typer(keys_app, name="keys")


@app.callback(invoke_without_command=True, epilog=settings_help())
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; before AURICLE_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; before AURICLE_PORT.")] = None,
    model: Annotated[str | None, typer.Option(help="Model to serve; before AURICLE_MODEL.")] = None,
) -> None:
    """Serve speech recognition over HTTP; the commands do other things instead."""
    if context.invoked_subcommand:
        return
    settings = _read_settings({"host": host, "port": port, "model": model})
    try:
        for name in settings.models:
            check_model_exists(name)
        application = create_app(settings, model_pools(settings, on_ready=partial(_greet, settings)))
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
    got = "a secret" if name.endswith("_SECRET") else repr(problem["input"])
    return f"{name}: got {got}; {problem['msg']}"


def _greet(settings: Settings, model: ModelInfo) -> None:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    where = f"http://{host}:{settings.port}"
    typer.echo(f"Auricle is ready with {model.name}. Try: curl -F file=@clip.wav {where}/transcribe")


if __name__ == "__main__":
    main()
