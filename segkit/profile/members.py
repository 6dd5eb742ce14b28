"""Membership of segments: customers matched with their table, and counts of unmatched ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.display import counted
from segkit.errors import DataError, require_columns
from segkit.ids import with_ids

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Customers and the segments they are in.

    Attributes
    ----------
    frame : polars.DataFrame
        The customer table of those in at least one segment, one row per customer, by customer_id.
    segments : tuple of str
        Segment ids in natural order ("S2" before "S10"), empty ones among them.
    names : tuple of str
        Their names; the id if there is no name; name and id if two segments share a name.
    within : ndarray of bool, shape (segments, customers)
        Whether each customer is in each segment.
    counts : dict of str to int
        assignments_without_customer, customers_without_segment, assignments_without_segment.
    """

    frame: pl.DataFrame
    segments: tuple[str, ...]
    names: tuple[str, ...]
    within: Flags
    counts: dict[str, int]

    @property
    def overlapping(self) -> int:
        """Number of customers in more than one segment (micro-segments may overlap)."""
        return int((self.within.sum(axis=0) > 1).sum())

    def labels(self) -> npt.NDArray[np.int64]:
        """Return the index in ``segments`` of each customer's segment (the first, if several)."""
        return np.asarray(self.within.argmax(axis=0), dtype=np.int64)

    def keys(self) -> pl.DataFrame:
        """Return segment and segment_name, one row per segment."""
        return pl.DataFrame(
            {"segment": self.segments, "segment_name": self.names},
            schema={"segment": pl.String, "segment_name": pl.String},
        )


def match_members(frame: pl.DataFrame, assignments: pl.DataFrame) -> Members:
    """Match customers with their segments.

    Parameters
    ----------
    frame : polars.DataFrame
        One row per customer with customer_id.
    assignments : polars.DataFrame
        customer_id, segment and optionally segment_name; a customer may be in several segments,
        but in none twice. A null segment counts as none.

    Raises
    ------
    ColumnError
        If a column is missing.
    DataError
        If a customer comes twice in the table or in a segment, a segment has two names, or no
        customer is left.

    Examples
    --------
    >>> table = pl.DataFrame({"customer_id": ["a", "b"], "orders": [1, 2]})
    >>> chosen = pl.DataFrame({"customer_id": ["a", "b", "c"], "segment": ["S1", "S2", "S2"]})
    >>> match_members(table, chosen).counts["assignments_without_customer"]
    1
    """
    require_columns(frame.columns, ["customer_id"], "the customer table")
    require_columns(assignments.columns, ["customer_id", "segment"], "the assignments")
    frame, assignments = with_ids(frame, "the customer table"), with_ids(assignments, "assignments")
    if frame.get_column("customer_id").n_unique() < frame.height:
        raise DataError("the customer table holds a customer twice; one row per customer is needed")
    levels = _levels(assignments.get_column("segment"))
    chosen = assignments.with_columns(pl.col("segment").cast(pl.String))
    without = chosen.get_column("segment").null_count()
    chosen = chosen.drop_nulls("segment")
    if chosen.select("customer_id", "segment").is_duplicated().any():
        raise DataError("a customer comes twice in one segment of the assignments")
    pairs = chosen.join(frame.select("customer_id"), on="customer_id", how="semi")
    table = frame.join(pairs.select("customer_id"), on="customer_id", how="semi").sort(
        "customer_id"
    )
    if table.height == 0:
        raise DataError(
            f"no customer to profile: {frame.height} in the table, "
            f"{counted(chosen.height, 'assignment')}, none of them with the same customer_id"
        )
    place = {name: i for i, name in enumerate(levels)}
    within = np.zeros((len(levels), table.height), dtype=np.bool_)
    rows = pairs.join(table.select("customer_id").with_row_index("row"), on="customer_id")
    which = [place[name] for name in rows.get_column("segment")]
    within[which, rows.get_column("row").to_numpy()] = True
    counts = {
        "assignments_without_customer": chosen.height - pairs.height,
        "customers_without_segment": frame.height - table.height,
        "assignments_without_segment": without,
    }
    return Members(table, levels, _names(chosen, levels), within, counts)


def _levels(segment: pl.Series) -> tuple[str, ...]:
    """Return the segment ids in natural order; an Enum keeps its order and its empty levels."""
    if isinstance(segment.dtype, pl.Enum):
        return tuple(segment.dtype.categories.to_list())
    return tuple(sorted(segment.cast(pl.String).drop_nulls().unique().to_list(), key=natural))


def natural(text: str) -> tuple[Any, ...]:
    """Sort key by which "S2" comes before "S10".

    Examples
    --------
    >>> sorted(["S10", "S2"], key=natural)
    ['S2', 'S10']
    """
    head = text.rstrip("0123456789")
    tail = text[len(head) :]
    return (head, int(tail) if tail else -1, text)


def _names(chosen: pl.DataFrame, levels: tuple[str, ...]) -> tuple[str, ...]:
    if "segment_name" not in chosen.columns:
        return levels
    named = chosen.select("segment", pl.col("segment_name").cast(pl.String)).unique().drop_nulls()
    twice = named.filter(pl.col("segment").is_duplicated()).get_column("segment")
    if twice.len():
        raise DataError(f"segment {twice.sort()[0]!r} has several names in the assignments")
    name_of = dict(named.iter_rows())
    names = [name_of.get(level, level) for level in levels]
    return tuple(
        f"{name} ({level})" if names.count(name) > 1 else name
        for name, level in zip(names, levels, strict=True)
    )
