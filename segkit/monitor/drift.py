"""Drift of variables and of segment shares between two periods, beyond chance and of a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted, label, number, percent
from segkit.errors import DataError, ParameterError, require_columns, require_least, require_range
from segkit.frames import takes_frames
from segkit.result import Figure, Result, check_customers
from segkit.stats.hypotheses import adjust

if TYPE_CHECKING:
    from segkit.cluster.scorers import SegmentScorer

Floats = npt.NDArray[np.float64]

BINS = 50
#: Smallest distance of two distributions (and of segment shares) that matters.
LEAST_DISTANCE = 0.1
#: Smallest change of the share of customers unlike any segment that matters.
LEAST_UNLIKE = 0.03
SEGMENTS, UNLIKE = "segment shares", "unlike any segment"


@dataclass(frozen=True, slots=True, eq=False)
class Drift(Result):
    """Distances between the customers of two periods, with their chance.

    Attributes
    ----------
    distances : polars.DataFrame
        One row per variable, and "segment shares" and "unlike any segment" where a model was
        given: variable, distance (largest difference of the two distribution functions; for
        categories half the sum of the shares' differences), psi (population stability index),
        then and now (the median, or the share of those unlike any), p_value (chance of such a
        distance without drift), p_adjusted (Holm, over all rows), least (distance that matters),
        alarm (significant *and* of that size).
    before, after, both : int
        Customers of the periods, and of both.
    level : float
        Family-wise level of the alarms.
    repeats : int
        Draws of the bootstrap.
    """

    distances: pl.DataFrame
    before: int
    after: int
    both: int
    level: float
    repeats: int

    @property
    def alarms(self) -> list[str]:
        """Variables that drifted beyond chance and by a size that matters."""
        return self.distances.filter("alarm")["variable"].to_list()

    @property
    def text(self) -> str:
        """State what drifted, or the largest distance that did not count."""
        most = self.distances.sort("distance", descending=True, nulls_last=True).row(0, named=True)
        if not self.alarms:
            return (
                f"No drift that matters between {number(self.before)} and "
                f"{counted(self.after, 'customer')}: the largest distance is "
                f"{_points(most['distance'])} ({label(most['variable'])}), below the "
                f"{_points(most['least'])} that would count or within chance."
            )
        words = "; ".join(
            f"{label(row['variable'])} by {_points(row['distance'])}"
            for row in self.distances.filter("alarm").iter_rows(named=True)
        )
        return (
            f"Drift beyond chance (level {percent(self.level, places=0)} for all together) and of "
            f"a size that matters: {words}."
        )

    def plot(self) -> Figure:
        """Draw the distances, with the size that matters."""
        from segkit.plot import bars

        return bars(
            self.distances,
            "variable",
            "distance",
            title="How far the customers of the two periods differ",
            x_label="variable",
            y_label="distance of the distributions",
            reference=LEAST_DISTANCE,
        )


@takes_frames
def measure_drift(
    before: pl.DataFrame,
    after: pl.DataFrame,
    variables: Sequence[str] = (),
    *,
    model: SegmentScorer | None = None,
    least: float = LEAST_DISTANCE,
    least_unlike: float = LEAST_UNLIKE,
    level: float = 0.05,
    repeats: int = 999,
    seed: int | np.random.Generator = 0,
) -> Drift:
    """Measure how far the customers of two periods differ, against chance and a practical size.

    Most customers are in both periods, so the two samples are not independent. The p-value of a
    distance comes from a multiplier bootstrap over customers: a customer's contributions to both
    periods are multiplied by the same random sign, which keeps their dependence.

    Parameters
    ----------
    before, after : polars.DataFrame
        Customer tables with ``customer_id`` and the variables.
    variables : sequence of str
        Numbers or categories; by default the model's features.
    model : segment model, optional
        Adds the shares of its segments and of those unlike any.
    least : float
        Smallest distance that matters, 0 to 1.
    least_unlike : float
        Smallest change that matters in the share of those unlike any segment.
    level : float
        Chance of any false alarm, over all rows together.
    repeats : int
        Draws, at least 99; more are drawn where so few could not alarm (the smallest chance that
        they can show, times the number of rows, must lie well below the level).
    seed : int or numpy Generator

    Returns
    -------
    Drift

    Raises
    ------
    ColumnError
        If a table lacks a variable.
    DataError
        If a table has fewer than 20 customers, or a customer twice.
    ParameterError
        If there is neither a variable nor a model, or an option is out of range.

    References
    ----------
    A. W. van der Vaart and J. A. Wellner, Weak Convergence and Empirical Processes (1996), section
    2.9 (multiplier bootstrap of the empirical process).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> before = pl.DataFrame({"customer_id": [str(i) for i in range(500)], "spend":
    ...     rng.gamma(2.0, 50, 500)})
    >>> after = before.with_columns(pl.col("spend") * rng.normal(1, .1, 500))
    >>> measure_drift(before, after, ["spend"]).alarms
    []
    >>> measure_drift(before, after.with_columns(pl.col("spend") * 1.5), ["spend"]).alarms
    ['spend']
    """
    names = list(variables) or (list(model.features) if model is not None else [])
    if not names:
        raise ParameterError("name the variables, or give the model whose features they are")
    require_range("(0, 1)", least=least, least_unlike=least_unlike, level=level)
    require_least(repeats=(repeats, 99))
    for frame, what in ((before, "the earlier customer table"), (after, "the later one")):
        require_columns(frame.columns, ["customer_id", *names], what)
        check_customers(frame)
        if frame.height < 20:
            raise DataError(f"drift needs at least 20 customers; {what} has {frame.height}")
    people = pl.concat([before["customer_id"], after["customer_id"]]).unique().sort()
    rows_of = [
        people.search_sorted(frame["customer_id"]).to_numpy().astype(np.intp)
        for frame in (before, after)
    ]
    cases: list[tuple[str, pl.Series, pl.Series, float]] = [
        (name, before[name], after[name], least) for name in names
    ]
    if model is not None:
        old, new = model.score(before), model.score(after)
        cases.append((SEGMENTS, old["segment"], new["segment"], least))
        cases.append((UNLIKE, old["unlike_any"], new["unlike_any"], least_unlike))
    repeats = max(repeats, ceil(2 * len(cases) / level))
    rng = np.random.default_rng(seed)
    rows = [_case(*case, rows_of, people.len(), repeats, rng) for case in cases]
    frame = pl.DataFrame(rows)
    frame = frame.with_columns(p_adjusted=adjust(frame["p_value"].to_numpy()))
    alarm = (pl.col("p_adjusted") <= level) & (pl.col("distance") >= pl.col("least"))
    return Drift(
        distances=frame.with_columns(alarm=alarm.fill_null(value=False)).select(
            "variable", "distance", "psi", "then", "now", "p_value", "p_adjusted", "least", "alarm"
        ),
        before=before.height,
        after=after.height,
        both=before.height + after.height - people.len(),
        level=level,
        repeats=repeats,
    )


def _case(
    name: str,
    old: pl.Series,
    new: pl.Series,
    least: float,
    rows_of: Sequence[npt.NDArray[np.intp]],
    people: int,
    repeats: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Measure one variable: its distance, and how often chance makes one as large."""
    numeric = old.dtype.is_numeric() and new.dtype.is_numeric()
    codes, levels, ordered = _binned(old, new) if numeric else _levelled(old, new)
    shares = [np.bincount(one, minlength=levels) / max(len(one), 1) for one in codes]
    gaps = shares[1] - shares[0]
    fold = np.cumsum if ordered else np.asarray
    scale = 1.0 if ordered else 0.5
    observed = _norm(fold(gaps)[None, :], ordered)[0] * scale
    # customers with the same two values bring the same: their signs are drawn as one sum
    values = np.full((people, 2), levels, dtype=np.intp)  # levels: not in this period
    for period in (0, 1):
        values[rows_of[period], period] = codes[period]
    pairs, counts = np.unique(values, axis=0, return_counts=True)
    adds = np.zeros((len(pairs), levels))
    for period, sign in ((0, -1), (1, 1)):
        within = np.flatnonzero(pairs[:, period] < levels)
        adds[within] -= sign * shares[period] / len(codes[period])
        adds[within, pairs[within, period]] += sign / len(codes[period])
    if ordered:
        adds = np.cumsum(adds, axis=1)
    signs = 2.0 * rng.binomial(counts, 0.5, size=(repeats, len(pairs))) - counts
    beyond = int((_norm(signs @ adds, ordered) * scale >= observed - 1e-12).sum())
    floored = [
        np.maximum(one, 0.5 / max(len(code), 1)) for one, code in zip(shares, codes, strict=True)
    ]
    then, now = (_middle(one, numeric) for one in (old, new))
    return {
        "variable": name,
        "distance": float(observed),
        "psi": float(((floored[1] - floored[0]) * np.log(floored[1] / floored[0])).sum()),
        "then": then,
        "now": now,
        "p_value": (1 + beyond) / (1 + repeats),
        "least": least,
    }


def _points(distance: float) -> str:
    return f"{number(100 * distance)} points"


def _norm(gaps: Floats, ordered: bool) -> Floats:
    """Return the largest of each row's gaps, or the sum of unordered ones."""
    sizes = np.abs(gaps)
    return np.asarray(sizes.max(axis=1) if ordered else sizes.sum(axis=1))


def _binned(old: pl.Series, new: pl.Series) -> tuple[list[npt.NDArray[np.intp]], int, bool]:
    """Cut the numbers of both periods at their common quantiles; missing ones come first."""
    values = [one.cast(pl.Float64).fill_nan(None).to_numpy() for one in (old, new)]
    pooled = np.concatenate(values)
    finite = pooled[~np.isnan(pooled)]
    cuts = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.unique(np.quantile(finite, cuts)) if len(finite) else np.zeros(0)
    codes = [
        np.where(np.isnan(one), 0, 1 + np.searchsorted(edges, one, side="left")).astype(np.intp)
        for one in values
    ]
    return codes, len(edges) + 2, True


def _levelled(old: pl.Series, new: pl.Series) -> tuple[list[npt.NDArray[np.intp]], int, bool]:
    """Number the categories of both periods; a missing one is a category."""
    text = [one.cast(pl.String).fill_null("missing") for one in (old, new)]
    levels = pl.concat(text).unique().sort()
    codes = [levels.search_sorted(one).to_numpy().astype(np.intp) for one in text]
    return codes, levels.len(), False


def _middle(values: pl.Series, numeric: bool) -> float | None:
    if numeric:
        return values.cast(pl.Float64).median()  # type: ignore[return-value]
    if values.dtype == pl.Boolean:
        return float(values.mean() or 0)  # type: ignore[arg-type]
    return None
