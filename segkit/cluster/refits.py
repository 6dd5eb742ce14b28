"""Segmentations for every number of segments, and refits of them to samples of the customers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from segkit.cluster.agreement import adjusted_rand, jaccard, matched, overlaps, prediction_strength
from segkit.cluster.kmeans import ENOUGH, centres_of, fit_kmeans, iterate_means, nearest_centre
from segkit.cluster.matrix import Floats, Ints, fit_quietly, without_gaps
from segkit.cluster.ward import cut_tree, ward_linkage
from segkit.progress import steps

T = TypeVar("T")

Method = Literal["ward", "kmeans"]
Repeats = Literal["once", "weighted"]
METHOD_WORDS = {"ward": "Ward", "kmeans": "k-means"}
METHODS: tuple[Method, ...] = get_args(Method)
STARTS_ROWS = 20_000
SEEDING_ROWS = 1_000
MOST_STEPS = 300
_BLOCK = 8_192  # rows at a time, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Clustering:
    """Method and settings of a clustering.

    Attributes
    ----------
    method : {"ward", "kmeans"}
        Ward's tree is built once and cut for every k.
    seed, n_starts : int
        Used by k-means.
    settle_steps : int
        Maximum number of Lloyd's steps after a cut of Ward's tree, as in `cluster_customers`.
    """

    method: str
    seed: int = 0
    n_starts: int = 5
    settle_steps: int = 0

    def over_k(
        self, X: Floats, ks: Sequence[int], *, linkage: Floats | None = None
    ) -> dict[int, Ints]:
        """Segment the rows into each number of segments.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        ks : sequence of int
        linkage : ndarray of shape (n - 1, 4), optional
            Ward's tree of these rows, if already computed.

        Returns
        -------
        dict of int to ndarray of shape (n,)
            Codes 0 … k - 1.

        Examples
        --------
        >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> Clustering("ward").over_k(X, [2])[2].tolist()
        [0, 0, 1, 1]
        """
        if self.method == "kmeans":
            return {k: kmeans_codes(X, k, seed=self.seed + k, n_starts=self.n_starts) for k in ks}
        tree = ward_linkage(X) if linkage is None else linkage
        return {k: refine_cut(X, cut_tree(tree, k), steps=self.settle_steps) for k in ks}


def refine_cut(X: Floats, codes: Ints, *, steps: int) -> Ints:
    """Improve a segmentation by Lloyd's steps; with 0 steps it stays unchanged.

    Examples
    --------
    >>> refine_cut(np.array([[0.0], [4.0], [5.0]]), np.array([0, 0, 1]), steps=9)
    array([0, 1, 1])
    """
    if not steps or codes.max() == 0:
        return codes
    return without_gaps(nearest_centre(X, iterate_means(X, centres_of(X, codes), steps=steps)[0]))


def kmeans_codes(X: Floats, k: int, *, seed: int, n_starts: int) -> Ints:
    """Segment the rows into k segments by k-means; fewer if there are fewer distinct rows."""
    if k == 1:
        return np.zeros(len(X), np.int64)
    if len(X) > STARTS_ROWS:
        return fit_kmeans(X, k, starts=n_starts, sample=STARTS_ROWS, seed=seed).labels
    from sklearn.cluster import KMeans

    model = fit_quietly(KMeans(k, n_init=n_starts, random_state=seed), X)
    return without_gaps(model.labels_)


def _spread_seeds(
    rows: Floats, weights: Floats, k: int, starts: int, seed: int
) -> Iterator[Floats]:
    """Yield seeds by k-means++ (Arthur and Vassilvitskii 2007), scikit-learn's to the last bit."""
    random = np.random.RandomState(seed)
    exact = rows.astype(np.float64)
    lengths = np.einsum("ij,ij->i", exact, exact)

    def distances(seeds: Any) -> Floats:
        squared = -2 * (exact[seeds] @ exact.T)
        squared += lengths[seeds, None]
        squared += lengths
        return np.asarray(np.maximum(squared.astype(rows.dtype), 0))

    for _ in range(starts):
        chosen = [random.choice(len(rows), p=weights / weights.sum())]
        nearest = distances(chosen)
        total = nearest @ weights
        for _ in range(1, k):
            wanted = random.uniform(size=2 + int(np.log(k))) * total
            tried = np.searchsorted(np.cumsum(weights * nearest), wanted).clip(max=len(rows) - 1)
            nearer = np.minimum(nearest, distances(tried))
            totals = nearer @ weights[:, None]
            best = totals.argmin()
            chosen.append(tried[best])
            nearest, total = nearer[best], totals[best]
        yield rows[chosen]


