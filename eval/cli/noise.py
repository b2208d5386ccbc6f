"""``auricle-eval noise``: a corpus under noise and in rooms → error rates against the signal-to-noise ratio."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.cli.console import ProgressBar, length_s, open_clips, output_console, reported_errors
from eval.cli.target_options import (
    ApiKeyOption,
    BeamSizeOption,
    LanguageOption,
    ModelOption,
    OnlyOption,
    OpenAIOption,
    ServerOption,
    TemperatureOption,
    decoding_options,
    make_target,
)
from eval.corpora import Corpus, Utterance
from eval.errors import EvaluationError
from eval.noise.conditions import DEFAULT_SNRS_DB, Condition, NoiseKind, make_conditions, parse_snrs
from eval.report.document import counted
from eval.runner import LanguageMode, RunPlan

if TYPE_CHECKING:
    from eval.noise.materials import Materials
    from eval.noise.study import NoiseResult, NoiseStudy

__all__ = ["noise"]

DEFAULT_KINDS = tuple(NoiseKind)
DEFAULT_LEVELS = ",".join(f"{level:g}" for level in DEFAULT_SNRS_DB)


def noise(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A JSONL manifest, or KIND:PATH as for auricle-eval run.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if missing.")],
    kind: Annotated[
        list[NoiseKind] | None,
        typer.Option(help="Noise made here; repeatable.  [default: both, without --noise-dir and --reverb-dir]"),
    ] = None,
    noise_dir: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Recordings of one kind of noise, or one recording; repeatable."),
    ] = None,
    reverb_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Impulse responses, one file a room, or one of them.")
    ] = None,
    snr: Annotated[
        str, typer.Option(metavar="DB,DB", help="Signal-to-noise ratios, each with each kind of noise.")
    ] = DEFAULT_LEVELS,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="So many clips, drawn at random by --seed.  [default: all]")
    ] = None,
    only: OnlyOption = None,
    model: ModelOption = None,
    server: ServerOption = None,
    openai: OpenAIOption = None,
    api_key_env: ApiKeyOption = None,
    beam_size: BeamSizeOption = None,
    temperature: TemperatureOption = None,
    language: LanguageOption = LanguageMode.MANIFEST,
    seed: Annotated[int, typer.Option(help="Of the noise, the clips of --limit and the fallback's samples.")] = 0,
) -> None:
    """Measure how error rates grow with noise, as in Fig. 5 of the Whisper paper.

    \b
      auricle-eval noise librispeech:LibriSpeech/test-clean --out results/noise --limit 100
      auricle-eval noise corpus/manifest.jsonl --out results/noise --only language=en --kind white --kind babble \\
        --noise-dir recordings/pub --reverb-dir recordings/rooms --snr 20,10,0

    The same clips are transcribed clean, with each kind of noise at each ratio, and in each room. Ratios compare the
    power of the whole clip with that of the noise added to it. What goes beyond full scale is turned down, noise and
    speech together, never clipped. Clips without speech or without a transcript are left out.

    \b
      white    Gaussian noise
      babble   six other speakers of the corpus at once, equally loud
      PUB      --noise-dir recordings/pub: for each clip one of the folder's recordings, from a random place on
      room     --reverb-dir: the clip in each of the rooms, at its own power

    DIR/study.json has the rates, DIR/noise.svg and DIR/noise.png the curves; each condition's run is in its own folder,
    such as DIR/white/+10dB, for auricle-eval score. The same command continues a study that was stopped; with a higher
    --limit, more ratios or more kinds it makes what is new. Rates are over all clips, a failed one counted as deleted.

    Exit code: 0, also when some clips failed; 1 when all failed or there were none; 2 for a wrong option.
    """
    try:
        snrs_db = parse_snrs(snr)
    except EvaluationError as error:
        raise typer.BadParameter(str(error)) from error
    options = decoding_options(beam_size, temperature, None if openai else seed, openai=openai)
    with reported_errors(continues=True):
        from eval.noise.study import NoisePlan, draw_clips, run_study, with_speech

        spoken = with_speech(open_clips(corpus, only or []))
        kinds = kind or (() if noise_dir or reverb_dir else DEFAULT_KINDS)
        with Console(stderr=True).status("reading noise"):
            materials = _materials(kinds, noise_dir or (), reverb_dir, spoken)
        conditions = make_conditions(kinds, materials.recorded, materials.rooms, snrs_db)
        drawn = spoken if limit is None else draw_clips(spoken, limit, seed=seed)
        plan = RunPlan(corpus=drawn, options=options, language_mode=language)
        target = make_target(model, server, openai, api_key_env=api_key_env)
        with StudyBar(drawn, len(conditions)) as progress:
            noise_plan = NoisePlan(conditions=conditions, materials=materials, seed=seed)
            study = run_study(plan, target, noise_plan, out, progress)
        written = _write_plots(study, out)
    output_console().print(_table(study))
    n_failed = _report_failures(study, out)
    typer.echo(f"Wrote {', '.join(map(str, written))}.", err=True)
    if n_failed == sum(result.group.n_clips for result in study.results):
        raise typer.Exit(1)


class StudyBar(ProgressBar):
    """As its base, with the condition, and time left for all conditions."""

    def __init__(self, corpus: Corpus, n_conditions: int) -> None:
        super().__init__()
        self._condition_s = sum(map(length_s, corpus.utterances))
        self._total_s = self._condition_s * n_conditions
        self._n_conditions = n_conditions
        self._n_begun = 0
        self._condition = ""

    def begin(self, condition: Condition) -> None:
        """See study.StudyProgress."""
        self._n_begun += 1
        self._condition = f"{condition.name} ({self._n_begun} of {self._n_conditions}) "

    def read(self, n_read: int, n_clips: int) -> None:
        """See runner.Progress; the bar stays where it is."""
        self._show(f"{self._condition}reading ", total=self._total_s, n_done=n_read, n_clips=n_clips)

    def start(self, pending: Sequence[Utterance], n_clips: int) -> None:
        """See runner.Progress; what an earlier run did is taken off the total, as it says nothing about speed."""
        self._n_done = n_clips - len(pending)
        self._total_s -= self._condition_s - sum(map(length_s, pending))
        self._show(self._condition, total=self._total_s, n_done=self._n_done, n_clips=n_clips)


def _materials(
    kinds: Sequence[NoiseKind], noise_paths: Sequence[Path], reverb_path: Path | None, spoken: Corpus
) -> "Materials":
    from eval.noise.materials import Materials, Voices, read_families, read_rooms

    return Materials(
        recorded=read_families(noise_paths),
        rooms={} if reverb_path is None else read_rooms(reverb_path),
        voices=Voices.of(spoken.utterances) if NoiseKind.BABBLE in kinds else Voices(),
    )


def _write_plots(study: "NoiseStudy", out: Path) -> list[Path]:
    from eval.noise.plot import plot_noise, save_figure
    from eval.noise.study import STUDY

    figure = plot_noise({str(study.config.get("model") or study.config.get("target")): study})
    plots = [out / "noise.svg", out / "noise.png"]
    for path in plots:
        save_figure(figure, path)
    return [out / STUDY, *plots]


def _table(study: "NoiseStudy") -> Table:
    levels = sorted({result.snr_db for result in study.results if result.snr_db is not None}, reverse=True)
    n_clips = max(result.group.n_clips for result in study.results)
    unit = {"word": "WER", "character": "CER"}.get(study.results[0].group.unit, "error rate")
    table = Table(
        title=f"{unit} in % on {counted(n_clips, 'clip')}, 95 % intervals; columns: SNR in dB", show_lines=True
    )
    table.add_column("", no_wrap=True)
    for header in ("no noise", *(f"{level:g}" for level in levels)):
        table.add_column(header, justify="right", no_wrap=True)
    for family in dict.fromkeys(result.family for result in study.results):
        by_level = {result.snr_db: _cell(result) for result in study.results if result.family == family}
        table.add_row(Text(family), *(by_level.get(level, "") for level in (None, *levels)))
    return table


def _cell(result: "NoiseResult") -> str:
    rate, interval = result.group.counts.rate, result.group.interval
    if rate is None:
        return "–"
    return f"{100 * rate:.1f}" + (f"\n{_bound(interval.low)}–{_bound(interval.high)}" if interval else "")


def _bound(rate: float) -> str:
    return f"{100 * rate:.1f}" if rate < 0.1 else f"{100 * rate:.0f}"  # eight columns have to fit a terminal


def _report_failures(study: "NoiseStudy", out: Path) -> int:
    n_failed = sum(result.group.n_failed for result in study.results)
    if n_failed:
        worst = max(study.results, key=lambda result: result.group.n_failed)
        message = f"{counted(n_failed, 'transcription')} failed and {'counts' if n_failed == 1 else 'count'} as deleted"
        message += f", {worst.group.n_failed} of them in {worst.name}" if n_failed > 1 else f", in {worst.name}"
        typer.echo(f"{message}; their errors are in {out / worst.name / 'hypotheses.jsonl'}.", err=True)
    return n_failed
