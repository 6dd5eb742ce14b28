"""The knife: raw tables, cut by the market of their rows or of their customers."""

from __future__ import annotations

from collections.abc import Mapping as Map
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import DataError
from segkit.ingest.columns import Columns
from segkit.ingest.mapping import Mapping
from segkit.ingest.people import customers_of, links_from
from segkit.ingest.proposal import settle_mapping
from segkit.ingest.readers import gather
from segkit.pipeline import link_source
from segkit.runner.slugs import slugs
from segkit.runner.workspace import load_raw
from segkit.schema import CONTRACTS


def gathered(
    settings: Map[str, Any], place: Path
) -> tuple[dict[str, pl.DataFrame], Mapping, Path | None]:
    """Read the raw tables of a run, with the complete mapping and the folder it counts from.

    Raises
    ------
    DataError
        If a question that changes the numbers is open.
    """
    data, path = (str(settings.get(name, "")) for name in ("data", "mapping"))
    source = load_raw(str(settings.get("source", "")), place / data if data else None, settings)
    found = gather(source, place / path if path else None)
    mapping, asked = settle_mapping(found.raw, found.given)
    blocking = [question for question in asked if question.severity == "block"]
    if blocking:
        answers = "; ".join(f"{q.finding} Answer with: {q.answer}" for q in blocking)
        raise DataError(f"the data gate is shut; {answers} (in a mapping file)")
    return found.raw, mapping, found.base


class Cut:
    """Raw tables with the market of every row.

    Parameters
    ----------
    raw : dict of str to polars.DataFrame
        Raw tables by contract name, orders among them.
    mapping : Mapping
        The complete mapping.
    column : str
        The raw column of the orders that names the market.
    """

    def __init__(self, raw: dict[str, pl.DataFrame], mapping: Mapping, column: str) -> None:
        self._raw = raw
        self._mapping = mapping
        words = raw["orders"].get_column(column).cast(pl.String).str.strip_chars()
        blank = words.is_in([*mapping.option("orders", "nulls"), ""])
        self._market = words.set(blank.fill_null(value=False), None).alias("market")
        self.names = slugs(self._market.drop_nulls().unique().sort().to_list())
        linked = link_source(raw, mapping)
        self._links = None if linked is None else links_from(linked)

    def _who(self, table: str) -> pl.Series:
        columns = Columns(table, self._raw[table], self._mapping)
        return customers_of(columns, self._links)["customer_id"]

    @cached_property
    def _buyers(self) -> pl.DataFrame:
        """Who bought in which market: one row each, customers without an id left out."""
        pairs = pl.DataFrame({"market": self._market, "customer_id": self._who("orders")})
        return pairs.drop_nulls().unique().sort("market", "customer_id")

    @cached_property
    def _followers(self) -> dict[str, pl.Series]:
        """The customer of each row of the tables, other than orders, that name customers."""
        named = (t for t in self._raw if any(f.name == "customer_id" for f in CONTRACTS[t]))
        return {table: self._who(table) for table in named if table != "orders"}

    @property
    def shared_customers(self) -> int:
        """The number of customers who bought in two markets or more."""
        return int((self._buyers["customer_id"].value_counts()["count"] > 1).sum())

    def size(self, market: str) -> tuple[int, int]:
        """Return a market's order rows and its customers."""
        rows = int((self._market == market).sum())
        return rows, self._buyers.filter(market=market).height

    def others(self) -> list[tuple[str, int, int]]:
        """List each further table, its rows, and those of nobody who bought (-1: goes whole)."""
        told = []
        for table, frame in self._raw.items():
            if table in self._followers:
                bought = self._buyers["customer_id"].unique().implode()
                found = self._followers[table].is_in(bought).fill_null(value=False)
                told.append((table, frame.height, frame.height - int(found.sum())))
            elif table != "orders":
                told.append((table, frame.height, -1))
        return told

    def write(self, market: str | None, folder: Path, slug: str) -> int:
        """Write a market's tables, and beside them the rows of the whole that its orders are.

        Returns
        -------
        int
            Its order rows; without any, nothing is written.
        """
        mine = self._market.is_null() if market is None else self._market == market
        mine = mine.fill_null(value=False)
        rows = mine.arg_true().cast(pl.Int64).alias("source_row")
        if not rows.len():
            return 0
        (folder / slug).mkdir(parents=True)
        (folder / "rows").mkdir(exist_ok=True)
        self._raw["orders"].filter(mine).write_parquet(folder / slug / "orders.parquet")
        rows.to_frame().write_parquet(folder / "rows" / f"{slug}.parquet")
        for table, frame in self._raw.items() if market is not None else ():
            if table in self._followers:
                buyers = self._buyers.filter(market=market)["customer_id"].implode()
                frame = frame.filter(self._followers[table].is_in(buyers).fill_null(value=False))
            if table != "orders":
                frame.write_parquet(folder / slug / f"{table}.parquet")
        return rows.len()
