"""Order lines and events as an engine holds them, checked before features are planned.

Money and seconds are summed in whole millionths. Engines sum in parallel, and sums of floats depend
on the order; a difference in the last bit can change how a tree splits ties.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import narwhals as nw
import numpy as np
import polars as pl

from segkit.display import counted, number
from segkit.errors import (
    ColumnError,
    DataError,
    ParameterError,
    SourceError,
    require_columns,
    unknown,
)
from segkit.features.calendar import Window, day_date
from segkit.frames import from_memory, is_pandas
from segkit.ids import EXACT, EXACT_32, MANGLED, ODD, SPACE, WHOLE, mangled

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

Engine = Literal["polars", "duckdb"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def open_lazy(source: IntoFrame | str | Path, engine: str, what: str) -> Any:
    """Turn a frame or the path of Parquet files into a lazy Narwhals frame.

    Parameters
    ----------
    source : frame, str or Path
        An eager or lazy frame of any engine that Narwhals knows, a Parquet file, or a folder of
        Parquet files.
    engine : {"polars", "duckdb"}
        Who scans a path; a frame stays with its own engine.
    what : str
        The frame's name in messages.

    Raises
    ------
    SourceError
        If the path is not there, or the frame is of no known kind.
    ParameterError
        If the engine is unknown.
    """
    if engine not in ENGINES:
        raise ParameterError(unknown("engine", engine, ENGINES))
    if isinstance(source, str | Path):
        return nw.from_native(_scan(Path(source), engine, what)).lazy()
    if is_pandas(source):  # polars' ids and missing values, whatever pandas made of them
        source = from_memory(source)
    try:
        return nw.from_native(source).lazy()
    except TypeError as error:
        raise SourceError(
            f"{what} should be a frame or the path of a Parquet file; got {type(source).__name__}"
        ) from error


def _scan(path: Path, engine: str, what: str) -> Any:
    pattern = path / "**" / "*.parquet" if path.is_dir() else path
    if not path.exists():
        raise SourceError(f"{what}: no such Parquet file: {path}")
    if path.is_dir() and not any(path.rglob("*.parquet")):
        raise SourceError(f"{what}: the folder {path} holds no *.parquet")
    if engine == "polars":
        return pl.scan_parquet(pattern)
    import duckdb

    return duckdb.read_parquet(str(pattern))


def is_spark(lazy: Any) -> bool:
    """Return whether PySpark holds a Narwhals frame."""
    implementation = lazy.implementation
    return bool(implementation.is_pyspark() or implementation.is_pyspark_connect())


def collect(lazy: Any) -> pl.DataFrame:
    """Run a lazy Narwhals frame in its engine and return the rows in polars."""
    native = nw.to_native(lazy)
    if isinstance(native, pl.LazyFrame):
        return native.collect(engine="streaming")
    if lazy.implementation.is_duckdb():
        # Its own way to polars asks for pyarrow; through an Arrow stream it prints at exit.
        columns = native.fetchnumpy()
        return pl.DataFrame([_series(name, values) for name, values in columns.items()])
    if is_spark(lazy):
        return cast("pl.DataFrame", pl.from_arrow(native.toArrow()))
    backend = None if lazy.implementation.is_pandas_like() else "pandas"
    columns = lazy.collect(backend=backend).to_dict(as_series=False)
    return pl.DataFrame(columns, strict=False, nan_to_null=True)


def _series(name: str, values: Any) -> pl.Series:
    """Return a NumPy array, masked where it has nulls, as a series."""
    missing = np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None
    plain = np.ma.getdata(values)
    texts = plain.dtype == object
    series = pl.Series(name, plain.tolist(), pl.String) if texts else pl.Series(name, plain)
    return series if missing is None else series.set(pl.Series(missing), None)


def day_of(time: str) -> Any:
    """Count the days from 1970-01-01 to a time, by the civil calendar alone.

    Durations differ between engines, whole-number arithmetic does not. Source: H. Hinnant (2013),
    "chrono-compatible low-level date algorithms", days_from_civil; years of our era only.
    """
    column = nw.col(time)
    month = column.dt.month().cast(nw.Int64)
    year = column.dt.year().cast(nw.Int64) - (month <= 2).cast(nw.Int64)
    shifted = (month + 9) % 12
    day_of_year = (153 * shifted + 2) // 5 + column.dt.day().cast(nw.Int64) - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719_468


def within(day: str, ranges: list[tuple[int, int]]) -> Any:
    """Return whether a day number lies in one of the closed ranges."""
    condition = nw.lit(False)
    for k, (start, end) in enumerate(ranges):
        in_range = (nw.col(day) >= start) & (nw.col(day) <= end)
        condition = in_range if k == 0 else condition | in_range
    return condition


def is_infinite(column: str) -> Any:
    """Return whether a number is infinite; an unknown one is not."""
    value = nw.col(column).cast(nw.Float64)
    return (value == math.inf) | (value == -math.inf)


def is_unknown(column: str) -> Any:
    """Return whether a number is missing; pandas writes that as NaN."""
    value = nw.col(column).cast(nw.Float64)
    return value.is_null() | value.is_nan()


MICRO = 1_000_000
LARGEST = 9.2e12  # a sum whose millionths still fit into 64 bits
# Into how many parts of how many bits a number is split before it is squared.
BITS = {2: 20, 3: 21}
TWO_PARTS = 3e9  # a sum up to which two parts will do: the squares' sums fit into 64 bits


def micro(column: Any, frame: Any) -> Any:
    """Write a column of a narwhals frame in whole millionths, halves as the even one."""
    value = column * MICRO
    rounded = value.round(0)
    if not frame.implementation.is_polars():  # the others round halves away from zero
        is_half = value - value.floor() == 0.5
        rounded = nw.when(is_half).then((value / 2).round(0) * 2).otherwise(rounded)
    return rounded.cast(nw.Int64)


def check_size(size: float, column: str, what: str) -> None:
    """Raise if a sum is too large for whole millionths in 64 bits, or no number.

    DuckDB trusts a Parquet file's statistics, which leave NaN out, and so finds none: the sum does.

    Raises
    ------
    DataError
        If the absolute values of the column add up to too much, or to NaN.
    """
    if math.isnan(size):
        raise DataError(f"{what} hold NaN in {column}; expected a number, or null for none")
    if size >= LARGEST:
        raise DataError(
            f"the column {column} of {what} adds up to {number(size)}; sums are kept to a "
            f"millionth up to {number(LARGEST)}: give it in thousands, or remove what is no "
            "amount"
        )


def square_names(name: str, parts: int) -> list[str]:
    """List the columns that `squares` makes."""
    return [f"{name}_{i}{j}" for i in range(parts) for j in range(i + 1)]


def squares(name: str, parts: int) -> dict[str, Any]:
    """Return columns from whose sums the sum of squares of a whole column follows exactly.

    The square of a number of millionths does not fit into 64 bits, so the number is split, as in
    x = high * 2**20 + low, and high * high, high * low and low * low are summed apart, in whole
    numbers. Sums of up to `TWO_PARTS` need two parts, larger ones three.
    """
    wide, rest = float(1 << BITS[parts]), nw.col(name)
    digits = list[Any]()
    for _ in range(parts - 1):
        # A division of whole numbers takes longer; if rounding makes this one miss by a little, the
        # rest is a little negative or too large, and the sum of both is as exact.
        high = (rest.cast(nw.Float64) / wide).floor().cast(nw.Int64)
        digits.append(rest - high * int(wide))
        rest = high
    digits.append(rest)
    products = [digits[i] * digits[j] for i in range(parts) for j in range(i + 1)]
    return dict(zip(square_names(name, parts), products, strict=True))


def check_squares(orders: pl.Series, parts: int) -> None:
    """Raise if a customer has so many orders that the sums of `squares` may not fit into 64 bits.

    Raises
    ------
    DataError
        If a customer has over a million orders (four if two parts do).
    """
    most, limit = cast("float", orders.max() or 0), 1 << (62 - 2 * BITS[parts])
    if most > limit:
        raise DataError(
            f"a customer has {counted(most, 'order')}; the spread of order values is kept exactly "
            f"for up to {number(limit)}: remove who is no customer, such as sales at a till"
        )


def spread(n: pl.Expr, total: pl.Expr, products: Sequence[pl.Expr], parts: int) -> pl.Expr:
    """Return the standard deviation (n - 1) from the count, the sum and `squares`' sums.

    It is taken about the whole part of the mean, in whole numbers, so that nothing cancels.

    Parameters
    ----------
    n, total : polars.Expr
        Of whole millionths.
    products : sequence of polars.Expr
    parts : int

    Returns
    -------
    polars.Expr
        In units; null below two.

    Examples
    --------
    >>> frame = nw.from_native(pl.DataFrame({"x": [1_000_000, 3_000_000]}))
    >>> sums = frame.with_columns(**squares("x", 2)).to_native().sum()
    >>> products = [pl.col(name) for name in square_names("x", 2)]
    >>> round(sums.select(spread(pl.lit(2), pl.col("x"), products, 2)).item() ** 2, 9)
    2.0
    """
    count, whole = (x.cast(pl.Int64) for x in (n, total))
    places = [(i, j) for i in range(parts) for j in range(i + 1)]
    squared = pl.lit(0, dtype=pl.Int128)
    for (i, j), product in zip(places, products, strict=True):
        factor = (1 if i == j else 2) << (BITS[parts] * (i + j))
        squared = squared + product.cast(pl.Int128) * pl.lit(factor, dtype=pl.Int128)
    some = pl.when(n > 1).then(count)
    middle = whole // some  # in 64 bits: a division in 128 takes ten times as long
    over = whole - middle * some
    rest = over.cast(pl.Float64)
    # The same as squared - 2 middle whole + n middle^2.
    about = squared - middle.cast(pl.Int128) * (whole.cast(pl.Int128) + over)
    variance = (about.cast(pl.Float64) - rest * rest / n) / ((n - 1) * float(MICRO**2))
    return variance.clip(0.0).sqrt()


CUSTOMER = "customer_id"


MAX_LEVELS = 12  # of a column whose values name features


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's rows, lazy, with the day they belong to in the column ``day``.

    Attributes
    ----------
    frame : narwhals.LazyFrame
    columns : tuple of str
    first, final : int
        Day numbers of the first and the last row, after what is cut off at ``as_of``.
    n_used, n_later : int
        Rows up to ``as_of``, rows after it.
    size : float
        Sum of the absolute amounts, of order lines.
    notes : tuple of str
        What was assumed or left out.
    ids_checked : bool
        Whether the customers' ids are read as `segkit.ids.read_ids` does, or still as they stand.
    """

    frame: Any
    columns: tuple[str, ...]
    first: int
    final: int
    n_used: int
    n_later: int
    notes: tuple[str, ...] = ()
    size: float = 0.0
    ids_checked: bool = True

    def window(self, window: Window) -> Any:
        """Keep the rows of a window."""
        rows, until = self.frame, window.until
        if self.n_later or until < self.final:
            rows = rows.filter(nw.col("day") <= until)
        return rows if window.after is None else rows.filter(nw.col("day") > window.after)


