"""The segments that were handed out, among the solutions that refits are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from segkit.cluster.matrix import Ints
from segkit.errors import DataError

_TOLD = ("size", "share", "jaccard", "jaccard_low", "jaccard_high", "band", "kept_share", "slsa")


@dataclass(frozen=True, slots=True)
class Own:
    """Segments handed out, as codes.

    Attributes
    ----------
    ids : tuple of str
        Their ids, in order.
    codes : ndarray of shape (rows,)
        Place of each used row's segment in ``ids``.
    """

    ids: tuple[str, ...]
    codes: Ints

    def table(self, segments: pl.DataFrame, cuts: Mapping[int, Ints]) -> pl.DataFrame | None:
        """Tell the segments by their ids: one row each; None if their k was left out.

        Parameters
        ----------
        segments : polars.DataFrame
            As made by `stability_tables.segment_table`.
        cuts : mapping of int to ndarray of shape (rows,)
            The numbered partitions, the one handed out among them.
        """
        k = len(self.ids)
        if k not in cuts:
            return None
        first = [int(np.flatnonzero(self.codes == code)[0]) for code in range(k)]
        numbers = pl.Series("number", cuts[k][first] + 1, dtype=pl.Int64)
        rows = segments.filter(pl.col("k") == k).select(pl.col("segment").alias("number"), *_TOLD)
        named = pl.DataFrame({"segment": self.ids, "number": numbers})
        return named.join(rows, on="number", how="left", maintain_order="left")


def own_codes(segments: Any, order: Ints, rows: int) -> Own:
    """Take the segments handed out for the rows that are used.

    Parameters
    ----------
    segments : array-like of shape (n,)
    order : ndarray of shape (n,)
        Order of the rows, of which the first are used.
    rows : int
        How many are used.

    Raises
    ------
    DataError
        If there is not one segment a row, one is missing, fewer than two differ, or one has
        nobody among the rows used.

    Examples
    --------
    >>> own_codes(["S2", "S1", "S2"], np.array([2, 1, 0]), 2)
    Own(ids=('S1', 'S2'), codes=array([1, 0]))
    """
    given = pl.Series(list(segments)).cast(pl.String)
    if len(given) != len(order) or given.null_count():
        raise DataError(
            f"expected the segment of each of {len(order)} rows, got {len(given)}, of which "
            f"{given.null_count()} are missing"
        )
    ids, codes = np.unique(given.to_numpy(), return_inverse=True)
    used = np.asarray(codes, dtype=np.int64)[order[:rows]]
    absent = [str(ids[code]) for code in range(len(ids)) if not (used == code).any()]
    if len(ids) < 2 or absent:
        empty = f"; nobody of {', '.join(absent)} is among the {rows} rows used" if absent else ""
        raise DataError(f"stability needs two segments or more, got {len(ids)}{empty}")
    return Own(tuple(str(value) for value in ids), used)
