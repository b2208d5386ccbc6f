"""Why a law may mean little. In: ``ScalingStudy``. Out: sentences for people, each with its numbers; none: no doubt."""

from collections.abc import Iterator
from itertools import pairwise

from eval.scaling.amounts import Axis, amount_text, level_of
from eval.scaling.study import WANTED, FittedLaw, ScalingStudy
from eval.scoring.interval import Interval

__all__ = ["doubts"]

DECADE = 10.0  # a smaller range shows the neighbourhood of a point, not a law
LEARNED_NOTHING = 0.9  # of rates: from here on text is guessed, and the curve is flat whatever is varied
WELL_FITTED = 0.9  # of R²
NO_FLOOR = 0.01  # of the lowest rate
NAMES = {Axis.PARAMETERS: "size", Axis.HOURS: "hours of audio"}


def doubts(study: ScalingStudy) -> tuple[str, ...]:
    """All of them, the gravest first."""
    return (
        *_few(study),
        *_narrow(study),
        *_not_monotone(study),
        *_nothing_learned(study),
        *_fit(study.laws[-1], lowest=min(point.rate for point in study.points)),
        *_models(study),
    )


def _few(study: ScalingStudy) -> Iterator[str]:
    n_sizes, n_amounts = len(study.levels(Axis.PARAMETERS)), len(study.levels(Axis.HOURS))
    n_points = len(study.points)
    if min(n_sizes, n_amounts) < WANTED or n_points < WANTED**2:
        yield (
            f"Few models: {n_points}, of {n_sizes} × {n_amounts} sizes and amounts of audio, where {WANTED} × {WANTED} "
            "are wanted. The law is a straight line, which cannot say where it ends."
        )
    if n_points <= study.laws[-1].law.n_free + 1:
        yield f"{n_points} models decide {study.laws[-1].law.n_free} numbers: a good fit is no evidence."


def _narrow(study: ScalingStudy) -> Iterator[str]:
    for axis in study.varied:
        lowest, *_, highest = study.levels(axis)
        if highest < DECADE * lowest:
            span = f"{amount_text(axis, lowest)} to {amount_text(axis, highest)}"
            yield f"Narrow range: {NAMES[axis]} goes from {span}, by less than {DECADE:g} times."


def _not_monotone(study: ScalingStudy) -> Iterator[str]:
    for axis in study.varied:
        known = study.levels(axis)
        steps = [
            (less, more)
            for curve in study.curves(axis).values()
            for less, more in pairwise(curve)
            if level_of(less.amount(axis), known) < level_of(more.amount(axis), known)
        ]
        rises = [(less, more) for less, more in steps if more.rate > less.rate]
        if rises:
            less, more = max(rises, key=lambda step: step[1].rate / step[0].rate)
            yield (
                f"More did not always help: with more {NAMES[axis]} the error rate rises in {len(rises)} of "
                f"{len(steps)} steps, most from {less.rate:.1%} ({less.name}) to {more.rate:.1%} ({more.name})."
            )


def _nothing_learned(study: ScalingStudy) -> Iterator[str]:
    names = [point.name for point in study.points if point.rate >= LEARNED_NOTHING]
    if names:
        yield (
            f"{len(names)} of {len(study.points)} models have error rates of {LEARNED_NOTHING:.0%} or more and have "
            f"learned next to nothing, which bends the law: {', '.join(names)}."
        )


def _fit(fitted: FittedLaw, *, lowest: float) -> Iterator[str]:
    if fitted.r_squared < WELL_FITTED:
        yield f"The law explains {fitted.r_squared:.0%} of the variance only."
    for axis, exponent in fitted.exponents.items():
        if any(_reaches(interval, 0.0) for interval in (exponent.over_clips, exponent.over_trainings)):
            yield f"Whether more {NAMES[axis]} helps is not shown: an interval of its exponent reaches 0."
    if fitted.floor is None:
        return
    if fitted.floor.value < NO_FLOOR * lowest:
        yield "No floor was found: the law goes on falling beyond what was measured."
    elif any(
        _reaches(interval, NO_FLOOR * lowest) for interval in (fitted.floor.over_clips, fitted.floor.over_trainings)
    ):
        yield "The floor cannot be told from none, and the exponents depend on it: an interval of it reaches 0."


def _reaches(interval: Interval | None, value: float) -> bool:
    return interval is not None and interval.low <= value


def _models(study: ScalingStudy) -> Iterator[str]:
    smallest = study.points[0].size
    if Axis.PARAMETERS in study.varied and 2 * smallest.embedding > smallest.parameters:
        share = smallest.embedding / smallest.parameters
        yield f"{share:.0%} of the smallest model's parameters are its token embedding, which computes little."
    begun = [point.name for point in study.points if point.training.preset is None]
    if begun:
        yield f"Models that began with trained weights, whose own hours are not counted: {', '.join(begun)}."
    if study.few_voices:
        yield "Fewer than five voices: clips were drawn, which says nothing about other voices."
