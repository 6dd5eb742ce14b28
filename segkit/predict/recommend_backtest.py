"""Backtest of recommendations: lists made at a past date against what was bought after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from segkit.display import counted, percent
from segkit.errors import DataError, require_least, require_range
from segkit.frames import takes_frames
from segkit.predict.buy_again import rank_again, recent_shares
from segkit.predict.histories import EPOCH, check_as_of
from segkit.predict.ranking import (
    Codes,
    Floats,
    RecommendSettings,
    bought_matrix,
    fit_weights,
    rank_discover,
)
from segkit.predict.recommend import AGAIN, DISCOVER
from segkit.predict.recommender import Recommender, fit_recommender, purchase_days
from segkit.result import Figure, Result
from segkit.stats.intervals import ci_words

Array = npt.NDArray[np.float64]
BOTH = "both"
OWN = "segkit"
FREQUENCY = "own frequency"
PLAIN_RIDGE = 300.0
RIDGES, NEIGHBOURS = (100.0, 300.0, 1000.0), (50, 100, 200)
RECENT_WEIGHTS = (0.0, 0.25, 0.5, 1.0)
MEASURES = ("ndcg", "recall", "novelty")


@dataclass(frozen=True, slots=True, eq=False)
class RecommendBacktest(Result):
    """Accuracy of lists made at a past date, compared with naive lists.

    Attributes
    ----------
    table : polars.DataFrame
        One row per list and method: list ("buy again": own products, judged on repeats;
        "discover": new ones, judged on those; "both": the first, then the second, judged on all),
        method ("segkit" or a naive one), customers (who bought such a product), ndcg, recall (of
        what was bought; both at k), novelty (mean information of the products listed, in bits:
        minus log2 of the share of customers who bought them), each with _low and _high; coverage
        (share of all products in any list); gain (segkit's NDCG less this method's, on the same
        customers), gain_low, gain_high (null for segkit).
    settings : RecommendSettings
        Of segkit's lists; chosen before the window where it was tuned.
    start, end : date
        First and last day of the window judged.
    k : int
        Length of the lists.
    level : float
        Of the intervals, from a bootstrap over customers.
    notes : tuple of str
        Caveats.
    """

    table: pl.DataFrame
    settings: RecommendSettings
    start: date
    end: date
    k: int
    level: float
    notes: tuple[str, ...]

    @property
    def answer(self) -> str:
        """Whether the first list is clearly better than the best other method."""
        first = self.table["list"][0]
        own, best = self._own_and_best(first)
        head = "No" if best["gain_high"] < 0 else "Not shown"
        head = "Yes" if best["gain_low"] > 0 else head
        limits = ci_words(best["gain_low"], best["gain_high"], self.level, "{:+.3f}".format)
        return (
            f"{head}: '{first}' less '{best['method']}' is {own['ndcg'] - best['ndcg']:+.3f} of "
            f"NDCG@{self.k} ({limits})."
        )

    def _own_and_best(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return segkit's row of a list, and that of the best other method."""
        rows = self.table.filter(pl.col("list") == name)
        others = rows.filter(pl.col("method") != OWN).sort("ndcg", descending=True)
        return rows.row(by_predicate=pl.col("method") == OWN, named=True), others.row(0, named=True)

    @property
    def text(self) -> str:
        """Compare each list with the best other one, and say what the comparison cannot show."""
        parts = []
        for name in self.table["list"].unique(maintain_order=True):
            own, best = self._own_and_best(name)
            verdict = "clearly below" if best["gain_high"] < 0 else "not clearly different from"
            verdict = "clearly above" if best["gain_low"] > 0 else verdict
            limits = ci_words(own["ndcg_low"], own["ndcg_high"], self.level, "{:.3f}".format)
            parts.append(
                f"'{name}' reached an NDCG@{self.k} of {own['ndcg']:.3f} ({limits}), {verdict} "
                f"'{best['method']}' ({best['ndcg']:.3f}; difference {best['gain_low']:+.3f} to "
                f"{best['gain_high']:+.3f})."
            )
        caveat = "This is no lift: whether lists sell more, only a randomised test can show."
        return " ".join([*parts, caveat, *self.notes])

    def plot(self) -> Figure:
        """Draw the NDCG of each list and method with its interval."""
        from segkit.plot import intervals

        return intervals(
            self.table.with_columns(name=pl.format("{}: {}", "list", "method")),
            "name",
            "ndcg",
            interval=("ndcg_low", "ndcg_high"),
            reference=None,
            percent=False,
            title=f"What customers bought from {self.start} to {self.end}",
            y_label=f"NDCG@{self.k}",
        )