def order_rows(lazy: Any, as_of: int | None, *, check_ids: bool = True) -> Rows:
    """Check the order lines and give each a day, an order and whether it is a return.

    Parameters
    ----------
    lazy : narwhals.LazyFrame
    as_of : int or None
        The last day that is used; None takes the day of the last line.
    check_ids : bool
        Whether customers' ids that are text are tidied line by line. If not, and all lines are
        used, they are left as they are: the caller checks them later, one per customer
        (`are_tidy`), which takes a tenth of the time.

    Raises
    ------
    ColumnError
        If customer, amount or time is missing, or DuckDB holds times with a zone.
    DataError
        If there are no rows, none up to ``as_of``, a line has no day, or an amount is infinite or
        missing.
    """
    schema = lazy.collect_schema()
    columns, notes = list(schema.names()), list[str]()
    time = "order_day" if "order_day" in columns else "order_time"
    require_columns(columns, [CUSTOMER, time, "amount"], "orders")
    for name in ("amount", "discount", "is_return"):
        flag = name == "is_return" and schema.get(name) == nw.Boolean
        if name in columns and not (
            flag or schema[name].is_numeric() or schema[name] == nw.Unknown
        ):
            kinds = "true and false" if name == "is_return" else "numbers"
            raise ColumnError(f"orders: expected {name} as {kinds}, got {schema[name]}")
    amount = nw.col("amount").cast(nw.Float64)
    day = _day(lazy, time, "order_day", notes)
    back = amount < 0
    if "is_return" in columns:
        flagged = nw.col("is_return")
        back = nw.when(flagged.is_null()).then(back).otherwise(flagged).cast(nw.Boolean)
    else:
        notes.append("lines with a negative amount are taken for returns")
    order = nw.col("order_id") if "order_id" in columns else day
    if "order_id" not in columns:
        notes.append("without order ids, a customer's lines of one day are one order")
    keep = [nw.col("product_id")] if "product_id" in columns else []
    keep += [_level(schema, c) for c in ("category", "brand", "channel") if c in columns]
    if "product_id" in columns and schema["product_id"] != nw.String:
        lazy = with_ids(lazy, "orders", "product_id")
    discount = [nw.col("discount").cast(nw.Float64)] if "discount" in columns else []
    frame = with_ids(lazy, "orders", check=check_ids).select(
        CUSTOMER, order.alias("order_id"), day.alias("day"), amount.alias("amount"),
        back.alias("is_return"), *discount, *keep,
    )  # fmt: skip
    money = ["amount", *(["discount"] if discount else [])]
    bad = [is_infinite("amount"), is_unknown("amount"), nw.col("day").is_null()]
    bad += [nw.col(name).is_nan() for name in money[1:]]
    sums = _sums(frame, bad, money)
    sizes = {name: sums.pop(f"size_{name}") for name in money}
    infinite, missing, dayless, *no_number = (sums.pop(f"bad_{k}") for k in range(len(bad)))
    if infinite or missing:
        raise DataError(
            f"orders hold {number(infinite)} infinite and {counted(missing, 'missing amount')}; "
            "segkit.clean_data rejects such lines with a reason"
        )
    if dayless:
        raise DataError(f"{counted(dayless, 'order line')} without a day; expected one in each")
    if any(no_number):
        raise DataError(f"orders hold {counted(no_number[0], 'discount')} that are no number (NaN)")
    for name, size in sizes.items():
        check_size(size, name, "orders")
    rows = Rows(frame, tuple(columns), notes=tuple(notes), n_later=0, size=sizes["amount"], **sums)
    rows = replace(_cut(rows, as_of, "orders"), ids_checked=check_ids)
    return check_rows(rows) if rows.n_later else rows


