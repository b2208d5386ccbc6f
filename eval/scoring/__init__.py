"""Hypotheses and references → scores. Knows no model, terminal or output format."""

from eval.scoring.error_rates import NO_LANGUAGE, Group, Scores, is_doubtful, is_spelled, score_run

__all__ = ["NO_LANGUAGE", "Group", "Scores", "is_doubtful", "is_spelled", "score_run"]
