"""The laws through models' error rates. In: ``ScalingPoint``s of one corpus. Out: ``ScalingStudy``, with intervals.

Whisper's Fig. 8 holds error rates against size and its Table 6 against hours, one by one; here both are fitted
together, so that every model counts for either. Each number has two intervals. Over clips: speakers (or clips) are
drawn, the same for all models, which asks what other recordings would say. Over trainings: the distances of models
from the law are drawn, which asks what other seeds would. Knows no file, plot or terminal.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.errors import ResultsError
from eval.scaling.amounts import Axis, level_of, levels
from eval.scaling.law import Array, Floor, Law, Line, r_squared
from eval.scaling.points import ScalingPoint
from eval.scoring.bootstrap import N_RESAMPLES, SEED, interval_of, resampled_sums, sum_by_cluster
from eval.scoring.clips import what_to_draw
from eval.scoring.interval import Interval

__all__ = ["WANTED", "Estimate", "FittedLaw", "ScalingStudy", "fit_study", "redrawn"]

WANTED = 3  # sizes, and amounts of audio: fewer do not show whether a line bends, so none with a floor is fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number of a law."""

    value: float
    over_clips: Interval | None
    """None: a single cluster."""
    over_trainings: Interval | None
    """None: as many numbers as models, so that the law goes through each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedLaw:
    """A law with its numbers. ``rate = floor + Σ scale · (amount / center)^-exponent``, or their product for a line."""

    law: Law
    parameters: Array
    """(P,), as the law orders them."""
    centers: Mapping[Axis, float]
    """What was varied, and its geometric mean, at which the scales are."""
    exponents: Mapping[Axis, Estimate]
    scales: tuple[float, ...]
    """Of each axis in turn; one for a line."""
    floor: Estimate | None
    """What no size and no amount takes away; None: a straight line, which has none."""
    r_squared: float
    """Of logarithms."""
    fitted: tuple[float, ...]
    """The rate of each model by the law."""

    def rates(self, amounts: Mapping[Axis, Array]) -> Array:
        """The law's rates; each axis has as many amounts as another."""
        log_x = np.column_stack([np.log(amounts[axis] / center) for axis, center in self.centers.items()])
        rates: Array = np.exp(self.law.log_rates(self.parameters[None], log_x)[0])
        return rates


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingStudy:
    """Models from the smallest to the largest, each from the least audio to the most, and the laws through them."""

    points: tuple[ScalingPoint, ...]
    laws: tuple[FittedLaw, ...]
    """A straight line; then, where there are models enough, a law with a floor."""
    n_clusters: int
    """Speakers, and clips whose speaker is not known."""
    few_voices: bool
    """Whether those are so few that clips were drawn."""

    @property
    def varied(self) -> tuple[Axis, ...]:
        """What differs among the models."""
        return tuple(self.laws[0].centers)

    def levels(self, axis: Axis) -> list[float]:
        """See ``amounts.levels``."""
        return levels(point.amount(axis) for point in self.points)

    def curves(self, axis: Axis) -> Mapping[float, Sequence[ScalingPoint]]:
        """Models that differ along an axis alone, from its least to its most, by the level of the other one."""
        others = self.levels(axis.other)
        found: dict[float, list[ScalingPoint]] = {other: [] for other in others}
        for point in sorted(self.points, key=lambda point: point.amount(axis)):
            found[level_of(point.amount(axis.other), others)].append(point)
        return found


def fit_study(points: Iterable[ScalingPoint]) -> ScalingStudy:
    """Fit all laws that the models are enough for. Raises ResultsError where they show no law."""
    ordered = tuple(sorted(points, key=lambda point: (point.amount(Axis.PARAMETERS), point.amount(Axis.HOURS))))
    n_levels = {axis: len(levels(point.amount(axis) for point in ordered)) for axis in Axis}
    varied = [axis for axis in Axis if n_levels[axis] > 1]
    _check_varied(ordered, varied)
    centers = {axis: float(np.exp(np.mean([np.log(point.amount(axis)) for point in ordered]))) for axis in varied}
    log_x_NK = np.array([[np.log(point.amount(axis) / centers[axis]) for axis in varied] for point in ordered])
    _check_apart(log_x_NK)
    draw = what_to_draw((clip.id, clip.reference) for clip in ordered[0].scores.clips)
    drawn_SN = _drawn_log_rates(ordered, draw.clusters)
    laws: list[Law] = [Line(len(varied))]
    if min(n_levels.values()) >= WANTED and len(ordered) >= WANTED**2:
        laws.append(Floor(len(varied)))
    return ScalingStudy(
        points=ordered,
        laws=tuple(_fitted(law, log_x_NK, drawn_SN, centers) for law in laws),
        n_clusters=draw.n_clusters,
        few_voices=draw.few_voices,
    )


