"""Test for natural groups: natural, reproducible or constructive segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from segkit.cluster.kmeans import SETTLE_STEPS
from segkit.cluster.matrix import Floats, Ints, as_matrix, fair_order, sample_rows
from segkit.cluster.null import elliptical_reference, null_reference
from segkit.cluster.refits import (
    METHODS,
    Clustering,
    Method,
    RefitPlan,
    compare_refits,
    mean_columns,
    refit_samples,
)
from segkit.cluster.validity import ClusterSums, cluster_sums
from segkit.display import counted, number, percent
from segkit.errors import DataError, ParameterError, require_choice, require_least
from segkit.plot import Figure
from segkit.plot.stability import structure_over_k
from segkit.progress import steps
from segkit.result import Result
from segkit.stats.threads import single_thread

if TYPE_CHECKING:
    from segkit.cluster.choose import KChoice

_GRID = 128
_RIDGE = 0.1
MAX_ROWS = 1_000
MIN_ROWS = 30
# Steinley (2004), "Properties of the Hubert-Arabie adjusted Rand index": good agreement.
REPRODUCIBLE = 0.8


@dataclass(frozen=True, slots=True)
class Valley:
    """Density valley between two neighbouring segments.

    Attributes
    ----------
    first, second : int
        Codes of the segments.
    height : float
        Density at the lowest point between them as a share of the lower of the two peaks; 1 where
        there is no valley.
    z : float
        Depth of the valley in standard errors; 0 if the density has no minimum between the two.
    """

    first: int
    second: int
    height: float
    z: float


def shallowest_valley(X: Floats, codes: Ints, k: int) -> Valley:
    """Find the shallowest valley of density between two neighbouring segments.

    Two segments are neighbours if no other centre lies inside the sphere that has the line between
    their centres as diameter (Gabriel and Sokal 1969). Their customers are projected on the
    direction that separates them best, and the density between the centres is compared with the
    peaks on both sides. Natural segments have a valley between every two neighbours; segments of a
    continuum do not.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,)
        Codes 0 … k - 1, each present.
    k : int
        At least 2.

    Returns
    -------
    Valley
        The one with the smallest ``z``.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> codes = (X[:, 0] > 0).astype(int)
    >>> level = shallowest_valley(X, codes, 2)
    >>> X[codes == 1, 0] += 6
    >>> level.z < 2.5, shallowest_valley(X, codes, 2).z > 6
    (True, True)
    """
    sums = cluster_sums(X, codes, k)
    rows = [np.flatnonzero(codes == segment) for segment in range(k)]
    lowest = Valley(0, 1, 0.0, float("inf"))
    for a, b in gabriel_pairs(sums.centres):
        valley = _valley(X, rows, sums, a, b)
        lowest = min(lowest, valley, key=lambda each: each.z)
        if lowest.z == 0.0:
            break
    return lowest


def gabriel_pairs(centres: Floats) -> list[tuple[int, int]]:
    """List the pairs of centres with no third inside the sphere between them.

    Examples
    --------
    >>> gabriel_pairs(np.array([[0.0], [1.0], [2.0]]))
    [(0, 1), (1, 2)]
    """
    gaps = centres[:, None] - centres
    squared = (gaps * gaps).sum(axis=2)
    pairs = []
    for a, b in combinations(range(len(centres)), 2):
        inside = squared[a] + squared[b] < squared[a, b] * (1 - 1e-12)
        inside[[a, b]] = False
        if not inside.any():
            pairs.append((a, b))
    return pairs


def _valley(X: Floats, rows: list[Ints], sums: ClusterSums, a: int, b: int) -> Valley:
    first, second = X[rows[a]], X[rows[b]]
    gap = sums.centres[b] - sums.centres[a]
    if not gap.any():
        return Valley(a, b, 1.0, 0.0)
    inner = np.concatenate([first - sums.centres[a], second - sums.centres[b]])
    scatter = inner.T @ inner / len(inner)
    ridge = _RIDGE * np.trace(scatter) / len(gap)
    direction = np.linalg.solve(scatter + max(ridge, 1e-12) * np.eye(len(gap)), gap)
    length = float(direction @ gap)
    along = np.concatenate([first, second]) @ direction
    along = (along - sums.centres[a] @ direction) / length  # centre of a at 0, of b at 1
    spread = float(np.sqrt(direction @ scatter @ direction)) / length
    height, z = _depth(along, spread)
    return Valley(a, b, height, z)


def _depth(along: Floats, spread: float) -> tuple[float, float]:
    """Return the valley's height as a share of the lower peak, and its depth in standard errors.

    A kernel density f has variance f R(K) / (n h), where R(K) is the integral of the squared
    kernel, n the sample size and h the bandwidth: Parzen (1962), "On estimation of a probability
    density function and mode", Annals of Mathematical Statistics 33. By the delta method its square
    root has variance R(K) / (4 n h), which does not depend on f. The difference of two square roots
    at distant points has twice this variance.
    """
    n = len(along)
    band = max(1.06 * spread * n**-0.2, 1e-3)
    low, high = max(along.min(), -1.5), min(along.max(), 2.5)
    edges = np.linspace(low - 3 * band, high + 3 * band, _GRID + 1)
    step = edges[1] - edges[0]
    frequencies = np.histogram(np.clip(along, low, high), edges)[0] / (n * step)
    reach = int(np.ceil(4 * band / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / band) ** 2)
    density = np.convolve(frequencies, kernel / kernel.sum(), mode="same")
    peaks = np.minimum(np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1])
    middle = (edges[1:] + edges[:-1]) / 2
    between = (middle >= 0.0) & (middle <= 1.0)
    roots = np.where(between, np.sqrt(peaks) - np.sqrt(density), -1.0)
    at = int(roots.argmax())
    error = np.sqrt(1.0 / (4.0 * np.sqrt(np.pi) * n * band))  # √(R(K) / 2 n h), R(K) = 1 / (2 √π)
    height = float(density[at] / peaks[at]) if peaks[at] > 0 else 1.0
    return height, max(0.0, float(roots[at] / error))


@dataclass(frozen=True, slots=True, eq=False)
class Structure(Result):
    """Verdict: segments are natural, reproducible or constructive.

    Attributes
    ----------
    verdict : str
        "natural", "reproducible" or "constructive": for ``k`` if given, else for all k together.
    p_value : float
        Of the test for all k together. For one k, the depth of the shallowest valley between
        neighbouring segments is taken; the test statistic is the largest of these over k. The
        p-value is the share of data sets, the B references and the data, whose statistic is at
        least that of the data; so it is never below 1 / (B + 1). It is computed for each of two
        kinds of references; the larger counts.
    natural_k : int or None
        The largest k whose p-value is at most ``alpha``; None if no k has natural groups.
    k : int or None
        The number of segments that the verdict is on, if given.
    table : polars.DataFrame
        One row per k: ``k``; ``valley_z`` (the shallowest valley between neighbours, in standard
        errors), ``valley_height`` (its density as a share of the lower peak), ``first``,
        ``second`` (the segments' numbers); ``null_95`` (``1 - alpha`` quantile of ``valley_z`` in
        the references, 95% by default); ``p_value`` (share of data sets, including the data, with
        a valley at least as deep at any k: it is adjusted for all k together); ``stability``,
        ``stability_se`` (adjusted Rand index of two refits).
    threshold : float
        The references' ``1 - alpha`` quantile of the largest ``valley_z`` over k.
    n, rows : int
        Customers in the input, and customers used.
    n_null, n_refits, n_starts, seed : int
        References of each kind, refits, starts of k-means, seed.
    alpha : float
        Level of the test.
    method : str
        "ward" or "kmeans".
    notes : tuple of str
    """

    verdict: str
    p_value: float
    natural_k: int | None
    table: pl.DataFrame
    threshold: float
    n: int
    rows: int
    n_null: int
    n_refits: int
    n_starts: int
    seed: int
    alpha: float
    method: str
    notes: tuple[str, ...]
    k: int | None = None

    @property
    def text(self) -> str:
        """Kind of segments that the data support, at ``k`` if given."""
        compared = (
            f"compared with {counted(self.n_null, 'data set')} without groups of the same "
            "distributions and correlations, and as many of one elliptical cloud "
            f"({self._p_words()})"
        )
        notes = "".join(f" {note}." for note in self.notes)
        return f"{self._stability_words(compared)}{self._other_k_words()}{notes}"

    @property
    def answer(self) -> str:
        """Whether there are natural groups, and how sure that is."""
        sure = self._p_words().partition(",")[0]
        if self.verdict == "natural":
            row = self._row(self.k or self.natural_k or self._deepest()["k"])
            share = percent(row["valley_height"], places=0)
            return (
                f"Yes, at k = {row['k']}: between any two segments the density of customers falls "
                f"to {share} of the lower peak or less ({sure})."
            )
        at = "" if self.k is None else f" at k = {self.k}"
        again = "but other customers give the same borders"
        if self.verdict != "reproducible":
            again = "and other customers give other borders"
        return f"Not shown{at} ({sure}): customers run into each other, {again}."

    @property
    def judged_p(self) -> float:
        """Return the p-value that the verdict rests on: that at ``k``, if given."""
        return self.p_value if self.k is None else float(self._row(self.k)["p_value"])

    def _p_words(self) -> str:
        """Write the p-value; as an upper bound if no reference reaches the data."""
        p, least = self.judged_p, 1 / (self.n_null + 1)
        if p > least + 1e-12:
            return f"p = {number(p, digits=2)}"
        return f"p <= {number(least, digits=2)}, the least that so many can show"

    def _stability_words(self, compared: str) -> str:
        at = "" if self.k is None else f" at k = {self.k}, in force"
        solid = self.table.filter(pl.col("stability") >= REPRODUCIBLE)["k"].to_list()
        stable = solid if self.k is None else [k for k in solid if k == self.k]
        again = (
            f"Segments come out again from other customers (adjusted Rand index of at least "
            f"{number(REPRODUCIBLE)}) at k = {', '.join(str(k) for k in stable)}."
        )
        if self.verdict == "natural":
            row = self._row(self.k or self.natural_k or self._deepest()["k"])
            share = percent(row["valley_height"], places=0)
            return (
                f"Yes, natural groups: at k = {row['k']}{', in force,' if self.k else ''} every "
                f"two neighbours are set apart by a valley; in the shallowest the density of "
                f"customers falls to {share} of the lower peak, {compared}."
                f"{f' {again}' if stable else ''}"
            )
        start = f"Customers run into each other{at}, {compared}."
        if self.verdict == "reproducible":
            return (
                f"No natural groups were found{at}, but borders that come out again from other "
                f"customers (reproducible segments). {start} {again} They are useful cuts through "
                "a continuum, not kinds of customers."
            )
        refits = "No number of segments reaches" if self.k is None else "It does not reach"
        return (
            f"No natural groups were found{at}, nor borders that come out again from other "
            f"customers: we draw the lines ourselves (constructive segments). {start} {refits} an "
            f"adjusted Rand index of {number(REPRODUCIBLE)} between refits. Segments can still be "
            "useful, but other customers would give others."
        )

    def _other_k_words(self) -> str:
        """Name another number of segments at which the groups are natural, where k is not one."""
        if self.k is None or self.verdict == "natural" or self.natural_k is None:
            return ""
        return f" At k = {self.natural_k} they would be natural groups."

    def _row(self, k: int) -> dict[str, Any]:
        return self.table.row(by_predicate=pl.col("k") == k, named=True)

    def _deepest(self) -> dict[str, Any]:
        return self.table.sort("valley_z", descending=True, maintain_order=True).row(0, named=True)

    def plot(self) -> Figure:
        """Draw the valleys over k beside those of the references, and the stability."""
        return structure_over_k(
            self.table, verdict=self.verdict, threshold=self.threshold, alpha=self.alpha
        )


def assess_structure(
    X: Any,
    *,
    k: int | None = None,
    k_range: Iterable[int] = range(2, 9),
    method: Method = "ward",
    n_null: int = 99,
    n_refits: int = 40,
    n_starts: int = 5,
    alpha: float = 0.05,
    seed: int = 0,
    max_rows: int = MAX_ROWS,
    settle_steps: int = SETTLE_STEPS,
    choice: KChoice | None = None,
) -> Structure:
    """Test for natural groups against data with the same margins but no groups.

    Dolnicar and Leisch (2010), "Evaluation of structure and reproducibility of cluster solutions
    using the bootstrap", distinguish three cases. They are decided as follows. *Natural*: for some
    k there is a density valley between every two neighbouring segments, deeper than in data without
    groups. There are two kinds of data without groups, and the data have to stand out from both:
    one cloud (a Gaussian copula) with the same correlations and each feature's distribution made
    unimodal; and one elliptical cloud with the same covariance and distances from the centre, its
    density falling outwards. The statistic for one k is the depth of the shallowest valley between
    neighbours; the test statistic is its maximum over k, computed for the data and for each of
    ``n_null`` references of a kind, so the test holds its level over all k together. The larger of
    the two p-values counts (Berger 1982, "Multiparameter hypothesis testing and acceptance
    sampling": an intersection-union test). A single k is compared with the same maximum (Westfall
    and Young 1993, "Resampling-Based Multiple Testing", single-step maxT). *Reproducible*: not
    natural, but for some k two bootstrap refits agree with an adjusted Rand index of at least .8.
    *Constructive*: neither.

    Groups that differ only in spread or density, or that overlap so much that no valley is left,
    are not called natural. A spike at a feature's lowest or highest value does not count as a
    group.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Customers by features, transformed and scaled; constant features are left out.
    k : int, optional
        The number of segments that the verdict is on: it is added to ``k_range``, and its p-value
        is adjusted for all k together. Without it the verdict is on all k together.
    k_range : iterable of int
        Numbers of segments, each at least 2.
    method : {"ward", "kmeans"}
    n_null, n_refits, n_starts : int
        References of each kind, bootstrap refits, starts of k-means.
    alpha : float
        Level of the test.
    seed : int
    max_rows : int
        With more customers, a random sample of this size, independent of row order, is used.
    settle_steps : int
        Maximum number of Lloyd's steps after a cut of Ward's tree, as in `cluster_customers`; 0
        evaluates the groups of the cut tree itself.
    choice : KChoice, optional
        From `choose_k` on the same X: its stability is taken, so that two reports of one k agree;
        numbers of segments that it lacks are left out.

    Returns
    -------
    Structure

    Raises
    ------
    DataError
        If there are fewer than 30 customers, a value is missing, or distinct rows are too few.
    ParameterError
        If an option is out of range, or ``n_null`` too small for the level.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(m, 1.0, (60, 2)) for m in (0, 7)])
    >>> structure = assess_structure(X, k_range=[2, 3], n_null=19, n_refits=6)
    >>> structure.verdict, structure.natural_k
    ('natural', 2)
    """
    matrix = as_matrix(X, min_rows=MIN_ROWS)
    require_choice("method", method, METHODS)
    if not 0 < alpha < 1 or (n_null + 1) * alpha < 1 - 1e-12:
        raise ParameterError(
            f"a test at level {alpha} needs n_null of at least 1 / alpha - 1, got {n_null}"
        )
    require_least(n_refits=(n_refits, 2), n_starts=(n_starts, 1))
    require_least(max_rows=(max_rows, MIN_ROWS), settle_steps=(settle_steps, 0))
    if not (matrix.min(axis=0) < matrix.max(axis=0)).any():
        raise DataError("every feature is constant: there is nothing to segment by")
    wanted = sorted({*k_range, *([] if k is None else [k])})
    if choice is not None:
        judged_before = set(choice.table.drop_nulls("stability")["k"])
        wanted = [count for count in wanted if count in judged_before]
    used, ks, notes = sample_rows(matrix, fair_order(matrix, seed), max_rows, wanted)
    if k is not None and k not in ks:
        raise DataError(f"the structure at k = {k} cannot be tested: {'; '.join(notes)}")
    varies = used.min(axis=0) < used.max(axis=0)
    if not varies.all():
        notes.append(
            f"{counted(int((~varies).sum()), 'constant feature was', 'constant features were')} "
            "left out"
        )
    used = np.ascontiguousarray(used[:, varies])
    clustering = Clustering(method, seed, n_starts, settle_steps)
    with single_thread():
        valleys = _valleys_over_k(used, ks, clustering)
        null = _null_valleys(used, ks, n_null, clustering)
        if choice is None:
            stable = mean_columns("stability", _stability(used, ks, n_refits, clustering))
            stability = pl.DataFrame({"k": ks, **stable})
        else:
            stability = choice.table.select("k", "stability", "stability_se")
    table = _valley_table(ks, valleys, null, alpha)
    table = table.join(stability, on="k", how="left", maintain_order="left")
    clear = table.filter(pl.col("p_value") <= alpha).get_column("k").to_list()
    judged = table if k is None else table.filter(pl.col("k") == k)
    natural = float(judged["p_value"].to_numpy().min()) <= alpha
    solid = bool((judged["stability"] >= REPRODUCIBLE).any())
    return Structure(
        verdict="natural" if natural else "reproducible" if solid else "constructive",
        p_value=float(table["p_value"].to_numpy().min()),
        natural_k=max(clear, default=None),
        table=table,
        threshold=float(np.quantile(null.max(axis=2), 1 - alpha, axis=1).max()),
        n=len(matrix),
        rows=len(used),
        n_null=n_null,
        n_refits=n_refits,
        n_starts=n_starts,
        seed=seed,
        alpha=alpha,
        method=method,
        notes=tuple(notes),
        k=k,
    )


def _valley_table(
    ks: Sequence[int], valleys: Sequence[Valley], null: Floats, alpha: float
) -> pl.DataFrame:
    """Compare each k's valley with those of the references, shape (kinds, references, k).

    The data have to stand out from each kind of reference, so the largest p-value counts.
    """
    highest = null.max(axis=2)  # of each reference over all k (single-step maxT)
    deeper = [int((highest >= valley.z).sum(axis=1).max()) for valley in valleys]
    return pl.DataFrame(
        {
            "k": ks,
            "valley_z": [valley.z for valley in valleys],
            "valley_height": [valley.height for valley in valleys],
            "first": [valley.first + 1 for valley in valleys],
            "second": [valley.second + 1 for valley in valleys],
            "null_95": np.quantile(null, 1 - alpha, axis=1).max(axis=0),
            "p_value": [(1 + count) / (1 + null.shape[1]) for count in deeper],
        }
    )


def _valleys_over_k(X: Floats, ks: Sequence[int], clustering: Clustering) -> list[Valley]:
    """Find the shallowest valley between neighbours for each number of segments."""
    segmentations = clustering.over_k(X, ks).values()
    return [shallowest_valley(X, codes, int(codes.max()) + 1) for codes in segmentations]


def _null_valleys(X: Floats, ks: Sequence[int], n_null: int, clustering: Clustering) -> Floats:
    """Compute valley depths in data without groups, shape (kinds, n_null, len(ks))."""
    references = (null_reference(X, seed=clustering.seed), elliptical_reference(X))
    rng = np.random.default_rng([clustering.seed, 3])
    draws = steps(range(len(references) * n_null), "data sets without groups")
    drawn = (references[number // n_null].draw(len(X), rng) for number in draws)
    depths = [[valley.z for valley in _valleys_over_k(Z, ks, clustering)] for Z in drawn]
    return np.array(depths).reshape(len(references), n_null, len(ks))


def _stability(
    X: Floats, ks: Sequence[int], n_refits: int, clustering: Clustering
) -> Mapping[int, Floats]:
    """Return, for each k, the adjusted Rand index of pairs of refits."""
    plan = RefitPlan(
        tuple(ks), clustering.method, clustering.n_starts, settle_steps=clustering.settle_steps
    )
    refits = refit_samples(X, plan, range(n_refits), seed=clustering.seed)
    return compare_refits(refits, clustering.over_k(X, ks)).rand