@takes_frames
def backtest_recommendations(
    orders: pl.DataFrame | pl.LazyFrame,
    *,
    as_of: date | None = None,
    test_days: int = 90,
    k: int = 20,
    tune: bool = True,
    settings: RecommendSettings | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 1,
) -> RecommendBacktest:
    """Make lists at a past date and compare them with what was bought after it.

    The test window is the last ``test_days`` days. Settings are tuned on the window of equal length
    before it, with models fitted to still earlier data, so that tuning uses nothing from the test
    window. Customers are those with a purchase before the window; products, those sold before it.

    Parameters
    ----------
    orders : polars or pandas frame
        Order lines, as `fit_recommender` takes them.
    as_of : date, optional
        Last day of the window; by default the last day in the data.
    test_days : int
        Length of the window.
    k : int
        Length of the lists.
    tune : bool
        Choose the settings on the window before; else ``settings`` are used as they are.
    settings : RecommendSettings, optional
        Where tuning starts from: method, recent days.
    level : float
        Of the intervals.
    draws : int
        Bootstrap samples of customers.
    seed : int
        The same seed gives the same intervals.

    Returns
    -------
    RecommendBacktest
        Its ``settings`` can be handed to `fit_recommender`.

    Raises
    ------
    DataError
        If too few purchases lie before the window, or none within.

    Notes
    -----
    NDCG is the sum of 1 / log2(rank + 1) over the products listed that were bought, divided by the
    largest that could be reached: Järvelin and Kekäläinen (2002), "Cumulated gain-based evaluation
    of IR techniques".

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> customer, taste = rng.integers(0, 80, 2000), rng.integers(0, 15, 2000)
    >>> orders = pl.DataFrame(
    ...     {
    ...         "customer_id": customer,
    ...         "product_id": taste + 15 * (customer % 2),
    ...         "order_day": rng.integers(0, 300, 2000),
    ...     }
    ... )
    >>> test = backtest_recommendations(orders, test_days=30, k=5, tune=False)
    >>> test.table.filter(list="discover").select("method", pl.col("ndcg").round(2)).rows()
    [('segkit', 0.66), ('EASE, ridge 300', 0.62), ('popular lately', 0.09), ('popular', 0.04)]
    """
    require_least(test_days=(test_days, 1), k=(k, 1), draws=(draws, 100))
    require_range("[0.5, 0.999]", level=level)
    settings = settings or RecommendSettings()
    end = check_as_of(orders, as_of)
    days = purchase_days(orders, end)
    origin = end - timedelta(days=test_days)
    notes = []
    if tune:
        try:
            settings = _tune(days, origin, test_days, k, settings)
        except DataError as error:
            notes.append(f"Not tuned, for there is too little before the window: {error}.")
    split = _Split(days, origin, test_days, k, settings)
    notes += split.notes
    rows: list[dict[str, object]] = []
    for name, lists in _all_lists(split):
        wanted = split.wanted[name]
        if not wanted.nnz:
            notes.append(f"'{name}' is not judged: nobody bought such a product in the window.")
            continue
        rows += _judge(name, lists, wanted, split.shares, level, draws, seed)
    if not rows:
        raise DataError(
            f"no customer known by {origin.isoformat()} bought a product known then in the "
            f"{counted(test_days, 'day')} after"
        )
    first = origin + timedelta(days=1)
    return RecommendBacktest(pl.DataFrame(rows), settings, first, end, k, level, tuple(notes))


