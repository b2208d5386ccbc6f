"""What a transcription shows beyond counts of errors, in the order of a chapter. In: scores. Out: sections and figures.

What a run has no data for is absent. Draws nothing until a chart is drawn. Counts nothing.
"""

from collections.abc import Iterable

from eval.report.document import KeyFigure, Section
from eval.report.long_sections import lost_figure, lost_section, suppressed_section, timeline_figure, timeline_section
from eval.report.word_sections import confidence_figure, confidence_section, placement_figure, placement_section
from eval.scoring.types import TranscriptionScores

__all__ = ["evidence_figures", "evidence_sections"]


def evidence_figures(scores: TranscriptionScores) -> Iterable[KeyFigure]:
    """One a measure."""
    if scores.lost is not None:
        yield lost_figure(scores.lost)
    if scores.placement is not None:
        yield from placement_figure(scores.placement)
    if scores.confidence is not None:
        yield confidence_figure(scores.confidence)
    if scores.timeline is not None:
        yield timeline_figure(scores.timeline)


def evidence_sections(scores: TranscriptionScores) -> Iterable[Section]:
    """What the run has data for, beyond counts of errors."""
    if scores.lost is not None:
        yield lost_section(scores.lost)
    if scores.suppressed:
        yield suppressed_section(scores.suppressed)
    if scores.placement is not None:
        yield placement_section(scores.placement)
    if scores.confidence is not None:
        yield confidence_section(scores.confidence)
    if scores.timeline is not None:
        yield timeline_section(scores.timeline)
