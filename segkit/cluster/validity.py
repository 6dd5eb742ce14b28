"""How good is this partition? Indices of compactness and separation, exact and fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from segkit.cluster.matrix import Floats, Ints, as_partition, fair_order
from segkit.cluster.silhouettes import silhouette, squared_silhouettes
from segkit.cluster.sums import ClusterSums, cluster_sums
from segkit.display import number
from segkit.result import Result

MIXTURE_ROWS = 5_000


def calinski_harabasz(X: Any, labels: ArrayLike) -> float:
    """How far apart are the segments for their width ? Variance ratio, higher is better.

    Between-segment variance over within-segment variance, B/(k - 1) / (W/(n - k)): Calinski and
    Harabasz (1974), "A dendrite method for cluster analysis". NaN for k = 1 or k = n,
    where it is undefined; infinite when W = 0 (scikit-learn says 1 there).

    Examples
    --------
    >>> calinski_harabasz([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])
    200.0
    """
    matrix, codes, k = as_partition(X, labels)
    return calinski_harabasz_of(cluster_sums(matrix, codes, k), len(matrix))


def calinski_harabasz_of(sums: ClusterSums, n: int) -> float:
    """Return the Calinski-Harabasz index of segments that are already summed up."""
    k = len(sums.counts)
    if k < 2 or k >= n:
        return float("nan")
    within = sums.within_ss
    return sums.between / (k - 1) / (within / (n - k)) if within > 0 else float("inf")


def davies_bouldin(X: Any, labels: ArrayLike) -> float:
    """How much does each segment overlap with its most similar one? Lower is better.

    Mean over segments of the largest (s_i + s_j) / d_ij, s being the mean distance to the own
    centre and d that between centres: Davies and Bouldin (1979), "A cluster separation measure".
    NaN for k = 1. Segments whose centres coincide make it infinite unless they have no spread
    (scikit-learn leaves such pairs out).

    Examples
    --------
    >>> davies_bouldin([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])
    0.1
    """
    matrix, codes, k = as_partition(X, labels)
    return davies_bouldin_of(cluster_sums(matrix, codes, k))


def davies_bouldin_of(sums: ClusterSums) -> float:
    """Return the Davies-Bouldin index of segments that are already summed up."""
    from scipy.spatial.distance import cdist

    if len(sums.counts) < 2:
        return float("nan")
    apart = cdist(sums.centres, sums.centres)
    width = sums.spread[:, None] + sums.spread
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(width > 0, width / apart, 0.0)
    np.fill_diagonal(ratio, 0.0)
    return float(ratio.max(axis=1).mean())


def within_sum_of_squares(X: Any, labels: ArrayLike) -> float:
    """How much of the variation lies inside the segments? Sum of squares about own centres.

    Examples
    --------
    >>> within_sum_of_squares([[0.0], [2.0], [7.0]], [0, 0, 1])
    2.0
    """
    return cluster_sums(*as_partition(X, labels)).within_ss


def mixture_bic(X: Any, labels: ArrayLike, *, rows: int = MIXTURE_ROWS, seed: int = 0) -> float:
    """Is a Gaussian mixture grown from this partition worth its size? BIC, lower is better.

    EM starts from the partition's shares, means and covariances; of two shapes of covariance,
    diagonal and full, each free per segment, the lower BIC = -2 log L + p log n counts: Schwarz
    (1978); Fraley and Raftery (2002), "Model-based clustering" (who write its
    negative). Lower is better; it holds only beside others on the same rows.

    Parameters
    ----------
    X : array-like of shape (n, d)
    labels : array-like of shape (n,)
    rows : int
        At most so many rows are used, a random sample that row order cannot change.
    seed : int

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
    matrix, codes, _ = as_partition(X, labels)
    if len(matrix) > rows:
        kept = fair_order(matrix, seed)[:rows]
        matrix, codes, _ = as_partition(matrix[kept], codes[kept])
    scale = matrix.std(axis=0)
    used = scale > 0
    if not used.any():
        return float("nan")
    Z = (matrix[:, used] - matrix[:, used].mean(axis=0)) / scale[used]
    standardised = min(_fitted_bic(Z, codes, shape) for shape in ("diag", "full"))
    return standardised + 2.0 * len(Z) * float(np.log(scale[used]).sum())


def _fitted_bic(Z: Floats, codes: Ints, shape: str) -> float:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    counts = np.bincount(codes)
    k, d = len(counts), Z.shape[1]
    start = []
    for segment in range(k):
        part = Z[codes == segment]
        away = part - part.mean(axis=0)
        # A ridge towards the overall (unit) variance keeps segments of few rows invertible.
        cov = (away.T @ away + np.eye(d)) / (len(part) + 1)
        start.append(1.0 / np.diag(cov) if shape == "diag" else np.linalg.inv(cov))
    model = GaussianMixture(
        k,
        covariance_type=shape,
        reg_covar=1e-4,
        weights_init=counts / counts.sum(),
        means_init=np.array([Z[codes == segment].mean(axis=0) for segment in range(k)]),
        precisions_init=np.array(start),
        max_iter=200,
        random_state=0,
    )
    with warnings.catch_warnings():
        # Unconverged EM still gives a valid likelihood, only a slightly low one.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(Z)
    return float(model.bic(Z))


@dataclass(frozen=True, slots=True, eq=False)
class Validity(Result):
    """How compact and how separate the segments of one partition are.

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
        Mean Euclidean silhouette and its standard error from sampling (0: all rows).
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
        """Return one row a measure: measure, value, se, better ("higher" or "lower")."""
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
            f"{self.k} segments of {number(min(self.sizes))} to {number(max(self.sizes))} of "
            f"{number(self.n)} customers; mean silhouette {number(self.silhouette)}{source}: "
            f"{band}. "
            "The bands are Kaufman and Rousseeuw's rule of thumb, not a test."
        )


# Kaufman and Rousseeuw (1990), "Finding Groups in Data", chapter 2.
_BANDS = (
    (0.71, "a strong structure"),
    (0.51, "a reasonable structure"),
    (0.26, "a weak structure that could be artificial"),
    (-2.0, "no substantial structure"),
)


def cluster_validity(
    X: Any, labels: ArrayLike, *, rows: int | None = None, seed: int = 0
) -> Validity:
    """How good is this partition? Every index that needs nothing but the partition.

    Parameters
    ----------
    X : array-like of shape (n, d)
        The data that were clustered, transformed and scaled as they were then.
    labels : array-like of shape (n,)
        Any labels; those that nobody bears do not count.
    rows : int, optional
        Rows whose Euclidean silhouette is computed; see `silhouette`.
    seed : int

    Returns
    -------
    Validity

    Raises
    ------
    DataError
        If a value or a label is missing, or there is not one label a row.

    Examples
    --------
    >>> cluster_validity([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]).calinski_harabasz
    200.0
    """
    matrix, codes, k = as_partition(X, labels)
    sums = cluster_sums(matrix, codes, k)
    fit = silhouette(matrix, codes, rows=rows, seed=seed)
    total = sums.within_ss + sums.between
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
        davies_bouldin=davies_bouldin_of(sums),
        calinski_harabasz=calinski_harabasz_of(sums, len(matrix)),
    )
