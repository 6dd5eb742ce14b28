"""Result of an intake: clean tables, a customer's traces, and the folder that keeps them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, SourceError
from segkit.frames import take_frame
from segkit.ids import ids_of
from segkit.intake.cells import MICRO
from segkit.intake.ledger import Ledger, money_from_micro
from segkit.intake.mapping import Mapping
from segkit.intake.people import WHO
from segkit.intake.privacy import POINTER, VARIABLE, find_private, keep_private
from segkit.intake.spellings import spell_ids
from segkit.result import Result
from segkit.schema import CONTRACTS, OPEN
from segkit.writing import close_to_others, private_folder

LEDGER, MAPPING = "ledger.json", "mapping.toml"
REJECTED = ("source_row", "reason", WHO)


@dataclass(frozen=True, slots=True, eq=False)
class Intake:
    """Clean tables with their ledger, rejected rows and mapping.

    Attributes
    ----------
    tables : mapping of str to polars.DataFrame
        The clean tables by name; `orders`, `events` ... return them, or None. After `open` each is
        read on first use.
    rejects : mapping of str to polars.DataFrame
        For each table the rejected rows: ``source_row``, ``reason``,
        ``resolved_customer_id`` and the raw columns (those of erased customers are blank).
    ledger : Ledger
        Account of all rows and amounts.
    mapping : Mapping
        The mapping as used.
    notes : tuple of str
        What was changed or assumed without rejecting rows.
    raw : dict of str to (polars.DataFrame or polars.LazyFrame), or None
        The raw tables, for `trace` (lazy after `open`); None where a folder holds none.
    """

    tables: Map[str, pl.DataFrame]
    rejects: Map[str, pl.DataFrame]
    ledger: Ledger
    mapping: Mapping
    notes: tuple[str, ...] = ()
    raw: Map[str, pl.DataFrame | pl.LazyFrame] | None = None

    @property
    def orders(self) -> pl.DataFrame | None:
        """Clean order lines: sales and returns."""
        return self.tables.get("orders")

    @property
    def events(self) -> pl.DataFrame | None:
        """Clean events."""
        return self.tables.get("events")

    @property
    def customers(self) -> pl.DataFrame | None:
        """One row per customer."""
        return self.tables.get("customers")

    @property
    def products(self) -> pl.DataFrame | None:
        """One row per product."""
        return self.tables.get("products")

    @property
    def prices(self) -> pl.DataFrame | None:
        """Prices by product and first day."""
        return self.tables.get("prices")

    @property
    def fx(self) -> pl.DataFrame | None:
        """Rates to the reporting currency by first day."""
        return self.tables.get("fx")

    @property
    def campaigns(self) -> pl.DataFrame | None:
        """One row per campaign."""
        return self.tables.get("campaigns")

    @property
    def survey(self) -> pl.DataFrame | None:
        """One row per respondent."""
        return self.tables.get("survey")

    @property
    def assignments(self) -> pl.DataFrame | None:
        """Which customer was assigned to which arm."""
        return self.tables.get("assignments")

    def read_columns(self, table: str, columns: Iterable[str]) -> pl.DataFrame | None:
        """Read some columns of a table, those that it has, without keeping the others in memory."""
        if table not in self.tables:
            return None
        if isinstance(self.tables, StoredTables):
            return self.tables.read_columns(table, columns)
        return self.tables[table].select(c for c in columns if c in self.tables[table].columns)

    def spell(self, ids: Any) -> pl.Series:
        """Write the ids of a list that came later as the tables' are, by the mapping.

        For assignments, outcomes or segments from elsewhere: ``frame.with_columns(customer_id=
        taken.spell(frame["customer_id"]))``.
        """
        return spell_ids(ids_of(take_frame(ids, "the ids"), "the ids"), self.mapping)

    def trace(self, customer_id: str) -> Trace:
        """Return the raw and clean rows of one customer.

        Raises
        ------
        DataError
            If no row names the customer (or the customer is erased), or the raw rows and rejects
            of a saved intake are not there.
        """
        if self.tables and not self.rejects:
            raise DataError(f"a customer cannot be traced: {self.notes[-1]}")
        given_id, customer_id = customer_id, str(self.spell([customer_id])[0])
        raw: dict[str, pl.DataFrame] = {}
        clean: dict[str, pl.DataFrame] = {}
        for table, frame in self.tables.items():
            if "customer_id" not in frame.columns:
                continue
            clean[table] = frame.filter(pl.col("customer_id") == customer_id)
            rejects = self.rejects[table].filter(pl.col(WHO) == customer_id)
            raw[table] = _raw_rows(self, table, clean[table], rejects)
        if not any(frame.height for frame in (*raw.values(), *clean.values())):
            raise DataError(
                f"no row names customer {given_id!r} (or it was erased); ids are text, compared "
                "letter by letter"
            )
        return _totals(customer_id, raw, clean)

    def save(
        self, folder: Path | str, *, private: Path | str | None = None, owner: Path | None = None
    ) -> Path:
        """Write an intake to a temporary folder, and rename it to ``folder`` when complete.

        All is readable by its owner alone. Of raw rows and rejects only mapped columns are kept.

        Parameters
        ----------
        folder : path
        private : path, optional
            Root of the stores that take the raw rows and the rejects (`segkit.intake.privacy`); by
            default they lie in ``folder`` too.
        owner : pathlib.Path, optional
            The run on whose behalf they are kept; ``folder`` itself by default.

        Raises
        ------
        SourceError
            If the folder exists and holds something other than an intake.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()) and not (folder / LEDGER).exists():
            raise SourceError(
                f"{folder.name}/ is not empty and holds no intake; choose another folder"
            )
        aside = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        private_folder(aside)
        for name, frame in self.tables.items():
            frame.write_parquet(aside / f"{name}.parquet", compression="zstd")
        if private is None:
            _write_rows(self, aside)
        else:
            pointer = keep_private(
                Path(private), owner or folder, lambda place: _write_rows(self, place)
            )
            (aside / POINTER).write_text(json.dumps(pointer), encoding="utf-8")
        (aside / LEDGER).write_text(json.dumps(self.ledger.to_dict(), indent=1), encoding="utf-8")
        self.mapping.save(aside / MAPPING)
        close_to_others(aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
        return folder

    @classmethod
    def open(cls, folder: Path | str) -> Intake:
        """Read what `save` wrote: each table on first use, raw tables lazily.

        If raw rows and rejects are kept elsewhere and are missing, a note says so, and `trace`
        raises an error.

        Raises
        ------
        SourceError
            If the folder holds no intake.
        """
        folder = Path(folder)
        if not (folder / LEDGER).is_file():
            raise SourceError(
                f"expected a saved intake (with {LEDGER}) in {folder.name}/, found none"
            )
        ledger = Ledger.from_dict(json.loads((folder / LEDGER).read_text(encoding="utf-8")))
        tables = {
            n: folder / f"{n}.parquet" for n in CONTRACTS if (folder / f"{n}.parquet").is_file()
        }
        notes, rows = ledger.notes, folder if not (folder / POINTER).is_file() else None
        if rows is None:
            pointer = json.loads((folder / POINTER).read_text(encoding="utf-8"))
            rows = find_private(folder, pointer)
            if rows is None:
                message = (
                    f"raw rows and rejects are not there: expected {pointer['store']} in "
                    f"{pointer['root']} (from the run's folder), or in ${VARIABLE}"
                )
                notes = (*notes, message)
        raw = {} if rows is None else {n: rows / "raw" / f"{n}.parquet" for n in tables}
        stored_raw = {n: pl.scan_parquet(path) for n, path in raw.items() if path.is_file()}
        rejected = {} if rows is None else {n: rows / "rejects" / f"{n}.parquet" for n in tables}
        return cls(
            StoredTables(tables),
            StoredTables(rejected),
            ledger,
            Mapping.load(folder / MAPPING),
            notes,
            stored_raw or None,
        )

    def __str__(self) -> str:
        return self.ledger.text

    def _repr_html_(self) -> str:
        return self.ledger._repr_html_()


@dataclass(frozen=True, slots=True, eq=False)
class Trace(Result):
    """A customer's raw and clean rows, with totals that reproduce the features.

    Attributes
    ----------
    customer_id : str
        The customer.
    raw : dict of str to polars.DataFrame
        For each table the customer's raw rows: ``source_row``, ``reason`` (null: kept), then
        the source's own columns. Without a raw table, rejected rows only.
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
        """Return one row per raw row: table, source_row, fate (kept or reason), clean amount."""
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
        """Order lines, orders, events and amounts of the customer, and the rows rejected."""
        fates = self.to_frame()
        rejected = fates.filter(pl.col("fate") != "kept")
        reasons = ", ".join(
            f"{reason.replace('_', ' ')} {number(rows)}"
            for reason, rows in rejected["fate"].value_counts(sort=True).iter_rows()
        )
        counts = (
            f"{counted(self.lines, 'clean order line')} ({counted(self.returns, 'return')}) in "
            f"{counted(self.orders, 'order')}, net {number(self.amount)}, sales "
            f"{number(self.sales)}; {counted(self.events, 'event')}."
        )
        if rejected.height:
            return f"{counts} Rejected: {reasons}."
        return f"{counts} No row of this customer is rejected."


def _raw_rows(
    taken: Intake, table: str, clean: pl.DataFrame, rejects: pl.DataFrame
) -> pl.DataFrame:
    if taken.raw is None or table not in taken.raw:
        return rejects.drop(WHO)
    kept = clean.select("source_row", reason=pl.lit(None, dtype=pl.String))
    fates = pl.concat([kept, rejects.select("source_row", "reason")]).sort("source_row")
    source = taken.raw[table].lazy()
    names = source.collect_schema().names()
    clash = {name: f"raw_{name}" for name in names if name in REJECTED[:2]}
    numbered = source.rename(clash).with_row_index("source_row")
    numbered = numbered.with_columns(pl.col("source_row").cast(pl.Int64))
    picked = numbered.filter(pl.col("source_row").is_in(fates["source_row"].implode())).collect()
    return fates.join(picked, on="source_row", how="left", maintain_order="left")


def _totals(
    customer_id: str, raw: dict[str, pl.DataFrame], clean: dict[str, pl.DataFrame]
) -> Trace:
    lines, nothing = clean.get("orders"), Decimal(0)
    events = clean["events"].height if "events" in clean else 0
    if lines is None:
        return Trace(customer_id, raw, clean, 0, 0, 0, events, nothing, nothing)
    sold = lines.filter(~pl.col("is_return"))
    micro = (pl.col("amount") * MICRO).round(0).cast(pl.Int64)
    amount, sales = (
        money_from_micro(part.select(micro.sum()).item()) or nothing for part in (lines, sold)
    )
    returns, orders = lines.height - sold.height, sold["order_id"].n_unique()
    return Trace(customer_id, raw, clean, lines.height, returns, orders, events, amount, sales)


def _write_rows(taken: Intake, folder: Path) -> None:
    """Write the raw rows and the rejects, mapped columns alone."""
    for inner in ("rejects", "raw"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    for name, rejects in taken.rejects.items():
        mapped = _mapped(taken, name)
        own_columns = [n for n in rejects.columns[:3] if n in REJECTED]
        raw_columns = {n: n.removeprefix("raw_") if n.removeprefix("raw_") in REJECTED else n
                  for n in rejects.columns if n not in own_columns}  # fmt: skip
        mapped_columns = [n for n, source in raw_columns.items() if source in mapped]
        rejects.select(*own_columns, *mapped_columns).write_parquet(
            folder / "rejects" / f"{name}.parquet", compression="zstd"
        )
    for name, rows in (taken.raw or {}).items():
        frame = _without_erased(rows, taken.rejects[name])
        columns = [n for n in frame.collect_schema().names() if n in _mapped(taken, name)]
        frame.select(columns).collect().write_parquet(
            folder / "raw" / f"{name}.parquet", compression="zstd"
        )


def _mapped(taken: Intake, table: str) -> set[str]:
    """Return the source columns that the clean table was made from, survey items included."""
    part = taken.mapping.tables.get(table)
    named = set() if part is None else set(part.columns.values())
    extra = set(taken.tables[table].columns) if table in OPEN and table in taken.tables else set()
    return named | extra


def _without_erased(rows: pl.DataFrame | pl.LazyFrame, rejects: pl.DataFrame) -> pl.LazyFrame:
    """Blank the rows of erased customers, so that row numbers do not change."""
    erased = rejects.filter(pl.col("reason") == "erased")["source_row"]
    frame = rows.lazy()
    if erased.is_empty():
        return frame
    keep = ~pl.int_range(pl.len(), dtype=pl.Int64).is_in(erased.implode())
    return frame.select(pl.when(keep).then(pl.all()))


class StoredTables(Map[str, pl.DataFrame]):
    """Tables of a saved intake; each is read on first use."""

    def __init__(self, paths: Map[str, Path]) -> None:
        self._paths = dict(paths)
        self._read: dict[str, pl.DataFrame] = {}

    def __getitem__(self, name: str) -> pl.DataFrame:
        if name not in self._read:
            self._read[name] = self._load(name, None)
        return self._read[name]

    def read_columns(self, name: str, columns: Iterable[str]) -> pl.DataFrame:
        """Read some columns of a table, those that it has; nothing is kept."""
        if name in self._read:
            return self._read[name].select(c for c in columns if c in self._read[name].columns)
        return self._load(name, columns)

    def _load(self, name: str, columns: Iterable[str] | None) -> pl.DataFrame:
        path = self._paths[name]
        try:
            if columns is None:
                return pl.read_parquet(path)
            available = pl.read_parquet_schema(path)
            return pl.read_parquet(path, columns=[c for c in columns if c in available])
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SourceError(
                f"the saved intake's table {name} ({path.name} in {path.parent.name}/) cannot "
                "be read: it was removed or damaged since; run the intake again"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        return name in self._paths  # without reading it
