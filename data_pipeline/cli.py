"""The command ``auricle-data``. In: command lines. Out: the folder of a run. Knows no stage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from asr.errors import AuricleError
from data_pipeline.errors import PipelineError
from data_pipeline.executors import Executor, ExecutorName, LocalExecutor, RayExecutor, Resources, SlurmExecutor
from data_pipeline.splitting import Apart

if TYPE_CHECKING:
    from data_pipeline.chunks import ChunkSummary

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Make training shards of audio and captions, and account for every hour that is dropped.",
)


@app.command()
def run(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML file; see below.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Each recipe and seed has a folder of its own in it.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was stopped or killed.")] = False,
    dry_run: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N recordings of each source.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides what is drawn: silence, timestamps, previous text.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Chunks at a time; as many as there are CPUs, or as the cluster gives, if not given."),
    ] = None,
    executor: Annotated[ExecutorName, typer.Option(help="Who does the chunks.")] = ExecutorName.LOCAL,
    partition: Annotated[str | None, typer.Option(metavar="NAME", help="Of Slurm.")] = None,
    time_limit: Annotated[str, typer.Option(metavar="HH:MM:SS", help="Of a chunk, for Slurm.")] = "04:00:00",
    memory: Annotated[int, typer.Option(min=1, metavar="GB", help="For each CPU that a cluster is asked for.")] = 2,
    model_cpus: Annotated[int, typer.Option(min=1, help="For a chunk that the model hears, of a cluster.")] = 1,
    model_gpus: Annotated[int, typer.Option(min=0, help="The same of GPUs.")] = 0,
) -> None:
    """Read sources, drop what is no training data, write shards.

    \b
      auricle-data run recipe.toml --out out/data
      auricle-data run recipe.toml --out out/data --dry-run 20
      auricle-data run recipe.toml --out out/data --resume
      auricle-data run recipe.toml --out /shared/data --executor slurm --partition cpu --model-cpus 8
      RAY_ADDRESS=auto auricle-data run recipe.toml --out /shared/data --executor ray

    A recipe names sources, and what differs from the defaults:

    \b
      [[sources]]
      name = "talks"
      kind = "folder"              # folder, nemo, audiofolder, tar
      path = "heap/talks"          # relative to the recipe
      licence = "CC-BY-4.0"
      language = "en"              # where the source says so

    \b
      [evaluation]                 # texts that must not be trained on
      suites = ["development"]
      data = "corpora"

    \b
      [machine]                    # a table for the limits of each stage
      casing_vote = 0.6

    DIR/RUN has shards/*.tar, manifest.jsonl (a line an example), drops.jsonl (a line for everything left out, with
    reason, value and limit), funnel.json, contamination.json and report.html. The same recipe and seed give the same
    bytes, whatever the number of workers and whoever they are. Clusters see recipe, sources, models and DIR under the
    same paths as this machine; Ray is the cluster of RAY_ADDRESS, or this machine.

    Exit code: 0; 1 for a recipe or a source that cannot be used.
    """
    with _told_plainly():
        from data_pipeline.recipe import read_recipe
        from data_pipeline.running import RunPlan, run_recipe

        resources = Resources(memory_per_cpu_gb=memory, model_cpus=model_cpus, model_gpus=model_gpus)
        who: Executor
        match executor:
            case ExecutorName.LOCAL:
                who = LocalExecutor(workers or os.cpu_count() or 1)
            case ExecutorName.RAY:
                who = RayExecutor(workers, resources)
            case ExecutorName.SLURM:
                if partition is None:
                    raise PipelineError("--executor slurm: got no --partition, expected one of those of `sinfo`")
                who = SlurmExecutor(workers, partition, time_limit, resources)
        plan = RunPlan(recipe=read_recipe(recipe), seed=seed, first_items=dry_run)
        with ProgressBar() as progress:
            folder = run_recipe(plan, out, executor=who, resume=resume, progress=progress)
    typer.echo(folder.path)


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    hours: Annotated[float, typer.Option(min=0.01, help="Of recordings to train on, roughly.")] = 4.0,
    evaluation: Annotated[int, typer.Option(min=1, help="Clips to evaluate on, of each language and of noise.")] = 60,
    seed: Annotated[int, typer.Option(help="Decides who says what, when and how.")] = 0,
) -> None:
    """Let espeak-ng and flite speak simple sentences in five languages, to train a small model from scratch.

    \b
      auricle-data synthesize --out out/synthesized
      auricle-data run out/synthesized/recipe.toml --out out/synthesized/runs
      auricle train-tokenizer out/synthesized/runs/*/shards --size 1024 --out out/words.json
      auricle train out/synthesized/runs/*/shards --preset nano --tokenizer out/words.json --context auto \
        --batch 16 --updates 20000 --out out/nano
      auricle-eval run out/synthesized/evaluation/manifest.jsonl --model out/nano/model --out out/results

    Every sentence has its English translation, talks end with noise in which nobody speaks, and voices and sentences
    of the evaluation are in no recording that is trained on.
    """
    with _told_plainly():
        from data_pipeline.synthesis import synthesize as synthesize_speech

        made = synthesize_speech(out, hours=hours, n_evaluation=evaluation, seed=seed)
        typer.echo(f"{made.n_recordings} recordings, {made.hours:.2f} h; {made.n_evaluation} to evaluate on", err=True)
        typer.echo(out)


@app.command()
def split(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    corpora: Annotated[list[str], typer.Argument(metavar="CORPUS…", help="As auricle-eval run takes them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUES", help="Only these clips: language, dataset, kind, speaker, id; repeatable."
        ),
    ] = None,
    apart: Annotated[
        Apart, typer.Option(help="What no two parts share; texts: of one voice, whose speakers cannot be kept apart.")
    ] = Apart.SPEAKERS,
    development: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share to choose settings by.")] = 0.1,
    evaluation: Annotated[float, typer.Option(min=0.0, max=0.9, help="Share to evaluate on.")] = 0.3,
    seed: Annotated[int, typer.Option(help="Decides who is in which part.")] = 0,
) -> None:
    """Divide corpora into clips to fine-tune on and clips to evaluate on, which share no speaker and no text.

    \b
      auricle-data split common-voice:cv-corpus-9.0-2022-04-27?language=cy --out out/welsh
      auricle-data split recordings/manifest.jsonl --only language=cy,br --out out/celtic
      auricle-data split asterisk:/?language=it --apart texts --out out/carlo
      auricle-data run out/welsh/recipe.toml --out out/welsh/runs
      auricle train out/welsh/runs/*/shards --init base --lora 16 --updates 500 --batch 16 --out out/welsh/lora
      auricle-eval run out/welsh/evaluation/manifest.jsonl --model out/welsh/lora/model --out out/welsh/after

    DIR has train.jsonl and recipe.toml, which makes shards of it, and development/manifest.jsonl and
    evaluation/manifest.jsonl for auricle-eval. Shares are of each language's clips; whoever speaks most is trained on.
    """
    with _told_plainly():
        from data_pipeline.splitting import split as split_clips
        from eval.corpora import open_corpus
        from eval.corpora.selection import select

        clips = [clip for spec in corpora for clip in select(open_corpus(spec), only or []).utterances]
        parts = split_clips(
            clips, out, apart=apart, development=development, evaluation=evaluation, seed=seed
        )  # fmt: skip
        counts = f"{len(parts.train)} clips to train on, {len(parts.development)} to choose by"
        typer.echo(f"{counts}, {len(parts.evaluation)} to evaluate on", err=True)
        typer.echo(out / "recipe.toml")


@app.command()
def plant(
    corpora: Annotated[list[str], typer.Argument(metavar="CORPUS…", help="As auricle-eval run takes them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the heap; made if missing.")],
    share: Annotated[float, typer.Option(min=0.0, max=0.045, help="Of all talks, for each kind of defect.")] = 0.036,
    seed: Annotated[int, typer.Option(help="Decides which clips make a talk, and which talk has a defect.")] = 0,
) -> None:
    """Make talks of real clips and plant defects in them, to measure the filters with `auricle-data judge`.

    \b
      auricle-data plant asterisk:/?language=en asterisk:/?language=it --out out/planted
      auricle-data run out/planted/recipe.toml --out out/planted/runs
      auricle-data judge out/planted out/planted/runs/*
    """
    with _told_plainly():
        from data_pipeline.planting import plant as plant_defects
        from eval.corpora import open_corpus

        clips = [clip for spec in corpora for clip in open_corpus(spec).utterances]
        truth = plant_defects(clips, out, seed=seed, share=share)
        n_defects = sum(each.defect != "none" for each in truth)
        hours = sum(each.seconds for each in truth) / 3600
        typer.echo(f"{len(truth)} talks, {hours:.2f} h, {n_defects} of them not as they should be: {out}", err=True)


@app.command()
def judge(
    planted: Annotated[Path, typer.Argument(metavar="DIR", help="What `plant` made.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run of its recipe.")],
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the same as JSON.")] = None,
) -> None:
    """Precision and recall of each filter on planted defects, with 95 % intervals, and hours against the truth."""
    with _told_plainly():
        from data_pipeline.judging import judge as judge_run
        from data_pipeline.judging_tables import defect_table, hours_table, judgement_json, stage_table, summary

        console = Console()
        console.width = console.width if console.is_terminal else 140
        judgement = judge_run(planted, run)
        for part in (defect_table(judgement), stage_table(judgement), hours_table(judgement), summary(judgement)):
            console.print(part)
        if json is not None:
            json.write_text(judgement_json(judgement), encoding="utf-8")


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Errors that the user can mend are one line."""
    from eval.errors import EvaluationError

    try:
        yield
    except (AuricleError, EvaluationError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        typer.echo("Stopped. A run continues where it stopped with --resume.", err=True)
        raise typer.Exit(130) from interrupt


class ProgressBar:
    """Chunks done, time left, and hours of audio an hour, on stderr."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}{task.completed:.0f}/{task.total:.0f} chunks"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[hours]:.2f} h of audio, {task.fields[pace]:.0f} h/h"),
            console=Console(stderr=True),
            speed_estimate_period=120,
        )
        self._seconds = 0.0
        self._bar = self._progress.add_task("listing ", total=1, hours=0.0, pace=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def start(self, step: str, n_chunks: int, n_done: int) -> None:
        """See running.Progress."""
        self._seconds = 0.0
        self._progress.reset(self._bar, total=n_chunks, completed=n_done, description=f"{step} ", hours=0.0, pace=0.0)

    def advance(self, summary: "ChunkSummary") -> None:
        """See running.Progress."""
        self._seconds += summary.audio_s
        elapsed_s = self._progress.tasks[0].elapsed or 0.0
        pace = self._seconds / elapsed_s if elapsed_s else 0.0
        self._progress.update(self._bar, advance=1, hours=self._seconds / 3600, pace=pace)


def main() -> None:
    """Entry point of ``auricle-data``."""
    app()