def check_rows(rows: Rows) -> Rows:
    """Return order lines with the customers' ids tidied line by line, if that is not done yet."""
    if rows.ids_checked:
        return rows
    return replace(rows, frame=with_ids(rows.frame, "orders"), ids_checked=True)


def are_tidy(ids: pl.Series) -> bool:
    """Return whether ids, as text, are tidy already, so that `with_ids` would not change them."""
    return not ids.str.contains(f"{MANGLED}|{ODD}").any()


def event_rows(lazy: Any, as_of: int) -> Rows:
    """Check the events and give each a day.

    Raises
    ------
    ColumnError
        If customer, type or time is missing, or DuckDB holds times with a zone.
    DataError
        If an event has no day, or a duration is infinite.
    """
    schema = lazy.collect_schema()
    columns, notes = list(schema.names()), list[str]()
    time = "event_day" if "event_day" in columns else "event_time"
    require_columns(columns, [CUSTOMER, time, "event_type"], "events")
    day = _day(lazy, time, "event_day", notes)
    optional = ("campaign_id", "session_id", "page", "duration_seconds", "event_time")
    keep = [c for c in optional if c in columns]
    frame = with_ids(lazy, "events").select(CUSTOMER, day.alias("day"), "event_type", *keep)
    timed = [name for name in ("duration_seconds",) if name in columns]
    bad = [nw.col("day").is_null(), *(is_infinite(name) for name in timed)]
    sums = _sums(frame, bad, timed)
    sizes = {name: sums.pop(f"size_{name}") for name in timed}
    if dayless := sums.pop("bad_0"):
        raise DataError(f"{counted(dayless, 'event')} without a day; expected one in each")
    if sums.pop("bad_1", 0):
        raise DataError("events hold infinite durations; segkit.clean_data rejects such rows")
    for name, size in sizes.items():
        check_size(size, name, "events")
    if not sums["n_used"] or sums["first"] > as_of:
        return Rows(frame, tuple(columns), as_of, as_of, 0, sums["n_used"], tuple(notes))
    return _cut(Rows(frame, tuple(columns), notes=tuple(notes), n_later=0, **sums), as_of, "events")


