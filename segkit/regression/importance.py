"""Relative importance of predictors: Shapley shares of explained variance."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal, get_args

import numpy as np
import polars as pl

from segkit.display import counted, percent
from segkit.errors import DataError, require_choice, require_least, require_range
from segkit.frames import takes_frames
from segkit.plot import Figure, intervals
from segkit.regression.design import HIGH_VIF, Design, Floats, Ints, make_design, of_design
from segkit.regression.outcomes import LABELS, DriverTable
from segkit.result import Result

_CELLS = 6_000_000  # numbers held at once
_LEAST_PIVOT = 1e-10  # of a column's variance: below it the column follows from those before
MOST_EXACT = 12
Scale = Literal["as it is", "log", "rank"]
SCALES: tuple[Scale, ...] = get_args(Scale)
_BLOCKS = 4_000  # rows are bundled into so many blocks, which the bootstrap draws


def subset_r2(covariances: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return R squared of every subset of predictors.

    Each predictor in turn is left out or eliminated by a step of Gauss (Schur complement), for
    all subsets of those before it at once: 2^p subsets need p steps on stacks, not 2^p fits.

    Parameters
    ----------
    covariances : ndarray, shape (stack, columns + 1, columns + 1)
        The outcome last.
    groups : sequence of sequence of int
        The columns of each predictor; together all columns, once each.

    Returns
    -------
    ndarray, shape (stack, 2, ..., 2)
        One axis a predictor: 0 without it, 1 with it.

    Examples
    --------
    >>> C = np.array([[[1.0, 0.0, 0.6], [0.0, 1.0, 0.3], [0.6, 0.3, 1.0]]])
    >>> subset_r2(C, [[0], [1]]).round(2)[0].tolist()
    [[0.0, 0.09], [0.36, 0.45]]
    """
    order = [k for group in groups for k in group] + [covariances.shape[1] - 1]
    S = covariances[:, order][:, :, order][:, None]
    total = S[..., -1, -1]
    scale = np.diagonal(S, axis1=2, axis2=3)
    for group in groups:
        without = S[..., len(group) :, len(group) :]
        taken, left = S, scale
        for _ in group:
            taken, left = _eliminate(taken, left[..., 0]), left[..., 1:]
        scale = scale[..., len(group) :]
        S = np.stack([without, taken], axis=2).reshape(S.shape[0], -1, *without.shape[2:])
    r2 = 1 - S[..., 0, 0] / total
    return np.asarray(r2.reshape(len(covariances), *[2] * len(groups)))


def _eliminate(S: Floats, variance: Floats) -> Floats:
    """Take out what the first column explains of the others; nothing if nothing of it is left."""
    pivot = S[..., 0, 0]
    usable = pivot > _LEAST_PIVOT * variance
    inverse = np.where(usable, 1.0 / np.where(usable, pivot, 1.0), 0.0)
    column = S[..., 1:, 0]
    return np.asarray(
        S[..., 1:, 1:] - (column * inverse[..., None])[..., :, None] * column[..., None, :]
    )


