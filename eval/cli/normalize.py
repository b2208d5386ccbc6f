"""``auricle-eval normalize``: texts → what is compared, and why."""

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from asr.languages import to_language_code
from eval.cli.console import output_console, reported_errors
from eval.errors import EvaluationError
from eval.normalizers import Normalizer, NormalizerName, Rewrite, normalizer_for

__all__ = ["normalize"]


def normalize(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; the lines of stdin when none is given.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(metavar="CODE", help="Language of the texts, such as hi.  [default: not known]")
    ] = None,
    normalizer: Annotated[NormalizerName, typer.Option(help="Whose rules.")] = NormalizerName.AURICLE,
    explain: Annotated[bool, typer.Option("--explain", help="Print every rewrite: rule, before, after.")] = False,
) -> None:
    """Show what a text looks like when its errors are counted.

    \b
      auricle-eval normalize "We won’t pay twenty-one €" --language en
      auricle-eval normalize "हिन्दी में २५ किताबें।" --language hi --explain
      auricle-eval normalize --language th --normalizer whisper-basic < texts.txt

    One line for each text. With --explain a table for each text: rewrites in the order in which they are made, each as
    long as the words that changed; then the normalizer's name, version and digest, which decide what comes out.
    """
    with reported_errors():
        language = to_language_code(language) if language else None
        chosen = normalizer_for(normalizer, language)
        for text in texts or _lines():
            if explain:
                _print_explanation(chosen, text, language)
            else:
                typer.echo(chosen.normalize(text, language))
    if explain:
        typer.echo(f"Normalizer: {chosen.name}, version {chosen.version}, sha256 {chosen.sha256}")


def _lines() -> Iterator[str]:
    try:
        yield from (line.rstrip("\r\n") for line in sys.stdin)
    except UnicodeDecodeError as error:
        raise EvaluationError(f"stdin: got bytes that are not {error.encoding}, expected a text in it") from error


def _print_explanation(normalizer: Normalizer, text: str, language: str | None) -> None:
    typer.echo(text)
    rewrites = normalizer.explain(text, language)
    if rewrites:
        output_console().print(_table(rewrites))
    typer.echo(f"{normalizer.normalize(text, language)}\n")


def _table(rewrites: Iterable[Rewrite]) -> Table:
    table = Table()
    for column in ("rule", "before", "after"):
        table.add_column(column)
    for rewrite in rewrites:
        table.add_row(rewrite.rule, _visible(rewrite.before), _visible(rewrite.after))
    return table


def _visible(stretch: str) -> Text:
    # What prints as nothing is shown by its code point, or a change of it would look like none.
    if not stretch.strip():
        return Text(repr(stretch), style="dim")
    return Text("".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in stretch))
