"""Variables of a profile: each segment against all customers, and which variables mark it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.profile.members import Flags, Floats, Members
from segkit.stats import intervals
from segkit.stats.effects import delta_limits

ARROWS = {"above": "↑", "below": "↓"}
SKEWED = 1.0  # absolute skewness above which differences are computed on logarithms


def dominance(values: Floats, within: Flags) -> tuple[Floats, Floats]:
    """Return Cliff's delta of each group against everyone outside it, and its variance.

    Parameters
    ----------
    values : ndarray, shape (customers, variables)
        NaN where unknown.
    within : ndarray of bool, shape (groups, customers)

    Returns
    -------
    (ndarray, ndarray), each of shape (groups, variables)
        NaN where either side is empty (the variance: has fewer than two).

    Notes
    -----
    Counts over each variable's distinct values instead of pairs (tests/reference/effects.py).

    Examples
    --------
    >>> values = np.array([[3.0], [4.0], [5.0], [1.0], [2.0], [3.0]])
    >>> delta, _ = dominance(values, np.array([[True, True, True, False, False, False]]))
    >>> round(float(delta[0, 0]), 4)
    0.8889
    """
    shape = (within.shape[0], values.shape[1])
    delta, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    for j in range(shape[1]):
        present = ~np.isnan(values[:, j])
        levels, codes = np.unique(values[present, j], return_inverse=True)
        whole = np.bincount(codes, minlength=levels.size).astype(np.float64)
        for i, inside in enumerate(within):
            ours = np.bincount(codes[inside[present]], minlength=levels.size).astype(np.float64)
            delta[i, j], variance[i, j] = _delta(ours, whole - ours)
    return delta, variance


def _delta(ours: Floats, theirs: Floats) -> tuple[float, float]:
    """Return delta and its variance from both sides' counts over the distinct values."""
    if not ours.any() or not theirs.any():
        return np.nan, np.nan
    win, lose = _wins(theirs), _wins(ours)
    delta = float((ours * win).sum() / ours.sum())
    if ours.sum() < 2 or theirs.sum() < 2:
        return delta, np.nan
    return delta, _spread(ours, win) + _spread(theirs, lose)


def _wins(counts: Floats) -> Floats:
    """Return, for each distinct value, the share of counts below it minus the share above."""
    upto = np.cumsum(counts)
    return np.asarray((upto - counts - (upto[-1] - upto)) / upto[-1])


def _spread(counts: Floats, placed: Floats) -> float:
    n = counts.sum()
    # Computed without BLAS: its threads make products of this size slower.
    mean = (counts * placed).sum() / n
    return float((counts * (placed - mean) ** 2).sum() / (n - 1) / n)


@dataclass(frozen=True, slots=True)
class MarkerRule:
    """Rule that decides when a variable marks a segment.

    The interval of the difference must also exclude zero, so that a mark is not due to chance.

    Attributes
    ----------
    share_absolute : float
        For yes/no variables: the segment's share deviates from that of all customers by at
        least this much (Dolnicar, Grün & Leisch 2018, Market Segmentation Analysis, section 8.1:
        0.25) ...
    share_relative : float
        ... or by at least this part of the share of all customers (there: 50%).
    delta : float
        For amounts, which are skewed: Cliff's delta against all customers outside the segment
        is at least this in size. 0.33 ("medium" in Romano et al. 2006) means that a customer of
        the segment exceeds one outside it with a chance of 66.5%.
    smallest_segment : int
        Segments with fewer customers get no marks.
    """

    share_absolute: float = 0.25
    share_relative: float = 0.5
    delta: float = 0.33
    smallest_segment: int = 10


def mark(table: pl.DataFrame, rule: MarkerRule) -> pl.DataFrame:
    """Add marker, direction and strength by the rule; strength is the measure that the rule limits.

    The KPI is an outcome and marks nothing.
    """
    share, whole = pl.col("mean"), pl.col("mean_all")
    gap = share - whole
    beyond_chance = (pl.col("difference_low") > 0) | (pl.col("difference_high") < 0)
    yes = (gap.abs() >= rule.share_absolute) | (
        (gap.abs() >= rule.share_relative * whole) & (whole > 0)
    )
    amount = (pl.col("delta").abs() >= rule.delta) & (
        (pl.col("delta_low") > 0) | (pl.col("delta_high") < 0)
    )
    is_yes_no = pl.col("kind") == "yes/no"
    passed = pl.when(is_yes_no).then(yes & beyond_chance).otherwise(amount)
    enough = (pl.col("customers") >= rule.smallest_segment) & (pl.col("role") != "kpi")
    strength = pl.when(is_yes_no).then(gap).otherwise(pl.col("delta"))
    return table.with_columns(
        marker=(passed & enough).fill_null(value=False), strength=strength
    ).with_columns(
        direction=pl.when(pl.col("marker")).then(
            pl.when(pl.col("strength") > 0).then(pl.lit("above")).otherwise(pl.lit("below"))
        )
    )


