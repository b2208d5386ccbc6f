"""Folders → a report. In: folders of runs and of noise studies. Out: ``Report``, and what ``--json`` writes.

Knows no HTML and no Markdown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval.errors import ResultsError
from eval.hypotheses import HYPOTHESES, StoredRun, read_run
from eval.jobs import Job
from eval.noise.study import STUDY, NoiseStudy, read_study
from eval.normalizers import NormalizerName
from eval.report.as_json import scores_as_json
from eval.report.document import NO_VALUE, Cell, Chapter, Fact, Report, Table, count_cell, number_cell, text_cell
from eval.report.evidence_json import word_times_as_json
from eval.report.facts import columns, decoding_in_short, run_title
from eval.report.languages import language_chapter
from eval.report.noise_studies import noise_chapter
from eval.report.transcriptions import transcription_chapter
from eval.report.translations import translation_chapter
from eval.scoring import score_run
from eval.scoring.evidence import WordTimes
from eval.scoring.jobs import job_of
from eval.scoring.types import Scores, TranscriptionScores, TranslationScores
from eval.scoring.word_times import compare_word_times

__all__ = ["Scored", "make_report", "read_scored", "scored_as_json"]

SUMMARY = ("run", "measure", "value", "95 % interval", "clips", "× real time", "decoding", "folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A folder, scored."""

    folder: Path
    scores: Scores | NoiseStudy
    last_written: datetime | None
    """When the last hypothesis was written, by the file's time."""
    word_times: WordTimes | None = None
    """Against another run; None where none was asked for, or one of the two has no words."""
    against: str = ""
    """What that run is called."""


def read_scored(folder: Path, *, normalizer: NormalizerName, timed: StoredRun | None = None) -> Scored:
    """Score a run's folder, or read a study's; ``normalizer`` is for transcriptions. Raises ResultsError.

    Words are held against those of ``timed``, where both have them.
    """
    if (folder / STUDY).is_file():
        return Scored(folder=folder, scores=read_study(folder), last_written=_written(folder / STUDY))
    run = read_run(folder)
    chosen = normalizer if job_of(run) is Job.TRANSCRIBE else NormalizerName.WHISPER
    try:
        scores = score_run(run, normalizer=chosen)
    except ResultsError as error:
        raise ResultsError(f"{folder}: {error}") from error
    times = None
    if timed is not None and isinstance(scores, TranscriptionScores):
        times = compare_word_times(timed, run, normalizer=normalizer)
    return Scored(
        folder=folder,
        scores=scores,
        last_written=_written(folder / HYPOTHESES),
        word_times=times,
        against="" if timed is None else run_title(timed.config),
    )


def make_report(runs: Sequence[Scored], *, title: str, n_worst: int) -> Report:
    """A chapter for each folder, in the order given, and a summary where there are several."""
    chapters = tuple(_chapter(run, n_worst=n_worst) for run in runs)
    titles = [chapter.title for chapter in chapters]
    chapters = tuple(
        replace(chapter, title=f"{chapter.title} ({run.folder.name})") if titles.count(chapter.title) > 1 else chapter
        for run, chapter in zip(runs, chapters, strict=True)
    )
    summary = _summary(runs, chapters) if len(chapters) > 1 else None
    return Report(title=title, summary=summary, chapters=chapters)


def scored_as_json(runs: Sequence[Scored], *, title: str) -> dict[str, Any]:
    """The scores of every run; of a study, those of its conditions are in its own folders and file."""
    return {
        "title": title,
        "runs": [
            {"folder": str(run.folder), **scores_as_json(run.scores), **_word_times(run)}
            for run in runs
            if not isinstance(run.scores, NoiseStudy)
        ],
        "studies": [str(run.folder / STUDY) for run in runs if isinstance(run.scores, NoiseStudy)],
    }


def _word_times(run: Scored) -> dict[str, Any]:
    return {} if run.word_times is None else {"word_times": word_times_as_json(run.word_times)}


def _chapter(run: Scored, *, n_worst: int) -> Chapter:
    if isinstance(run.scores, NoiseStudy):
        chapter = noise_chapter(run.scores)
    elif isinstance(run.scores, TranscriptionScores):
        chapter = transcription_chapter(run.scores, n_worst=n_worst, word_times=run.word_times, against=run.against)
    elif isinstance(run.scores, TranslationScores):
        chapter = translation_chapter(run.scores, n_worst=n_worst)
    else:
        chapter = language_chapter(run.scores)
    facts = [Fact(name="Folder", value=str(run.folder))]
    if run.last_written is not None:
        facts.append(Fact(name="Last written", value=f"{run.last_written:%Y-%m-%d %H:%M} UTC"))
    return replace(chapter, facts=(*chapter.facts, *facts))


def _summary(runs: Sequence[Scored], chapters: Sequence[Chapter]) -> Table:
    return Table(
        caption="Every run",
        columns=columns(*SUMMARY, texts=("folder", "decoding", "measure")),
        rows=tuple(_summary_row(run, chapter) for run, chapter in zip(runs, chapters, strict=True)),
    )


def _summary_row(run: Scored, chapter: Chapter) -> tuple[Cell, ...]:
    scores, figure = run.scores, chapter.figures[0]
    config: Mapping[str, Any] = scores.config
    speed = None if isinstance(scores, NoiseStudy) else scores.real_time.x_real_time
    return (
        text_cell(chapter.title),
        text_cell(figure.name),
        text_cell(figure.value),
        text_cell(figure.interval or NO_VALUE),
        count_cell(_n_clips(scores)),
        number_cell(speed, NO_VALUE if speed is None else f"{speed:.2f}"),
        text_cell(decoding_in_short(config)),
        text_cell(run.folder.name),
    )


def _n_clips(scores: Scores | NoiseStudy) -> int:
    if isinstance(scores, NoiseStudy):
        return max((result.group.n_clips for result in scores.results), default=0)
    if isinstance(scores, (TranscriptionScores, TranslationScores)):
        return scores.overall.n_clips
    return scores.language_id.n_clips


def _written(path: Path) -> datetime | None:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC) if path.is_file() else None