class _Split:
    """A model fitted up to a day, and what its customers bought in the days after."""

    def __init__(
        self, days: pl.DataFrame, origin: date, test_days: int, k: int, settings: RecommendSettings
    ) -> None:
        last = (origin - EPOCH).days
        before = days.filter(pl.col("order_day") <= last)
        after = days.filter(pl.col("order_day").is_between(last + 1, last + test_days))
        self.k, self.origin = k, last
        if before.is_empty():
            raise DataError(f"no purchase on or before {origin.isoformat()}")
        self.model: Recommender = fit_recommender(before, as_of=origin, settings=settings)
        products = self.model.products
        _, self.matrix = bought_matrix(
            before.select("customer_id", "product_id").unique(), products
        )
        later = after.join(products, on="product_id", how="semi")
        later = later.join(before, on="customer_id", how="semi")
        pairs = later.select("customer_id", "product_id").unique()
        # Only who bought afterwards is judged, so only they are ranked.
        self.before = before.join(pairs, on="customer_id", how="semi")
        bought = self.before.select("customer_id", "product_id").unique()
        self.customers, self.bought = bought_matrix(bought, products)
        _, every = bought_matrix(pairs, products)
        if every.shape[0] == 0:
            every = sparse.csr_matrix(self.bought.shape, dtype=np.float32)
        repeats = every.multiply(self.bought).tocsr()
        self.wanted = {AGAIN: repeats, DISCOVER: (every - repeats).tocsr(), BOTH: every}
        for matrix in self.wanted.values():
            matrix.eliminate_zeros()
            matrix.sort_indices()
        self.shares = products["customers"].to_numpy() / self.model.customers
        new = after.join(products, on="product_id", how="anti").height
        self.notes = []
        if after.height and new:
            share = percent(new / after.height)
            self.notes.append(
                f"{share} of the purchases in the window are of products first sold in it, which "
                "no list could name."
            )

    def weigh(self, settings: RecommendSettings) -> tuple[Floats, Codes]:
        """Return the weights of settings before the season, from the model where it has them."""
        fitted, shares = self.model.settings, recent_shares(self.model.products)
        if (settings.ridge, settings.neighbours) != (fitted.ridge, fitted.neighbours):
            return fit_weights(self.matrix, shares, replace(settings, recent_weight=0.0))
        near = self.model.neighbours
        season = (shares**fitted.recent_weight).astype(np.float32)
        return self.model.weights / (season[:, None] if len(near) else season), near

    def as_codes(self, ranked: pl.DataFrame) -> Codes:
        """Turn ranked rows, best first within a customer, into customers x k products."""
        listed = (
            ranked.select("customer_id", "product_id")
            .with_columns(rank=pl.int_range(pl.len()).over("customer_id"))
            .filter(pl.col("rank") < self.k)
            .join(self.model.products.with_row_index("code"), on="product_id")
        )
        rows = np.searchsorted(self.customers.to_numpy(), listed["customer_id"].to_numpy())
        codes = np.full((len(self.customers), self.k), -1, np.int32)
        codes[rows, listed["rank"].to_numpy()] = listed["code"].to_numpy()
        return codes

    def popular(self, counts: npt.NDArray[np.int64], owned: sparse.csr_matrix | None) -> Codes:
        """List the products of most customers, without those owned where they are given."""
        order = np.lexsort((np.arange(len(counts)), -counts)).astype(np.int32)
        codes = np.full((len(self.customers), self.k), -1, np.int32)
        for row in range(len(codes)):
            best = order
            if owned is not None:
                mine = owned.indices[owned.indptr[row] : owned.indptr[row + 1]]
                best = order[: self.k + len(mine)]
                best = best[~np.isin(best, mine)]
            codes[row, : min(self.k, len(best))] = best[: self.k]
        return codes


def _all_lists(split: _Split) -> Iterator[tuple[str, dict[str, Codes]]]:
    """Yield each list's name with the products that segkit and the naive methods list."""
    model, k = split.model, split.k
    again = rank_again(split.before, model.products, split.origin, model.again)
    lately, ever = (model.products[name].to_numpy() for name in ("recent_customers", "customers"))
    recent = pl.Series("recent", lately)
    counts = model.products.select("product_id", recent)
    frequent = again.join(counts, on="product_id").sort(
        "customer_id", "times", "recent", "product_id", descending=[False, True, True, False]
    )
    last = again.join(counts, on="product_id").sort(
        "customer_id", "days_since", "recent", "product_id", descending=[False, False, True, False]
    )
    own = {
        OWN: split.as_codes(again),
        FREQUENCY: split.as_codes(frequent),
        "bought last": split.as_codes(last),
    }
    yield AGAIN, own
    weights, neighbours = split.weigh(replace(model.settings, ridge=PLAIN_RIDGE))
    plain_model = replace(model, weights=weights, neighbours=neighbours)
    title = "item neighbours" if len(neighbours) else f"EASE, ridge {PLAIN_RIDGE:g}"
    new = {
        OWN: rank_discover(model, split.bought, k)[0],
        title: rank_discover(plain_model, split.bought, k)[0],
        "popular lately": split.popular(lately, split.bought),
        "popular": split.popular(ever, split.bought),
    }
    yield DISCOVER, new
    yield (
        BOTH,
        {
            OWN: _join(own[OWN], new[OWN]),
            f"{FREQUENCY}, then popular lately": _join(own[FREQUENCY], new["popular lately"]),
            title: rank_discover(plain_model, split.bought, k, new_only=False)[0],
            "popular lately": split.popular(lately, None),
        },
    )


def _join(first: Codes, second: Codes) -> Codes:
    """Fill the places of one list that are empty from another."""
    both = np.concatenate([first, second], axis=1)
    order = np.argsort(both < 0, axis=1, kind="stable")[:, : first.shape[1]]
    return np.take_along_axis(both, order, axis=1)


