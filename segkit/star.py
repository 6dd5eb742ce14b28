"""Star of tables with keys for business intelligence, as a DuckDB file or Parquet files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import cast

import polars as pl

from segkit.display import counted
from segkit.errors import DataError, ParameterError, SourceError, require_columns
from segkit.frames import takes_frames
from segkit.ids import unmatched
from segkit.intake import Intake, ProfileStore
from segkit.intake.people import IDENTIFYING
from segkit.intake.privacy import personal_columns
from segkit.monitor import measure_kpis
from segkit.writing import private_folder, temporary_name, write_frame, write_whole

__all__ = ["KEYS", "Star", "build_star", "read_run_star"]

EPOCH = date(1970, 1, 1)
#: Table -> its primary key, and its foreign keys: column to the table with that primary key.
KEYS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "days": (("date",), {}),
    "customers": (("customer_id",), {}),
    "segment_assignments": (("dbt_scd_id",), {"customer_id": "customers"}),
    "orders": (("order_line",), {"customer_id": "customers", "order_date": "days"}),
    "campaign_outcomes": (
        ("campaign_id", "customer_id"),
        {"customer_id": "customers", "assigned_date": "days"},
    ),
    "kpis_by_day": (("date", "segment_name", "kpi"), {"date": "days"}),
}
ABOUT = {
    "days": "one row per day, without gaps",
    "customers": "one row per customer, with today's segment",
    "segment_assignments": "one row per customer and time in a segment (half-open, UTC)",
    "orders": "one row per order line; order_line numbers the lines of this export",
    "campaign_outcomes": "one row per customer and campaign: arm, offer, what came of it",
    "kpis_by_day": "one row per day, segment and key figure; sum numerator and denominator",
}
# Columns of campaign outcomes that are worth a chart; the others are covariates of the analysis.
_OUTCOMES = (
    *("customer_id", "campaign_id", "arm", "offer", "segment", "segment_name", "assigned_at"),
    *("converted", "orders", "revenue", "profit", "emails_sent", "emails_opened"),
    *("emails_clicked", "unsubscribed", "complained", "visits"),
)


@dataclass(frozen=True, slots=True)
class Star:
    """Tables of a star with tested keys.

    Attributes
    ----------
    tables : mapping of str to polars.DataFrame
        Those of `KEYS` for which there are data.
    notes : tuple of str
        What was left out.
    """

    tables: Mapping[str, pl.DataFrame]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, frame in self.tables.items():
            _check_keys(name, frame, self.tables)

    @property
    def text(self) -> str:
        """Which tables there are, and how large."""
        sizes = ", ".join(f"{name} ({counted(t.height, 'row')})" for name, t in self.tables.items())
        return " ".join([f"{sizes}. Every key is unique and meets its table.", *self.notes])

    def to_frame(self) -> pl.DataFrame:
        """Return the columns: table, column, type, key ("primary", or the table it points to)."""
        rows = [
            (name, column, str(kind), _key_of(name, column))
            for name, frame in self.tables.items()
            for column, kind in frame.schema.items()
        ]
        return pl.DataFrame(rows, schema=["table", "column", "type", "key"], orient="row")

    def write(self, path: Path | str) -> Path:
        """Write one DuckDB file (.duckdb), or a folder with a Parquet file for each table.

        The DuckDB file declares its keys; the folder lists them in ``star.json``. Both are
        readable by their owner alone.

        Raises
        ------
        ParameterError
            If the path is there already, or DuckDB is not installed.
        """
        target = Path(path)
        if target.exists():
            raise ParameterError(f"{target} exists; it is not overwritten")
        if target.suffix in (".duckdb", ".db"):
            return self._write_duckdb(target)
        place = private_folder(target)
        for name, frame in self.tables.items():
            write_frame(frame, place / f"{name}.parquet", private=True)
        described = {
            name: {
                "about": ABOUT[name],
                "primary_key": list(KEYS[name][0]),
                "foreign_keys": {c: KEYS[t][0][0] for c, t in KEYS[name][1].items()},
                "columns": {column: str(kind) for column, kind in frame.schema.items()},
            }
            for name, frame in self.tables.items()
        }
        write_whole(place / "star.json", json.dumps(described, indent=1), private=True)
        return place

    def _write_duckdb(self, target: Path) -> Path:
        try:
            import duckdb
        except ImportError as error:
            raise ParameterError("a DuckDB file needs the extra: segkit[duckdb]") from error
        if not target.parent.is_dir():
            raise ParameterError(f"there is no folder {target.parent} to write {target.name} in")
        aside = temporary_name(target)
        with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(aside)) as link:
            aside.chmod(0o600)
            for name, frame in self.tables.items():
                source = Path(folder) / f"{name}.parquet"
                frame.write_parquet(source)
                read = f"SELECT * FROM read_parquet('{source.as_posix()}')"  # noqa: S608 (own path)
                described = link.execute(f"DESCRIBE {read}").fetchall()
                key, others = KEYS[name]
                lines = [f'"{column[0]}" {column[1]}' for column in described]
                lines += [f"PRIMARY KEY ({', '.join(key)})"]
                lines += [
                    f'FOREIGN KEY ("{column}") REFERENCES "{table}" ("{KEYS[table][0][0]}")'
                    for column, table in others.items()
                ]
                link.execute(f'CREATE TABLE "{name}" ({", ".join(lines)})')
                link.execute(f'INSERT INTO "{name}" {read}')
                about = ABOUT[name].replace("'", "''")
                link.execute(f"COMMENT ON TABLE \"{name}\" IS '{about}'")
        aside.replace(target)
        return target


@takes_frames
def build_star(
    orders: pl.DataFrame,
    *,
    customers: pl.DataFrame | None = None,
    events: pl.DataFrame | None = None,
    assignments: pl.DataFrame | None = None,
    outcomes: pl.DataFrame | None = None,
) -> Star:
    """Build the star from clean tables.

    Parameters
    ----------
    orders : DataFrame
        Clean order lines.
    customers, events : DataFrame, optional
        Clean tables. Names, addresses, birth dates and other columns that identify a person are
        left out, but for the customer id, which is the one of the tables (or their pseudonym).
        Columns segment and segment_name of the source are left out too; the star holds the segments
        of ``assignments``.
    assignments : DataFrame, optional
        Versions of segment assignments (`segkit.intake.ProfileStore.versions`), or one row per
        customer: customer_id, segment, segment_name. The latter apply to all dates: past key
        figures of a segment are then those of its present members. Customers who are in no other
        table are left out and counted.
    outcomes : DataFrame, optional
        customer_id, campaign_id, arm, offer, assigned_at and the outcomes.

    Returns
    -------
    Star

    Raises
    ------
    ColumnError
        If a table lacks a column.
    DataError
        If a key comes twice, is missing, or none of the assigned customers is in the data.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", "b"], "order_id": ["1", "2"],
    ...     "order_day": [20_000, 20_003], "amount": [10.0, 20.0]})
    >>> made = build_star(lines)
    >>> made.tables["days"].height, made.tables["kpis_by_day"]["kpi"].n_unique()
    (4, 5)
    """
    require_columns(orders.columns, ["customer_id", "order_id", "order_day", "amount"], "orders")
    lines = _impersonal(orders).sort("order_day", "order_id", maintain_order=True)
    day = pl.lit(EPOCH) + pl.duration(days="order_day")
    lines = lines.with_columns(order_date=day).drop("order_day")
    lines = lines.with_row_index("order_line", offset=1).cast({"order_line": pl.Int64})
    tables = {"orders": lines}
    if outcomes is not None:
        tables["campaign_outcomes"] = _outcomes(outcomes)
    given = [frame["customer_id"] for frame in (*tables.values(), customers) if frame is not None]
    ids = pl.concat(given).drop_nulls().unique().sort().alias("customer_id").to_frame()
    people = ids
    if customers is not None:
        about = _impersonal(customers).drop("segment", "segment_name", strict=False)
        people = ids.join(about, on="customer_id", how="left")
    notes: tuple[str, ...] = ()
    dated = None
    if assignments is not None:
        versions, notes = _versions(assignments, ids)
        tables["segment_assignments"] = versions
        current = versions.filter(pl.col("dbt_valid_to").is_null(), ~pl.col("dbt_is_deleted"))
        people = people.join(
            current.select("customer_id", "segment", "segment_name"), on="customer_id", how="left"
        )
        dated = _dated(versions) if versions["dbt_valid_from"].n_unique() > 1 else current
    kpis = measure_kpis(orders, events, dated, every="1d").series.rename({"period": "date"})
    tables["kpis_by_day"] = kpis
    tables["customers"] = people.sort("customer_id")
    tables["days"] = _days(tables)
    return Star({name: tables[name] for name in KEYS if name in tables}, notes)


def read_run_star(folder: Path | str, *, store: Path | str | None = None) -> Star:
    """Build the star of a finished run.

    Customer ids are those of the run: pseudonyms where its mapping asks for them.

    Parameters
    ----------
    folder : path
        The run's folder, in which notebook 01 has run; 05 for segments, 10 (or 09) for campaigns.
    store : path, optional
        Archive or store with the versions of the segment assignments, such as ``refreshed``;
        without it the run's own segments hold for all time.

    Raises
    ------
    SourceError
        If the run has no clean orders, or there is no such store.
    """
    place = Path(folder)
    clean = place / "01_data_audit" / "data" / "clean"
    if not clean.is_dir():
        raise SourceError(
            f"{place.name} holds no clean data: run notebook 01 first (segkit run 01)"
        )
    taken = Intake.open(clean)
    if taken.orders is None:
        raise SourceError(f"{place.name} holds no orders, which a star is built on")
    versions = None
    if store is not None:
        inner = Path(store) / "segments"  # of an archive
        versions = ProfileStore.open(inner if inner.is_dir() else store).versions()
    else:
        own = place / "05_segments" / "data" / "segments.parquet"
        versions = pl.read_parquet(own) if own.is_file() else None
    outcome_files = [
        path
        for path in ("10_campaign_lift/data/outcomes", "09_campaign_design/data/assignments")
        if (place / f"{path}.parquet").is_file()
    ]
    outcomes = pl.read_parquet(place / f"{outcome_files[0]}.parquet") if outcome_files else None
    return build_star(
        taken.orders,
        customers=taken.customers,
        events=taken.events,
        assignments=versions,
        outcomes=outcomes,
    )


def _impersonal(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out what identifies a person, but for the id, and what only traces need."""
    out = {*personal_columns(frame.columns), *IDENTIFYING, "source_row"} - {"customer_id"}
    return frame.drop(out, strict=False)


