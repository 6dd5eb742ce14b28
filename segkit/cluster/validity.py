"""Indices of compactness and separation of a segmentation, exact and fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from segkit.cluster.matrix import Floats, Ints, as_segmentation, fair_order, fit_quietly
from segkit.display import counted, number
from segkit.errors import require_least
from segkit.result import Result

EXACT_ROWS = 10_000
SAMPLE_ROWS = 2_000
_CELLS = 1 << 21  # distances held at once (16 MB)
MIXTURE_ROWS = 5_000
# Kaufman and Rousseeuw (1990), "Finding Groups in Data", chapter 2.
_BANDS = (
    (0.71, "a strong structure"),
    (0.51, "a reasonable structure"),
    (0.26, "a weak structure that could be artificial"),
    (-2.0, "no substantial structure"),
)


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSums:
    """Sums for each segment, from one pass over the rows.

    Attributes
    ----------
    counts : ndarray of shape (k,)
        Customers.
    centres : ndarray of shape (k, d)
        Means.
    scatter : ndarray of shape (k,)
        Sum of squared distances to the segment's own centre.
    spread : ndarray of shape (k,)
        Mean distance to the segment's own centre.
    between : float
        Sum over segments of count times squared distance of its centre from the overall mean.
    """

    counts: Floats
    centres: Floats
    scatter: Floats
    spread: Floats
    between: float

    @property
    def within_ss(self) -> float:
        """Return the sum of squared distances of all rows to their own centres."""
        return float(self.scatter.sum())


def cluster_sums(X: Floats, codes: Ints, k: int) -> ClusterSums:
    """Compute each segment's count, centre, scatter and spread.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,), values 0 … k - 1, each present
    k : int

    Examples
    --------
    >>> sums = cluster_sums(np.array([[0.0], [2.0], [9.0]]), np.array([0, 0, 1]), 2)
    >>> sums.scatter.tolist(), sums.spread.tolist()
    ([2.0, 0.0], [1.0, 0.0])
    """
    from scipy.sparse import csc_array

    n = len(X)
    counts = np.bincount(codes, minlength=k).astype(np.float64)
    member = csc_array((np.ones(n), codes, np.arange(n + 1)), shape=(k, n))
    centres = (member @ X) / counts[:, None]
    scatter, spread = np.zeros(k), np.zeros(k)
    for start in range(0, n, 16_384):
        own = codes[start : start + 16_384]
        gaps = X[start : start + 16_384] - np.take(centres, own, axis=0)
        squared = np.einsum("ij,ij->i", gaps, gaps)
        scatter += np.bincount(own, squared, k)
        spread += np.bincount(own, np.sqrt(squared), k)
    off = centres - (counts / n) @ centres
    between = float(counts @ np.einsum("ij,ij->i", off, off))
    return ClusterSums(counts, centres, scatter, spread / counts, between)


def squared_silhouettes(X: Floats, codes: Ints, sums: ClusterSums) -> Floats:
    """Return each customer's silhouette by SQUARED Euclidean distance.

    The silhouette of Rousseeuw (1987) in which squared distance takes the place of distance. The
    mean squared distance of a row x to segment C is |x - centre|² + scatter/count, so no pair of
    rows is ever formed: O(n k d). It is not the Euclidean silhouette and is larger as a rule (.274
    against .163 on one and the same segmentation); compare it only with itself. Zero for the only
    row of a segment and for k = n; NaN for k = 1.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    codes : ndarray of shape (n,), values 0 … k - 1, each present
    sums : ClusterSums
        From `cluster_sums` of the same.

    Returns
    -------
    ndarray of shape (n,), values from -1 to 1

    Examples
    --------
    >>> X, codes = np.array([[0.0], [1.0], [9.0]]), np.array([0, 0, 1])
    >>> squared_silhouettes(X, codes, cluster_sums(X, codes, 2)).round(4).tolist()
    [0.9877, 0.9844, 0.0]
    """
    k, n = len(sums.counts), len(X)
    middle = (sums.counts / n) @ sums.centres
    centres = sums.centres - middle
    flat = (centres * centres).sum(axis=1) + sums.scatter / sums.counts
    values = np.full(n, np.nan)
    if k < 2:
        return values
    for start in range(0, n, 8_192):
        rows = slice(start, start + 8_192)
        block, own = X[rows] - middle, codes[rows]
        mean = block @ (-2.0 * centres.T)
        mean += np.einsum("ij,ij->i", block, block)[:, None]
        mean += flat
        values[rows] = silhouettes_from(mean, own, sums.counts)
    return values


def silhouettes_from(mean: Floats, own: Ints, counts: Floats) -> Floats:
    """Turn mean distances to every segment (n, k) into silhouettes; ``mean`` is overwritten."""
    at = np.arange(len(mean))
    size = counts[own]
    inner = mean[at, own] * size / np.maximum(size - 1, 1)
    mean[at, own] = np.inf
    outer = mean.min(axis=1)
    larger = np.maximum(inner, outer)
    silhouettes: Floats = np.divide(
        outer - inner, larger, out=np.zeros(len(mean)), where=(size > 1) & (larger > 0)
    )
    return silhouettes


def silhouettes_of(X: Floats, segmentations: Ints, rows: Ints) -> Floats:
    """Compute the exact Euclidean silhouettes of some rows under several segmentations at once.

    s = (b - a) / max(a, b) with a the mean distance to the other members of the own segment and b
    the smallest mean distance to another segment: Rousseeuw (1987), "Silhouettes: a graphical aid
    to the interpretation and validation of cluster analysis", s(i). Zero for the only row of a
    segment; NaN for k = 1. Each distance is formed once and serves every segmentation, in blocks of
    at most 16 MB: time grows with n², memory does not. Exact copies are at distance zero from one
    another (scikit-learn's shortcut puts them up to 1e-8 apart).

    Parameters
    ----------
    X : ndarray of shape (n, d)
    segmentations : ndarray of shape (n, p)
        Codes 0 … k - 1 of each segmentation.
    rows : ndarray of shape (m,)
        Rows whose silhouettes are wanted, against all n.

    Returns
    -------
    ndarray of shape (m, p)

    Examples
    --------
    >>> X, codes = np.array([[0.0], [1.0], [9.0]]), np.array([[0], [0], [1]])
    >>> silhouettes_of(X, codes, np.array([1])).tolist()
    [[0.875]]
    """
    from scipy.spatial.distance import cdist

    cell_of = np.zeros(len(X), dtype=np.int64)
    for column in segmentations.T:  # groups of rows that are together in every segmentation
        combined = cell_of * (int(column.max()) + 1) + column
        _, first, cell_of = np.unique(combined, return_index=True, return_inverse=True)
    cells = segmentations[first]
    order = np.argsort(cell_of, kind="stable")
    starts = np.searchsorted(cell_of[order], np.arange(len(cells)))
    ordered = X[order]
    values = np.full((len(rows), segmentations.shape[1]), np.nan)
    height = max(1, _CELLS // max(1, len(X)))
    ks = segmentations.max(axis=0) + 1
    counts = [np.bincount(segmentations[:, p], minlength=k) for p, k in enumerate(ks)]
    into = [np.eye(k)[cells[:, p]] / counts[p] for p, k in enumerate(ks)]
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        sums = np.add.reduceat(cdist(X[block], ordered), starts, axis=1)
        for p, k in enumerate(ks):
            if k > 1:
                values[start : start + height, p] = silhouettes_from(
                    sums @ into[p], segmentations[block, p], counts[p].astype(np.float64)
                )
    return values


@dataclass(frozen=True, slots=True, eq=False)
class Silhouette(Result):
    """Mean silhouette of a segmentation, with its standard error.

    Attributes
    ----------
    mean : float
        Mean Euclidean silhouette, from -1 to 1; NaN for one segment.
    se : float
        Its standard error from sampling rows; 0 when all rows were used.
    rows, n : int
        Rows whose silhouette was computed (each against all n), and all rows.
    """

    mean: float
    se: float
    rows: int
    n: int

    def to_frame(self) -> pl.DataFrame:
        """Return one row: mean, se, rows, n."""
        return pl.DataFrame({"mean": self.mean, "se": self.se, "rows": self.rows, "n": self.n})

    @property
    def text(self) -> str:
        """Say the mean silhouette, and from how many rows."""
        if np.isnan(self.mean):
            return "One segment has no silhouette: it needs a second one to compare with."
        if self.rows == self.n:
            return f"Mean silhouette {number(self.mean)} over all {counted(self.n, 'customer')}."
        return (
            f"Mean silhouette {number(self.mean)} (standard error {number(self.se, digits=2)}) "
            f"from a random sample of {number(self.rows)} of {counted(self.n, 'customer')}."
        )


def silhouette(X: Any, labels: ArrayLike, *, rows: int | None = None, seed: int = 0) -> Silhouette:
    """Compute the mean Euclidean silhouette.

    Parameters
    ----------
    X : array-like of shape (n, d)
    labels : array-like of shape (n,)
    rows : int, optional
        Rows whose silhouette is computed, each exactly and against all n. By default all up to
        10,000 rows, else 2,000. The sample does not depend on the order of rows.
    seed : int

    Returns
    -------
    Silhouette
        With the standard error sd/√m √(1 - m/n) of a simple random sample without replacement.

    Raises
    ------
    ParameterError
        If ``rows`` is below 2.

    Examples
    --------
    >>> print(silhouette([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]))
    Mean silhouette 0.900 over all 4 customers.
    """
    matrix, codes, _ = as_segmentation(X, labels)
    chosen = sampled_rows(matrix, rows, seed)
    values = silhouettes_of(matrix, codes[:, None], chosen)[:, 0]
    return Silhouette(*mean_and_se(values, len(matrix)), len(chosen), len(matrix))


def sampled_rows(X: Floats, rows: int | None, seed: int) -> Ints:
    """Choose the rows whose silhouettes are computed: all, or a sample that order cannot change."""
    n = len(X)
    if rows is not None:
        require_least(rows=(rows, 2))
    size = (n if n <= EXACT_ROWS else SAMPLE_ROWS) if rows is None else min(rows, n)
    return np.arange(n) if size == n else np.sort(fair_order(X, seed)[:size])


def mean_and_se(values: Floats, n: int) -> tuple[float, float]:
    """Return the mean of a simple random sample from n values, and its standard error."""
    m = len(values)
    if m >= n or m < 2:
        return float(values.mean()), 0.0
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(m) * np.sqrt(1 - m / n))


def calinski_harabasz(sums: ClusterSums, n: int) -> float:
    """Compute the Calinski-Harabasz index (variance ratio); higher is better.

    Between-segment variance over within-segment variance, B/(k - 1) / (W/(n - k)): Calinski and
    Harabasz (1974), "A dendrite method for cluster analysis". NaN for k = 1 or k = n,
    where it is undefined; infinite when W = 0 (scikit-learn says 1 there).

    Examples
    --------
    >>> X, codes = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    >>> calinski_harabasz(cluster_sums(X, codes, 2), 4)
    200.0
    """
    k = len(sums.counts)
    if k < 2 or k >= n:
        return float("nan")
    within = sums.within_ss
    return sums.between / (k - 1) / (within / (n - k)) if within > 0 else float("inf")


def davies_bouldin(sums: ClusterSums) -> float:
    """Compute the Davies-Bouldin index: overlap with the most similar segment; lower is better.

    Mean over segments of the largest (s_i + s_j) / d_ij, s being the mean distance to the own
    centre and d that between centres: Davies and Bouldin (1979), "A cluster separation measure".
    NaN for k = 1. Segments whose centres coincide make it infinite unless they have no spread
    (scikit-learn leaves such pairs out).

    Examples
    --------
    >>> X, codes = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    >>> davies_bouldin(cluster_sums(X, codes, 2))
    0.1
    """
    from scipy.spatial.distance import cdist

    if len(sums.counts) < 2:
        return float("nan")
    apart = cdist(sums.centres, sums.centres)
    width = sums.spread[:, None] + sums.spread
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(width > 0, width / apart, 0.0)
    np.fill_diagonal(ratio, 0.0)
    return float(ratio.max(axis=1).mean())


def mixture_bic(X: Any, labels: ArrayLike, *, seed: int = 0) -> float:
    """Compute the BIC of a Gaussian mixture started from a segmentation; lower is better.

    EM starts from the segmentation's shares, means and covariances; of two shapes of covariance,
    diagonal and full, each free per segment, the lower BIC = -2 log L + p log n counts: Schwarz
    (1978); Fraley and Raftery (2002), "Model-based clustering" (who write its
    negative). Lower is better; it holds only beside others on the same rows.

    Parameters
    ----------
    X : array-like of shape (n, d)
    labels : array-like of shape (n,)
    seed : int
        For the random sample that more than `MIXTURE_ROWS` rows are reduced to; the order of rows
        does not change it.

    Returns
    -------
    float
        In units of -2 log likelihood of the rows used; constant columns are left out.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.r_[rng.normal(0, 1, (50, 2)), rng.normal(9, 1, (50, 2))]
    >>> mixture_bic(X, [0] * 50 + [1] * 50) < mixture_bic(X, [0] * 100)
    True
    """
    matrix, codes, _ = as_segmentation(X, labels)
    if len(matrix) > MIXTURE_ROWS:
        sampled = fair_order(matrix, seed)[:MIXTURE_ROWS]
        matrix, codes, _ = as_segmentation(matrix[sampled], codes[sampled])
    scale = matrix.std(axis=0)
    used = scale > 0
    if not used.any():
        return float("nan")
    Z = (matrix[:, used] - matrix[:, used].mean(axis=0)) / scale[used]
    standardised = min(_fitted_bic(Z, codes, shape) for shape in ("diag", "full"))
    return standardised + 2.0 * len(Z) * float(np.log(scale[used]).sum())


def _fitted_bic(Z: Floats, codes: Ints, shape: str) -> float:
    from sklearn.mixture import GaussianMixture

    counts = np.bincount(codes)
    k, d = len(counts), Z.shape[1]
    precisions, means = [], []
    for segment in range(k):
        part = Z[codes == segment]
        means.append(part.mean(axis=0))
        gaps = part - means[-1]
        # Shrinking towards the overall (unit) variance keeps covariances of small segments
        # invertible.
        cov = (gaps.T @ gaps + np.eye(d)) / (len(part) + 1)
        precisions.append(1.0 / np.diag(cov) if shape == "diag" else np.linalg.inv(cov))
    model = GaussianMixture(
        k,
        covariance_type=shape,
        reg_covar=1e-4,
        weights_init=counts / counts.sum(),
        means_init=np.array(means),
        precisions_init=np.array(precisions),
        max_iter=200,
        random_state=0,
    )
    return float(fit_quietly(model, Z).bic(Z))


@dataclass(frozen=True, slots=True, eq=False)
class Validity(Result):
    """Compactness and separation of the segments of one segmentation.

    Attributes
    ----------
    n, k : int
        Customers and segments.
    sizes : tuple of int
        Customers per segment, in order of their labels.
    within_ss : float
        Sum of squared distances to own centres, in squared units of the data.
    explained_share : float
        Share of the total sum of squares that lies between segments.
    silhouette, silhouette_se : float
        Mean Euclidean silhouette and its standard error sd/√m √(1 - m/n) from sampling m of n rows
        without replacement (0: all rows).
    silhouette_rows : int
        Rows whose silhouette was computed.
    squared_silhouette : float
        Mean silhouette by squared Euclidean distance, all rows.
    davies_bouldin, calinski_harabasz : float
        The first is better when lower, the second when higher.
    """

    n: int
    k: int
    sizes: tuple[int, ...]
    within_ss: float
    explained_share: float
    silhouette: float
    silhouette_se: float
    silhouette_rows: int
    squared_silhouette: float
    davies_bouldin: float
    calinski_harabasz: float

    def to_frame(self) -> pl.DataFrame:
        """Return one row per measure: measure, value, se, better ("higher" or "lower")."""
        rows = [
            ("silhouette", self.silhouette, self.silhouette_se, "higher"),
            ("squared_silhouette", self.squared_silhouette, None, "higher"),
            ("davies_bouldin", self.davies_bouldin, None, "lower"),
            ("calinski_harabasz", self.calinski_harabasz, None, "higher"),
            ("within_ss", self.within_ss, None, "lower"),
            ("explained_share", self.explained_share, None, "higher"),
        ]
        return pl.DataFrame(rows, schema=["measure", "value", "se", "better"], orient="row")

    @property
    def text(self) -> str:
        """Say how separate the segments are, and what that rests on."""
        if self.k == 1:
            return "All customers are in one segment: no index of separation applies."
        band = next(words for least, words in _BANDS if self.silhouette >= least)
        exact = self.silhouette_rows == self.n
        source = "" if exact else f", from a sample of {number(self.silhouette_rows)}"
        return (
            f"{counted(self.k, 'segment')} of {number(min(self.sizes))} to "
            f"{number(max(self.sizes))} of {counted(self.n, 'customer')}; mean silhouette "
            f"{number(self.silhouette)}{source}: {band}. The bands are Kaufman and Rousseeuw's "
            "rule of thumb, not a test."
        )


def measure_validity(
    X: Any, labels: ArrayLike, *, rows: int | None = None, seed: int = 0
) -> Validity:
    """Compute all validity indices that need only the data and the labels.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data that were clustered, transformed and scaled as they were then.
    labels : array-like of shape (n,)
        Any labels; labels without customers do not count.
    rows : int, optional
        Rows whose Euclidean silhouette is computed, each exactly and against all n. By default all
        up to 10,000 rows, else 2,000. The sample does not depend on the order of rows.
    seed : int

    Returns
    -------
    Validity

    Raises
    ------
    DataError
        If a value or a label is missing, or there is not one label per row.
    ParameterError
        If ``rows`` is below 2.

    Examples
    --------
    >>> measure_validity([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]).calinski_harabasz
    200.0
    """
    matrix, codes, k = as_segmentation(X, labels)
    sums = cluster_sums(matrix, codes, k)
    total = sums.within_ss + sums.between
    fit = silhouette(matrix, codes, rows=rows, seed=seed)
    return Validity(
        n=len(matrix),
        k=k,
        sizes=tuple(int(count) for count in sums.counts),
        within_ss=sums.within_ss,
        explained_share=sums.between / total if total > 0 else float("nan"),
        silhouette=fit.mean,
        silhouette_se=fit.se,
        silhouette_rows=fit.rows,
        squared_silhouette=float(squared_silhouettes(matrix, codes, sums).mean()),
        davies_bouldin=davies_bouldin(sums),
        calinski_harabasz=calinski_harabasz(sums, len(matrix)),
    )
