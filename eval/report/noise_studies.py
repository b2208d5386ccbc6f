"""The chapter of a noise study. In: ``NoiseStudy``. Out: ``Chapter``. Counts nothing."""

from collections.abc import Iterable

from eval.noise.plot import plot_noise
from eval.noise.study import NoiseResult, NoiseStudy
from eval.report.document import Chapter, Chart, Fact, KeyFigure, Section, percent, percent_interval
from eval.report.facts import decoding_in_short, model_title, normalizer_in_short
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
        *(Fact(name="Normalizer", value=normalizer_in_short(use)) for use in study.normalizers),
    )
    return Chapter(
        title=f"{model_title(config)} in noise, on {config.get('corpus')}",
        facts=facts,
        figures=tuple(_figures(study)),
        warnings=(),
        sections=tuple(_sections(study)),
    )


def _figures(study: NoiseStudy) -> Iterable[KeyFigure]:
    if study.clean is not None:
        yield _figure("without noise", study.clean)
    for family, results in study.curves.items():
        yield _figure(f"in {family} noise at {results[-1].snr_db:g} dB", results[-1])


def _figure(name: str, result: NoiseResult) -> KeyFigure:
    group = result.group
    return KeyFigure(
        name=f"{measure_of(group)} {name}",
        value=percent(group.counts.rate),
        interval=percent_interval(group.interval, few_voices=group.few_voices) if group.interval else None,
        meaning=f"{group.counts.n_errors:,} errors in {group.counts.n_ref:,} units of {group.n_clips:,} clips.",
    )


def _sections(study: NoiseStudy) -> Iterable[Section]:
    charts: tuple[Chart, ...] = ()
    if study.curves or study.rooms:
        described = "; ".join(
            f"{family}: " + ", ".join(f"{result.snr_db:g} dB {percent(result.group.counts.rate)}" for result in results)
            for family, results in study.curves.items()
        )
        chart = Chart(
            title="Error rate against the signal-to-noise ratio",
            description=f"From little noise on the left to much on the right. {described}.",
            draw=lambda: plot_noise({model_title(study.config): study}),
        )
        charts = (chart,)
    table = rate_table("Error rate under each condition", "condition", {r.name: r.group for r in study.results})
    remark = "The same clips under every condition, as in Fig. 5 of the paper: only the noise differs."
    yield Section(heading="Noise", remarks=(remark,), charts=charts, tables=(table,))
