"""``auricle-eval load``: services under load, beside each other."""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from eval.cli.console import open_clips, output_console, reported_errors, write_json, write_text
from eval.cli.target_options import OnlyOption
from eval.errors import EvaluationError

if TYPE_CHECKING:
    from eval.load.types import LoadPlan, ServerSpec

__all__ = ["load"]

DEFAULT_CLIENTS = "1,4,8,16,32"
MAX_CLIENTS = 1024


def load(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="A manifest; its clips of 8 to 15 s are sent.")],
    only: OnlyOption = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="A running Auricle.  [default: one is started here]")
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PYTHON", help="A peer, started by the interpreter it is installed for; repeatable."),
    ] = None,
    openai: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=URL", help="A running server that speaks OpenAI's API; repeatable."),
    ] = None,
    model: Annotated[str, typer.Option(help="Packaged model of the servers that are started here.")] = "base",
    beam_size: Annotated[int, typer.Option(min=1, help="Beams, where a server can be told; 1 is greedy.")] = 1,
    clients: Annotated[str, typer.Option(metavar="N,N", help="How many ask at once.")] = DEFAULT_CLIENTS,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each server takes.")] = 5,
    requests: Annotated[int, typer.Option(min=1, help="Requests a turn; at least two for each client.")] = 40,
    long: Annotated[
        str | None,
        typer.Option(metavar="CORPUS", help="Every fifth request sends the longest recording of this corpus."),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also measure while the server works on this recording."),
    ] = None,
    as_request: Annotated[
        bool, typer.Option("--background-as-request", help="Send it as a request even where the server has jobs.")
    ] = False,
    settle: Annotated[
        float, typer.Option(metavar="S", min=0, help="Seconds from its arrival to the first short clip.")
    ] = 20.0,
    overload: Annotated[
        float | None,
        typer.Option(metavar="S", min=1, help="Then ask Auricle for four times what it can, so many seconds a round."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Seconds after which a request has failed.")
    ] = 900.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same requests in the same order.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers here.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables here.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw rate and latency over clients, SVG.")] = None,
) -> None:
    """Measure servers under load: answers a second, latency, first text, memory, refusals, fairness.

    \b
      auricle-eval load corpus/manifest.jsonl --only language=en --json load.json --plot load.svg \\
        --peer faster-whisper-server-2-workers=peers/server/bin/python
      auricle-eval load corpus/manifest.jsonl --only language=en --long joined-10/manifest.jsonl --clients 8
      auricle-eval load corpus/manifest.jsonl --only language=en --background joined-180/joined-180.flac --clients 4
      auricle-eval load corpus/manifest.jsonl --only language=en --overload 30 --rounds 3

    Each client asks again as soon as it is answered, over a new connection. Servers take turns: in each round every
    one gets the same requests, and ratios are taken within rounds. A request without an answer has lost all its
    words, and a server that loses or invents more than 5 % of the words does not count. Nothing else should run on
    the machine; the clients themselves take a little of it.

    NAME is one of faster-whisper-server, faster-whisper-server-2-workers and faster-whisper-server-batched-8, all of
    the package faster-whisper-server. AURICLE_* variables are settings of the Auricle that is started.
    """
    counts = _parse_clients(clients)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the servers that were started have to be ended
    with reported_errors():
        from eval.load.clips import long_recording, short_clips
        from eval.load.numbers import load_as_json
        from eval.load.study import n_requests, run_load
        from eval.load.types import LoadPlan

        plan = LoadPlan(
            servers=_servers(server, peer or [], openai or [], model=model, beam_size=beam_size),
            clips=short_clips(open_clips(corpus, only or ())),
            long=None if long is None else long_recording(open_clips(long)),
            clients=counts,
            rounds=rounds,
            requests=requests,
            background=background,
            as_request=as_request,
            settle_s=settle,
            overload_s=overload,
            timeout_s=timeout,
            seed=seed,
        )
        _check_background(plan)
        with _RequestBar(n_requests(plan)) as bar:
            numbers = load_as_json(plan, run_load(plan, bar))
        _write(numbers, json_file, markdown, plot)
    console = output_console()
    console.print(_table(numbers))
    if numbers["overload"] is not None:
        console.print_json(json.dumps(numbers["overload"]))


def _parse_clients(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError:
        counts = ()
    if not counts or not 1 <= counts[0] <= counts[-1] <= MAX_CLIENTS:
        raise typer.BadParameter(f"--clients: got {text!r}, expected numbers from 1 to {MAX_CLIENTS}: 1,4,8")
    return counts


def _servers(
    url: str | None, peers: list[str], others: list[str], *, model: str, beam_size: int
) -> "tuple[ServerSpec, ...]":
    from eval.load.servers import openai_server, our_server, peer_server
    from eval.peers import peer_model, split_peer

    servers = [our_server(url, model=model, beam_size=beam_size)]
    for named in peers:
        name, interpreter = split_peer(named)
        servers.append(peer_server(name, interpreter, model=peer_model(name, model), beam_size=beam_size))
    for named in others:
        name, equals, where = named.partition("=")
        if not equals:
            raise EvaluationError(f"--openai: got {named!r}, expected NAME=URL")
        servers.append(openai_server(name, where))
    names = [each.name for each in servers]
    if len(set(names)) < len(names):
        raise EvaluationError(f"--peer and --openai: got {', '.join(names)}, expected a name of its own for each")
    return tuple(servers)


def _check_background(plan: "LoadPlan") -> None:
    if plan.background is not None and not plan.background.is_file():
        raise EvaluationError(f"--background {plan.background}: no such file; auricle-eval join makes long recordings")


class _RequestBar:
    """Requests done of all turns, on stderr."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._bar = self._progress.add_task("starting", total=total)

    def __enter__(self) -> "_RequestBar":
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def step(self, description: str) -> None:
        """See LoadProgress."""
        self._progress.update(self._bar, description=description)

    def answered(self) -> None:
        """See LoadProgress."""
        self._progress.advance(self._bar)


def _write(numbers: dict[str, Any], json_file: Path | None, markdown: Path | None, plot: Path | None) -> None:
    if json_file is not None:
        write_json(json_file, numbers)
    if markdown is not None:
        from eval.report.load import load_as_report
        from eval.report.markdown import render_markdown

        write_text(markdown, render_markdown(load_as_report(numbers)), option="--markdown")
    if plot is not None:
        from eval.report.load import draw_load
        from eval.report.plots import file_svg

        write_text(plot, file_svg(draw_load(numbers), name=plot.stem), option="--plot")


def _table(numbers: dict[str, Any]) -> Table:
    from eval.report.load import with_spread

    table = Table(
        caption="In brackets: words are lost or invented, it does not count. + long: with a long recording beside."
    )
    table.add_column("server", no_wrap=True)
    for head in ("clients", "a second", "ours over it", "p50 / p95, s", "failed", "WER, %", "MB"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in numbers["rows"]:
        latency, words = row["latency_s"], row["words"]
        table.add_row(
            f"{row['server']}{' + long' if row['with_background'] else ''}",
            str(row["clients"]),
            f"{row['per_second']:.2f}" if row["counts"] else f"({row['per_second']:.2f})",
            with_spread(row["ours_over_per_second"]),
            f"{latency['p50']:.2f} / {latency['p95']:.2f}" if latency else "",
            str(row["n"] - row["n_answered"]),
            "" if words["rate"] is None else f"{100 * words['rate']:.1f}",
            "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
        )
    return table
