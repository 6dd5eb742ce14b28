"""What any method starts from: one row a customer in an order of its own, and a fitted transform.

Customers are sorted by their ids before anything is sampled or started, so that the order in which
a table came changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from segkit.errors import DataError, ParameterError, require_columns
from segkit.frames import from_memory
from segkit.ids import with_ids
from segkit.transform import Transform

# What tables of segments hold beside the features: one of these names would replace the other.
RESULT_COLUMNS = ("segment", "segment_name", "customers", "customer_share", "reach", "weight")


def feature_rows(frame: Any, features: Sequence[str]) -> pl.DataFrame:
    """Return `customer_rows` of what segments are made of.

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
        raise ParameterError("customer_id says who a customer is; it is no feature")
    require_columns(frame.columns, ["customer_id", *columns], "the customer table")
    ids = frame.get_column("customer_id")
    if ids.null_count() or ids.n_unique() < frame.height:
        raise DataError(
            f"customer_id must be there and differ on every row; {ids.null_count()} are missing, "
            f"{frame.height - ids.n_unique()} are repeats"
        )
    if frame.height < 2:
        raise DataError(f"segments need at least two customers; the table has {frame.height}")
    table: pl.DataFrame = frame.select("customer_id", *columns)
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
    known = {*given.names, *(name for name, _ in given.dropped)}
    if known != set(features):
        raise ParameterError(
            f"the transform's columns ({', '.join(sorted(known))}) are not the features "
            f"({', '.join(sorted(features))})"
        )
    return given if given.rows is not None else given.fit(table)
