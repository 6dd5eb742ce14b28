"""Products that go together: the weights of EASE or of nearest products, and ranks by them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from segkit.errors import ParameterError, require_choice, require_least, require_range

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]

MOST_FOR_EASE = 10_000  # products; beyond them item neighbours
SHRINK = 10.0  # buyers that are added to two products' own before their cosine is taken
CELLS = 1 << 24  # scores held at once: 64 MB
WIDE, NARROW = 1024, 64  # columns scored at once, and multiplied at once: these fit in a cache
Method = Literal["auto", "ease", "neighbours"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class RecommendSettings:
    """Settings of a recommender; the defaults were chosen on data before the study's test windows.

    Attributes
    ----------
    method : {"auto", "ease", "neighbours"}
        How 'discover' scores products: EASE up to 10,000 products and item neighbours beyond, by
        default.
    ridge : float
        Penalty of EASE.
    neighbours : int
        Nearest products kept for each product.
    recent_days : int
        Days that count as recent.
    recent_weight : float
        Exponent of a product's recent share of buyers in 'discover'; 0 leaves the season out.
    again_days : int
        Days within which 'buy again' asks for the next purchase; its weights are learned on the
        last such days of the history.
    """

    method: Method = "auto"
    ridge: float = 300.0
    neighbours: int = 100
    recent_days: int = 30
    recent_weight: float = 1.0
    again_days: int = 90

    def __post_init__(self) -> None:
        require_choice("method", self.method, METHODS)
        require_least(
            neighbours=(self.neighbours, 1),
            recent_days=(self.recent_days, 1),
            recent_weight=(self.recent_weight, 0),
            again_days=(self.again_days, 1),
        )
        require_range("(0, inf)", ridge=self.ridge)


class Weighted(Protocol):
    """Weights of the products bought for other products, of all or of the nearest."""

    @property
    def weights(self) -> Floats:
        """Weights, by product bought and product ranked, or by product ranked and neighbour."""

    @property
    def neighbours(self) -> Codes:
        """Products that the weights are of; empty where they are of all."""


def bought_matrix(
    pairs: pl.DataFrame, products: pl.DataFrame
) -> tuple[pl.Series, sparse.csr_matrix]:
    """Return customers, sorted, and the matrix of who bought what; other products are left out."""
    customers = pairs["customer_id"].unique().sort()
    rows = pairs.join(products.select("product_id").with_row_index("column"), on="product_id").join(
        customers.to_frame().with_row_index("row"), on="customer_id"
    )
    rows = rows.sort("row", "column")
    ends = np.searchsorted(rows["row"].to_numpy(), np.arange(len(customers) + 1))
    return customers, sparse.csr_matrix(
        (
            np.ones(rows.height, np.float32),
            rows["column"].to_numpy().astype(np.int32),
            ends.astype(np.int32 if rows.height < 2**31 else np.int64),
        ),
        shape=(len(customers), products.height),
    )


def fit_weights(
    matrix: sparse.csr_matrix, recent: npt.NDArray[np.float64], settings: RecommendSettings
) -> tuple[Floats, Codes]:
    """Compute the weights of EASE, or of the nearest products, times the recent shares."""
    m = matrix.shape[1]
    by_ease = settings.method == "ease" or (settings.method == "auto" and m <= MOST_FOR_EASE)
    season = (recent**settings.recent_weight).astype(np.float32)
    if by_ease:
        weights = _fit_ease(matrix, settings.ridge)
        weights *= season
        return weights, np.empty((0, 0), np.int32)
    weights, neighbours = _fit_neighbours(matrix, min(settings.neighbours, m - 1))
    weights *= season[:, None]
    return weights, neighbours


def _fit_ease(matrix: sparse.csr_matrix, ridge: float) -> Floats:
    """Solve ``B = I - P / diag(P)`` with ``P = (X'X + ridge I)^-1``: Steck (2019), equation 8."""
    from scipy.linalg import lapack

    m = matrix.shape[1]
    gram = np.zeros((m, m), np.float32, order="F")
    columns, rows = matrix.tocsc(), matrix.T.tocsr()
    for part in _parts(m, max(1, CELLS // m)):
        gram[:, part] = (rows @ columns[:, part]).toarray()
    gram[np.diag_indices(m)] += ridge
    gram, wrong = lapack.spotrf(gram, lower=1, clean=0, overwrite_a=1)
    if not wrong:
        gram, wrong = lapack.spotri(gram, lower=1, overwrite_c=1)
    if wrong:
        raise ParameterError(f"a ridge of {ridge:g} is too small for these purchases")
    inverse = gram.T  # C order, upper triangle filled
    diagonal = np.diag(inverse).copy()
    for part in _parts(m, 1024):
        inverse[part.stop :, part] = inverse[part, part.stop :].T
        square = inverse[part, part]
        square[:] = np.triu(square) + np.triu(square, 1).T
    inverse /= -diagonal
    inverse[np.diag_indices(m)] = 0.0
    return np.asarray(inverse)


def _fit_neighbours(matrix: sparse.csr_matrix, count: int) -> tuple[Floats, Codes]:
    """Keep each product's nearest by the cosine of their customers, shrunk for rare products.

    Nearest first. Only pairs with a common customer are looked at; a product with fewer of them
    than ``kept`` is filled up by itself, with weight zero.
    """
    m = matrix.shape[1]
    buyers = np.asarray(matrix.sum(axis=0), np.float32).ravel()
    rows = matrix.T.tocsr()
    weights = np.zeros((m, count), np.float32)
    neighbours = np.repeat(np.arange(m, dtype=np.int32)[:, None], count, axis=1)
    for part in _parts(m, max(1, CELLS // m)):
        both = (rows[part] @ matrix).tocsr()
        both.sort_indices()
        own = np.repeat(np.arange(part.start, part.stop), np.diff(both.indptr))
        near = both.data / (np.sqrt(buyers[own] * buyers[both.indices]) + np.float32(SHRINK))
        near[own == both.indices] = 0.0
        for row, (start, stop) in enumerate(itertools.pairwise(both.indptr)):
            values = near[start:stop]
            least = np.partition(values, -count)[-count] if stop - start > count else 0.0
            best = np.flatnonzero((values >= least) & (values > 0))
            best = best[np.argsort(-values[best], kind="stable")][:count]
            weights[part.start + row, : len(best)] = values[best]
            neighbours[part.start + row, : len(best)] = both.indices[start:stop][best]
    return weights, neighbours


def _parts(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def find_largest(scores: Floats, k: int) -> Codes:
    """Return the columns of each row's k largest values, largest first; of equal ones, any.

    The k largest lie in the k groups of columns with the largest maximum, which is five times
    faster to find than by partition of all columns.

    Examples
    --------
    >>> find_largest(np.array([[0.1, 0.5, 0.3]], np.float32), 2).tolist()
    [[1, 2]]
    """
    n, m = scores.shape
    k = min(k, m)
    size, groups = 16, m // 16
    if groups > 2 * k:
        most = scores[:, : size * groups].reshape(n, size, groups).max(axis=1)
        best = np.argpartition(most, groups - k, axis=1)[:, groups - k :]
        within = best[:, None, :] + groups * np.arange(size)[None, :, None]
        rest = np.broadcast_to(np.arange(size * groups, m), (n, m - size * groups))
        among = np.concatenate([within.reshape(n, -1), rest], axis=1)
    else:
        among = np.broadcast_to(np.arange(m), (n, m))
    values = np.take_along_axis(scores, among, axis=1)
    last = values.shape[1] - k
    top = np.argpartition(values, last, axis=1)[:, last:] if last else np.argsort(values, axis=1)
    columns = np.take_along_axis(among, top, axis=1)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.lexsort((columns, -values), axis=1)
    return np.take_along_axis(columns, order, axis=1).astype(np.int32)


def rank_discover(
    model: Weighted,
    bought: sparse.csr_matrix,
    k: int,
    *,
    factors: Floats | None = None,
    barred: sparse.csr_matrix | None = None,
    new_only: bool = True,
) -> tuple[Codes, Floats, Codes]:
    """Rank for each customer the products that are new to them.

    Parameters
    ----------
    model : Recommender
    bought : sparse matrix
        Customers x products, 1 where bought.
    k : int
    factors : ndarray of float32, optional
        Of each product: 0 where it may not be offered.
    barred : sparse matrix, optional
        Products that a customer is not offered beside those bought.
    new_only : bool
        Leave out what was bought.

    Returns
    -------
    codes, scores, sources : ndarray
        Customers x k: product (-1 where no further one has a positive score), score, and the
        product bought that adds most to it.
    """
    from concurrent.futures import ThreadPoolExecutor

    n, m = bought.shape
    k = min(k, m)
    codes = np.full((n, k), -1, np.int32)
    points, sources = np.zeros((n, k), np.float32), np.full((n, k), -1, np.int32)
    near = _as_sparse(model).tocsc() if len(model.neighbours) else None
    masks = [one for one in (bought if new_only else None, barred) if one is not None]
    parts = list(_parts(n, max(1, CELLS // (2 * min(m, WIDE)))))

    def score(part: slice) -> None:
        own = bought[part]
        scores = np.empty((own.shape[0], wide.stop - wide.start), np.float32)
        for columns, block in blocks:
            product = own @ block
            scores[:, columns] = product if near is None else product.toarray()
        if factors is not None:
            scores *= factors[wide]
        for mask in masks:
            rows, columns = mask[part].nonzero()
            inside = (columns >= wide.start) & (columns < wide.stop)
            scores[rows[inside], columns[inside] - wide.start] = 0
        best = find_largest(scores, k)
        values = np.concatenate([points[part], np.take_along_axis(scores, best, 1)], axis=1)
        both = np.concatenate([codes[part], best + wide.start], axis=1)
        top = find_largest(values, k)
        points[part] = np.take_along_axis(values, top, 1)
        codes[part] = np.where(points[part] > 0, np.take_along_axis(both, top, 1), -1)

    def explain(part: slice) -> None:
        sources[part] = _main_sources(model, bought[part], codes[part])

    with ThreadPoolExecutor(2) as pool:
        for wide in _parts(m, WIDE):
            weights = model.weights[:, wide] if near is None else near[:, wide].tocsr()
            blocks = [(slice(None), weights)]
            if near is None:  # columns side by side, so that the processor's cache holds them
                narrow = _parts(weights.shape[1], NARROW)
                blocks = [(one, np.ascontiguousarray(weights[:, one])) for one in narrow]
            list(pool.map(score, parts))
        list(pool.map(explain, parts))
    return codes, points, sources


def _as_sparse(model: Weighted) -> sparse.csr_matrix:
    """Return the weights of the nearest products, from the one bought to the one scored."""
    m, count = model.weights.shape
    ends = np.arange(0, m * count + 1, count)
    by_target = (model.weights.ravel(), model.neighbours.ravel(), ends)
    return sparse.csr_matrix(by_target, shape=(m, m)).T.tocsr()


def _main_sources(model: Weighted, own: sparse.csr_matrix, codes: Codes) -> Codes:
    """Return for each product ranked the product bought that adds most to its score."""
    sources = np.full(codes.shape, -1, np.int32)
    for row in range(len(codes)):
        listed = codes[row][codes[row] >= 0]
        mine = own.indices[own.indptr[row] : own.indptr[row + 1]]
        if not len(listed):
            continue
        if len(model.neighbours):
            near = model.neighbours[listed]
            shares = np.where(np.isin(near, mine), model.weights[listed], -1.0)
            best = shares.argmax(axis=1)
            sources[row, : len(listed)] = near[np.arange(len(listed)), best]
        else:
            sources[row, : len(listed)] = mine[model.weights[np.ix_(mine, listed)].argmax(axis=0)]
    return sources
