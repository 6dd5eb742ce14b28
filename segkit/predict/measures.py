"""Measures of predicted probabilities: calibration, ranking and gain, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.predict.likelihood import Array
from segkit.stats.intervals import wilson

BINS = 10
TOPS = (1, 2, 3)
METRICS = (
    "brier", "ece", "auc", "pr_auc",
    "gain_top_decile", "gain_top_2_deciles", "gain_top_3_deciles",
)  # fmt: skip
BY_CHANCE = "ece_by_chance"


@dataclass(frozen=True, slots=True)
class Ranked:
    """Predicted probabilities in rising order, equal ones together.

    Attributes
    ----------
    values : ndarray of shape (g,)
        The different probabilities.
    place : ndarray of shape (n,)
        Of each customer among them.
    event : ndarray of shape (n,)
        1 where the event came.
    """

    values: Array
    place: npt.NDArray[np.int64]
    event: Array

    @classmethod
    def of(cls, probability: Array, event: Array) -> Ranked:
        """Sort probabilities."""
        values, place = np.unique(probability, return_inverse=True)
        return cls(values, place, event)

    def count(self, weights: Array | None = None) -> tuple[Array, Array]:
        """Return customers and events at each probability, each customer counted by a weight."""
        weights = np.ones(len(self.place)) if weights is None else weights
        size = len(self.values)
        counts = (np.bincount(self.place, one, size) for one in (weights, weights * self.event))
        customers, events = (np.asarray(one, dtype=np.float64) for one in counts)
        return customers, events


def measure(values: Array, customers: Array, events: Array) -> Array:
    """Compute every measure of `METRICS` from counts at rising probabilities.

    Equal probabilities share bins and deciles in proportion. ECE is the mean absolute difference
    of the observed share and the mean probability over ten bins of equal count (Naeini, Cooper and
    Hauskrecht 2015); PR-AUC the average precision; gain the share with the event in the top
    deciles over that of all, minus 1.

    Examples
    --------
    >>> ranked = Ranked.of(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    >>> measure(ranked.values, *ranked.count()).round(2).tolist()
    [0.04, 0.2, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    n, total = customers.sum(), events.sum()
    if total <= 0 or total >= n:
        return np.full(len(METRICS), np.nan)
    others = customers - events
    brier = (customers * values**2 - 2 * values * events + events).sum() / n
    below = np.cumsum(others) - others
    auc = (events * (below + others / 2)).sum() / (total * (n - total))
    top_customers, top_events = np.cumsum(customers[::-1]), np.cumsum(events[::-1])
    precision = top_events / np.maximum(top_customers, 1e-300)
    pr_auc = (events[::-1] * precision).sum() / total
    predicted, observed = _binned(values, customers, events)
    ece = np.abs(predicted - observed).sum() / n
    reached = [observed[-top:].sum() / (n * top / BINS) / (total / n) - 1 for top in TOPS]
    return np.array([brier, ece, auc, pr_auc, *reached])


def _binned(values: Array, customers: Array, events: Array) -> tuple[Array, Array]:
    """Return the sums of probabilities and of events in ten bins of equal count."""
    at = np.concatenate([[0.0], np.cumsum(customers)])
    edges = at[-1] * np.arange(BINS + 1) / BINS
    sums = (np.concatenate([[0.0], np.cumsum(one)]) for one in (customers * values, events))
    predicted, observed = (np.diff(np.interp(edges, at, one)) for one in sums)
    return predicted, observed


def reliability(ranked: Ranked, level: float) -> pl.DataFrame:
    """Compare predicted and observed shares in ten bins of equal count.

    Returns
    -------
    polars.DataFrame
        decile (1 the highest probabilities), customers, predicted, observed, with Wilson's limits.
    """
    customers, events = ranked.count()
    predicted, observed = _binned(ranked.values, customers, events)
    size = customers.sum() / BINS
    interval = wilson(observed.clip(0, size), np.full(BINS, size), level=level)
    return pl.DataFrame(
        {
            "decile": np.arange(BINS, 0, -1),
            "customers": np.full(BINS, size),
            "predicted": predicted / size,
            "observed": observed / size,
            "low": interval.low,
            "high": interval.high,
        }
    ).reverse()


def resample(
    origins: Sequence[tuple[pl.Series, Mapping[str, Ranked]]],
    names: Sequence[str],
    resamples: int,
    seed: int,
) -> tuple[Array, Array]:
    """Measure every score at every origin, and on resampled customers.

    A customer drawn twice counts twice at every origin and for every score, so that scores and
    origins can be compared.

    Parameters
    ----------
    origins : sequence of (ids, mapping of score to Ranked)
    names : sequence of str
        The scores; one that an origin lacks is NaN there.
    resamples : int
    seed : int

    Returns
    -------
    values : ndarray of shape (origins, scores, measures)
    drawn : ndarray of shape (resamples, origins, scores, measures)
    """
    everybody = pl.concat([ids for ids, _ in origins]).unique().sort()
    places = [everybody.search_sorted(ids).to_numpy() for ids, _ in origins]
    rng = np.random.default_rng(seed)
    shape = (len(origins), len(names), len(METRICS))
    values, drawn = np.full(shape, np.nan), np.full((resamples, *shape), np.nan)
    for draw in range(-1, resamples):
        if draw >= 0:
            chosen = rng.integers(0, len(everybody), len(everybody))
            weights = np.bincount(chosen, minlength=len(everybody)).astype(float)
        for at, (_, scores) in enumerate(origins):
            own = None if draw < 0 else weights[places[at]]
            for name, ranked in scores.items():
                into = values if draw < 0 else drawn[draw]
                into[at, names.index(name)] = measure(ranked.values, *ranked.count(own))
    return values, drawn


def ece_by_chance(ranked: Ranked, resamples: int, seed: int) -> Array:
    """Simulate the ECE that these probabilities would have if they were exactly right."""
    rng = np.random.default_rng(seed)
    customers, _ = ranked.count()
    whole = customers.astype(np.int64)
    place = METRICS.index("ece")
    chance = np.clip(ranked.values, 0, 1)
    draws = (rng.binomial(whole, chance).astype(float) for _ in range(resamples))
    return np.array([measure(ranked.values, customers, events)[place] for events in draws])


def limits(value: Array, drawn: Array, level: float) -> tuple[Array, Array]:
    """Return percentile limits of resamples (first axis), less their mean's shift.

    Resampling moves some measures (an ECE can only grow by chance); the limits are moved back.
    """
    with np.errstate(invalid="ignore"):
        shift = drawn.mean(axis=0) - value
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low - shift, high - shift
