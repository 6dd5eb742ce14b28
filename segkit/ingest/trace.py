"""Which raw rows stand behind this customer? Every one, with what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import number
from segkit.errors import DataError
from segkit.ids import ids_of
from segkit.ingest.parse import MICRO
from segkit.ingest.settle import WHO
from segkit.ledger import money_from_micro
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.ingest.process import Intake


@dataclass(frozen=True, slots=True, eq=False)
class Trace(Result):
    """A customer's raw rows beside the clean ones, and totals that re-add to the features.

    Attributes
    ----------
    customer_id : str
        The customer.
    raw : dict of str to polars.DataFrame
        For each table the customer's raw rows: ``source_row``, ``reason`` (null: kept), then
        the source's own columns. Where no raw table is at hand, rejected rows only.
    clean : dict of str to polars.DataFrame
        For each table the customer's clean rows.
    lines, returns, orders, events : int
        Clean order lines (returns among them), orders with at least one sale line, and events.
    amount, sales : Decimal
        Exact sums of the clean lines: net of returns, and sales alone.
    """

    customer_id: str
    raw: dict[str, pl.DataFrame]
    clean: dict[str, pl.DataFrame]
    lines: int
    returns: int
    orders: int
    events: int
    amount: Decimal
    sales: Decimal

    def to_frame(self) -> pl.DataFrame:
        """Return one row for each raw row: table, source_row, fate, and the clean amount."""
        parts = []
        for table, rows in self.raw.items():
            fate = rows.select(
                pl.lit(table).alias("table"),
                pl.col("source_row").cast(pl.Int64),
                pl.col("reason").fill_null("kept").alias("fate"),
            )
            clean = self.clean.get(table)
            if clean is not None and "amount" in clean.columns:
                fate = fate.join(clean.select("source_row", "amount"), on="source_row", how="left")
            else:
                fate = fate.with_columns(pl.lit(None, dtype=pl.Float64).alias("amount"))
            parts.append(fate)
        schema = {"table": pl.String, "source_row": pl.Int64, "fate": pl.String}
        empty = pl.DataFrame(schema=schema | {"amount": pl.Float64})
        return pl.concat([empty, *parts]).sort("table", "source_row")

    @property
    def text(self) -> str:
        """What stands behind the customer, in a sentence or two."""
        fates = self.to_frame()
        apart = fates.filter(pl.col("fate") != "kept")
        reasons = ", ".join(
            f"{reason.replace('_', ' ')} {number(rows)}"
            for reason, rows in apart["fate"].value_counts(sort=True).iter_rows()
        )
        told = (
            f"{number(self.lines)} clean order lines ({number(self.returns)} returns) in "
            f"{number(self.orders)} orders, net {number(self.amount)}, sales "
            f"{number(self.sales)}; {number(self.events)} events."
        )
        if apart.height:
            return f"{told} Set apart: {reasons}."
        return f"{told} No row of this customer is set apart."


def trace_customer(taken: Intake, customer_id: str) -> Trace:
    """Gather a customer's raw and clean rows from an intake.

    Raises
    ------
    DataError
        If no row names the customer (or the customer is erased), or the raw rows and rejects of a
        saved intake are not there.
    """
    if taken.tables and not taken.rejects:
        raise DataError(f"a customer cannot be traced: {taken.notes[-1]}")
    asked, customer_id = customer_id, str(ids_of([customer_id], "customer_id")[0])
    raw: dict[str, pl.DataFrame] = {}
    clean: dict[str, pl.DataFrame] = {}
    for table, frame in taken.tables.items():
        if "customer_id" not in frame.columns:
            continue
        clean[table] = frame.filter(pl.col("customer_id") == customer_id)
        rejects = taken.rejects[table].filter(pl.col(WHO) == customer_id)
        raw[table] = _raw_rows(taken, table, clean[table], rejects)
    if not any(frame.height for frame in (*raw.values(), *clean.values())):
        raise DataError(
            f"no row names customer {asked!r} (or it was erased); ids are text, compared "
            "letter by letter"
        )
    return _totals(customer_id, raw, clean)


def _raw_rows(
    taken: Intake, table: str, clean: pl.DataFrame, rejects: pl.DataFrame
) -> pl.DataFrame:
    fates = pl.concat(
        [
            clean.select("source_row", pl.lit(None, dtype=pl.String).alias("reason")),
            rejects.select("source_row", "reason"),
        ]
    ).sort("source_row")
    if taken.raw is None or table not in taken.raw:
        return rejects.drop(WHO)
    source = taken.raw[table].lazy()
    names = source.collect_schema().names()
    clash: dict[str, str] = {
        name: f"raw_{name}" for name in ("source_row", "reason") if name in names
    }
    numbered = source.rename(clash).with_row_index("source_row")
    numbered = numbered.with_columns(pl.col("source_row").cast(pl.Int64))
    picked = numbered.filter(pl.col("source_row").is_in(fates["source_row"].implode())).collect()
    return fates.join(picked, on="source_row", how="left", maintain_order="left")


def _totals(
    customer_id: str, raw: dict[str, pl.DataFrame], clean: dict[str, pl.DataFrame]
) -> Trace:
    lines = clean.get("orders")
    events = clean.get("events")
    counts = {"lines": 0, "returns": 0, "orders": 0}
    amount = sales = Decimal(0)
    if lines is not None and lines.height:
        micro = (pl.col("amount") * MICRO).round(0).cast(pl.Int64)
        sold = lines.filter(~pl.col("is_return"))
        amount = money_from_micro(lines.select(micro.sum()).item()) or Decimal(0)
        sales = money_from_micro(sold.select(micro.sum()).item()) or Decimal(0)
        counts = {
            "lines": lines.height,
            "returns": lines.height - sold.height,
            "orders": sold["order_id"].n_unique(),
        }
    return Trace(
        customer_id,
        raw,
        clean,
        counts["lines"],
        counts["returns"],
        counts["orders"],
        0 if events is None else events.height,
        amount,
        sales,
    )
