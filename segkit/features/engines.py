"""Any engine's frame in, a lazy Narwhals frame inside, a polars frame out.

What the other modules of this package may use, so that one text runs alike on Polars, DuckDB,
pandas and PySpark: filters, columns made row by row, ``group_by`` with plain sums, counts, minima,
maxima and means, and one ordered shift within a customer. Booleans are cast before they
are summed, days are integers, and distinct counts are done by grouping twice.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import narwhals as nw
import polars as pl

from segkit.errors import ParameterError, SourceError, unknown
from segkit.frames import from_memory, is_pandas

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

ENGINES = ("polars", "duckdb")


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


def collect(lazy: Any) -> pl.DataFrame:
    """Run a lazy Narwhals frame in its engine and hand the rows over to polars."""
    native = nw.to_native(lazy)
    if isinstance(native, pl.LazyFrame):
        return native.collect(engine="streaming")
    if lazy.implementation.is_duckdb():  # its own way to polars asks for pyarrow
        return pl.DataFrame(native)
    backend = None if lazy.implementation.is_pandas_like() else "pandas"
    columns = lazy.collect(backend=backend).to_dict(as_series=False)
    return pl.DataFrame(columns, strict=False, nan_to_null=True)


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
    """Tell whether a day number lies in one of the closed ranges."""
    condition = nw.lit(False)
    for k, (start, end) in enumerate(ranges):
        here = (nw.col(day) >= start) & (nw.col(day) <= end)
        condition = here if k == 0 else condition | here
    return condition


def is_infinite(column: str) -> Any:
    """Tell whether a number is infinite; an unknown one is not."""
    value = nw.col(column).cast(nw.Float64)
    return (value == math.inf) | (value == -math.inf)


def is_unknown(column: str) -> Any:
    """Tell whether a number is missing; pandas writes that as NaN."""
    value = nw.col(column).cast(nw.Float64)
    return value.is_null() | value.is_nan()
