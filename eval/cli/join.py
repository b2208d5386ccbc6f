"""``auricle-eval join`` and ``non-speech``: corpora that are made of another corpus."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from asr.audio import SAMPLE_RATE
from eval.cli.console import open_clips, reported_errors, write_text
from eval.cli.target_options import OnlyOption
from eval.corpora import Utterance
from eval.report.document import counted

if TYPE_CHECKING:
    from eval.joining import Joined
    from eval.noise.materials import Recording

__all__ = ["join", "non_speech"]

MANIFEST = "manifest.jsonl"
MADE_DB = -30.0  # loudness of the noise that is made, full scale being 0

CorpusArgument = Annotated[
    list[str], typer.Argument(metavar="CORPUS...", help="A JSONL manifest, or KIND:PATH as for auricle-eval run.")
]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the audio and its manifest; made if missing.")]
MadeSeedOption = Annotated[int, typer.Option(help="The same seed, the same recording.")]


def join(  # noqa: PLR0913, PLR0917  (typer: every option of the command is a parameter)
    corpus: CorpusArgument,
    out: OutOption,
    minutes: Annotated[float, typer.Option(min=0.1, help="Length of the recording, roughly.")] = 10,
    only: OnlyOption = None,
    name: Annotated[str | None, typer.Option(help="Of the recording.  [default: the folder's]")] = None,
    noise: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="A recording of noise or music, or a folder of them; repeatable."),
    ] = None,
    language_runs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Change the language after 1 to N clips.")
    ] = None,
    seed: MadeSeedOption = 0,
) -> None:
    """Join clips into one long recording whose text is known, with the place of each clip in it.

    \b
      auricle-eval join corpus/manifest.jsonl --out joined-10 --only language=en --noise recordings/music
      auricle-eval join corpus/manifest.jsonl --out switch-10 --only language=en,de,ja --language-runs 4

    Between clips are pauses of 0.3 to 3 s, now and then up to 15 s, of low room tone; with --noise, every one or two
    minutes 5 to 20 s of it, never over speech. Each clip is whole and gets one gain of at most 6 dB towards a common
    loudness. Clips without a text, single words and clips with a remark on their quality are left out; when all are in
    and it is not long enough, they come again.

    DIR/manifest.jsonl is a corpus of that one recording: 16 kHz, 16 bits, FLAC. Its parts have id, start, end, text and
    language of each clip; its language is null when there are several.
    """
    with reported_errors():
        from eval.joining import draw_order, joinable, plan_layout, read_lengths, write_joined

        clips = joinable(_clips(corpus, only))
        with Console(stderr=True).status("joining"):
            noises = _noises(noise or [])
            n_samples = round(minutes * 60 * SAMPLE_RATE)
            speech = read_lengths(draw_order(clips, seed=seed, language_runs=language_runs), n_samples)
            pieces = plan_layout(speech, n_samples, noise_lengths=[len(each.samples) for each in noises], seed=seed)
            called = name or out.resolve().name
            joined = write_joined(pieces, noises, out / f"{called}.flac", seed=seed)
        _write_manifest(out, [_line(called, joined)])
    repeated = f", some up to {joined.most_repeated} times" if joined.most_repeated > 1 else ""
    length = f"{joined.n_samples / SAMPLE_RATE / 60:.1f} minutes"
    typer.echo(f"{length} of {counted(len(joined.parts), 'clip')}{repeated}, in {out / MANIFEST}.", err=True)
    typer.echo(f"Next: auricle-eval run {quote(str(out / MANIFEST))} --out DIR", err=True)


def non_speech(
    corpus: CorpusArgument,
    out: OutOption,
    seconds: Annotated[float, typer.Option(min=1, help="Of each kind of noise that is made here.")] = 60,
    only: OnlyOption = None,
    seed: MadeSeedOption = 0,
) -> None:
    """Gather what nobody speaks in: white noise, pink noise and digital silence made here, and clips of a corpus.

    \b
      auricle-eval non-speech corpus/manifest.jsonl --out nothing-said --only kind=noise,music

    DIR/manifest.jsonl has them as one corpus; the clips stay where they are. A clip counts as one in which nobody
    speaks when its text is "".
    """
    with reported_errors():
        silent = [clip for clip in _clips(corpus, only) if clip.text == ""]
        made = _made_noise(out, seconds, seed)
        folder = out.resolve()
        _write_manifest(out, [*made, *(_line_of_clip(clip, folder) for clip in silent)])
    typer.echo(f"{counted(len(made) + len(silent), 'clip')} in {out / MANIFEST}.", err=True)
    typer.echo(f"Next: auricle-eval run {quote(str(out / MANIFEST))} --out DIR --language auto", err=True)


def _clips(corpora: Sequence[str], only: Sequence[str] | None) -> list[Utterance]:
    return [clip for spec in corpora for clip in open_clips(spec, only or []).utterances]


def _noises(paths: Sequence[Path]) -> list["Recording"]:
    from eval.noise.materials import read_recordings

    return [recording for path in paths for recording in read_recordings(path, option="--noise")]


def _line(name: str, joined: "Joined") -> dict[str, Any]:
    return {
        "id": name,
        "path": f"{name}.flac",
        "duration": joined.n_samples / SAMPLE_RATE,
        "text": joined.text,
        "language": joined.language,
        "dataset": "joined",
        "kind": "long",
        "parts": [asdict(part) for part in joined.parts],
    }


def _made_noise(out: Path, seconds: float, seed: int) -> list[dict[str, Any]]:
    import numpy as np

    from eval.joining import pink_noise, write_flac
    from eval.noise.mixing import white_noise

    n_samples, gain = round(seconds * SAMPLE_RATE), np.float32(10 ** (MADE_DB / 20))
    rng = np.random.default_rng(seed)
    sounds = {
        "white": white_noise(n_samples, rng) * gain,
        "pink": pink_noise(n_samples, rng) * gain,
        "silence": np.zeros(n_samples, dtype=np.float32),
    }
    for name, samples in sounds.items():
        write_flac(out / f"{name}.flac", iter([samples]))
    shared = {"duration": n_samples / SAMPLE_RATE, "text": "", "language": None, "dataset": "made", "kind": "noise"}
    return [{"id": name, "path": f"{name}.flac", **shared} for name in sounds]


def _line_of_clip(clip: Utterance, folder: Path) -> dict[str, Any]:
    return {
        "id": clip.id,
        "path": os.path.relpath(clip.path.resolve(), folder),
        "duration": clip.duration,
        "text": "",
        "language": None,
        "dataset": clip.dataset,
        "kind": clip.kind,
    }


def _write_manifest(out: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_text(out / MANIFEST, text, option="--out")
