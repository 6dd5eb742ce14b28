"""Input checks of every clustering: data matrix, label codes, samples independent of row order."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from segkit.display import counted, number
from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import from_memory
from segkit.ids import with_ids
from segkit.transform import Transform, exposure_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]


BLOCK = 16_384
# Columns of segment tables beside the features: a feature of the same name would overwrite one.
RESULT_COLUMNS = (
    "segment",
    "segment_name",
    "segment_description",
    "customers",
    "customer_share",
    "reach",
    "weight",
)


def as_matrix(X: Any, *, min_rows: int = 1) -> Floats:
    """Check that the data are a finite numeric matrix, one row per customer.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Numbers; a polars or pandas frame of numeric columns is taken too.
    min_rows : int
        Rows that the analysis needs at the least.

    Returns
    -------
    ndarray of shape (n, d), float64, row by row in memory

    Raises
    ------
    DataError
        If the data are not numeric, not two-dimensional, too few, or hold a missing or infinite
        value (how many, in which columns).

    Examples
    --------
    >>> as_matrix([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    raw = X.to_numpy() if hasattr(X, "to_numpy") else X
    try:
        matrix = np.ascontiguousarray(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"clustering needs numbers, one row per customer: {error}") from None
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise DataError(
            f"expected a table of customers by features, got an array of shape {matrix.shape}"
        )
    if len(matrix) < min_rows:
        raise DataError(f"expected at least {counted(min_rows, 'customer')}, got {len(matrix)}")
    if not np.isfinite(matrix).all():
        bad = ~np.isfinite(matrix)
        where = ", ".join(str(column) for column in np.flatnonzero(bad.any(axis=0)))
        raise DataError(
            f"{int(bad.sum())} missing or infinite values in columns {where}; "
            "fill or drop them before clustering"
        )
    return matrix


def as_codes(labels: ArrayLike, n: int) -> tuple[Ints, list[Any]]:
    """Code the labels 0, 1, … in sorted order; unused numbers are dropped.

    Returns
    -------
    codes : ndarray of shape (n,), int64
    names : list
        The label behind each code.

    Raises
    ------
    DataError
        If there is not one label per row, or a label is missing.

    Examples
    --------
    >>> codes, names = as_codes(["b", "a", "b"], 3)
    >>> codes.tolist(), names
    ([1, 0, 1], ['a', 'b'])
    """
    given = np.asarray(labels.to_numpy() if hasattr(labels, "to_numpy") else labels)
    if given.shape != (n,):
        raise DataError(
            f"expected one label for each of {counted(n, 'row')}, got shape {given.shape}"
        )
    if given.dtype.kind in "iu" and n and given.min() >= 0 and given.max() <= 4 * n:
        present = np.flatnonzero(np.bincount(given))
        if len(present) == present[-1] + 1:
            return given.astype(np.int64, copy=False), list(range(len(present)))
        lookup = np.zeros(present[-1] + 1, dtype=np.int64)
        lookup[present] = np.arange(len(present))
        return lookup[given], present.tolist()
    missing = [v is None or v != v for v in given.tolist()]
    if any(missing):
        raise DataError(f"{sum(missing)} of {n} labels are missing; every row needs one")
    names, codes = np.unique(given, return_inverse=True)
    return codes.astype(np.int64, copy=False), names.tolist()


def without_gaps(labels: NDArray[Any]) -> Ints:
    """Renumber groups 0, 1, … in the order of their labels; unused numbers are dropped."""
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def as_segmentation(X: Any, labels: ArrayLike) -> tuple[Floats, Ints, int]:
    """Check data and labels together; return the matrix, the codes and the number of segments."""
    matrix = as_matrix(X)
    codes, names = as_codes(labels, len(matrix))
    return matrix, codes, len(names)


def fair_order(X: Floats, seed: int) -> Ints:
    """Return a random order of the rows that does not depend on their input order.

    Each row is hashed from its own values and the seed, and rows are sorted by their hash; copies
    of one row get different hashes from their running number. The first m rows of the
    order are thus a simple random sample that is the same for a shuffled table.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    seed : int

    Returns
    -------
    ndarray of shape (n,), int64
        Row numbers, in the new order.

    Examples
    --------
    >>> X = np.array([[1.0], [2.0], [3.0]])
    >>> first = X[fair_order(X, 0)]
    >>> bool((X[::-1][fair_order(X[::-1], 0)] == first).all())
    True
    """
    keys = _row_keys(X, np.uint64(seed & 0xFFFFFFFF) + np.uint64(0x9E3779B97F4A7C15))
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if (ordered[1:] != ordered[:-1]).all():
        return order
    second = np.empty_like(keys)
    second[order] = _rehash(ordered)
    return np.argsort(second, kind="stable")


def distinct_rows(X: Floats, enough: int) -> int:
    """Count distinct rows, stopping as soon as ``enough`` have been seen.

    Examples
    --------
    >>> distinct_rows(np.zeros((5, 2)), 3)
    1
    """
    size = max(64, 4 * enough)
    while True:
        count = len(np.unique(X[:size], axis=0))
        if count >= enough or size >= len(X):
            return count
        size *= 8


def wanted_counts(k: int | None, k_range: Sequence[int], least: int) -> list[int]:
    """Return the numbers of segments to fit: k alone if it is given, else those of the range.

    Raises
    ------
    ParameterError
        If k is below 2, or the range is empty or holds a number below ``least``.
    """
    ks = sorted({int(one) for one in k_range}) if k is None else [k]
    if min(ks, default=0) < (least if k is None else 2):
        raise ParameterError(
            f"expected k >= 2 (or None), k_range of numbers from {least}; got {k}, {list(k_range)}"
        )
    return ks


def require_distinct(distinct: int, k: int, rows: int) -> None:
    """Raise ``DataError`` if there are fewer different customers than segments."""
    if distinct < k:
        raise DataError(
            f"{counted(k, 'segment needs', 'segments need')} as many different customers; among "
            f"{number(rows)} there are {number(distinct)} with different features"
        )


def as_k_range(k_range: Any, distinct: int) -> tuple[list[int], list[str]]:
    """Check the requested numbers of segments; drop those above the number of distinct rows.

    Returns
    -------
    ks : list of int
        In rising order.
    notes : list of str
        What was left out and why.

    Raises
    ------
    ParameterError
        If one is not a whole number of at least 2, or none was given.
    DataError
        If too few distinct rows are there for any of them.

    Examples
    --------
    >>> as_k_range(range(2, 6), 4)
    ([2, 3], ['k = 4, 5 left out: only 4 distinct rows'])
    """
    try:
        ks = sorted({int(k) for k in k_range if int(k) == k})
    except (TypeError, ValueError):
        ks = []
    if not ks or ks[0] < 2 or len(ks) != len(set(k_range)):
        raise ParameterError(f"k_range needs whole numbers of at least 2, got {k_range!r}")
    possible = [k for k in ks if k < distinct]
    if not possible:
        raise DataError(
            f"{distinct} distinct rows cannot be clustered into {ks[0]} or more segments; "
            f"at least {ks[0] + 1} are needed"
        )
    if len(possible) == len(ks):
        return possible, []
    left = ", ".join(str(k) for k in ks if k not in possible)
    return possible, [f"k = {left} left out: only {distinct} distinct rows"]


def sample_rows(
    matrix: Floats, order: Ints, size: int, k_range: Iterable[int]
) -> tuple[Floats, list[int], list[str]]:
    """Return the rows to be used, and the numbers of segments that are possible for them.

    Parameters
    ----------
    matrix : ndarray of shape (n, d)
    order : ndarray of shape (n,)
        The `fair_order` of the rows.
    size : int
        Rows used at most: the first in that order.
    k_range : iterable of int

    Returns
    -------
    used : ndarray of shape (min(n, size), d)
    ks : list of int
    notes : list of str
        Numbers of segments that were left out, and the sample.

    Raises
    ------
    DataError, ParameterError
        As `as_k_range`.
    """
    used, wanted = matrix[order[:size]], list(k_range)
    ks, notes = as_k_range(wanted, distinct_rows(used, max([*wanted, 2]) + 1))
    if len(used) < len(matrix):
        rows = f"{number(len(used))} of {counted(len(matrix), 'customer')}"
        notes.append(f"A random sample of {rows} was used")
    return used, ks, notes


def fair_sample(X: Floats, size: int, seed: int) -> Ints:
    """Return row numbers of a simple random sample, the same for a shuffled table.

    Every row is hashed from its values, copies of one row are told apart by a second hash of their
    running number, and the smallest hashes make the sample. Which of several equal rows is taken
    makes no difference.

    Parameters
    ----------
    X : array (n, d)
        Finite numbers.
    size : int
        Rows wanted; all n, in a fair order, where there are no more.
    seed : int

    Returns
    -------
    array (min(size, n),)
        In an order given by the rows' values.

    Examples
    --------
    >>> X = np.arange(1000.0)[:, None]
    >>> rows = fair_sample(X, 3, 0)
    >>> bool((X[rows] == X[::-1][fair_sample(X[::-1], 3, 0)]).all())
    True
    """
    n = X.shape[0]
    if n <= size:
        return fair_order(X, seed)
    start_key = np.uint64((seed * 0x9E3779B97F4A7C15 + 0x5851F42D4C957F2D) & (2**64 - 1))
    keys = _row_keys(X, start_key)
    order = np.argsort(keys, kind="stable")
    second = _rehash(keys[order])
    return order[np.sort(np.argpartition(second, size - 1)[:size])]


def _row_keys(X: Floats, start_key: np.uint64) -> Keys:
    """Hash every row's values to 64 bits."""
    keys = np.empty(X.shape[0], dtype=np.uint64)
    for start in range(0, X.shape[0], BLOCK):
        columns = np.ascontiguousarray(X[start : start + BLOCK].T) + 0.0  # -0.0 becomes 0.0
        key = np.full(columns.shape[1], start_key)
        for column in columns:
            key ^= column.view(np.uint64)
            _mix(key)
        keys[start : start + BLOCK] = key
    return keys


def _mix(key: Keys) -> None:
    """Mix the bits of keys in place (the finaliser of SplitMix64; Steele et al. 2014)."""
    key ^= key >> np.uint64(30)
    key *= np.uint64(0xBF58476D1CE4E5B9)
    key ^= key >> np.uint64(27)
    key *= np.uint64(0x94D049BB133111EB)
    key ^= key >> np.uint64(31)


def _rehash(ordered: Keys) -> Keys:
    """Hash sorted keys again, the copies of one key by their running number."""
    second = ordered.copy()
    same = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    if same.shape[0]:
        new = np.ones(ordered.shape[0], dtype=bool)
        new[same] = False
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, ordered.shape[0]))
        second += (np.arange(ordered.shape[0]) - np.repeat(starts, lengths)).astype(np.uint64)
    for start in range(0, second.shape[0], BLOCK):
        _mix(second[start : start + BLOCK])
    return second


