"""Attitudes behind the answers of a survey: factors, scales, scores, ratings, weights.

Nothing is imported until it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_MAP: dict[str, str] = {
    "Correlations": "segkit.factor.correlation",
    "FactorModel": "segkit.factor.model",
    "adequacy": "segkit.factor.fitting",
    "correlate": "segkit.factor.correlation",
    "claims_of": "segkit.factor.validation",
    "draw_answers": "segkit.factor.answers",
    "draw_validation": "segkit.factor.validation",
    "fit_factors": "segkit.factor.fitting",
    "how_many_factors": "segkit.factor.number",
    "loading_intervals": "segkit.factor.fitting",
    "rate_recommendation": "segkit.factor.response",
    "rate_satisfaction": "segkit.factor.response",
    "read_answer_ranges": "segkit.factor.answers",
    "read_codebook": "segkit.factor.answers",
    "read_survey": "segkit.factor.answers",
    "reliability": "segkit.factor.scales",
    "response_rates": "segkit.factor.response",
    "scale_scores": "segkit.factor.scales",
    "scales_of": "segkit.factor.scales",
    "survey_items": "segkit.factor.answers",
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
