"""From coefficients on standardised columns to effects in words, units and standard deviations."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.regression.columns import Design
from segkit.regression.families import Fit
from segkit.stats.hypotheses import adjust


def effects_of(fit: Fit, design: Design, vif: pl.DataFrame, level: float) -> pl.DataFrame:
    """Return one row a column of the matrix, the strongest first (see `Drivers.effects`)."""
    from scipy import stats

    sd = design.X.std(axis=0)
    beta = fit.params[1:]
    error = np.sqrt(np.diagonal(fit.covariance)[1:])
    normal = np.isinf(fit.dof)
    reach = float(
        stats.norm.ppf((1 + level) / 2) if normal else stats.t.ppf((1 + level) / 2, fit.dof)
    )
    score = np.abs(beta / error)
    p = 2 * (stats.norm.sf(score) if normal else stats.t.sf(score, fit.dof))
    low, high = beta - reach * error, beta + reach * error
    per_unit = np.array([term.kind in ("yes or no", "level") for term in design.terms])
    factor = np.where(per_unit, 1 / sd, 1.0)  # a yes, or a level, is told whole
    frame = pl.DataFrame(
        {
            "term": design.names,
            "predictor": [term.predictor for term in design.terms],
            "label": [term.label for term in design.terms],
            "kind": [term.kind for term in design.terms],
            "contrast": [term.contrast for term in design.terms],
            "estimate": beta / sd,
            "std_error": error / sd,
            "low": low / sd,
            "high": high / sd,
            "p_value": p,
            "p_holm": adjust(p),
            "ratio": _exp(beta / sd),
            "ratio_low": _exp(low / sd),
            "ratio_high": _exp(high / sd),
            "ratio_sd": _exp(beta),
            "ratio_sd_low": _exp(low),
            "ratio_sd_high": _exp(high),
            "shown": _exp(beta * factor),
            "shown_low": _exp(low * factor),
            "shown_high": _exp(high * factor),
            "sd": sd,
            "score": score,
        }
    )
    named = vif.select("predictor", "vif")
    return frame.join(named, on="predictor", how="left", maintain_order="left").sort(
        pl.col("score"), descending=True, maintain_order=True
    ).drop("score")  # fmt: skip


def _exp(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(np.clip(values, -700, 700)))


def sentence(row: dict[str, Any], *, odds: bool) -> str:
    """Say one effect: what is compared, the factor, its interval.

    Examples
    --------
    >>> row = {"label": "visits", "kind": "number", "contrast": "one more", "sd": 3.2,
    ...        "shown": 1.25, "shown_low": 1.1, "shown_high": 1.42}
    >>> sentence(row, odds=False)
    'visits: where 3.20 higher (one standard deviation), 25% more (10% to 42%)'
    """
    if row["kind"] == "yes or no":
        what = f"{row['label']} (against not):"
    elif row["kind"] == "level":
        what = f"{row['label']} ({row['contrast']}):"
    elif row["kind"] == "log":
        what = f"{row['label']}: where one standard deviation higher on its log,"
    else:
        what = f"{row['label']}: where {number(row['sd'])} higher (one standard deviation),"
    value, low, high = row["shown"], row["shown_low"], row["shown_high"]
    if odds:
        return f"{what} odds {number(value)} times as high ({number(low)} to {number(high)})"
    if max(value, 1 / value) >= 2:
        return f"{what} {number(value)} times as much ({number(low)} to {number(high)})"
    if value >= 1:
        return f"{what} {_share(value - 1)} more ({_share(low - 1)} to {_share(high - 1)})"
    return f"{what} {_share(1 - value)} less ({_share(1 - high)} to {_share(1 - low)})"


def _share(value: float) -> str:
    return percent(value, places=0 if abs(value) >= 0.1 else 1)
