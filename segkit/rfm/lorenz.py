"""How unevenly revenue is spread over customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number, percent
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import takes_frames
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

_POINTS = 201


@dataclass(frozen=True, slots=True, eq=False)
class Concentration(Result):
    """The share of revenue that the best customers bring.

    Attributes
    ----------
    top : float
        Share of customers called the best (0.2 for the top fifth).
    top_share, top_share_low, top_share_high : float
        Their share of revenue, with a 95% interval.
    gini, gini_low, gini_high : float
        Gini coefficient (0: all alike; towards 1: one brings all), with a 95% interval.
    lorenz : polars.DataFrame
        customer_share and revenue_share, from the poorest customers up; at most 201 points.
    customers : int
        Customers counted.
    negative : int
        Customers whose value is below zero (returns exceed purchases), counted as zero.
    """

    top: float
    top_share: float
    top_share_low: float
    top_share_high: float
    gini: float
    gini_low: float
    gini_high: float
    lorenz: pl.DataFrame
    customers: int
    negative: int

    def to_frame(self) -> pl.DataFrame:
        """Return one row a measure: measure, value, low, high."""
        return pl.DataFrame(
            {
                "measure": [f"revenue share of the top {self.top:.0%}", "Gini coefficient"],
                "value": [self.top_share, self.gini],
                "low": [self.top_share_low, self.gini_low],
                "high": [self.top_share_high, self.gini_high],
            }
        )

    @property
    def text(self) -> str:
        """State the finding in words."""
        note = (
            f" {number(self.negative)} customers whose returns exceed their purchases count as "
            "zero."
            if self.negative
            else ""
        )
        return (
            f"The top {percent(self.top, places=0)} of {number(self.customers)} customers bring "
            f"{percent(self.top_share)} of revenue (95% interval {percent(self.top_share_low)} to "
            f"{percent(self.top_share_high)}); Gini {number(self.gini)} "
            f"({number(self.gini_low)} to {number(self.gini_high)}).{note} "
            "The intervals are for large numbers of customers and too narrow where a few "
            "customers bring most."
        )

    def plot(self) -> Figure:
        """Draw the Lorenz curve beside the line of equality."""
        from segkit.plot import lines

        equal = pl.DataFrame({"customer_share": [0.0, 1.0], "revenue_share": [0.0, 1.0]})
        drawn = pl.concat(
            [
                self.lorenz.with_columns(curve=pl.lit("revenue")),
                equal.with_columns(curve=pl.lit("all alike")),
            ]
        )
        return lines(
            drawn,
            "customer_share",
            "revenue_share",
            group="curve",
            markers=False,
            percent=True,
            title=f"The top {self.top:.0%} bring {percent(self.top_share)} of revenue",
            x_label="share of customers, from the lowest value up",
            y_label="share of revenue",
        )


@takes_frames
def concentration(
    table: pl.DataFrame, *, value: str = "monetary", top: float = 0.2
) -> Concentration:
    """Measure how unevenly revenue is spread over customers.

    The intervals rest on influence functions (no resampling): with mean m, values x, F their
    mid-ranks and L the Lorenz curve, the Gini's is
    (2 x F - 2 m L(F) - (G + 1) x + (1 - G) m) / m and the top share's
    ((x - q) 1[x > q] + q p - T x) / m, q the quantile at 1 - p.

    Parameters
    ----------
    table : polars.DataFrame
        One row a customer.
    value : str
        The column of revenue; nulls are left out, negative values count as zero.
    top : float
        Share of customers called the best, between 0 and 1.

    Returns
    -------
    Concentration

    Raises
    ------
    ColumnError
        If the column is missing.
    DataError
        If nobody has a positive value.
    ParameterError
        If ``top`` is not between 0 and 1.

    References
    ----------
    Langel, M. and Tillé, Y. (2013), "Variance estimation of the Gini index: revisiting a
    result several times published", Journal of the Royal Statistical Society A 176, 521-540.

    Examples
    --------
    >>> table = pl.DataFrame({"monetary": [1.0, 1.0, 1.0, 1.0, 16.0]})
    >>> found = concentration(table)
    >>> found.top_share, round(found.gini, 3)
    (0.8, 0.6)
    """
    require_columns(table.columns, [value], "the customer table")
    if not 0 < top < 1:
        raise ParameterError(f"top must lie between 0 and 1, got {top}")
    raw = table[value].drop_nulls().cast(pl.Float64).to_numpy()
    x = np.sort(np.clip(raw, 0.0, None))
    if not x.size or not np.isfinite(x).all() or x[-1] <= 0:
        raise DataError(f"column {value} needs finite values, some above zero")
    n, total = len(x), float(x.sum())
    mean = total / n
    below = np.cumsum(x) / total
    # The top p n customers; a customer at the edge counts in part.
    share = 1.0 - _lorenz_at(below, 1.0 - top)
    edge = float(x[min(n - 1, int(np.floor((1.0 - top) * n)))])
    influence = (np.clip(x - edge, 0.0, None) + edge * top - share * x) / mean
    gini, gini_influence = _gini(x, below, mean)
    share_error, gini_error = (float(v.std()) / np.sqrt(n) for v in (influence, gini_influence))
    at = np.linspace(0.0, 1.0, min(_POINTS, n + 1))
    curve = np.array([_lorenz_at(below, p) for p in at])
    return Concentration(
        top=top,
        top_share=share,
        top_share_low=max(0.0, share - 1.959964 * share_error),
        top_share_high=min(1.0, share + 1.959964 * share_error),
        gini=gini,
        gini_low=max(0.0, gini - 1.959964 * gini_error),
        gini_high=min(1.0, gini + 1.959964 * gini_error),
        lorenz=pl.DataFrame({"customer_share": at, "revenue_share": curve}),
        customers=n,
        negative=int((raw < 0).sum()),
    )


def _lorenz_at(below: np.ndarray, p: float) -> float:
    n = len(below)
    return float(np.interp(p * n, np.arange(n + 1), np.concatenate(([0.0], below))))


def _gini(x: np.ndarray, below: np.ndarray, mean: float) -> tuple[float, np.ndarray]:
    n = len(x)
    middle = (np.arange(1, n + 1) - 0.5) / n
    gini = float(2.0 * (middle * x).mean() / mean - 1.0)
    lower = below - x / (2 * n * mean)
    influence = (2 * x * middle - 2 * mean * lower - (gini + 1) * x + (1 - gini) * mean) / mean
    return gini, influence