# Columns of the table of variables.
TYPES: dict[Any, type[pl.DataType]] = {
    **dict.fromkeys(["segment", "segment_name", "variable", "kind", "role", "scale"], pl.String),
    **dict.fromkeys(["customers", "missing"], pl.Int64),
    **dict.fromkeys(["mean", "mean_low", "mean_high", "sd"], pl.Float64),
    **dict.fromkeys(["median", "median_low", "median_high"], pl.Float64),
    **dict.fromkeys(["mean_all", "median_all", "sd_all"], pl.Float64),
    **dict.fromkeys(["difference", "difference_low", "difference_high"], pl.Float64),
    **dict.fromkeys(["delta", "delta_low", "delta_high", "strength"], pl.Float64),
    "marker": pl.Boolean,
    "direction": pl.String,
}


@dataclass(frozen=True, slots=True, eq=False)
class Variables:
    """The numeric variables as a matrix, and what kind each is.

    Attributes
    ----------
    names : list of str
    values : ndarray, shape (customers, variables)
        NaN where unknown.
    scaled : ndarray, shape (customers, variables)
        Standardised over all customers, after the signed logarithm where ``logged``; NaN where
        unknown or where the variable is constant.
    yes_no, logged : ndarray of bool, shape (variables,)
    skipped : dict of str to str
        Column to the reason why it is left out.
    """

    names: list[str]
    values: Floats
    scaled: Floats
    yes_no: Flags
    logged: Flags
    skipped: dict[str, str]


def read_variables(frame: pl.DataFrame, names: list[str]) -> Variables:
    """Read numeric and yes/no columns into a matrix; infinite values count as unknown."""
    skipped, columns = {}, []
    for name in names:
        column = frame.get_column(name).cast(pl.Float64).to_numpy()
        if np.isfinite(column).any():
            columns.append((name, np.where(np.isfinite(column), column, np.nan)))
        else:
            skipped[name] = "no customer has a value"
    values = (
        np.column_stack([column for _, column in columns])
        if columns
        else np.empty((frame.height, 0))
    )
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    yes_no = ((filled == 0) | (filled == 1)).all(axis=0)
    share = (filled >= 0).all(axis=0) & (filled <= 1).all(axis=0)
    logged = (np.abs(_skewness(values)) > SKEWED) & ~share
    moved = np.where(logged, np.sign(values) * np.log1p(np.abs(values)), values)
    n = present.sum(axis=0)
    mean = np.where(present, moved, 0.0).sum(axis=0) / n
    centred = moved - mean
    sd = np.sqrt(np.where(present, centred**2, 0.0).sum(axis=0) / np.maximum(n - 1, 1))
    constant = sd <= 1e-12 * np.maximum(1.0, np.abs(mean))
    scaled = centred / np.where(constant, np.nan, sd)
    return Variables([name for name, _ in columns], values, scaled, yes_no, logged, skipped)


def _skewness(values: Floats) -> Floats:
    """Return each column's skewness (third central moment over the cubed deviation), 0 if flat."""
    present = ~np.isnan(values)
    n = np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, values - np.where(present, values, 0.0).sum(axis=0) / n, 0.0)
    square = centred * centred  # a power of three is slow in NumPy
    second, third = square.sum(axis=0) / n, (square * centred).sum(axis=0) / n
    size = np.where(present, np.abs(values), 0.0).max(axis=0, initial=1.0)
    flat = second <= (1e-12 * size) ** 2
    return np.where(flat, 0.0, third / np.where(flat, 1.0, second) ** 1.5)


