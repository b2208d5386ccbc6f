"""``auricle models``: what is on this machine, and how it comes there. Knows no transcription."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from asr.cli.console import report, stderr, told_plainly

__all__ = ["models_app"]

models_app = typer.Typer(no_args_is_help=True, help="The models of this machine: list, pull, verify, convert.")


@models_app.command("list")
def list_models() -> None:
    """Models on this machine, and those that `pull` can fetch."""
    from asr.checkpoint import ModelStore

    store = ModelStore()
    installed = store.installed()
    for name in [*installed, *(name for name in store.known() if name not in installed)]:
        sys.stdout.write(f"{name:<16} {'here' if name in installed else '–'}\n")
    report(f"models are kept in {store.root}", "dim")


@models_app.command()
def pull(
    model: Annotated[str, typer.Argument(help="base, tiny.en, …, or owner/name on the Hugging Face hub.")],
) -> None:
    """Fetch a model, check its digest, convert it. One that is here already is only verified."""
    from asr.checkpoint import ModelStore

    with told_plainly(), stderr.status(f"{model}") as status:
        folder = ModelStore().pull(model, on_step=status.update)
    stderr.print(f"{model} is ready in {folder}", markup=False, highlight=False, soft_wrap=True)


@models_app.command()
def verify(model: Annotated[str, typer.Argument(help="A model on this machine.")]) -> None:
    """Compare every file of a model with its digest."""
    from asr.checkpoint import ModelStore

    with told_plainly():
        for name, digest in ModelStore().verify(model).items():
            sys.stdout.write(f"{digest}  {name}: OK\n")


@models_app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A model folder (CTranslate2, Hugging Face, Auricle) or a .pt file.")],
    name: Annotated[str, typer.Argument(help="The name to keep it under.")],
    sha256: Annotated[str | None, typer.Option(help="Digest of a .pt file that OpenAI did not publish.")] = None,
) -> None:
    """Convert a model of any known format; a .pt needs tokenizer.json beside it."""
    from asr.checkpoint import ModelStore

    with told_plainly(), stderr.status(f"converting {source}"):
        folder = ModelStore().convert(source, name, expected_sha256=sha256)
    stderr.print(f"{name} is ready in {folder}", markup=False, highlight=False, soft_wrap=True)
