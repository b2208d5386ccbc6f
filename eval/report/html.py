"""A report as one HTML file that asks for nothing else. In: ``Report``. Out: HTML. Knows no score.

Texts are untrusted (corpora, models, services wrote them): the templates escape everything but our own SVG.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eval.report.alignment_view import Pair, align_for_view
from eval.report.document import Chart, Report, WorstClip
from eval.report.labels import language_label
from eval.report.players import NoPlayer, Player, make_player
from eval.report.plots import inline_svg

__all__ = ["count_steps", "render_html"]


def render_html(report: Report, *, with_audio: bool, on_step: Callable[[str], None]) -> str:
    """The page; ``on_step`` is told what is done before each chart and each clip."""
    environment = Environment(
        loader=PackageLoader("eval.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = _Parts(with_audio=with_audio, on_step=on_step)
    environment.filters["language_label"] = language_label
    template = environment.get_template("report.html.jinja")
    return template.render(report=report, svg=parts.svg, pairs=_pairs, player=parts.player) + "\n"


def count_steps(report: Report) -> int:
    """Charts and clips: how often ``render_html`` calls ``on_step``."""
    sections = [section for chapter in report.chapters for section in chapter.sections]
    return sum(len(section.charts) + len(section.clips) for section in sections)


@dataclass(slots=True)
class _Parts:
    """What takes time, done as the template comes to it."""

    with_audio: bool
    on_step: Callable[[str], None]
    players: dict[str, Player | NoPlayer] = field(default_factory=dict)
    """By file: several runs have the same clips."""
    numbers: Iterator[int] = field(default_factory=count)

    def svg(self, chart: Chart) -> Markup:
        self.on_step(chart.title)
        name = f"chart-{next(self.numbers)}"
        svg = inline_svg(chart.draw(), title=chart.title, description=chart.description, name=name)
        return Markup(svg)  # noqa: S704  (matplotlib's, and it has escaped every label)

    def player(self, clip: WorstClip) -> Player | NoPlayer | None:
        self.on_step(clip.id)
        if not self.with_audio:
            return None
        if clip.audio not in self.players:
            self.players[clip.audio] = make_player(Path(clip.audio))
        return self.players[clip.audio]


def _pairs(clip: WorstClip) -> tuple[Pair, ...]:
    return align_for_view(clip.spans, by_character=clip.by_character)