def levels(rows: Rows, column: str, as_of: int) -> tuple[dict[str, list[str]], list[str]]:
    """Return a column's commonest values up to ``as_of``, and a note on what is left out."""
    if column not in rows.columns:
        return {}, []
    used = rows.frame.filter((nw.col("day") <= as_of) & ~nw.col(column).is_null())
    counts = collect(used.group_by(column).agg(nw.len().alias("n"))).sort(
        ["n", column], descending=[True, False]
    )
    names = counts[column].to_list()
    notes = []
    if len(names) > MAX_LEVELS:
        left = number(100 * sum(counts["n"][MAX_LEVELS:]) / sum(counts["n"]))
        notes.append(
            f"of {counted(len(names), 'value')} of {column} the {MAX_LEVELS} commonest have a "
            f"feature each; {left}% of its rows have another"
        )
    return dict(sorted(slugs(sorted(names[:MAX_LEVELS])).items())), notes


def with_ids(lazy: Any, what: str, column: str = CUSTOMER, *, check: bool = True) -> Any:
    """Read a column of ids as `segkit.ids.read_ids` does, in the frame's own engine.

    Ids that are text are checked first, and tidied only if one of them needs it (those of clean
    tables do not). With ``check=False`` they are left as they are.

    Raises
    ------
    ColumnError
        If the ids are lists, structures or bytes.
    DataError
        If a spreadsheet, or a decimal number, has made one id of many.
    """
    read: Any
    text: Any
    dtype, ids = lazy.collect_schema()[column], nw.col(column)
    if dtype.is_nested() or dtype in (nw.Binary, nw.Object):
        raise ColumnError(f"{what}: expected ids as text or whole numbers, got {dtype}")
    if dtype.is_float():
        decimal, most = ids.cast(nw.Float64), EXACT if dtype == nw.Float64 else EXACT_32
        size = decimal.abs()
        lost, odd = ~decimal.is_nan() & (size > most) & (size < math.inf), None
        fits = nw.when(~decimal.is_nan() & (decimal.abs() <= most)).then(decimal)
        rounded = fits.round(0)
        read = nw.when(fits == rounded).then(rounded.cast(nw.Int64).cast(nw.String))
        read = read.otherwise(fits.cast(nw.String))
    else:
        read = ids.cast(nw.String)
        if dtype.is_decimal():
            read = read.str.replace_all(r"\.0+$", "")
        if dtype.is_numeric() or not check:
            return lazy.with_columns(read.alias(column))
        lost, odd = read.str.contains(MANGLED), read.str.contains(ODD)
        text = read.str.replace_all(f"^{SPACE}+|{SPACE}+$", "")
        text = (
            nw.when(text.str.contains(WHOLE))
            .then(text.str.replace_all(r"\.0+$", ""))
            .otherwise(text)
        )
        email = text.str.contains("@", literal=True)
        text = nw.when(email).then(text.str.to_lowercase()).otherwise(text)
        tidy = nw.when(text != "").then(text)
    marks = {"lost": lost} if odd is None else {"lost": lost, "odd": odd}
    ones = {name: nw.when(mark).then(1).otherwise(0) for name, mark in marks.items()}
    counts = collect(lazy.select(**ones).select(nw.col(name).sum() for name in ones)).row(0)
    bad_ids = dict(zip(ones, counts, strict=True))
    if bad_ids["lost"]:
        raise DataError(mangled(what, int(bad_ids["lost"])))
    if odd is not None and bad_ids["odd"]:
        read = tidy
    return lazy.with_columns(read.alias(column))


