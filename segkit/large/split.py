"""Raw rows split by a hash of their customer, so that each part can be cleaned on its own.

What a part alone cannot tell is learnt while splitting: how texts write numbers and dates, which
columns stand on an order's first line only, which currencies occur.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, MappingError
from segkit.ids import read_ids
from segkit.intake.cells import is_header, is_text, present_cells
from segkit.intake.columns import Columns, Shared
from segkit.intake.mapping import Mapping
from segkit.intake.orders import named_totals
from segkit.intake.people import customers_of
from segkit.intake.rejects import MONEY
from segkit.intake.reshape import join_parties, join_times
from segkit.large.chunks import WHOLE, RawFile
from segkit.large.gates import count_ids, hash_ids, unseen_rows, watched_words
from segkit.large.work import Stage
from segkit.progress import steps
from segkit.schema import fields

ROW = "__row"  # a raw row's place among all rows of its table
PART = "__part"
SEED = 20  # of the hash that parts customers
TEXTS_MOST = 3_000_000  # different texts of a column by which its numbers or dates are read


@dataclass(frozen=True, slots=True)
class Split:
    """A table's raw rows, split into parts.

    Attributes
    ----------
    stage : Stage
    table : str
    parts : int
    records : list of dict
        One per chunk: rows in each part, and what was learnt of the columns.
    starts : list of int
        Row number, among all rows of the table, of the first row of each file.
    name : str
        Beginning of the names of the files on disk.
    repeats : polars.Series or None
        Row numbers to leave out; see `find_repeats`.
    """

    stage: Stage
    table: str
    parts: int
    records: list[dict[str, Any]]
    starts: list[int]
    name: str
    repeats: pl.Series | None = None

    def read(self, part: int) -> pl.DataFrame:
        """Read a part, its rows in the order of the files, numbered without the repeats."""
        frames = []
        for chunk, record in enumerate(self.records):
            sizes = record["sizes"]
            if sizes[part] or chunk == 0:
                path = self.stage.path(self.name, chunk)
                frames.append(pl.scan_parquet(path).slice(sum(sizes[:part]), sizes[part]))
        frame: pl.DataFrame = pl.concat(frames).collect()
        frame = frame if frame[ROW].is_sorted() else frame.sort(ROW)
        if self.repeats is None:
            return frame
        frame = frame.filter(~pl.col(ROW).is_in(self.repeats.implode()))
        return frame.with_columns(frame[ROW] - self.repeats.search_sorted(frame[ROW]))

    def facts(self, mapping: Mapping) -> Shared:
        """Return the different texts of each column over all rows, for `Columns` (``shared``).

        They say how dates and numbers are written, where the rows of a part could leave it open.
        """
        nulls = tuple(mapping.option(self.table, "nulls"))
        facts: Shared = {}
        signs = {sign for record in self.records for sign in record.get("signs", ())}
        facts["currencies",] = sorted(signs)
        nobody = {name for record in self.records for name in record.get("nobody", ())}
        if nobody and self.table not in ("orders", "events"):
            rows = sum(record["ids"] for record in self.records)
            repeated = rows > count_ids(self.stage, self.table)
            facts |= {("repeated", name): repeated for name in nobody}
        texts = [pl.scan_parquet(path) for path in self.stage.paths(f"{self.table}-texts")]
        if texts:
            listed = pl.concat(texts).unique().collect(engine="streaming").sort("column", "text")
            for (name,), group in listed.partition_by("column", as_dict=True).items():
                if group.height > TEXTS_MOST:
                    raise DataError(
                        f"{self.table}: {name!r} holds {number(group.height)} different texts; to "
                        "read it in parts, say how it is written (date_format, decimal), or "
                        f"{WHOLE}"
                    )
                facts["", name, nulls] = group["text"].rename(str(name))
        return facts

    @property
    def needs_orders(self) -> bool:
        """Whether orders must be seen whole: for their first lines' fields, or coupons."""
        coupons = any(record.get("coupons") for record in self.records)
        return coupons or None in self.headers().values()

    def headers(self) -> dict[str, bool | None]:
        """Say of each column with gaps whether it is filled on an order's first line only.

        None where that is not known, since an order's lines may lie in several chunks.
        """
        answers = [record["headers"] for record in self.records]
        stated = {name: {one[name] for one in answers} for name in (answers[0] if answers else ())}
        return {
            name: False if "no" in what else None
            for name, what in stated.items()
            if what != {"full"}
        }


