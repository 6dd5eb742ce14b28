"""From clean order lines to written assignments in Spark, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from segkit.cluster.matrix import require_distinct
from segkit.cluster.model import SegmentModel
from segkit.cluster.segments import CAVEAT, Segmentation
from segkit.cluster.twostep import SAMPLE
from segkit.display import counted, number, percent
from segkit.errors import ParameterError, SegkitError, require_choice
from segkit.features.table import CustomerTable
from segkit.pipeline import LEAST_CUSTOMERS, choose_variables, require_customers
from segkit.result import Result
from segkit.spark.clustering import check_numbers, cluster_about, draw_customers
from segkit.spark.engine import check_absent, check_session, collect, plain_errors
from segkit.spark.scores import score_rows
from segkit.spark.table import build_table


@dataclass(frozen=True, slots=True, eq=False)
class SparkSegments(Result):
    """Segments of all customers, written by Spark.

    Attributes
    ----------
    model : SegmentModel
        Assigns other customers; its sizes are those of all customers.
    fit : Segmentation
        Segmentation of the sample, on which the choice of k rests.
    table : CustomerTable
        Definitions, as-of date and notes of the customer table, without rows.
    customers, assignments : str
        Addresses of the Parquet files: the customer table, and each customer's segment.
    rows, sample : int
        Customers in the table, and those in the sample.
    unassigned : int
        Customers without a segment (the reason stands beside each).
    unlike_share : float
        Share of the assigned customers who are unlike any segment.
    explained : float
        Share of the variation that lies between segments.
    """

    model: SegmentModel
    fit: Segmentation
    table: CustomerTable
    customers: str
    assignments: str
    rows: int
    sample: int
    unassigned: int
    unlike_share: float
    explained: float

    def to_frame(self) -> pl.DataFrame:
        """Return one row per segment: sizes of all customers, centres in original units."""
        return self.model.to_frame().drop("reach")

    @property
    def text(self) -> str:
        """Number of customers assigned, and what the segments rest on."""
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in self.table.notes)
        left = self.unassigned
        lost = f" {counted(left, 'customer')} without a segment." if left else ""
        return (
            f"{counted(self.rows - left, 'customer')} as of {self.table.as_of} assigned to "
            f"{counted(len(self.model.segments), 'segment')}, which hold {percent(self.explained)} "
            f"of the variation between them; {percent(self.unlike_share)} are unlike any segment."
            f"{lost} Number, names and limits of the segments rest on a random sample of "
            f"{number(self.sample)}. {CAVEAT}{notes}"
        )


def segment_lines(
    session: Any,
    orders: Any,
    events: Any = None,
    *,
    out: str,
    products: Any = None,
    variables: Sequence[str] = (),
    k: int | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    **options: Any,
) -> SparkSegments:
    """Segment the customers of clean order lines in Spark, and write their assignments.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
        In the time zone UTC, with ``spark.sql.ansi.enabled``; `open_session` opens one.
    orders, events, products : pyspark.sql.DataFrame, str or Path
        Clean tables as for `segkit.build_features`, or the addresses of Parquet files. (Raw files
        are cleaned by `segkit.clean_data` on one machine.)
    out : str
        Folder, of any file system that Spark writes: the customer table goes to ``customers`` in
        it, each customer's segment to ``assignments``. Neither may be there yet, not even empty.
    variables : sequence of str
        Columns to cluster on; by default as `segkit.pipeline.choose_variables` chooses them.
    k : int, optional
        Number of segments; chosen on the sample if not given.
    sample : int
        Customers of the sample, at least 50.
    seed : int
    **options
        Further arguments of `build_table`: as_of, windows, calendar, features, ….

    Returns
    -------
    SparkSegments

    Raises
    ------
    ParameterError
        If the session is not in UTC or not ANSI, an option is unknown or out of range, or ``out``
        holds either folder; nothing is written then.
    SourceError, ColumnError, DataError
        As the steps raise them; nothing is written where there are fewer customers than 50 or than
        k. If the customer table is written by then, a note says where.
    """
    check_session(session)
    check_numbers(k, seed, sample=sample)
    if sample < LEAST_CUSTOMERS:
        raise ParameterError(f"sample must be at least {LEAST_CUSTOMERS} customers; got {sample}")
    folder = str(out).rstrip("/")
    customers, assignments = f"{folder}/customers", f"{folder}/assignments"
    for address in (customers, assignments):
        check_absent(session, address)
    built = build_table(session, orders, events, products=products, **options)
    for name in variables:
        require_choice("column of the customer table", name, built.frame.columns)
    require_customers(built.rows)
    require_distinct(built.rows, k or 2, built.rows)
    with plain_errors():
        built.frame.write.parquet(customers)
    table = session.read.parquet(customers)
    definitions = dict(built.about.definitions.select("name", "description").iter_rows())
    try:
        chosen = draw_customers(table, sample, seed)
        clusters = cluster_about(
            table,
            chosen,
            features=choose_variables(chosen, variables),
            k=k,
            seed=seed,
            definitions=definitions,
            as_of=built.about.as_of,
        )
    except SegkitError as error:
        error.add_note(f"The customer table is written: {customers}; cluster_table can read it.")
        raise
    with plain_errors():
        score_rows(clusters.model, table).write.parquet(assignments)
    counts, unlike = _count(session.read.parquet(assignments))
    assigned = sum(count for one, count in counts.items() if one is not None)
    segments = tuple(replace(one, size=counts.get(one.id, 0)) for one in clusters.model.segments)
    return SparkSegments(
        model=replace(clusters.model, segments=segments),
        fit=clusters.fit,
        table=built.about,
        customers=customers,
        assignments=assignments,
        rows=assigned + counts.get(None, 0),
        sample=clusters.sample,
        unassigned=counts.get(None, 0),
        unlike_share=unlike / max(assigned, 1),
        explained=1 - clusters.within_ss / clusters.total_ss,
    )


def _count(scores: Any) -> tuple[dict[str | None, int], int]:
    """Count the customers of each segment, None for those without, and the unlike ones."""
    from pyspark.sql import functions

    sums = scores.groupBy("segment").agg(
        functions.count("*").alias("rows"),
        functions.sum(functions.col("unlike_any").cast("int")).alias("unlike"),
    )
    counts = collect(sums)
    sizes = dict(counts.select("segment", "rows").iter_rows())
    return sizes, int(counts["unlike"].sum() or 0)