def _level(schema: Any, name: str) -> Any:
    """Return a column of names as text; whole numbers are names too."""
    if schema[name].is_integer():
        return nw.col(name).cast(nw.String)
    if schema[name] == nw.Boolean or schema[name].is_numeric():
        raise ColumnError(f"orders: expected {name} as text or whole numbers, got {schema[name]}")
    return nw.col(name)


def _day(lazy: Any, time: str, wanted: str, notes: list[str]) -> Any:
    dtype = lazy.collect_schema()[time]
    dated = dtype == nw.Date or dtype == nw.Datetime
    if getattr(dtype, "time_zone", None) and lazy.implementation.is_duckdb():
        raise ColumnError(
            f"{time} has a time zone, which DuckDB replaces with this machine's; give {wanted}, "
            "times without a zone, or engine='polars'"
        )
    if not dated and not (time == wanted and (dtype.is_integer() or dtype == nw.Unknown)):
        expected = "whole day numbers or dates" if time == wanted else "dates or times"
        raise ColumnError(f"expected {time} as {expected}, got {dtype}")
    if time == wanted and dated:
        return day_of(time).cast(nw.Int32)
    if time == wanted:
        return nw.col(time).cast(nw.Int32)
    notes.append(f"without {wanted}, days are those of {time} as it stands, in no time zone")
    return day_of(time).cast(nw.Int32)