def _check_varied(points: Sequence[ScalingPoint], varied: Sequence[Axis]) -> None:
    if len(points) <= len(varied) or not varied:
        raise ResultsError(
            f"models: got {len(points)} that differ in {' and '.join(varied) or 'neither size nor hours'}, "
            f"expected {WANTED} sizes × {WANTED} amounts of audio, or at least one more than the law has exponents"
        )


def _check_apart(log_x_NK: Array) -> None:
    spread = np.linalg.svd(log_x_NK - log_x_NK.mean(axis=0), compute_uv=False)
    if spread[-1] < 1e-2 * spread[0]:
        raise ResultsError(
            "models: got some whose sizes and hours rise together, expected some that differ in one of them alone: "
            "nothing tells apart what either does"
        )


def _drawn_log_rates(points: Sequence[ScalingPoint], clusters: Sequence[Hashable]) -> Array:
    """(1 + resamples, N): the rates as they are, then those of clusters drawn for all models together."""
    order = [clip.id for clip in points[0].scores.clips]
    columns = []
    for point in points:
        counts = {clip.id: clip.counts for clip in point.scores.clips}
        columns += [[counts[clip_id].n_errors for clip_id in order], [counts[clip_id].n_ref for clip_id in order]]
    counted = sum_by_cluster(clusters, np.column_stack(columns))
    sums = counted.sum(axis=0, keepdims=True)
    if len(counted) > 1:
        sums = np.concatenate([sums, resampled_sums(counted)])
    errors, units = sums[:, ::2], sums[:, 1::2]
    whole = (errors > 0).all(axis=1) & (units > 0).all(axis=1)  # what was drawn without an error has no logarithm
    log_rates: Array = np.log(errors[whole] / units[whole])
    return log_rates


def _fitted(law: Law, log_x_NK: Array, drawn_SN: Array, centers: Mapping[Axis, float]) -> FittedLaw:
    over_clips_SP = law.fit(log_x_NK, drawn_SN)
    parameters, rates_N = over_clips_SP[0], drawn_SN[0]
    fitted_N = law.log_rates(parameters[None], log_x_NK)[0]
    redrawn_SN = redrawn(rates_N, fitted_N, n_free=law.n_free)
    over_trainings_SP = None if redrawn_SN is None else law.fit(log_x_NK, np.vstack([rates_N, redrawn_SN]))[1:]

    def estimate(place: int, *, is_log: bool = False) -> Estimate:
        def plain(values: Array) -> Array:
            return np.exp(values) if is_log else values

        return Estimate(
            value=float(plain(parameters)[place]),
            over_clips=interval_of(plain(over_clips_SP[1:, place])) if len(over_clips_SP) > 1 else None,
            over_trainings=None if over_trainings_SP is None else interval_of(plain(over_trainings_SP[:, place])),
        )

    has_floor = isinstance(law, Floor)
    scales = np.exp(parameters[len(centers) : -1] if has_floor else parameters[len(centers) :])
    return FittedLaw(
        law=law,
        parameters=parameters,
        centers=centers,
        exponents={axis: estimate(place) for place, axis in enumerate(centers)},
        scales=tuple(float(scale) for scale in scales),
        floor=estimate(len(parameters) - 1, is_log=True) if has_floor else None,
        r_squared=r_squared(rates_N, fitted_N),
        fitted=tuple(float(rate) for rate in np.exp(fitted_N)),
    )


def redrawn(rates_N: Array, fitted_N: Array, *, n_free: int) -> Array | None:
    """Rates by the law with its residuals drawn anew, each as much larger as the fit has made them too small.

    How large residuals are is drawn too (by χ², as for Student's t): so few models hardly show it.
    """
    n_spare = len(rates_N) - n_free
    if n_spare < 1:
        return None
    residuals = (rates_N - fitted_N) * np.sqrt(len(rates_N) / n_spare)
    rng = np.random.default_rng(SEED)
    drawn_SN = rng.choice(residuals, size=(N_RESAMPLES, len(rates_N)))
    redrawn: Array = fitted_N + drawn_SN * np.sqrt(n_spare / rng.chisquare(n_spare, size=(N_RESAMPLES, 1)))
    return redrawn
