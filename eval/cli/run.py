"""``auricle-eval run``: a corpus → hypotheses on disk."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.cli.console import ProgressBar, open_clips, reported_errors
from eval.cli.target_options import (
    ApiKeyOption,
    BeamSizeOption,
    ContextOption,
    CpusPerWorkerOption,
    LanguageOption,
    ModelOption,
    NoVadOption,
    OnlyOption,
    OpenAIOption,
    PeerOption,
    PlanOption,
    QuantizationOption,
    RayOption,
    SeedOption,
    ServerOption,
    TemperatureOption,
    WordTimestampsOption,
    decoding_options,
    make_ray_target,
    make_target,
)
from eval.jobs import Job
from eval.report.document import counted
from eval.runner import LanguageMode, RunPlan, RunSummary, run_corpus

__all__ = ["run"]


def run(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="The path of a JSONL manifest, or KIND:PATH; see below.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results; made if missing.")],
    model: ModelOption = None,
    server: ServerOption = None,
    openai: OpenAIOption = None,
    api_key_env: ApiKeyOption = None,
    beam_size: BeamSizeOption = None,
    temperature: TemperatureOption = None,
    task: Annotated[Job, typer.Option(help="What the model is asked for.")] = Job.TRANSCRIBE,
    language: LanguageOption = LanguageMode.MANIFEST,
    only: OnlyOption = None,
    seed: SeedOption = None,
    plan: PlanOption = None,
    context: ContextOption = None,
    no_vad: NoVadOption = False,
    word_timestamps: WordTimestampsOption = False,
    peer: PeerOption = None,
    quantization: QuantizationOption = None,
    ray: RayOption = False,
    cpus_per_worker: CpusPerWorkerOption = None,
) -> None:
    """Transcribe a corpus, one line of DIR/hypotheses.jsonl a clip.

    \b
      auricle-eval run corpus/manifest.jsonl --out results/base
      auricle-eval run corpus/manifest.jsonl --out results/greedy --beam-size 1 --temperature 0
      auricle-eval run corpus/manifest.jsonl --out results/service --server http://localhost:8000
      auricle-eval run corpus/manifest.jsonl --out results/api --openai https://api.openai.com --model whisper-1
      auricle-eval run corpus/manifest.jsonl --out results/peer --peer openai-whisper=peers/openai/bin/python
      auricle-eval run corpus/manifest.jsonl --out results/cluster --ray

    CORPUS is a manifest, or a corpus as it is unpacked, ?setting=value&setting=value where it has more than is wanted:

    \b
      corpus/manifest.jsonl
      librispeech:LibriSpeech/test-clean
      fleurs:fleurs/data?language=de_de,fr_fr&split=test
      common-voice:cv-corpus-9.0-2022-04-27?language=sv-SE&split=test
      covost:cv-corpus-4-2019-12-10?language=de&split=test
      asterisk:/?language=es
      hub:facebook/multilingual_librispeech?config=german&split=test

    A line of a manifest has id, path (relative to the manifest's folder), text, language and duration;
    translation_en, speaker, dataset, metric (wer or cer), kind, single_word and quality where known. Clips whose text
    is null are left out and counted; text "" means that nobody speaks.

    The same command continues a run that was stopped. A clip that fails (a damaged file, a language that the model does
    not know) is kept with its error and is scored as an empty text; the errors are listed at the end. To try one again,
    delete its line and repeat the command.

    With --openai, what the API has no field for (beams, the ladder, the seed) is left to the endpoint, and refused when
    asked for. The key is read from the environment, never from the command line.

    With --ray the lines are those of a run without, in the same order, and either continues the other; only the times
    of each clip differ.

    With --peer, NAME says how it decodes, and options of our decoder are refused; it gets the language as ours does,
    the same samples, and the weights of --model.

    Exit code: 0, also when some clips failed; 1 when all failed or there are none; 2 for a wrong option.
    """
    options = decoding_options(
        beam_size,
        temperature,
        seed,
        openai=openai,
        plan=plan,
        context=context,
        vad=not no_vad,
        word_timestamps=word_timestamps,
    )
    if cpus_per_worker is not None and not ray:
        raise typer.BadParameter("got --cpus-per-worker without --ray; only that has workers")
    if task is Job.DETECT_LANGUAGE:
        said = (beam_size, temperature, seed, plan, context)
        _check_detection(peer, said != (None,) * 5 or no_vad or word_timestamps)
    if openai is not None and task is Job.TRANSLATE and language is LanguageMode.MANIFEST:
        raise typer.BadParameter(
            "--task translate with --openai: its translations take no language; add --language auto"
        )
    with reported_errors(continues=True):
        clips = open_clips(corpus, only or [])
        run_plan = RunPlan(corpus=clips, options=options, job=task, language_mode=language)
        if ray:
            others = {"--server": server, "--openai": openai, "--peer": peer, "--api-key-env": api_key_env}
            target = make_ray_target(model, cpus_per_worker, quantization=quantization, others=others)
        else:
            target = make_target(model, server, openai, api_key_env=api_key_env, peer=peer, quantization=quantization)
        with ProgressBar() as progress:
            summary = run_corpus(run_plan, target, out, progress)
    _print_summary(summary, out)
    if len(summary.failures) == len(summary.hypotheses):
        raise typer.Exit(1)
    typer.echo(f"Next: auricle-eval score {quote(str(out))}", err=True)


def _check_detection(peer: str | None, decoding_is_asked_for: bool) -> None:
    if decoding_is_asked_for:
        options = "--beam-size, --temperature, --seed, --plan, --context, --no-vad, --word-timestamps"
        raise typer.BadParameter(f"--task detect-language decodes no text: leave out {options}")
    if peer is not None:
        raise typer.BadParameter(f"--task detect-language: got --peer {peer}, expected a target that answers it")


def _print_summary(summary: RunSummary, out: Path) -> None:
    console = Console(stderr=True)
    if summary.failures:
        console.print(_failures_table(summary))
    n_clips, n_failed = len(summary.hypotheses), len(summary.failures)
    line = f"{counted(n_clips, 'clip')} in {out}: {n_clips - n_failed} transcribed, {n_failed} failed"
    if summary.n_resumed:
        line += f"; {summary.n_resumed} of them were there already"
    if summary.n_without_reference:
        line += f"; {summary.n_without_reference} left out, as the corpus has no text for them"
    typer.echo(f"{line}.", err=True)


def _failures_table(summary: RunSummary) -> Table:
    table = Table(title="Clips that failed")
    table.add_column("error")
    table.add_column("clips", justify="right")
    table.add_column("the first of them")
    by_code: dict[str, list[str]] = {}
    for failure in summary.failures:
        error = failure.error or {}
        by_code.setdefault(error.get("code", ""), []).append(f"{failure.id}: {error.get('message', '')}")
    for code, examples in sorted(by_code.items()):
        table.add_row(Text(code), str(len(examples)), Text(examples[0]))
    return table
