"""The chapter of a noise study. In: ``NoiseStudy``. Out: ``Chapter``. Counts nothing."""

from collections.abc import Iterable

from eval.noise.study import NoiseResult, NoiseStudy
from eval.report.document import Chapter, Chart, Fact, KeyFigure, Section, percent, percent_interval
from eval.report.facts import decoding_in_short
from eval.report.plots import Point, draw_curves
from eval.report.transcriptions import measure_of, rate_table

__all__ = ["noise_chapter"]


def noise_chapter(study: NoiseStudy) -> Chapter:
    """Error rates of the same clips under every condition."""
    config = study.config
    facts = (
        Fact(name="Model", value=str(config.get("model"))),
        Fact(name="Corpus", value=str(config.get("corpus"))),
        Fact(name="Decoding", value=decoding_in_short(config)),
        Fact(name="Conditions", value=str(len(study.results))),
        Fact(name="Seed of the noise", value=str(study.seed)),
        *(Fact(name="Normalizer", value=f"{use.name} ({use.version})") for use in study.normalizers),
    )
    return Chapter(
        title=f"{config.get('model') or config.get('target')} in noise, on {config.get('corpus')}",
        facts=facts,
        figures=tuple(_figures(study)),
        warnings=(),
        sections=tuple(_sections(study)),
    )


def _figures(study: NoiseStudy) -> Iterable[KeyFigure]:
    if study.clean is not None:
        yield _figure("Without noise", study.clean)
    for family, results in study.curves.items():
        yield _figure(f"{family} at {results[-1].snr_db:g} dB", results[-1])


def _figure(name: str, result: NoiseResult) -> KeyFigure:
    group = result.group
    return KeyFigure(
        name=f"{measure_of(group)}, {name}",
        value=percent(group.counts.rate),
        interval=percent_interval(group.interval) if group.interval else None,
        meaning=f"{group.counts.n_errors:,} errors in {group.counts.n_ref:,} units of {group.n_clips:,} clips.",
    )


def _sections(study: NoiseStudy) -> Iterable[Section]:
    curves = {
        family: [
            Point(label=result.name, value=result.group.counts.rate, interval=result.group.interval, x=result.snr_db)
            for result in results
            if result.group.counts.rate is not None
        ]
        for family, results in study.curves.items()
    }
    charts: tuple[Chart, ...] = ()
    if curves:
        level = study.clean.group.counts.rate if study.clean else None
        described = "; ".join(
            f"{family}: " + ", ".join(f"{point.x:g} dB {percent(point.value)}" for point in points)
            for family, points in curves.items()
        )
        chart = Chart(
            title="Error rate against the signal-to-noise ratio",
            description=f"From little noise on the left to much on the right. {described}.",
            draw=lambda: draw_curves(
                curves, level=level, x_label="signal-to-noise ratio, dB (more noise to the right)", measure="error rate"
            ),
        )
        charts = (chart,)
    table = rate_table("Error rate under each condition", "condition", {r.name: r.group for r in study.results})
    remark = "The same clips under every condition, as in Fig. 5 of the paper: only the noise differs."
    yield Section(heading="Noise", remarks=(remark,), charts=charts, tables=(table,))