def _lloyd(rows: Floats, weights: Floats, centres: Floats, enough: float) -> tuple[float, Floats]:
    """Move centres to the means of their nearest rows, until they move less than ``enough``.

    One matrix product measures and another adds up, so that no labels are needed: half the time of
    scikit-learn's. A row equally near to several centres is shared by them; a centre without rows
    stays.

    Returns
    -------
    tuple of (float, ndarray of shape (k, d))
        Sum of squares before the last step, less that of the rows themselves; the centres.
    """
    columns, weighted = rows.T.copy(), np.c_[rows * weights[:, None], weights]
    for _ in range(MOST_STEPS):
        squares = np.square(centres).sum(axis=1)[:, None]
        totals, cost = np.zeros((len(centres), weighted.shape[1])), 0.0
        for start in range(0, len(rows), _BLOCK):
            block = weighted[start : start + _BLOCK]
            value = -2 * centres @ columns[:, start : start + _BLOCK] + squares
            least = value.min(axis=0)
            near: Any = value == least
            if np.count_nonzero(near) > len(block):
                near = near / near.sum(axis=0)
            totals += near.astype(rows.dtype) @ block
            cost += float(least @ block[:, -1])
        mass = totals[:, -1:]
        means = np.divide(totals[:, :-1], mass, out=centres.astype(np.float64), where=mass > 0)
        move = np.square(means - centres).sum()
        centres = means.astype(rows.dtype)
        if move <= enough:
            break
    return cost, centres


