"""What is left with one factor more? Velicer's criterion and the fit over their number."""

from __future__ import annotations

import numpy as np
import polars as pl

from segkit.factor.answers import Floats
from segkit.factor.correlation import Correlations
from segkit.factor.extraction import degrees_of_freedom, extract
from segkit.factor.indices import fit_indices

MOST = 12  # factors fitted, where the items identify as many


def velicer(r: Floats) -> tuple[float, Floats]:
    """Give Velicer's mean squared partial correlation with 0, and with 1, 2, … components out.

    Source: Velicer (1976), "Determining the number of components from the matrix of partial
    correlations", Psychometrika 41. NaN where a component leaves an item without variance.

    Examples
    --------
    >>> round(velicer(np.eye(3) * 0.5 + 0.5)[0], 3)
    0.25
    """
    p = len(r)
    off = ~np.eye(p, dtype=bool)
    values, vectors = np.linalg.eigh(r)
    loadings = vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0.0))
    left = r.copy()
    means = np.full(p, np.nan)
    for m in range(p - 1):
        left = left - np.outer(loadings[:, m], loadings[:, m])
        spread = np.diag(left)
        if (spread < 1e-8).any():
            break
        means[m] = (left**2 / np.outer(spread, spread))[off].mean()
    return float((r**2)[off].mean()), means


def fit_by_number(found: Correlations, most: int | None = None) -> pl.DataFrame:
    """Fit 1, 2, … factors by least squares, and give the fit of each."""
    p = len(found.items)
    ks = [k for k in range(1, (most or MOST) + 1) if k < p and degrees_of_freedom(p, k) > 0]
    rows = []
    for k in ks:
        fitted = extract(found.matrix, k)
        implied = fitted.loadings @ fitted.loadings.T
        np.fill_diagonal(implied, 1.0)
        fit = fit_indices(found.matrix, implied, found.n, k)
        heywood = int((fitted.uniquenesses < 0.0051).sum())
        rows.append((k, fit.chi_square, fit.degrees, fit.rmsea, fit.tli, fit.cfi, fit.srmr,
                     fit.bic, heywood))  # fmt: skip
    names = ["n_factors", "chi_square", "degrees", "rmsea", "tli", "cfi", "srmr", "bic", "heywood"]
    kinds = {
        name: pl.Int64 if name in ("n_factors", "degrees", "heywood") else pl.Float64
        for name in names
    }
    return pl.DataFrame(rows, schema=kinds, orient="row")