def conform(frame: pl.DataFrame, like: pl.DataFrame, given: Mapping, table: str) -> pl.DataFrame:
    """Give a chunk the columns and types that the sample has.

    Raises
    ------
    DataError
        If it has other columns.
    """
    if table == "orders":
        frame, _ = join_parties(frame)
    if table in ("orders", "events"):
        frame, _, _ = join_times(frame, given, table)
    if set(frame.columns) == set(like.columns):
        frame = frame.select(like.columns)
    if frame.columns != like.columns:
        raise DataError(
            f"{table}: expected the columns {', '.join(like.columns)} throughout, got "
            f"{', '.join(frame.columns)}; {WHOLE}"
        )
    return frame if frame.schema == like.schema else frame.cast(dict(like.schema))  # type: ignore[arg-type]


def split_table(
    stage: Stage,
    files: Sequence[RawFile],
    like: pl.DataFrame,
    mapping: Mapping,
    given: Mapping,
    links: pl.DataFrame | None,
    parts: int,
    *,
    by_order: bool = False,
) -> Split:
    """Split the files of a table by the hash of each row's customer, or of its order.

    Rows without a customer are parted by their whole content, so that equal rows stay together.
    """
    table, records, starts = files[0].table, list[dict[str, Any]](), list[int]()
    words = watched_words(like, table, mapping)
    row = chunk = 0
    for file in files:
        starts.append(row)
        place = 0
        while (record := stage.done(f"{table}-{chunk:05}")) and record["file"] == len(starts):
            records.append(record)
            place, row, chunk = record["end"], record["rows"], chunk + 1
        chunks, count = file.chunks(place), file.count_chunks(place)
        for frame, end in steps(chunks, f"chunks of {file.path.name} split", count):
            frame = conform(frame, like, given, table)
            frame = frame.with_columns(pl.int_range(row, row + frame.height).alias(ROW))
            row += frame.height
            unseen = unseen_rows(frame.drop(ROW), words, tuple(mapping.option(table, "nulls")))
            if unseen.height:
                stage.write(unseen, f"{table}-unseen", chunk)
            learnt = _split_chunk(stage, frame, chunk, table, mapping, links, parts, by_order)
            learnt |= {"file": len(starts), "end": end, "rows": row}
            records.append(stage.record(f"{table}-{chunk:05}", learnt))
            chunk += 1
    return Split(stage, table, parts, records, starts, table)


def _split_chunk(
    stage: Stage,
    frame: pl.DataFrame,
    chunk: int,
    table: str,
    mapping: Mapping,
    links: pl.DataFrame | None,
    parts: int,
    by_order: bool,
) -> dict[str, Any]:
    """Write a chunk sorted by part, and return its sizes with what its rows say."""
    raw = frame.drop(ROW)
    columns = Columns(table, raw, mapping)
    headers = columns.header_columns()
    columns.shared.update({("header", name): False for name in headers})
    customers = customers_of(columns, links)["customer_id"]
    if table == "orders":
        _refuse_totals(columns)
    keys = customers
    if by_order:
        keys = columns.orders
    texts = list(_texts_of(columns))
    if texts:
        stage.write(pl.concat(texts).unique().sort("column", "text"), f"{table}-texts", chunk)
    named = columns.source("customer_id")
    ids = raw.select(columns.id("customer_id").alias("id")).to_series()
    if named:
        given_ids = read_ids(present_cells(raw[named], columns.nulls)).drop_nulls()
        stage.write(hash_ids(given_ids), f"{table}-ids", chunk)
    is_stated = table != "orders" or columns.has("currency")
    signs = None if is_stated else columns.stated_currency(*MONEY)
    return {
        "sizes": write_parts(stage, table, chunk, frame, keys, parts),
        "signs": [] if signs is None else sorted(signs.drop_nulls().unique().to_list()),
        "coupons": table == "orders" and _has_coupons(columns),
        "ids": given_ids.len() if named else 0,
        "nobody": [named] if named and ids.null_count() > raw[named].null_count() else [],
        "headers": {name: _seems_header(columns, name) for name in headers},
        "currencies": _currencies(columns) if table == "orders" else [],
    }