@dataclass(frozen=True, slots=True)
class RefitPlan:
    """Settings of the refits, the same for every sample.

    Attributes
    ----------
    ks : tuple of int
        Numbers of segments.
    method : {"ward", "kmeans"}
    n_starts : int
        k-means++ starts of every refit.
    seeding_rows : int
        k-means: the starts run on this many customers per segment, drawn from the resample, and
        one weighted run of Lloyd's algorithm on the whole resample follows.
    repeats : {"once", "weighted"}
        A customer drawn several times counts once, as in R's fpc::clusterboot (because copies of
        a row form groups of their own), or as often as drawn.
    settle_steps : int
        Ward: maximum number of Lloyd's steps after the cut, as in `cluster_customers`.
    """

    ks: tuple[int, ...]
    method: str
    n_starts: int
    seeding_rows: int = SEEDING_ROWS
    repeats: str = "once"
    settle_steps: int = 0

    def prepared(self, X: Floats) -> Floats:
        """Prepare rows for refits: k-means runs in single precision, which is twice as fast.

        Rows are centred and scaled as a whole first, so nothing but the last digits changes.
        """
        if self.method == "ward":
            return X
        away = X - X.mean(axis=0)
        away /= max(away.max(), -away.min()) or 1.0
        return np.asarray(away, dtype=np.float32)

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
            For each k the centres and, if Ward's tree was cut without Lloyd's steps, the codes of
            the drawn rows in the cut (else None: each row has the code of its nearest centre).
        """
        drawn = np.flatnonzero(counts > 0)
        rows, weights = np.take(X, drawn, axis=0, mode="clip"), counts[drawn].astype(X.dtype)
        if self.method == "kmeans":
            return {k: (self._centres(rows, weights, k, seed + k), None) for k in self.ks}
        if len(rows) < 2:
            return {k: (rows, np.zeros(len(rows), np.int64)) for k in self.ks}
        tree = ward_linkage(rows, weights)
        fits: dict[int, tuple[Floats, Ints | None]] = {}
        for k in self.ks:
            codes = cut_tree(tree, min(k, len(rows)))
            centres = centres_of(rows, codes, weights)
            fits[k] = centres, codes
            if self.settle_steps:
                moved, _ = iterate_means(rows, centres, steps=self.settle_steps, weights=weights)
                fits[k] = moved, None
        return fits

    def _centres(self, rows: Floats, weights: Floats, k: int, seed: int) -> Floats:
        k = min(k, len(rows))
        seeding, some = self.seeding_rows * k, (rows, weights)
        if len(rows) > seeding:
            drawn = np.random.default_rng(seed).choice(len(rows), seeding, replace=False)
            some = rows[drawn], weights[drawn]
        enough = ENOUGH * float(some[0].var(axis=0).mean())
        seeds = _spread_seeds(*some, k, self.n_starts, seed)
        _, best = min((_lloyd(*some, start, enough) for start in seeds), key=itemgetter(0))
        return _lloyd(rows, weights, best, enough)[1] if len(rows) > seeding else best


@dataclass(frozen=True, slots=True, eq=False)
class Refit:
    """One refit to a bootstrap sample.

    Attributes
    ----------
    drawn : ndarray of shape (m,)
        The distinct rows of the sample.
    nearest : dict of int to ndarray of shape (n,)
        For each k the segment of every row: that of the nearest centre.
    literal : dict of int to ndarray of shape (m,)
        For each k at which Ward's tree was cut without Lloyd's steps, the segment of each drawn
        row.
    """

    drawn: Ints
    nearest: Mapping[int, Ints]
    literal: Mapping[int, Ints]


@dataclass(frozen=True, slots=True)
class HalfScores:
    """Agreement of two halves of the customers on the segments, for each k.

    Attributes
    ----------
    rand : dict of int to float
        Adjusted Rand index of the second half's own segments with those that the first half's
        centres predict for it.
    strength : dict of int to float
        Prediction strength of the same.
    """

    rand: Mapping[int, float]
    strength: Mapping[int, float]


def refit_samples(
    X: Floats, plan: RefitPlan, numbers: range, *, seed: int, n_jobs: int = 1
) -> Iterator[Refit]:
    """Refit to bootstrap samples of the customers, one after another.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    plan : RefitPlan
    numbers : range
        Which refits: each has its own random generator, seeded by its number, so refit 7 is the
        same alone or among others.
    seed : int
    n_jobs : int
        Threads; the result does not depend on them.
    """
    rows = plan.prepared(X)

    def one(number: int) -> Refit:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
        counts = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        if plan.repeats == "once":
            counts = np.minimum(counts, 1)
        fits = plan.fit(rows, counts, int(rng.integers(2**31)))
        return Refit(
            np.flatnonzero(counts > 0),
            {k: _nearest(rows, centres) for k, (centres, _) in fits.items()},
            {k: literal for k, (_, literal) in fits.items() if literal is not None},
        )

    yield from _mapped(one, numbers, n_jobs, "refits")


def resampled_rows(n: int, draws: int, seed: Sequence[int]) -> Iterator[Ints]:
    """Yield the distinct rows of bootstrap samples of n customers, in order."""
    for one in steps(np.random.SeedSequence(seed).spawn(draws), "refits to resampled customers"):
        yield np.unique(np.random.default_rng(one).integers(n, size=n))


def split_halves(
    X: Floats, plan: RefitPlan, numbers: range, *, seed: int, n_jobs: int = 1
) -> Iterator[HalfScores]:
    """Cluster two halves of the customers separately; let one predict the other's segments.

    Replication analysis: McIntyre and Blashfield (1980), "A nearest-centroid technique for
    evaluating the minimum-variance clustering procedure"; Breckenridge (1989).

    Parameters
    ----------
    X, plan, numbers, seed, n_jobs
        As for `refit_samples`.
    """
    ready = plan.prepared(X)

    def split(number: int) -> HalfScores:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 1], spawn_key=(number,)))
        first = np.zeros(len(X), dtype=np.int64)
        first[rng.permutation(len(X))[: len(X) // 2]] = 1
        second = 1 - first
        train = plan.fit(ready, first, int(rng.integers(2**31)))
        test = plan.fit(ready, second, int(rng.integers(2**31)))
        rows = ready[second == 1]
        tables = {}
        for k in plan.ks:
            centres, literal = test[k]
            own = _nearest(rows, centres) if literal is None else literal
            tables[k] = overlaps(own, _nearest(rows, train[k][0]), k, k)
        return HalfScores(
            {k: adjusted_rand(table) for k, table in tables.items()},
            {k: prediction_strength(table) for k, table in tables.items()},
        )

    yield from _mapped(split, numbers, n_jobs, "split halves")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of refits with a segmentation and with each other.

    Attributes
    ----------
    jaccard : dict of int to ndarray of shape (B, k)
        Each segment's largest Jaccard coefficient in each refit, over the customers drawn.
    kept : dict of int to ndarray of shape (B, k)
        Share of each segment's drawn customers who are in the matched segment of the refit.
    rand : dict of int to ndarray of shape (B // 2,)
        Adjusted Rand index of two refits, over all customers.
    """

    jaccard: Mapping[int, Floats]
    kept: Mapping[int, Floats]
    rand: Mapping[int, Floats]