def profile_variables(
    members: Members,
    variables: Variables,
    *,
    circular: Collection[str],
    kpi: str | None,
    rule: MarkerRule,
    level: float,
) -> pl.DataFrame:
    """Return one row per segment and variable: see `segkit.profile.Profile`'s ``variables``."""
    names, groups = variables.names, len(members.segments)
    if not names:
        return pl.DataFrame(schema=TYPES)
    whole = _centres(variables.values, variables, level)
    parts = [
        {
            **_centres(variables.values[inside], variables, level),
            **_differences(variables.scaled, inside, level),
        }
        for inside in members.within
    ]
    columns: dict[str, Any] = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    delta, variance = dominance(variables.values, members.within)
    low, high = delta_limits(delta, variance, level=level)
    columns |= {"delta": delta.ravel(), "delta_low": low.ravel(), "delta_high": high.ravel()}
    columns |= {f"{key}_all": np.tile(whole[key], groups) for key in ("mean", "median", "sd")}
    columns["missing"] = np.repeat(members.within.sum(axis=1), len(names)) - columns["customers"]
    columns["segment"] = [s for s in members.segments for _ in names]
    columns["segment_name"] = [s for s in members.names for _ in names]
    roles = [
        "kpi" if name == kpi else "clustering" if name in circular else "descriptor"
        for name in names
    ]
    columns |= {"variable": names * groups, "role": roles * groups}
    columns["kind"] = np.where(variables.yes_no, "yes/no", "amount").tolist() * groups
    columns["scale"] = np.where(variables.logged, "log", "raw").tolist() * groups
    table = pl.DataFrame(columns).fill_nan(None)
    return mark(table, rule).select(list(TYPES)).cast(TYPES)


def _centres(values: Floats, variables: Variables, level: float) -> dict[str, Floats]:
    """Return sizes, means and medians with intervals, one entry per variable."""
    present = ~np.isnan(values)
    n = present.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(present, values, 0.0).sum(axis=0) / n
        spread = np.where(present, values - mean, 0.0)
        sd = np.sqrt((spread**2).sum(axis=0) / np.where(n > 1, n - 1, np.nan))
    skewness = _skewness(values) if values.shape[0] else np.zeros(values.shape[1])
    amount = intervals.mean_skewed(mean, sd, n, skewness, level=level)
    share = intervals.wilson(np.nan_to_num(mean) * n, n, level=level)
    yes_no = variables.yes_no
    median = _medians(values, n, level)
    return {
        "customers": n,
        "mean": mean,
        "mean_low": np.where(yes_no & (n > 0), share.low, amount.low),
        "mean_high": np.where(yes_no & (n > 0), share.high, amount.high),
        "sd": sd,
        **{key: np.where(yes_no, np.nan, part) for key, part in median.items()},
    }


def _medians(values: Floats, n: Floats, level: float) -> dict[str, Floats]:
    """Return medians with order-statistic limits from one sort of the whole matrix."""
    ordered = np.sort(values, axis=0)  # NaN last
    width = values.shape[1]
    medians = {key: np.full(width, np.nan) for key in ("median", "median_low", "median_high")}
    for j in range(width):
        count = int(n[j])
        if count == 0:
            continue
        medians["median"][j] = (ordered[(count - 1) // 2, j] + ordered[count // 2, j]) / 2
        low, high = intervals.median_ranks(count, level=level)
        if low:
            medians["median_low"][j], medians["median_high"][j] = ordered[[low - 1, high - 1], j]
    return medians


def _differences(scaled: Floats, inside: Flags, level: float) -> dict[str, Floats]:
    """Return each variable's standardised difference from all customers, with limits."""
    n1, m1, s1 = _moments(scaled[inside])
    n0, m0, s0 = _moments(scaled[~inside])
    with np.errstate(invalid="ignore", divide="ignore"):
        outside = n0 / (n0 + n1)  # segment less all = (segment less rest) x share of the rest
    apart = intervals.mean_difference(m1, s1, n1, m0, s0, n0, level=level)
    alone = (n0 == 0) & (n1 > 0) & ~np.isnan(m1)  # everyone is in the segment
    return {
        "difference": np.where(alone, 0.0, apart.value * outside),
        "difference_low": apart.low * outside,
        "difference_high": apart.high * outside,
    }


def _moments(values: Floats) -> tuple[Floats, Floats, Floats]:
    present = ~np.isnan(values)
    n = present.sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(present, values, 0.0).sum(axis=0) / n
        second = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
        return n, mean, np.sqrt(second / np.where(n > 1, n - 1, np.nan))