def write_parts(
    stage: Stage, table: str, chunk: int, frame: pl.DataFrame, keys: pl.Series, parts: int
) -> list[int]:
    """Write rows sorted by the part that their key's hash gives, and return the parts' sizes."""
    part = keys.hash(SEED) % parts
    if keys.null_count():
        content = frame.drop(ROW).hash_rows(SEED) % parts
        part = content.zip_with(keys.is_null(), part)
    sizes = part.value_counts()
    counts = dict(zip(sizes[part.name], sizes["count"], strict=True))
    rows = frame.with_columns(part.alias(PART)).sort(PART, maintain_order=True).drop(PART)
    group = max(1_024, -(-frame.height // parts))
    stage.write(rows, table, chunk, row_group_size=group)
    return [counts.get(k, 0) for k in range(parts)]


def _refuse_totals(columns: Columns) -> None:
    """Raise where a customer named Total may be a line of totals: all rows must tell that."""
    named, sure = named_totals(columns)
    doubtful = int((named & ~sure).sum())
    if doubtful:
        raise DataError(
            f"{counted(doubtful, 'order line')} of a customer named as totals are can only be told "
            f"from totals with all rows in order: set [orders] total_words = [], or {WHOLE}"
        )


def _texts_of(columns: Columns) -> Iterator[pl.DataFrame]:
    """Yield the different texts of each column of numbers or dates."""
    kinds = {name: field.kind for name, field in fields(columns.table).items()}
    read: set[str] = set()
    for name, kind in kinds.items():
        raw_column = columns.source(name)
        if raw_column is None or raw_column in read or not is_text(columns.raw.schema[raw_column]):
            continue
        if kind not in ("money", "number", "time", "date"):
            continue
        read.add(raw_column)
        texts = columns.spellings(raw_column)
        if kind == "time":
            # Any time of day is written as any other: one of each shape will do.
            texts = (
                texts.str.replace_all(r"\d\d:\d\d", "11:11")
                .str.replace_all(r"(^|\D)\d:\d\d", "${1}1:11")
                .str.replace_all(r"1:11:\d\d", "1:11:11")
                .str.replace_all(r"(:11[.,]\d)\d{5}\b", "${1}11111")
                .str.replace_all(r"(:11[.,]\d)\d\d\b", "${1}11")
                .unique()
            )
        yield pl.DataFrame({"text": texts}).select(pl.lit(raw_column).alias("column"), "text")


def _seems_header(columns: Columns, name: str) -> str:
    """Return whether a column may stand on an order's first line only: yes, no, or unknown."""
    cells = present_cells(columns.raw[name], columns.nulls)
    if not cells.null_count():
        return "full"
    orders = columns.orders
    once = orders.filter(cells.is_not_null() & orders.is_not_null())
    if once.n_unique() < once.len():
        return "no"
    return "yes" if is_header(cells, orders) else "maybe"


def _has_coupons(columns: Columns) -> bool:
    """Return whether a price is negative on a line that may be a coupon of its order."""
    if not columns.has("unit_price", "order_id"):
        return False
    minus = pl.lit(columns.numbers("unit_price")) < 0
    if columns.has("product_id"):
        product, codes = columns.id("product_id"), columns.option("non_products")
        minus &= product.is_null() | product.is_in([str(code) for code in codes])
    return bool(columns.raw.select(minus.any()).item())


def _currencies(columns: Columns) -> list[str]:
    """List the currencies that the rows state."""
    if columns.has("currency"):
        stated = columns.raw.select(columns.text("currency").str.to_uppercase().alias("c"))
        return sorted(stated.to_series().drop_nulls().unique().to_list())
    signs = columns.stated_currency(*MONEY)
    return [] if signs is None else sorted(signs.drop_nulls().unique().to_list())


def needs_whole_orders(columns: Columns) -> bool:
    """Return whether an order's lines must be in one part: amounts or refunds are of whole orders.

    Raises
    ------
    MappingError
        If there are refunds, and the mapping does not say whether they are of lines or of orders.
    """
    if not columns.has("order_id"):
        return False
    of_lines = columns.option("refund_is") == "pieces"
    if columns.has("refund") and not columns.option("refund_of") and not of_lines:
        raise MappingError(
            "refunds are of lines or of orders; in parts this must be said: [orders] refund_of = "
            f'"line" or "order" (or {WHOLE})'
        )
    of_orders = columns.option("amount_of") == "order" or bool(columns.option("state_time"))
    return of_orders or (columns.has("refund") and columns.option("refund_of") == "order")


def find_repeats(split: Split) -> pl.Series | None:
    """List the rows that an earlier file has too, as where two periods overlap, in rising order."""
    if len(split.starts) < 2 or split.table not in ("orders", "events"):
        return None
    stage, name = split.stage, f"{split.name}-repeats"
    file = pl.sum_horizontal(pl.col(ROW) >= start for start in split.starts)
    listed = []
    for part in steps(range(split.parts), "parts compared between files"):
        if stage.done(f"{name}-{part:05}") is None:
            frame = split.read(part)
            own = [column for column in frame.columns if column != ROW]
            stage.write(frame.filter(file > file.min().over(own)).select(ROW), name, part)
            stage.record(f"{name}-{part:05}", {})
        listed.append(pl.read_parquet(stage.path(name, part))[ROW])
    return pl.concat(listed).sort()


def find_headers(orders: Split, mapping: Mapping) -> dict[str, bool]:
    """Say which columns are filled on an order's first line only; ``orders`` are split by order."""
    headers = {name: bool(stands) for name, stands in orders.headers().items()}
    for name in [name for name, stands in orders.headers().items() if stands is None]:
        stated = set()
        for part in range(orders.parts):
            columns = Columns("orders", orders.read(part).drop(ROW), mapping)
            stated.add(_seems_header(columns, name))
        headers[name] = "no" not in stated and "yes" in stated
    return headers


def split_by_customer(
    orders: Split, mapping: Mapping, links: pl.DataFrame | None, facts: Shared
) -> Split:
    """Split orders by customer that were first split by order.

    All lines of an order go into the part of its customer, also those that name none.

    Raises
    ------
    DataError
        If an order names several customers.
    """
    stage, name, records = orders.stage, "customers-of-orders", list[dict[str, Any]]()
    for part in steps(range(orders.parts), "parts of orders split by customer"):
        record = stage.done(f"{name}-{part:05}")
        if record is None:
            frame = orders.read(part)
            columns = Columns("orders", frame.drop(ROW), mapping, shared=dict(facts))
            order = frame.select(columns.id("order_id").alias("order")).to_series()
            who = pl.DataFrame({"who": customers_of(columns, links)["customer_id"], "order": order})
            several = who.drop_nulls().group_by("order").agg(pl.col("who").n_unique())
            several = several.filter(pl.col("who") > 1)
            if several.height:
                raise DataError(
                    f"{counted(several.height, 'order names', 'orders name')} several customers; "
                    f"what is of whole orders cannot be told of customers in parts: {WHOLE}"
                )
            first = pl.col("who").drop_nulls().first().over("order")
            first = pl.when(pl.col("order").is_not_null()).then(first)
            keys = who.select(pl.coalesce("who", first)).to_series()
            sizes = write_parts(stage, name, part, frame, keys, orders.parts)
            record = stage.record(f"{name}-{part:05}", {"sizes": sizes, "headers": {}})
        records.append(record)
    return Split(stage, "orders", orders.parts, records, [0], name)
