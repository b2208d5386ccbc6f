"""``auricle-serve keys``. In: names and limits. Out: the key file changed, and a new key, once.

Knows nothing of the running service, which sees the file change.
"""

from pathlib import Path
from typing import Annotated

import typer

from server.keys import KeyFile, KeyFileError
from server.limits import Limits

__all__ = ["keys_app"]

keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, list and revoke API keys.")

Name = Annotated[str, typer.Argument(help="Whose key it is; appears in the log.")]
KeysFile = Annotated[
    Path, typer.Option("--file", envvar="AURICLE_API_KEYS_FILE", help="The key file.", show_default=False)
]
PerMinute = Annotated[int | None, typer.Option(min=1, help="Requests per minute; without it, any number.")]
Burst = Annotated[
    int | None, typer.Option(min=1, help="Requests at once after a pause; without it, as many as a minute allows.")
]
Concurrent = Annotated[int | None, typer.Option(min=1, help="Requests under way at once; without it, any number.")]


@keys_app.command()
def create(
    name: Name,
    file: KeysFile,
    requests_per_minute: PerMinute = None,
    burst: Burst = None,
    concurrent: Concurrent = None,
) -> None:
    """Make a key and print it, this once.

    The file keeps its digest only.
    """
    limits = Limits(requests_per_minute=requests_per_minute, burst=burst, concurrent=concurrent)
    try:
        secret = KeyFile(file).create(name, limits)
    except KeyFileError as error:
        raise _failed(error) from None
    typer.echo(f"The key of {name}. Keep it: it cannot be shown again.", err=True)
    typer.echo(secret)


@keys_app.command("list")
def list_keys(file: KeysFile) -> None:
    """Show whose keys there are and their limits."""
    try:
        keys = KeyFile(file).read()
    except KeyFileError as error:
        raise _failed(error) from None
    form = "{:<24} {:<20} {:>11} {:>6} {:>11}"
    typer.echo(form.format("name", "created", "per minute", "burst", "concurrent"))
    for key in keys:
        numbers = (key.requests_per_minute, key.burst, key.concurrent)
        created = key.created_at.strftime("%Y-%m-%d %H:%M UTC")
        typer.echo(form.format(key.name, created, *("-" if number is None else number for number in numbers)))


@keys_app.command()
def revoke(name: Name, file: KeysFile) -> None:
    """Remove a key.

    A running service refuses it from the next request on.
    """
    try:
        KeyFile(file).revoke(name)
    except KeyFileError as error:
        raise _failed(error) from None
    typer.echo(f"{name} has no key any more.", err=True)


def _failed(error: KeyFileError) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(1)
