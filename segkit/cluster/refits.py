"""Does the same come out again? Refits to bootstrap samples and to halves of the customers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from segkit.cluster.agreement import (
    adjusted_rand,
    jaccard,
    matched,
    overlaps,
    prediction_strength,
)
from segkit.cluster.assign import settle
from segkit.cluster.matrix import Floats, Ints
from segkit.cluster.tree import cut_tree
from segkit.cluster.ward import ward_linkage
from segkit.live import steps

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refits:
    """How to refit, the same for every resample.

    Attributes
    ----------
    ks : tuple of int
        Numbers of segments.
    method : {"ward", "kmeans"}
    n_starts : int
        k-means++ starts of every refit.
    seeding_rows : int
        k-means: the starts run on so many customers per segment, drawn from the resample, and one
        weighted run of Lloyd's algorithm on all of it follows.
    repeats : {"once", "weighted"}
        A customer drawn several times counts once, as in R's fpc::clusterboot (copies of a row
        make groups of their own), or as often as drawn.
    settle_steps : int
        Ward: most of Lloyd's steps that follow the cut, as in `cluster_customers`.
    """

    ks: tuple[int, ...]
    method: str
    n_starts: int
    seeding_rows: int
    repeats: str = "once"
    settle_steps: int = 0

    def prepared(self, X: Floats) -> Floats:
        """Make rows ready for refits: k-means runs in single precision, twice as fast.

        Rows are centred and scaled as a whole first, so nothing but the last digits changes.
        """
        if self.method == "ward":
            return X
        away = X - X.mean(axis=0)
        return np.asarray(away / (np.abs(away).max() or 1.0), dtype=np.float32)

    def fit(self, X: Floats, counts: Ints, seed: int) -> dict[int, tuple[Floats, Ints | None]]:
        """Refit to the rows, each as often as it was drawn.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        counts : ndarray of shape (n,)
            How often each row was drawn; rows drawn 0 times are not used.
        seed : int

        Returns
        -------
        dict
            For each k the centres and, for a literal cut of Ward's tree, the codes of the drawn
            rows in the cut itself (else None: they are those of the nearest centre).
        """
        drawn = np.flatnonzero(counts)
        rows, weights = X[drawn], counts[drawn].astype(X.dtype)
        if self.method == "kmeans":
            return {k: (self._centres(rows, weights, k, seed + k), None) for k in self.ks}
        if len(rows) < 2:
            return {k: (rows, np.zeros(len(rows), np.int64)) for k in self.ks}
        tree = ward_linkage(rows, weights)
        fits: dict[int, tuple[Floats, Ints | None]] = {}
        for k in self.ks:
            codes = cut_tree(tree, min(k, len(rows)))
            mass = np.bincount(codes, weights)
            sums = [np.bincount(codes, weights * column) for column in rows.T]
            fits[k] = self._settled(rows, weights, np.stack(sums, axis=1) / mass[:, None], codes)
        return fits

    def _settled(
        self, rows: Floats, weights: Floats, centres: Floats, codes: Ints
    ) -> tuple[Floats, Ints | None]:
        if not self.settle_steps:
            return centres, codes
        return settle(rows, centres, steps=self.settle_steps, weights=weights)[0], None

    def _centres(self, rows: Floats, weights: Floats, k: int, seed: int) -> Floats:
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        k = min(k, len(rows))
        with warnings.catch_warnings():
            # With fewer distinct rows than k, k-means finds fewer segments, and warns of it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            seeding = self.seeding_rows * k
            if len(rows) <= seeding:
                model = KMeans(k, n_init=self.n_starts, random_state=seed)
                return np.asarray(model.fit(rows, sample_weight=weights).cluster_centers_)
            rng = np.random.default_rng(seed)
            some = rng.choice(len(rows), seeding, replace=False)
            start = KMeans(k, n_init=self.n_starts, random_state=seed)
            start.fit(rows[some], sample_weight=weights[some])
            full = KMeans(k, init=start.cluster_centers_, n_init=1)
            return np.asarray(full.fit(rows, sample_weight=weights).cluster_centers_)


@dataclass(frozen=True, slots=True)
class Resampled:
    """What the refits gave.

    Attributes
    ----------
    jaccard : dict of int to ndarray of shape (B, k)
        Each segment's largest Jaccard coefficient in each refit, over the customers drawn.
    kept : dict of int to ndarray of shape (B, k)
        Share of each segment's drawn customers that fall into the segment matched with it.
    rand : dict of int to ndarray of shape (B // 2,)
        Adjusted Rand index of two refits, over all customers.
    """

    jaccard: Mapping[int, Floats]
    kept: Mapping[int, Floats]
    rand: Mapping[int, Floats]


def bootstrap(
    X: Floats, cuts: Mapping[int, Ints], refits: Refits, *, n_boot: int, seed: int, n_jobs: int = 1
) -> Resampled:
    """Refit to bootstrap samples of the customers and compare, segment by segment.

    Refits are taken two by two: the two of a pair rest on independent samples, and each labels
    all customers by its nearest centre (Dolnicar and Leisch 2010). Jaccard coefficients compare
    each refit with the given partition over the distinct customers drawn (Hennig 2007).

    Parameters
    ----------
    X : ndarray of shape (n, d)
    cuts : mapping of int to ndarray of shape (n,)
        The partition for each k of ``refits``.
    refits : Refits
    n_boot : int
    seed : int
    n_jobs : int
        Threads; the result does not depend on them.
    """
    seeds = np.random.SeedSequence(seed).spawn(n_boot)
    ready = refits.prepared(X)

    def pair(first: int) -> list[dict[int, tuple[Floats, Floats, Ints]]]:
        return [
            _one(ready, cuts, refits, np.random.default_rng(seeds[b]))
            for b in range(first, min(first + 2, n_boot))
        ]

    found_jaccard: dict[int, list[Floats]] = {k: [] for k in refits.ks}
    found_kept: dict[int, list[Floats]] = {k: [] for k in refits.ks}
    found_rand: dict[int, list[float]] = {k: [] for k in refits.ks}
    for couple in _mapped(pair, range(0, n_boot, 2), n_jobs, "pairs of refits"):
        for k in refits.ks:
            found_jaccard[k] += [one[k][0] for one in couple]
            found_kept[k] += [one[k][1] for one in couple]
            if len(couple) == 2:
                table = overlaps(couple[0][k][2], couple[1][k][2], k, k)
                found_rand[k].append(adjusted_rand(table))
    return Resampled(
        {k: np.array(v) for k, v in found_jaccard.items()},
        {k: np.array(v) for k, v in found_kept.items()},
        {k: np.array(v) for k, v in found_rand.items()},
    )


def _one(
    rows: Floats, cuts: Mapping[int, Ints], refits: Refits, rng: np.random.Generator
) -> dict[int, tuple[Floats, Floats, Ints]]:
    counts = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
    if refits.repeats == "once":
        counts = np.minimum(counts, 1)
    drawn = np.flatnonzero(counts)
    result = {}
    for k, (centres, literal) in refits.fit(rows, counts, int(rng.integers(2**31))).items():
        everyone = _nearest(rows, centres)
        table = overlaps(cuts[k][drawn], everyone[drawn] if literal is None else literal, k, k)
        sizes = table.sum(axis=1)
        owner = matched(table)
        partner = np.zeros(k)
        partner[owner] = table[owner, np.arange(k)]
        kept = np.divide(partner, sizes, out=np.full(k, np.nan), where=sizes > 0)
        result[k] = jaccard(table), kept, everyone
    return result


@dataclass(frozen=True, slots=True)
class Halves:
    """What split halves gave: arrays of shape (splits,) for each k.

    Attributes
    ----------
    rand : dict of int to ndarray
        Adjusted Rand index of the second half's own segments with those that the first half's
        centres predict for it.
    strength : dict of int to ndarray
        Prediction strength of the same.
    """

    rand: Mapping[int, Floats]
    strength: Mapping[int, Floats]


def split_halves(X: Floats, refits: Refits, *, n_splits: int, seed: int, n_jobs: int = 1) -> Halves:
    """Segment two halves of the customers apart, and let one predict the other's segments.

    Replication analysis: McIntyre and Blashfield (1980), "A nearest-centroid technique for
    evaluating the minimum-variance clustering procedure"; Breckenridge (1989).

    Parameters
    ----------
    X : ndarray of shape (n, d)
    refits : Refits
    n_splits, seed, n_jobs : int
    """
    seeds = np.random.SeedSequence([seed, 1]).spawn(n_splits)
    ready = refits.prepared(X)

    def split(number: int) -> dict[int, tuple[float, float]]:
        rng = np.random.default_rng(seeds[number])
        first = np.zeros(len(X), dtype=np.int64)
        first[rng.permutation(len(X))[: len(X) // 2]] = 1
        second = 1 - first
        train = refits.fit(ready, first, int(rng.integers(2**31)))
        test = refits.fit(ready, second, int(rng.integers(2**31)))
        rows = ready[second == 1]
        scores = {}
        for k in refits.ks:
            centres, literal = test[k]
            own = _nearest(rows, centres) if literal is None else literal
            table = overlaps(own, _nearest(rows, train[k][0]), k, k)
            scores[k] = adjusted_rand(table), prediction_strength(table)
        return scores

    found = _mapped(split, range(n_splits), n_jobs, "split halves")
    return Halves(
        {k: np.array([scores[k][0] for scores in found]) for k in refits.ks},
        {k: np.array([scores[k][1] for scores in found]) for k in refits.ks},
    )


def _nearest(rows: Floats, centres: Floats) -> Ints:
    """Return each row's nearest centre by the product form, in blocks that stay in the cache."""
    flat = (centres * centres).sum(axis=1)
    turned = np.ascontiguousarray(-2 * centres.T)
    codes = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), 4096):
        codes[start : start + 4096] = (rows[start : start + 4096] @ turned + flat).argmin(axis=1)
    return codes


def _mapped(task: Callable[[int], T], numbers: Sequence[int], n_jobs: int, what: str) -> list[T]:
    if n_jobs == 1:
        return [task(number) for number in steps(numbers, what)]
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            return list(steps(pool.map(task, numbers), what, len(numbers)))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interruption does not wait for all the rest
            raise