def compare_refits(refits: Iterable[Refit], segmentations: Mapping[int, Ints]) -> Agreement:
    """Compare refits with a segmentation, segment by segment, and with each other in pairs.

    Refits are taken two by two: the two of a pair rest on independent samples, and each labels
    all customers by its nearest centre (Dolnicar and Leisch 2010). Jaccard coefficients compare
    each refit with the segmentation over the distinct customers drawn (Hennig 2007).

    Parameters
    ----------
    refits : iterable of Refit
    segmentations : mapping of int to ndarray of shape (n,)
        The segmentation for each k.
    """
    jaccards: dict[int, list[Floats]] = {k: [] for k in segmentations}
    shares: dict[int, list[Floats]] = {k: [] for k in segmentations}
    rands: dict[int, list[float]] = {k: [] for k in segmentations}
    first: Refit | None = None
    for refit in refits:
        for k, codes in segmentations.items():
            again = refit.literal.get(k)
            if again is None:
                again = refit.nearest[k][refit.drawn]
            table = overlaps(codes[refit.drawn], again, k, k)
            sizes = table.sum(axis=1)
            owner = matched(table)
            partner = np.zeros(k)
            partner[owner] = table[owner, np.arange(k)]
            jaccards[k].append(jaccard(table))
            shares[k].append(np.divide(partner, sizes, out=np.full(k, np.nan), where=sizes > 0))
            if first is not None:
                pair = overlaps(first.nearest[k], refit.nearest[k], k, k)
                rands[k].append(adjusted_rand(pair))
        first = refit if first is None else None
    return Agreement(
        {k: np.array(values) for k, values in jaccards.items()},
        {k: np.array(values) for k, values in shares.items()},
        {k: np.array(values) for k, values in rands.items()},
    )


def standard_error(values: Floats) -> float:
    """Return the standard error of a mean; 0 for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def mean_columns(name: str, values: Mapping[int, Floats]) -> dict[str, list[float]]:
    """Return each k's mean, and its standard error in a column ``…_se``."""
    return {
        name: [float(v.mean()) for v in values.values()],
        f"{name}_se": [standard_error(v) for v in values.values()],
    }


@dataclass(frozen=True, slots=True, eq=False)
class SharedRefits:
    """Refits over all k, computed once for the choice of k and used again for the stability.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
        The customers refitted to.
    plan : RefitPlan
    seed : int
    samples : tuple of Refit
    halves : tuple of HalfScores
    """

    rows: Floats
    plan: RefitPlan
    seed: int
    samples: tuple[Refit, ...]
    halves: tuple[HalfScores, ...]

    def serve(self, X: Floats, plan: RefitPlan, seed: int) -> bool:
        """Return whether these refits are the ones that the plan would compute for these rows."""
        mine, wanted = replace(self.plan, ks=()), replace(plan, ks=())
        if plan.method == "ward":  # has no starts
            mine, wanted = (replace(one, n_starts=1, seeding_rows=1) for one in (mine, wanted))
        return (
            mine == wanted
            and seed == self.seed
            and set(plan.ks) <= set(self.plan.ks)
            and np.array_equal(X, self.rows)
        )


def _nearest(rows: Floats, centres: Floats) -> Ints:
    """Return each row's nearest centre by the product form, in blocks that stay in the cache."""
    flat = (centres * centres).sum(axis=1)
    turned = np.ascontiguousarray(-2 * centres.T)
    codes = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), 4096):
        codes[start : start + 4096] = (rows[start : start + 4096] @ turned + flat).argmin(axis=1)
    return codes


def _mapped(task: Callable[[int], T], numbers: range, n_jobs: int, what: str) -> Iterator[T]:
    if n_jobs == 1:
        yield from (task(number) for number in steps(numbers, what))
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        try:
            yield from steps(pool.map(task, numbers), what, len(numbers))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # on interruption, do not wait for pending refits
            raise