def measure_lists(codes: Codes, wanted: sparse.csr_matrix) -> tuple[Array, Array]:
    """Compute NDCG and recall of each customer's list.

    Parameters
    ----------
    codes : ndarray of int32
        Customers x k products, best first; -1 where a list is shorter.
    wanted : sparse matrix
        Customers x products, 1 where bought; every customer with at least one.

    Examples
    --------
    >>> wanted = sparse.csr_matrix(np.array([[1.0, 0, 0, 1]]))
    >>> ndcg, recall = measure_lists(np.array([[2, 3, -1]], np.int32), wanted)
    >>> round(ndcg.item(), 4), recall.item()
    (0.3869, 0.5)
    """
    n, k = codes.shape
    places = np.repeat(np.arange(n), np.diff(wanted.indptr)) * wanted.shape[1] + wanted.indices
    listed = np.arange(n)[:, None] * wanted.shape[1] + codes
    hits = np.isin(listed, places) & (codes >= 0)
    gains = 1 / np.log2(np.arange(k) + 2)
    counts = np.diff(wanted.indptr)
    ideal = np.cumsum(gains)[np.minimum(counts, k) - 1]
    return (hits @ gains) / ideal, hits.sum(axis=1) / counts


def _judge(
    name: str,
    lists: Mapping[str, Codes],
    wanted: sparse.csr_matrix,
    shares: Array,
    level: float,
    draws: int,
    seed: int,
) -> list[dict[str, object]]:
    """Measure each method's lists on the customers with something to find, with intervals."""
    judged = np.flatnonzero(np.diff(wanted.indptr))
    wanted = wanted[judged]
    information = np.append(-np.log2(shares), np.nan)
    values: dict[str, Array] = {}
    for method, codes in lists.items():
        ndcg, recall = measure_lists(codes[judged], wanted)
        listed = information[codes[judged]]
        amount = (~np.isnan(listed)).sum(axis=1)
        novelty = np.nansum(listed, axis=1) / np.maximum(amount, 1)
        values[method] = np.stack([ndcg, recall, np.where(amount > 0, novelty, np.nan)])
    methods = list(values)
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, len(methods), len(MEASURES)))
    for draw in range(draws):
        sample = rng.integers(0, len(judged), len(judged))
        for place, method in enumerate(methods):
            drawn[draw, place] = _means(values[method][:, sample])
    edges = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(drawn, edges, axis=0)
    gain_low, gain_high = np.quantile(drawn[:, :1, 0] - drawn[:, :, 0], edges, axis=0)
    own = _means(values[methods[0]])
    rows = []
    for place, method in enumerate(methods):
        means = _means(values[method])
        listed_codes = np.unique(lists[method][judged])
        row: dict[str, object] = {"list": name, "method": method, "customers": len(judged)}
        for at, measure in enumerate(MEASURES):
            row |= {
                measure: float(means[at]),
                f"{measure}_low": float(low[place, at]),
                f"{measure}_high": float(high[place, at]),
            }
        row["coverage"] = float((listed_codes >= 0).sum() / len(shares))
        row["gain"] = float(own[0] - means[0]) if place else None
        row["gain_low"] = float(gain_low[place]) if place else None
        row["gain_high"] = float(gain_high[place]) if place else None
        rows.append(row)
    return rows


def _means(values: Array) -> Array:
    """Return the means over customers, of those that have a value."""
    valid = ~np.isnan(values)
    return np.asarray(np.where(valid, values, 0.0).sum(axis=1) / np.maximum(valid.sum(axis=1), 1))


def _tune(
    days: pl.DataFrame, origin: date, test_days: int, k: int, settings: RecommendSettings
) -> RecommendSettings:
    """Choose the settings of 'discover' that name best what was bought up to ``origin``."""
    split = _Split(days, origin - timedelta(days=test_days), test_days, k, settings)
    wanted = split.wanted[DISCOVER]
    judged = np.flatnonzero(np.diff(wanted.indptr))
    if not len(judged):
        raise DataError("nobody bought a product new to them in the window before")
    best = (-1.0, settings)
    shares = recent_shares(split.model.products)
    for one, weights, neighbours in _candidates(split, settings):
        for power in RECENT_WEIGHTS:
            season = (shares**power).astype(np.float32)
            scaled = weights * (season[:, None] if len(neighbours) else season)
            tried = replace(split.model, weights=scaled, neighbours=neighbours)
            codes = rank_discover(tried, split.bought, k)[0][judged]
            reached = float(measure_lists(codes, wanted[judged])[0].mean())
            if reached > best[0]:
                best = reached, replace(one, recent_weight=power)
    return best[1]


def _candidates(
    split: _Split, settings: RecommendSettings
) -> Iterator[tuple[RecommendSettings, Floats, Codes]]:
    """Yield settings to try, each with its weights before the season."""
    if len(split.model.neighbours):
        weights, neighbours = split.weigh(replace(settings, neighbours=max(NEIGHBOURS)))
        for size in NEIGHBOURS:  # the nearest come first
            yield replace(settings, neighbours=size), weights[:, :size], neighbours[:, :size]
        return
    for ridge in RIDGES:
        one = replace(settings, ridge=ridge)
        yield one, *split.weigh(one)
