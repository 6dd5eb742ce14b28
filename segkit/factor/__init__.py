"""Attitudes behind the answers of a survey: factors, scales, scores, ratings, weights.

Nothing is imported until it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_MAP: dict[str, str] = {
    "Correlations": "segkit.factor.correlation",
    "FactorModel": "segkit.factor.model",
    "check_adequacy": "segkit.factor.fitting",
    "correlate_items": "segkit.factor.correlation",
    "derive_claims": "segkit.factor.validation",
    "plot_answers": "segkit.factor.answers",
    "draw_validation_sample": "segkit.factor.validation",
    "fit_factors": "segkit.factor.fitting",
    "choose_factor_count": "segkit.factor.number",
    "estimate_loading_intervals": "segkit.factor.fitting",
    "rate_recommendation": "segkit.factor.response",
    "rate_satisfaction": "segkit.factor.response",
    "read_answer_ranges": "segkit.factor.answers",
    "read_codebook": "segkit.factor.answers",
    "read_survey": "segkit.factor.answers",
    "estimate_reliability": "segkit.factor.scales",
    "compute_response_rates": "segkit.factor.response",
    "score_scales": "segkit.factor.scales",
    "derive_scales": "segkit.factor.scales",
    "find_survey_items": "segkit.factor.answers",
    "validate_profile": "segkit.factor.validation",
}

__all__ = sorted(_MAP)


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _MAP:
        from segkit.errors import unknown

        raise AttributeError(unknown("segkit.factor name", name, _MAP))
    value = getattr(importlib.import_module(_MAP[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
