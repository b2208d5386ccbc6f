"""A scaling study for programs. In: ``ScalingStudy``. Out: a JSON-ready object. Rounds nothing.

Rates are fractions; an interval is ``[low, high]`` or null. ``exponents`` are of ``amount / centers``.
"""

from dataclasses import asdict
from typing import Any

from eval.report.as_json import interval_as_json
from eval.report.transcriptions import measure_of
from eval.scaling.doubts import doubts
from eval.scaling.law import Floor
from eval.scaling.points import ScalingPoint
from eval.scaling.study import Estimate, FittedLaw, ScalingStudy

__all__ = ["scaling_as_json"]


def scaling_as_json(study: ScalingStudy) -> dict[str, Any]:
    """Models, laws and doubts."""
    first = study.points[0]
    return {
        "corpus": first.config.get("corpus"),
        "measure": measure_of(first.scores.overall),
        "n_clips": first.scores.overall.n_clips,
        "n_clusters": study.n_clusters,
        "few_voices": study.few_voices,
        "normalizers": [asdict(use) for use in first.scores.normalizers],
        "varied": [axis.value for axis in study.varied],
        "models": [_model(point) for point in study.points],
        "laws": [_law(fitted) for fitted in study.laws],
        "doubts": list(doubts(study)),
    }


def _model(point: ScalingPoint) -> dict[str, Any]:
    group = point.scores.overall
    return {
        "name": point.name,
        "model": point.config["model"],
        "model_hash": point.config["model_hash"],
        "parameters": point.size.parameters,
        "embedding_parameters": point.size.embedding,
        **asdict(point.training),
        "rate": point.rate,
        "interval": interval_as_json(group.interval),
        "n_errors": group.counts.n_errors,
        "n_ref": group.counts.n_ref,
    }


def _law(fitted: FittedLaw) -> dict[str, Any]:
    return {
        "form": "floor" if isinstance(fitted.law, Floor) else "line",
        "centers": {axis.value: center for axis, center in fitted.centers.items()},
        "exponents": {axis.value: _estimate(exponent) for axis, exponent in fitted.exponents.items()},
        "scales": list(fitted.scales),
        "floor": None if fitted.floor is None else _estimate(fitted.floor),
        "r_squared": fitted.r_squared,
        "fitted": list(fitted.fitted),
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": estimate.value,
        "over_clips": interval_as_json(estimate.over_clips),
        "over_trainings": interval_as_json(estimate.over_trainings),
    }