def _sums(frame: Any, bad: list[Any], added: list[str]) -> dict[str, Any]:
    marks = {f"bad_{k}": nw.when(mark).then(1).otherwise(0) for k, mark in enumerate(bad)}
    values = {name: nw.col(name).cast(nw.Float64) for name in added}
    sizes = {f"size_{n}": nw.when(~v.is_nan()).then(v.abs()) for n, v in values.items()}
    marked = frame.select("day", **marks, **sizes)
    facts = collect(
        marked.select(
            nw.len().alias("n_used"),
            nw.col("day").min().alias("first"),
            nw.col("day").max().alias("final"),
            *(nw.col(name).sum() for name in (*marks, *sizes)),
        )
    )
    row = facts.row(0, named=True)
    large = {name: float(row.pop(name) or 0.0) for name in sizes}
    return large | {name: 0 if value is None else int(value) for name, value in row.items()}


def _cut(rows: Rows, as_of: int | None, what: str) -> Rows:
    if not rows.n_used:
        raise DataError(f"{what} hold no rows")
    if as_of is None or as_of >= rows.final:
        return rows
    if as_of < rows.first:
        raise DataError(
            f"as_of {day_date(as_of)} lies before the first of the {what}, {day_date(rows.first)}"
        )
    later = nw.when(nw.col("day") > as_of).then(1).otherwise(0)
    n_later = collect(rows.frame.select(later.alias("n")).select(nw.col("n").sum()))["n"].item()
    used = int(rows.n_used) - int(n_later)
    return replace(rows, final=as_of, n_used=used, n_later=int(n_later))


def event_types(rows: Rows, as_of: int) -> tuple[str, ...]:
    """List the types of event that occur up to ``as_of``."""
    used = rows.frame.filter((nw.col("day") <= as_of) & ~nw.col("event_type").is_null())
    types = collect(used.group_by("event_type").agg(nw.len().alias("n")))
    return tuple(sorted(types["event_type"]))


def slugs(levels: Iterable[str]) -> dict[str, list[str]]:
    """Turn values of the data into endings of feature names.

    Names that differ only in case, spaces or signs fall together.

    Examples
    --------
    >>> slugs(["Web shop", "web-shop", "store"])
    {'web_shop': ['Web shop', 'web-shop'], 'store': ['store']}
    """
    endings: dict[str, list[str]] = {}
    for level in levels:
        slug = re.sub(r"\W+", "_", level.strip().lower()).strip("_") or "blank"
        endings.setdefault(slug, []).append(level)
    return endings