def fit_quietly(model: Any, X: Floats, **options: Any) -> Any:
    """Fit a model of scikit-learn's; one that has not converged is valid, and gives no warning."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, **options)


def feature_rows(frame: Any, features: Sequence[str]) -> pl.DataFrame:
    """Return `customer_rows` for the clustering features.

    Raises
    ------
    ColumnError, DataError, ParameterError
        As `customer_rows`; ParameterError too if a feature has the name of a column of the result.

    Examples
    --------
    >>> feature_rows(pl.DataFrame({"customer_id": [2, 1], "age": [30, 40]}), ["age"]).columns
    ['customer_id', 'age']
    """
    taken = [name for name in RESULT_COLUMNS if name in features]
    if taken:
        raise ParameterError(
            f"the table of segments has a column {' and '.join(taken)} of its own; rename the "
            f"{'feature' if len(taken) == 1 else 'features'}"
        )
    return customer_rows(frame, features)


def customer_rows(frame: Any, columns: Sequence[str]) -> pl.DataFrame:
    """Return ``customer_id`` and the needed columns as polars, ordered by customer.

    The exposures of rates are kept too, where the frame has them (`segkit.transform.exposure_of`).

    Parameters
    ----------
    frame : polars or pandas DataFrame, or polars LazyFrame
    columns : sequence of str

    Raises
    ------
    ColumnError
        If ``customer_id`` or a column is absent.
    DataError
        If an id is missing or comes twice, or there are fewer than two customers.
    ParameterError
        If no column is named, one twice, or ``customer_id``.

    Examples
    --------
    >>> customer_rows(pl.DataFrame({"customer_id": [2, 1], "age": [30, 40]}), ["age"]).rows()
    [('1', 40), ('2', 30)]
    """
    frame = with_ids(from_memory(frame), "the customer table")
    if not columns:
        raise ParameterError("no features were named; name at least one numeric column")
    if isinstance(columns, str):
        raise ParameterError(f"expected a list of columns, such as [{columns!r}]; got text")
    if len(set(columns)) < len(columns):
        raise ParameterError(f"a feature is named twice: {', '.join(columns)}")
    if "customer_id" in columns:
        raise ParameterError(
            "customer_id identifies a customer and cannot be a feature; leave it out"
        )
    require_columns(frame.columns, ["customer_id", *columns], "the customer table")
    ids = frame.get_column("customer_id")
    if ids.null_count() or ids.n_unique() < frame.height:
        raise DataError(
            f"customer_id must be present and unique in every row; {ids.null_count()} are missing, "
            f"{frame.height - ids.n_unique()} are repeats"
        )
    if frame.height < 2:
        raise DataError(f"segments need at least two customers; the table has {frame.height}")
    exposures = [exposure_of(name) for name in columns]
    counts = dict.fromkeys(n for n in exposures if n in frame.columns and n not in columns)
    table: pl.DataFrame = frame.select("customer_id", *columns, *counts)
    return table.sort("customer_id")


def fitted_transform(
    table: pl.DataFrame, features: Sequence[str], given: Transform | None
) -> Transform:
    """Return the transform given, fitted where it was not, or a proposal fitted to the table.

    Raises
    ------
    ParameterError
        If the given transform's columns are not the features.
    """
    if given is None:
        return Transform.propose(table, features).fit(table)
    columns = {*given.names, *(name for name, _ in given.dropped)}
    if columns != set(features):
        raise ParameterError(
            f"the transform's columns ({', '.join(sorted(columns))}) are not the features "
            f"({', '.join(sorted(features))})"
        )
    return given if given.rows is not None else given.fit(table)
