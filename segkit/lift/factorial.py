"""Which part of the message did it: main effects and interactions of a multivariate test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import percent
from segkit.errors import DataError, ParameterError, require_columns, unknown
from segkit.lift.metrics import KPIS, Kpi
from segkit.lift.outcomes import Outcomes
from segkit.lift.sums import sum_up
from segkit.lift.words import gap
from segkit.result import Result
from segkit.stats.hypotheses import t_p_value
from segkit.stats.intervals import z_value
from segkit.stats.multiplicity import adjust

if TYPE_CHECKING:
    from segkit.plot import Figure

Array = npt.NDArray[np.float64]
_JOINT = "\x1f"


@dataclass(frozen=True, slots=True, eq=False)
class Factorial(Result):
    """Effects of the factors of a multivariate test.

    Attributes
    ----------
    table : DataFrame
        One row an effect: effect (words), factors, levels, order (1 main, 2 interaction), value,
        low, high, error, p_value, p_adjusted (Holm over all). Effect coding: a level's value is its
        deviation from the unweighted mean of all cells; an interaction's what a combination has
        beyond its parts.
    cells : DataFrame
        One row a combination of levels: the factors, customers, value.
    metric, label, kind : str
    level : float
    """

    table: pl.DataFrame
    cells: pl.DataFrame
    metric: str
    label: str
    kind: str
    level: float

    def to_frame(self) -> pl.DataFrame:
        """Return the effects."""
        return self.table

    @property
    def text(self) -> str:
        """Which effects are not chance."""
        found = self.table.filter(pl.col("p_adjusted") <= 1 - self.level)
        tests = f"(Holm over {self.table.height} effects)"
        if found.is_empty():
            return f"No level moves {self.label} by more than chance {tests}."
        said = [
            f"{row['effect']} {gap(row['value'], self.kind)} ({gap(row['low'], self.kind)} to "
            f"{gap(row['high'], self.kind)})"
            for row in found.iter_rows(named=True)
        ]
        return (
            f"Away from the mean of all combinations, {self.label} is moved by {'; '.join(said)} "
            f"({percent(self.level, places=0)} intervals); the others are undecided {tests}."
        )

    def plot(self) -> Figure:
        """Draw the effects with their intervals."""
        from segkit.plot import intervals

        return intervals(
            self.table, "effect", "value", interval=("low", "high"), percent=self.kind == "share",
            title=f"What each level does to {self.label}", x_label="",
            y_label="deviation from the mean of all combinations",
        )  # fmt: skip


def factorial_effects(
    outcomes: Outcomes | pl.DataFrame,
    factors: Sequence[str],
    *,
    metric: str | Kpi = "conversion",
    interactions: int = 2,
    level: float = 0.95,
) -> Factorial:
    """Which part of the message did it?

    Every combination of levels must have been assigned at random. Cells count alike, whatever
    their size, so that factors are not mixed up with one another.

    Parameters
    ----------
    outcomes : Outcomes or DataFrame
        The factors' columns and the metric's outcome, one row a customer.
    factors : sequence of str
        Columns with the levels.
    metric : str or Kpi
        A share or a mean.
    interactions : {1, 2}
        1: main effects alone; 2: also those of two factors together.
    level : float

    Returns
    -------
    Factorial

    Raises
    ------
    DataError
        If a combination has fewer than two customers, or a factor has one level.
    ParameterError
        If the metric is unknown or a ratio, or interactions is neither 1 nor 2.

    Notes
    -----
    Source: Box, Hunter & Hunter (2005), Statistics for Experimenters, chapter 5 (their effect of a
    two-level factor is twice the coefficient here); Wu & Hamada (2009), Experiments, section 4.3.

    Examples
    --------
    >>> rows = [(s, o, y) for s in "ab" for o in "xy" for y in [0] * (8 if s == "a" else 6)
    ...         + [1] * (2 if s == "a" else 4)]
    >>> frame = pl.DataFrame(rows, schema=["subject", "offer", "converted"], orient="row")
    >>> found = factorial_effects(frame, ["subject", "offer"], interactions=1)
    >>> [(row[0], round(row[1], 2)) for row in found.table.select("effect", "value").rows()]
    [('subject a', -0.1), ('subject b', 0.1), ('offer x', 0.0), ('offer y', 0.0)]
    """
    named = {one.name: one for one in KPIS}
    if isinstance(metric, str) and metric not in named:
        raise ParameterError(unknown("metric", metric, named))
    figure = named[metric] if isinstance(metric, str) else metric
    if figure.kind == "ratio" or interactions not in (1, 2):
        raise ParameterError("factorial effects are of a share or a mean, interactions 1 or 2")
    frame = outcomes.frame if isinstance(outcomes, Outcomes) else outcomes
    require_columns(frame.columns, [*factors, figure.column], "the outcomes")
    levels = {f: frame[f].cast(pl.String).unique().sort().to_list() for f in factors}
    means, variances, cells = _cells(frame, levels, figure)
    rows: list[dict[str, Any]] = []
    for order in range(1, interactions + 1):
        for some in combinations(factors, order):
            for chosen in product(*(levels[f] for f in some)):
                pick = dict(zip(some, chosen, strict=True))
                weights = _contrast(levels, pick)
                rows.append(_effect(pick, weights, means, variances, level))
    table = pl.DataFrame(rows)
    table = table.with_columns(p_adjusted=pl.Series(adjust(table["p_value"].to_numpy())))
    return Factorial(table, cells, figure.name, figure.label, figure.kind, level)


def _cells(
    frame: pl.DataFrame, levels: Mapping[str, list[str]], figure: Kpi
) -> tuple[Array, Array, pl.DataFrame]:
    """Return means and their variances, one axis a factor, and the cells as a frame."""
    alone = [name for name, values in levels.items() if len(values) < 2]
    if alone:
        raise DataError(f"factor {', '.join(alone)} has one level only, so no effect")
    joint = pl.concat_str([pl.col(f).cast(pl.String) for f in levels], separator=_JOINT)
    joined = frame.with_columns(joint.alias("cell"))
    sums = sum_up(joined, [figure.column], segment=None, arm="cell")
    shape = tuple(len(values) for values in levels.values())
    means, variances, rows = np.zeros(shape), np.zeros(shape), []
    for place, names in zip(np.ndindex(*shape), product(*levels.values()), strict=True):
        label = _JOINT.join(names)
        n = 0.0
        if label in sums.arms:
            found = sums.moments(None, sums.arms.index(label), [figure.column])
            n, means[place] = found.n, found.mean[0]
            variances[place] = found.covariance[0, 0] / found.n
        if n < 2:
            shown = ", ".join(f"{f} {v}" for f, v in zip(levels, names, strict=True))
            raise DataError(f"the combination {shown} has {int(n)} customers; 2 are needed")
        rows.append((*names, int(n), float(means[place])))
    schema = [*levels, "customers", "value"]
    return means, variances, pl.DataFrame(rows, schema=schema, orient="row")


def _contrast(levels: Mapping[str, list[str]], pick: Mapping[str, str]) -> Array:
    """Return the weights of the cells that make one effect-coded coefficient."""
    weights = np.ones(())
    for name, values in levels.items():
        share = np.full(len(values), 1 / len(values))
        if name in pick:
            share = np.array([float(value == pick[name]) for value in values]) - share
        weights = np.multiply.outer(weights, share)
    return weights


def _effect(
    pick: Mapping[str, str], weights: Array, means: Array, variances: Array, level: float
) -> dict[str, Any]:
    value = float((weights * means).sum())
    error = float(np.sqrt((weights**2 * variances).sum()))
    reach = z_value(level) * error
    p_value = float(t_p_value(value / error, np.inf)) if error > 0 else float("nan")
    return {
        "effect": " with ".join(f"{name.replace('_', ' ')} {v}" for name, v in pick.items()),
        "factors": ", ".join(pick),
        "levels": ", ".join(pick.values()),
        "order": len(pick),
        "value": value,
        "low": value - reach,
        "high": value + reach,
        "error": error,
        "p_value": p_value,
    }
