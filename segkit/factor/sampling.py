"""Adequacy of answers for a factor analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from segkit.display import number
from segkit.factor.answers import join
from segkit.factor.correlation import Correlations
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

# Kaiser (1974), "An index of factorial simplicity", Psychometrika 39.
WORDS = (
    (0.9, "marvellous"),
    (0.8, "meritorious"),
    (0.7, "middling"),
    (0.6, "mediocre"),
    (0.5, "miserable"),
    (0.0, "unacceptable"),
)
ENOUGH = 0.5
LEVEL = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Adequacy(Result):
    """Whether items share enough to look for common factors.

    Attributes
    ----------
    kmo : float
        Kaiser-Meyer-Olkin measure over all items, 0 to 1: correlations against partial ones.
    by_item : polars.DataFrame
        One row an item: ``item``, ``kmo``, ``squared_multiple_correlation``.
    bartlett_chi_square, bartlett_degrees, bartlett_p : float, int, float
        Bartlett's test that no items correlate.
    determinant : float
        Of the correlation matrix: near 0, some item nearly follows from the others.
    adequate : bool
        KMO at least 0.5 and Bartlett's test below 0.05.
    n : int
        People.
    """

    kmo: float
    by_item: pl.DataFrame
    bartlett_chi_square: float
    bartlett_degrees: int
    bartlett_p: float
    determinant: float
    adequate: bool
    n: int

    def to_frame(self) -> pl.DataFrame:
        """Return the measure by item, the lowest first."""
        return self.by_item.sort("kmo", "item")

    @property
    def word(self) -> str:
        """Kaiser's word for the overall measure."""
        return next(word for least, word in WORDS if self.kmo >= least)

    @property
    def text(self) -> str:
        """Give the verdict, the figures behind it, and the items that spoil it."""
        verdict = "can" if self.adequate else "cannot"
        p = "below 0.001" if self.bartlett_p < 0.001 else number(self.bartlett_p)
        parts = [
            (
                f"These answers {verdict} carry a factor analysis: the sampling adequacy (KMO) is "
                f"{number(self.kmo)} ({self.word}), and Bartlett's test that no items correlate "
                f"has p {p} (chi-square {number(self.bartlett_chi_square)} on "
                f"{number(self.bartlett_degrees)} degrees of freedom, {number(self.n)} people)."
            )
        ]
        weak = self.by_item.filter(pl.col("kmo") < ENOUGH)["item"].to_list()
        if weak:
            parts.append(f"Too little in common with the others: {join(weak)}.")
        if self.determinant < 1e-5:
            parts.append(
                f"The determinant is only {number(self.determinant)}: some items nearly repeat "
                "each other."
            )
        return " ".join(parts)

    def plot(self) -> Figure:
        """Draw the measure by item."""
        from segkit.plot import bars

        return bars(
            self.to_frame(), "item", "kmo", reference=ENOUGH, title="Sampling adequacy by item",
            y_label="Kaiser-Meyer-Olkin measure (dashed: the least acceptable)",
        )  # fmt: skip


def adequacy(found: Correlations) -> Adequacy:
    """Test whether answers suit a factor analysis: KMO, Bartlett's test, determinant.

    ``KMO = sum r^2 / (sum r^2 + sum q^2)`` over pairs, with the partial correlations q given all
    other items; Bartlett's chi-square ``-(n - 1 - (2p + 5)/6) log|R|``. Source: Kaiser (1974);
    Bartlett (1951).

    Parameters
    ----------
    found : Correlations

    Examples
    --------
    >>> r = [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]]
    >>> round(adequacy(Correlations.given(r, 100)).kmo, 3)
    0.692
    """
    from scipy.special import chdtrc

    r, n = found.matrix, found.n
    p = len(r)
    inverse = np.linalg.inv(r)
    scale = np.sqrt(np.diag(inverse))
    partial = inverse / np.outer(scale, scale)
    off = ~np.eye(p, dtype=bool)
    squares, partials = (r**2 * off).sum(axis=1), (partial**2 * off).sum(axis=1)
    total = float(squares.sum() + partials.sum())
    kmo = float(squares.sum() / total) if total > 0 else 0.0
    log_determinant = float(np.linalg.slogdet(r)[1])
    chi = -log_determinant * (n - 1 - (2 * p + 5) / 6)
    degrees = p * (p - 1) // 2
    p_value = float(chdtrc(degrees, chi))
    by_item = pl.DataFrame(
        {
            "item": found.items,
            "kmo": np.divide(squares, squares + partials, out=np.zeros(p), where=squares > 0),
            "squared_multiple_correlation": 1 - 1 / np.diag(inverse),
        }
    )
    adequate = kmo >= ENOUGH and p_value < LEVEL
    return Adequacy(
        kmo, by_item, chi, degrees, p_value, float(np.exp(log_determinant)), adequate, n
    )