def _outcomes(outcomes: pl.DataFrame) -> pl.DataFrame:
    need = ["customer_id", "campaign_id", "arm", "offer", "assigned_at"]
    require_columns(outcomes.columns, need, "the outcomes")
    names = [name for name in _OUTCOMES if name in outcomes.columns]
    return outcomes.select(names).with_columns(assigned_date=pl.col("assigned_at").dt.date())


def _versions(assignments: pl.DataFrame, ids: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the versions of the customers who are in the data, and who is left out."""
    require_columns(assignments.columns, ["customer_id", "segment", "segment_name"], "assignments")
    rows = assignments
    if "dbt_valid_from" not in rows.columns:
        moment = pl.lit(None, pl.Datetime("us", "UTC"))
        rows = rows.select("customer_id", "segment", "segment_name").with_columns(
            dbt_scd_id="customer_id", dbt_updated_at=moment, dbt_valid_from=moment,
            dbt_valid_to=moment, dbt_is_deleted=pl.lit(value=False),
        )  # fmt: skip
    note = unmatched(rows["customer_id"], ids["customer_id"], "the assignments", "the data")
    versions = rows.join(ids, on="customer_id", how="semi")
    if rows.height and not versions.height:
        raise DataError(f"{note}; check whether ids are pseudonyms, or of another shop")
    return versions, (f"Left out: {note}.",) if note else ()


def _dated(versions: pl.DataFrame) -> pl.DataFrame:
    """Turn versions into what `measure_kpis` reads: who is in which segment from a day on."""
    name = pl.when(~pl.col("dbt_is_deleted")).then("segment_name").alias("segment_name")
    begun = versions.select("customer_id", name, moment="dbt_valid_from")
    ended = versions.drop_nulls("dbt_valid_to").select(
        "customer_id", segment_name=pl.lit(None, pl.String), moment="dbt_valid_to"
    )
    ended = ended.join(begun, on=["customer_id", "moment"], how="anti")
    both = pl.concat([begun, ended]).sort("moment", maintain_order=True)  # a day's last one stands
    return both.select(
        "customer_id", "segment_name", as_of=pl.col("moment").dt.date() - timedelta(days=1)
    )


def _days(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return every day from the first to the last that a table points to."""
    named = [
        frame[column].drop_nulls().cast(pl.Date)
        for name, frame in tables.items()
        for column, table in KEYS[name][1].items()
        if table == "days"
    ]
    dates = pl.concat([one.alias("date") for one in named])
    first, last = cast("tuple[date, date]", (dates.min(), dates.max()))
    days = pl.date_range(first, last, "1d", eager=True)
    return pl.DataFrame({"date": days}).with_columns(
        year=days.dt.year(),
        month=days.dt.month(),
        week=days.dt.week(),
        weekday=days.dt.weekday(),
        first_of_month=days.dt.truncate("1mo"),
        first_of_week=days.dt.truncate("1w"),
    )


def _key_of(table: str, column: str) -> str:
    primary, others = KEYS[table]
    return "primary" if column in primary else others.get(column, "")


def _check_keys(name: str, frame: pl.DataFrame, tables: Mapping[str, pl.DataFrame]) -> None:
    """Raise ``DataError`` unless the primary key is unique and every key points to a row."""
    primary, others = KEYS[name]
    require_columns(frame.columns, [*primary, *others], name)
    missing = sum(frame[column].null_count() for column in dict.fromkeys([*primary, *others]))
    if missing:
        raise DataError(f"{name}: {counted(missing, 'key')} missing ({', '.join(primary)})")
    twice = frame.height - frame.select(primary).n_unique()
    if twice:
        raise DataError(
            f"{name}: {counted(twice, 'row repeats', 'rows repeat')} a key ({', '.join(primary)})"
        )
    for column, table in others.items():
        key = KEYS[table][0][0]
        lost = frame.filter(~pl.col(column).is_in(tables[table][key].implode())).height
        if lost:
            raise DataError(f"{name}: {counted(lost, 'row')} with a {column} that {table} lacks")
