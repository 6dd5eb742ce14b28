"""Customer table that stays in Spark: sums by Spark, their ratios by Polars on the executors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

import polars as pl

from segkit.features.build import (
    FeaturePlan,
    check_orders,
    needed_sums,
    plan_features,
)
from segkit.features.calendar import Window
from segkit.features.definitions import Plan, is_exact, read_sums
from segkit.features.products import (
    PAIR_SUMS,
    Levels,
    LevelTotals,
    add_levels,
    known_levels,
    level_code,
    level_sum_names,
    pair_sums,
    pivot_levels,
)
from segkit.features.sources import CUSTOMER, MICRO, check_rows
from segkit.features.table import CustomerTable
from segkit.spark.engine import (
    as_frame,
    check_columns,
    check_session,
    collect,
    map_batches,
    map_frames,
    plain_errors,
    to_batches,
)

# Of a sum: its name in Spark (which takes dots for structures), and whether missing means zero.
Names = dict[str, tuple[str, bool]]
TOTALS = {"totals": pl.String}


@dataclass(frozen=True, slots=True, eq=False)
class SparkTable:
    """Customer table in Spark: one row per customer, in no order.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        ``customer_id`` and one column per feature. It is computed anew each time it is used: write
        it as Parquet and read that before several uses.
    about : CustomerTable
        Definitions, what was skipped, the as-of date and notes, without rows.
    rows : int
        Customers.
    """

    frame: Any
    about: CustomerTable
    rows: int


def build_table(
    session: Any,
    orders: Any,
    events: Any = None,
    customers: Any = None,
    *,
    products: Any = None,
    **options: Any,
) -> SparkTable:
    """Describe each customer as of a date, in Spark, by the features of `segkit.build_features`.

    Parameters
    ----------
    session : pyspark.sql.SparkSession
        In the time zone UTC, with ``spark.sql.ansi.enabled``.
    orders, events, customers, products : pyspark.sql.DataFrame, str or Path
        Clean tables as for `segkit.build_features`, or the addresses of Parquet files. A Spark
        timestamp has no zone of its own: its day is that of UTC.
    **options
        Further arguments of `segkit.build_features`: as_of, windows, calendar, monetary, features,
        population, trend_days, currency.

    Returns
    -------
    SparkTable
        Names, definitions and values are those of `segkit.build_features`.

    Raises
    ------
    ParameterError
        If the session is not in UTC, or not ANSI, or an option is unknown.
    SourceError, ColumnError, DataError
        As `segkit.build_features`; also if a day, an amount or a time is of another type.
    """
    check_session(session)
    given = {"orders": orders, "events": events, "customers": customers, "products": products}
    frames: dict[str, Any] = {
        what: None if source is None else as_frame(session, source, what)
        for what, source in given.items()
    }
    for what in ("orders", "events"):
        if frames[what] is not None:
            frames[what] = check_columns(frames[what], what)
    with plain_errors():
        plan = plan_features(**frames, **options)
    lines, *others = plan.tables
    plan = replace(plan, tables=[replace(lines, rows=check_rows(lines.rows)), *others])
    blocks, names = _blocks(plan)
    people = _population(plan, blocks, names)
    buyers = plan.population == "buyers"
    counts = _count_left(blocks[0], names) if buyers else {}
    rows = int(counts["buyers"] if buyers else collect(people.agg({"*": "count"})).item())
    sums = people
    for block in blocks[1:] if buyers else blocks:
        sums = sums.join(block, on=CUSTOMER, how="left")
    plan = _with_level_totals(plan, sums, names)
    return SparkTable(_finish(plan, sums, names), plan.table(plan.empty.frame, counts), rows)


def _blocks(plan: FeaturePlan) -> tuple[list[Any], Names]:
    """Return each block of sums as a Spark frame, and the names of its columns."""
    from pyspark.sql import functions

    names: Names = {}
    blocks = []
    needed = needed_sums(plan.bound, plan.day)
    for table in plan.tables:
        for (block, window), wanted in table.needed_blocks(needed).items():
            columns = []
            for name in wanted:
                full = f"{block}.{name}{window.suffix}"
                names[full] = f"c{len(names)}", not table.is_unknown(name)
                dtype = "bigint" if is_exact(full) else "double"
                columns.append(functions.col(name).cast(dtype).alias(names[full][0]))
            sums = _sums(table, block, window)
            blocks.append(
                sums.where(functions.col(CUSTOMER).isNotNull()).select(CUSTOMER, *columns)
            )
    return blocks, names


def _sums(table: Plan, block: str, window: Window) -> Any:
    """Return a block of sums over a window; of levels, what stands beside one another is set out.

    Narwhals has no lists of a group's values on Spark.
    """
    from pyspark.sql import functions

    rows = table.rows.window(window)
    by_level = {f"{levels.column}_levels": levels for levels in getattr(table.facts, "kinds", ())}
    if block not in by_level:
        return table.blocks[block](rows, table.facts).to_native()
    levels = by_level[block]
    pairs = pair_sums(known_levels(rows, table.facts, levels), levels).to_native()
    listed = pairs.groupBy(CUSTOMER).agg(
        functions.collect_list(
            functions.struct(
                levels.column,
                *(functions.col(name).cast("bigint").alias(name) for name in PAIR_SUMS),
            )
        ).alias("pairs")
    )
    fields = [
        functions.col("pairs").getField(name).alias(name) for name in (levels.column, *PAIR_SUMS)
    ]
    wide = {CUSTOMER: pl.String} | dict.fromkeys(_set_out_columns(levels), pl.Float64)
    return map_frames(listed.select(CUSTOMER, *fields), _setter(levels), wide)


def _setter(levels: Levels) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return the function that sets out a batch of customers with their lists."""

    def run(listed: pl.DataFrame) -> pl.DataFrame:
        code = pl.col(levels.column).list.eval(level_code(pl.element(), levels))
        return pivot_levels(listed.select(CUSTOMER, *PAIR_SUMS, code=code), levels)

    return run


