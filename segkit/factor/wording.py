"""A factor model in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from segkit.display import number, percent
from segkit.factor.answers import count_words, join
from segkit.factor.rotation import variance

if TYPE_CHECKING:
    from segkit.factor.indices import FitIndices
    from segkit.factor.model import FactorModel

# Browne & Cudeck (1993), MacCallum et al. (1996).
_RMSEA_WORDS = ((0.05, "close"), (0.08, "fair"), (0.10, "mediocre"), (math.inf, "poor"))


def describe_model(model: FactorModel) -> str:
    """Say what the factors are, how well they fit, and what spoils the solution."""
    share = float(variance(model.loadings, model.phi).sum()) / len(model.items)
    k = model.n_factors
    parts = [
        (
            f"{count_words(k, 'factor')} explain{'s' * (k == 1)} {percent(share)} of the variance "
            f"of {number(len(model.items))} items: {join(model.names)}."
        )
    ]
    parts += [_described(model, j) for j in range(k)]
    parts.append(_fit_words(model.fit, f"{model.extraction}, {model.rotation}", model.n))
    if k > 1 and not np.allclose(model.phi, np.eye(k)):
        i, j = np.unravel_index(np.abs(np.triu(model.phi, 1)).argmax(), model.phi.shape)
        parts.append(
            f"The closest factors, {model.names[i]} and {model.names[j]}, correlate at "
            f"{number(float(model.phi[i, j]))}."
        )
    return " ".join([*parts, *model.notes])


def _described(model: FactorModel, factor: int) -> str:
    found = model.markers(factor)
    agree = [f"“{m.label}”" for m in found if m.loading > 0][:3]
    refuse = [f"“{m.label}”" for m in found if m.loading < 0][:2]
    words = f"agree with {join(agree)}" if agree else ""
    if refuse:
        words += f"{' and ' if agree else ''}disagree with {join(refuse)}"
    name = model.names[factor]
    return f"{name[:1].upper()}{name[1:]}: who scores high tends to {words}."


def _fit_words(fit: FitIndices, how: str, n: int) -> str:
    if fit.degrees == 0:
        return "There are as many parameters as correlations: the fit cannot be tested."
    word = next(word for most, word in _RMSEA_WORDS if fit.rmsea <= most)
    return (
        f"The fit is {word}: RMSEA {number(fit.rmsea)} (90% interval {number(fit.rmsea_low)} to "
        f"{number(fit.rmsea_high)}), TLI {number(fit.tli)}, CFI {number(fit.cfi)}, SRMR "
        f"{number(fit.srmr)} ({how}, {number(n)} people)."
    )