def exact_shares(covariances: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    """Return each predictor's exact Shapley share of R squared, shape (stack, predictors).

    The share is the gain in R squared that a predictor brings, averaged over all orders of entry
    (Lindeman, Merenda & Gold 1980, p. 119 ff.; Shapley 1953).

    Examples
    --------
    >>> C = np.array([[[1.0, 0.0, 0.6], [0.0, 1.0, 0.3], [0.6, 0.3, 1.0]]])
    >>> exact_shares(C, [[0], [1]]).round(4).tolist()
    [[0.36, 0.09]]
    """
    p = len(groups)
    chunk = max(1, _CELLS // (4 * 2**p))
    sizes = np.indices([2] * (p - 1)).sum(axis=0) if p > 1 else np.zeros(())
    weights = np.array([1 / (p * comb(p - 1, k)) for k in range(p)])[sizes.astype(int)]
    shares = np.empty((len(covariances), p))
    for start in range(0, len(covariances), chunk):
        r2 = subset_r2(covariances[start : start + chunk], groups)
        for j in range(p):
            gain = np.diff(r2, axis=j + 1).squeeze(j + 1) * weights
            shares[start : start + chunk, j] = gain.reshape(len(gain), -1).sum(axis=1)
    return shares


def sampled_shares(
    covariances: Floats, groups: Sequence[Sequence[int]], orders: Sequence[Sequence[int]]
) -> Floats:
    """Return each predictor's gain in R squared in each order of entry.

    Parameters
    ----------
    covariances, groups
        As in `subset_r2`.
    orders : sequence of sequence of int
        Permutations of the predictors' places.

    Returns
    -------
    ndarray, shape (orders, stack, predictors)
        Their mean over the orders estimates the Shapley shares.

    Examples
    --------
    >>> C = np.array([[[1.0, 0.5, 0.6], [0.5, 1.0, 0.6], [0.6, 0.6, 1.0]]])
    >>> sampled_shares(C, [[0], [1]], [[0, 1], [1, 0]]).mean(axis=0).round(2).tolist()
    [[0.24, 0.24]]
    """
    last = covariances.shape[1] - 1
    gains = np.zeros((len(orders), len(covariances), len(groups)))
    for row, order in enumerate(orders):
        places = [k for g in order for k in groups[g]] + [last]
        S = covariances[:, places][:, :, places]
        scale = np.diagonal(S, axis1=1, axis2=2)
        total = before = S[:, -1, -1]
        for g in order:
            for _ in groups[g]:
                S, scale = _eliminate(S, scale[:, 0]), scale[:, 1:]
            gains[row, :, g] = (before - S[:, -1, -1]) / total
            before = S[:, -1, -1]
    return gains


def draw_orders(p: int, n: int, random: np.random.Generator) -> list[list[int]]:
    """Draw orders of entry in pairs, each with its reverse: their errors partly cancel.

    Examples
    --------
    >>> draw_orders(3, 2, np.random.default_rng(0))
    [[2, 0, 1], [1, 0, 2]]
    """
    orders: list[list[int]] = []
    while len(orders) < n:
        order = random.permutation(p).tolist()
        orders += [order, order[::-1]]
    return orders[:n]


@dataclass(frozen=True, slots=True, eq=False)
class Importance(Result):
    """Relative importance: shares of the explained variance by predictor.

    Attributes
    ----------
    shares : polars.DataFrame
        One row per predictor, the largest first: predictor, label, r2 (its share of the outcome's
        variance: the gain in R squared averaged over all orders of entry), r2_low, r2_high, share
        (of what is explained), share_low, share_high, rank_low, rank_high (limits of its rank),
        alone (R squared of it alone), last (what it adds to all others), vif.
    r2 : float
        Share of the outcome's variance that all explain together.
    outcome : str
        Name for people, with its scale.
    n_rows : int
    level : float
        Nominal coverage of the limits (percentile bootstrap).
    repeats : int
        Bootstrap draws.
    orders : int
        Orders of entry that were drawn; 0 where all were used.
    order_error : float
        Largest standard error of a share from drawing orders; 0 where all were used.
    notes : tuple of str
        Coding, rows left out.
    """

    shares: pl.DataFrame
    r2: float
    outcome: str
    n_rows: int
    level: float
    repeats: int
    orders: int
    order_error: float
    notes: tuple[str, ...]

    @property
    def answer(self) -> str:
        """State the largest share with its interval."""
        row = self.shares.row(0, named=True)
        low, high = (percent(row[f"share_{end}"], places=0) for end in ("low", "high"))
        return (
            f"The most: {row['label']}, {percent(row['share'], places=0)} of what is explained "
            f"({percent(self.level, places=0)} CI {low} to {high})."
        )

    @property
    def text(self) -> str:
        """State the largest shares with intervals, and whether their order is clear."""
        rows, level = self.shares.head(3).to_dicts(), percent(self.level, places=0)
        named = [
            f"{row['label']} {percent(row['share'], places=0)} "
            f"({interval}{percent(row['share_low'], places=0)} to "
            f"{percent(row['share_high'], places=0)})"
            for row, interval in zip(rows, (f"{level} CI ", "", ""), strict=False)
        ]
        then = f" Then: {'; '.join(named[1:])}." if len(named) > 1 else ""
        what = re.sub(r"^log\(1 \+ (.+)\)$", r"\1 (on a log scale)", self.outcome)
        finding = (
            "The largest share of what "
            f"{counted(self.shares.height, 'predictor explains', 'predictors explain')} of {what}: "
            f"{named[0]}.{then} Together they explain {percent(self.r2)} of its variance "
            f"({counted(self.n_rows, 'row')})."
        )
        clear = "is" if rows[0]["rank_high"] == 1 else "is not"
        how = (
            "averaged over all orders in which predictors can enter (Shapley)"
            if not self.orders
            else f"averaged over {counted(self.orders, 'random order')} of entry (Shapley, "
            f"sampling error at most {percent(self.order_error, places=2)} of the variance)"
        )
        tangled = self.shares.filter(pl.col("vif") > HIGH_VIF)["label"].to_list()
        beware = (
            f" {', '.join(tangled[:4])} are collinear with the others: their shares are uncertain."
            if tangled
            else ""
        )
        return (
            f"{finding} Its first rank {clear} statistically clear. A share is the gain in "
            f"explained variance, {how}; it ranks associations, not causes.{beware}"
        )

    def plot(self) -> Figure:
        """Draw each predictor's share of the outcome's variance with its interval."""
        rows = self.shares.head(25)
        first = rows.row(0, named=True)
        return intervals(
            rows,
            "label",
            "r2",
            interval=("r2_low", "r2_high"),
            percent=True,
            title=f"Largest share of explained variance: {first['label']}",
            y_label=f"share of the variance of {self.outcome}",
        )


@takes_frames
def measure_importance(
    frame: pl.DataFrame | DriverTable,
    outcome: str,
    predictors: Sequence[str],
    *,
    scale: Scale = "as it is",
    log: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
    clusters: str | None = None,
    repeats: int = 1_000,
    orders: int = 400,
    level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> Importance:
    """Share out an outcome's explained variance among its predictors.

    The linear regression's R squared is shared out by the predictors' gains averaged over all
    orders of entry (LMG, the Shapley value; Lindeman, Merenda & Gold 1980; Grömping 2006, Journal
    of Statistical Software 17(1)). A text predictor's levels enter together.

    Parameters
    ----------
    frame : polars.DataFrame or DriverTable
        One row per unit of analysis; rows with gaps are left out and counted.
    outcome : str
        Numeric or yes/no column.
    predictors : sequence of str
        Up to 12 are treated exactly; beyond, ``orders`` random orders of entry are used.
    scale : {"as it is", "log", "rank"}
        How the outcome enters: counts and money are mostly better as log(1 + y).
    log, labels
        As in `segkit.fit_drivers`.
    clusters : str, optional
        Column whose equal values mark rows that the bootstrap draws together.
    repeats : int
        Bootstrap draws. Beyond 4,000 rows, random bundles of rows are drawn instead of rows.
    orders : int
        Orders drawn beyond 12 predictors.
    level : float
    seed : int or numpy Generator

    Returns
    -------
    Importance

    Raises
    ------
    ColumnError, DataError
        As in `segkit.fit_drivers`; among others for columns that depend on each other exactly.
    ParameterError
        If the scale is unknown or there are fewer than 20 repeats.

    Examples
    --------
    >>> x = np.arange(40.0)
    >>> rows = pl.DataFrame({"y": x + 3 * np.sin(x), "x": x, "z": np.cos(7 * x)})
    >>> measure_importance(rows, "y", ["x", "z"], repeats=50).shares["predictor"].to_list()
    ['x', 'z']
    """
    require_choice("scale", scale, SCALES)
    require_least(repeats=(repeats, 20))
    require_range("(0, 1)", level=level)
    if isinstance(frame, DriverTable):
        frame, labels = frame.frame, {**LABELS, **(labels or {})}
    design = make_design(frame, outcome, predictors, log=log, labels=labels, clusters=clusters)
    vif = of_design(design).predictors.select("predictor", "vif")
    names, groups = list(design.groups), list(design.groups.values())
    random = np.random.default_rng(seed)
    y = _scaled(design.y, scale, outcome)
    moments = _moments(np.column_stack([design.X, y]), design.clusters, random)
    drawn = _draw(moments, repeats, random)
    exact = len(names) <= MOST_EXACT
    plans = [] if exact else draw_orders(len(names), 2 * max(2, orders // 2), random)
    whole = _covariance(moments.sum(axis=0)[None])
    error = 0.0
    if plans:
        gains = sampled_shares(whole, groups, plans)[:, 0]
        pairs = (gains[::2] + gains[1::2]) / 2
        shares = gains.mean(axis=0)
        error = float(pairs.std(axis=0, ddof=1).max() / np.sqrt(len(pairs)))
        draws = sampled_shares(_covariance(drawn), groups, plans).mean(axis=0)
    else:
        shares = exact_shares(whole, groups)[0]
        draws = exact_shares(_covariance(drawn), groups)
    table = _table(names, design, shares, draws, level)
    ends = _first_and_last(whole[0], groups)
    named = (labels or {}).get(outcome, outcome.replace("_", " "))
    return Importance(
        table.with_columns(alone=pl.Series(ends[0]), last=pl.Series(ends[1]))
        .join(vif, on="predictor", how="left", maintain_order="left")
        .sort("r2", descending=True, maintain_order=True),
        float(shares.sum()),
        {"as it is": named, "log": f"log(1 + {named})", "rank": f"the rank of {named}"}[scale],
        len(y),
        level,
        repeats,
        len(plans),
        error,
        design.notes,
    )


def _scaled(y: Floats, scale: str, outcome: str) -> Floats:
    if scale == "log":
        if (y <= -1).any():
            raise DataError(f"log(1 + {outcome}) needs values above -1; got {y.min():g}")
        return np.log1p(y)
    return pl.Series(y).rank("average").to_numpy() if scale == "rank" else y


def _moments(rows: Floats, clusters: Ints | None, random: np.random.Generator) -> Floats:
    """Sum the cross-products of [1, X, y] within blocks: clusters, or random bundles of rows.

    A function of sums over n rows has the same bootstrap distribution, to first order, whether
    rows or random bundles of them are drawn.
    """
    centred = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    full = np.column_stack([np.ones(len(rows)), centred])
    if clusters is None:
        n = min(len(rows), _BLOCKS)
        block = random.permutation(len(rows)) % n
    else:
        block, n = clusters, int(clusters.max()) + 1
        if n < 2:
            raise DataError("a bootstrap of clusters needs at least two of them")
    order = np.argsort(block, kind="stable")
    starts = np.searchsorted(block[order], np.arange(n))
    full = full[order]
    width = full.shape[1]
    products = np.empty((n, width, width))
    for j in range(width):
        products[:, j] = np.add.reduceat(full[:, [j]] * full, starts, axis=0)
    return products


def _draw(moments: Floats, repeats: int, random: np.random.Generator) -> Floats:
    n = len(moments)
    weights = random.multinomial(n, np.full(n, 1 / n), size=repeats).astype(np.float64)
    return np.asarray((weights @ moments.reshape(n, -1)).reshape(repeats, *moments.shape[1:]))


def _covariance(moments: Floats) -> Floats:
    """Turn stacks of cross-products of [1, X, y] into covariances of [X, y]."""
    n, sums = moments[:, :1, :1], moments[:, :1, 1:]
    return np.asarray(moments[:, 1:, 1:] / n - np.swapaxes(sums, 1, 2) * sums / n**2)


def _first_and_last(covariance: Floats, groups: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
    places = range(len(groups))
    others = [[k for k in places if k != g] for g in places]
    orders = [*([g, *others[g]] for g in places), *([*others[g], g] for g in places)]
    gains = np.split(sampled_shares(covariance[None], groups, orders)[:, 0], 2)
    return gains[0].diagonal(), gains[1].diagonal()


def _table(
    names: list[str], design: Design, shares: Floats, draws: Floats, level: float
) -> pl.DataFrame:
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(draws, tails, axis=0)
    parts = draws / draws.sum(axis=1, keepdims=True)
    share_low, share_high = np.quantile(parts, tails, axis=0)
    ranks = 1 + (-draws).argsort(axis=1).argsort(axis=1)
    rank_low, rank_high = np.quantile(ranks, tails, axis=0, method="inverted_cdf")
    labels = design.labels()
    return pl.DataFrame(
        {
            "predictor": names,
            "label": [labels[name] for name in names],
            "r2": shares,
            "r2_low": low,
            "r2_high": high,
            "share": shares / shares.sum(),
            "share_low": share_low,
            "share_high": share_high,
            "rank_low": rank_low.astype(np.int64),
            "rank_high": rank_high.astype(np.int64),
        }
    )