def _set_out_columns(levels: Levels) -> list[str]:
    """List the columns that `pivot_levels` makes, by making them of one customer."""
    one = {CUSTOMER: ["a"], "code": [[0]]} | {name: [[1]] for name in PAIR_SUMS}
    return pivot_levels(pl.DataFrame(one), levels).drop(CUSTOMER).columns


def _count_left(base: Any, names: Names) -> dict[str, float]:
    """Count customers with returns alone, and buyers who are worth nothing."""
    from pyspark.sql import functions

    orders, amount = (functions.col(names[f"orders.{name}"][0]) for name in ("n_orders", "amount"))
    buys = functions.coalesce(orders, functions.lit(0.0)) > 0
    sums = {
        "returners": functions.when(~buys, 1),
        "returned": functions.when(~buys, amount),
        "buyers": functions.when(buys, 1),
        "worthless": functions.when(buys & (amount <= 0), 1),
        "lost": functions.when(buys & (amount <= 0), amount),
    }
    row = collect(base.agg(*(functions.sum(value).alias(name) for name, value in sums.items())))
    counts = {name: value or 0 for name, value in row.row(0, named=True).items()}
    return counts | {name: counts[name] / MICRO for name in ("returned", "lost")}


def _population(plan: FeaturePlan, blocks: list[Any], names: Names) -> Any:
    """Return the customers of the population; buyers with their first block of sums."""
    from pyspark.sql import functions

    base = blocks[0]
    if plan.population == "buyers":
        return base.where(functions.col(names["orders.n_orders"][0]) > 0)
    people = base.select(CUSTOMER)
    for table in plan.tables[1:]:
        rows = table.rows.frame.to_native().where(functions.col("day") <= plan.day)
        people = people.union(rows.select(CUSTOMER))
    if plan.listed is not None:
        people = people.union(_listed(people, plan.listed))
    return people.where(functions.col(CUSTOMER).isNotNull()).distinct()


def _listed(frame: Any, ids: pl.Series) -> Any:
    """Return ids as a Spark frame beside another."""
    return frame.sparkSession.createDataFrame([(one,) for one in ids], f"{CUSTOMER} string")


def _reader(names: Names) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Return the function that reads a batch of sums under their full names."""

    def read(batch: pl.DataFrame) -> pl.DataFrame:
        sums = read_sums(batch, names)
        check_orders(sums)
        return sums

    return read


def _with_level_totals(plan: FeaturePlan, sums: Any, names: Names) -> FeaturePlan:
    """Return the plan with affinities that are set beside all customers' totals of their window."""
    kinds = plan.tables[0].facts.kinds
    windows = list(dict.fromkeys(column.window for column in plan.affinities()))
    if not windows:
        return plan
    totals = _add_level_totals(kinds, windows, sums, names)
    return plan.with_level_totals(dict(zip(windows, totals, strict=True)))


def _add_level_totals(
    kinds: tuple[Levels, ...], windows: list[Window], sums: Any, names: Names
) -> list[list[LevelTotals]]:
    """Add up what affinities rest on, in whole numbers: of each window, for each kind of level."""
    listed = [
        [f"{name}{window.suffix}" for name in level_sum_names(levels)]
        for window in windows
        for levels in kinds
    ]
    own = {name: names[name] for part in listed for name in part if name in names}
    read = _reader(own)
    nothing = [LevelTotals(0, 0, 0, 0, (0,) * (len(part) - 2)) for part in listed]

    def add(batches: Iterator[Any]) -> Iterator[Any]:
        totals = nothing
        for batch in batches:
            frame = read(pl.DataFrame(pl.from_arrow(batch)))
            totals = [
                before + add_levels([frame[name] for name in part]) if own.keys() >= set(part)
                else before
                for before, part in zip(totals, listed, strict=True)
            ]  # fmt: skip
        text = json.dumps([asdict(one) for one in totals])  # the squares exceed 64 bits
        yield from to_batches(pl.DataFrame({"totals": [text]}), TOTALS)

    columns = [short for short, _ in own.values()]
    parts = collect(map_batches(sums.select(CUSTOMER, *columns), add, TOTALS))["totals"]
    read_parts = (
        [LevelTotals(**{**one, "levels": tuple(one["levels"])}) for one in json.loads(text)]
        for text in parts
    )
    whole = reduce(lambda a, b: [x + y for x, y in zip(a, b, strict=True)], read_parts, nothing)
    return [whole[k : k + len(kinds)] for k in range(0, len(whole), len(kinds))]


def _finish(plan: FeaturePlan, sums: Any, names: Names) -> Any:
    """Make the features of their sums, batch by batch on the executors."""
    read = _reader(names)
    columns = [column.column() for column in plan.bound]

    def finish(batch: pl.DataFrame) -> pl.DataFrame:
        return read(batch).select(CUSTOMER, *columns)

    empty = {CUSTOMER: pl.String} | dict.fromkeys(names, pl.Float64)
    schema = pl.DataFrame(schema=empty).select(CUSTOMER, *columns).schema
    return map_frames(sums, finish, dict(schema))
