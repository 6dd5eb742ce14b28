"""Spark sessions and frames: opened, checked, and mapped by Polars on the executors."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from segkit import errors
from segkit.display import counted, number
from segkit.errors import ColumnError, DataError, ParameterError, SegkitError, SourceError
from segkit.features.sources import CUSTOMER

UTC = ("UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z", "+00:00")
TYPES = {
    pl.String: "string",
    pl.Float64: "double",
    pl.Int64: "bigint",
    pl.Int32: "int",
    pl.Boolean: "boolean",
}
Schema = Mapping[str, Any]
WHOLE = ("tinyint", "smallint", "int", "bigint")
NUMBER = (*WHOLE, "float", "double", "decimal")
TIME = ("timestamp", "timestamp_ntz", "date")
# What a column may be in Spark, whose casts would read texts and much else as numbers or days.
KINDS = {
    "whole numbers": (WHOLE, ("order_day", "event_day")),
    "numbers": (NUMBER, ("amount", "discount", "duration_seconds")),
    "times": (TIME, ("order_time", "event_time")),
    "true or false": (("boolean", *WHOLE), ("is_return",)),
}
OWN_ERROR = re.compile(
    r"segkit\.errors\.(\w+): (.*?)(?: SQLSTATE: \w+|\n\s*(?:\n|at |JVM)|\s*\Z)", re.S
)


class Session(Protocol):
    """Spark session, as far as segkit uses it."""

    conf: Any
    read: Any

    def stop(self) -> None: ...  # noqa: D102


class Frame(Protocol):
    """Spark frame, as far as segkit uses it."""

    columns: list[str]
    sparkSession: Any  # noqa: N815 - Spark's name
    write: Any

    def select(self, *columns: Any) -> Any: ...  # noqa: D102


def open_session(master: str, *, name: str = "segkit", **config: str) -> Session:
    """Open a Spark session in UTC and ANSI mode, with one thread per task for numerical libraries.

    A local one runs its tasks in this Python, with this segkit; on a cluster, the executors' Python
    needs segkit.

    Parameters
    ----------
    master : str
        "local[2]", "spark://host:7077", "yarn", "k8s://…".
    name : str
        The application's name.
    **config
        Further settings, with ``__`` for the dot: ``spark__executor__memory="8g"``.

    Returns
    -------
    pyspark.sql.SparkSession

    Raises
    ------
    SourceError
        If PySpark, Java or the cluster is not there.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise SourceError("Spark needs the extra: pip install 'segkit[spark]'") from None
    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.executorEnv.POLARS_MAX_THREADS": "1",
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    } | {key.replace("__", "."): value for key, value in config.items()}
    builder = SparkSession.builder.master(master).appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except PySparkException as error:
        raise SourceError(f"no Spark session at {master} (is Java 17 there?): {error}") from error
    if master.startswith("local"):
        if "PYSPARK_PYTHON" not in os.environ:
            session.sparkContext.pythonExec = sys.executable
        _show_checkout(session.sparkContext.environment)
    check_session(session)
    opened: Session = session
    return opened


def _show_checkout(environment: dict[str, str]) -> None:
    """Let executors of this machine import a segkit that is not installed."""
    home = Path(__file__).parents[2]
    if home.name not in ("site-packages", "dist-packages"):
        paths = [str(home), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)


def check_session(session: Any) -> None:
    """Raise ``ParameterError`` unless days are those of UTC, and impossible casts are errors."""
    zone = session.conf.get("spark.sql.session.timeZone")
    if zone not in UTC:
        raise ParameterError(
            f"the Spark session's time zone is {zone}, in which times have other days than in "
            'segkit\'s tables: session.conf.set("spark.sql.session.timeZone", "UTC")'
        )
    if str(session.conf.get("spark.sql.ansi.enabled")).lower() != "true":
        raise ParameterError(
            "the Spark session turns what it cannot read into nulls, and what is too large into "
            'another number: session.conf.set("spark.sql.ansi.enabled", "true")'
        )


def check_columns(frame: Any, what: str) -> Any:
    """Return clean lines or events whose columns are of the types that segkit reads.

    Numbers that are none (NaN), and days beyond 32 bits, raise ``DataError`` when they are read.

    Raises
    ------
    ColumnError
        If a column is of another type: days whole numbers or dates, amounts numbers, times
        timestamps.
    """
    from pyspark.sql import functions

    types = {name: kind.split("(")[0] for name, kind in frame.dtypes}
    for expected, (kinds, names) in KINDS.items():
        for name in names:
            if name not in types:
                continue
            if expected == "whole numbers" and types[name] == "date":
                frame = frame.withColumn(name, functions.unix_date(name))
            elif types[name] not in kinds:
                raise ColumnError(
                    f"{what}: {name} should be {expected} ({', '.join(kinds)}); got {types[name]}"
                )
            column = functions.col(name)
            if types[name] == "bigint" and expected == "whole numbers":
                bad, words = ~column.between(-(2**31), 2**31 - 1), "a day beyond 32 bits"
            elif types[name] in ("float", "double") and name != "amount":  # those are counted
                bad, words = functions.isnan(column), "NaN"
            else:
                continue
            error = f"segkit.errors.DataError: {what} hold {words} in {name}"
            stop = functions.raise_error(functions.lit(error)).cast(types[name])
            frame = frame.withColumn(name, functions.when(bad, stop).otherwise(column))
    return frame


def check_customers(frame: Any, values: Sequence[str] = ()) -> None:
    """Raise ``DataError`` if a customer of a Spark frame has no id, or comes twice anywhere in it.

    So does an infinite value in one of the columns ``values``.
    """
    from pyspark.sql import functions

    types = dict(frame.dtypes)
    decimals = [name for name in values if types[name] in ("float", "double")]
    endless = (functions.when(functions.abs(name) == float("inf"), 1) for name in decimals)
    ids = [functions.count("*"), functions.count(CUSTOMER), functions.countDistinct(CUSTOMER)]
    rows, named, different, *infinite = collect(
        frame.agg(*ids, *(functions.count(mark) for mark in endless))
    ).row(0)
    if different < rows:
        raise DataError(
            f"customer_id must be present and unique in every row; {number(rows - named)} are "
            f"missing, {number(named - different)} are repeats"
        )
    for name, count in zip(decimals, infinite, strict=True):
        if count:
            raise DataError(f"{name} holds {counted(count, 'infinite value')}; mend them first")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Within this context, replace a Spark exception by the segkit error that caused it.

    It is needed for tables that Spark computes only after segkit's call, when they are written.

    Examples
    --------
    >>> with plain_errors():  # doctest: +SKIP
    ...     score_table(model, table).write.parquet("segments")
    """
    try:
        from pyspark.errors import PySparkException as SparkError
    except ImportError:  # then nothing in here raises it
        SparkError = SegkitError
    try:
        yield
    except SegkitError:
        raise
    except SparkError as error:
        cause: Any = error
        while cause is not None:
            match = OWN_ERROR.search(str(cause))
            kind = getattr(errors, match[1], None) if match else None
            if match and kind is not None:
                raise kind(match[2].strip()) from error
            cause = getattr(cause, "_cause", None)
        raise


def as_frame(session: Any, source: Any, what: str) -> Any:
    """Return a Spark frame as it is, or read the path or address of Parquet files.

    Raises
    ------
    SourceError
        If it is neither, or cannot be read.
    """
    from pyspark.errors import AnalysisException

    if hasattr(source, "mapInArrow"):
        return source
    if not isinstance(source, str | Path):
        raise SourceError(
            f"{what} should be a Spark frame or the path of Parquet files; got "
            f"{type(source).__name__}"
        )
    try:
        return session.read.parquet(str(source))
    except AnalysisException as error:
        first = str(error).splitlines()[0]
        raise SourceError(f"{what}: Spark reads no Parquet from {source}: {first}") from error


def check_absent(session: Any, address: str) -> None:
    """Raise ``ParameterError`` if anything, even an empty folder, is at an address to be written.

    Raises
    ------
    SourceError
        If Spark cannot look there.
    """
    from pyspark.errors import AnalysisException

    try:
        session.read.format("binaryFile").load(address).schema  # noqa: B018 - looks for the path
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return
        raise SourceError(
            f"Spark cannot look at {address}: {str(error).splitlines()[0]}"
        ) from error
    raise ParameterError(f"{address} is there already; it is not overwritten")


def collect(frame: Any) -> pl.DataFrame:
    """Return the rows of a Spark frame in Polars."""
    with plain_errors():
        return pl.DataFrame(pl.from_arrow(frame.toArrow()))


def map_frames(frame: Any, function: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema) -> Any:
    """Apply a function of Polars frames to each batch of rows; return the results as a Spark frame.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
    function : callable
        From a Polars frame to one; it runs on the executors, which need segkit too.
    schema : mapping of str to type of Polars
    """

    def run(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            if batch.num_rows:
                yield from to_batches(function(pl.DataFrame(pl.from_arrow(batch))), schema)

    return map_batches(frame, run, schema)


def map_batches(
    frame: Any, function: Callable[[Iterator[Any]], Iterator[Any]], schema: Schema
) -> Any:
    """Apply a function to each partition's Arrow batches; return the results as a Spark frame."""
    columns = ", ".join(f"`{name}` {TYPES[kind]}" for name, kind in schema.items())
    with warnings.catch_warnings():
        # PySpark imports pandas only to look at its version; no row passes through it here.
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        return frame.mapInArrow(function, columns)


def to_batches(frame: pl.DataFrame, schema: Schema) -> list[Any]:
    """Turn rows into the Arrow batches that Spark takes, with the types of a schema."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "double": pa.float64(), "bigint": pa.int64(),
             "int": pa.int32(), "boolean": pa.bool_()}  # fmt: skip
    fields = [(name, kinds[TYPES[kind]]) for name, kind in schema.items()]
    table = frame.select(pl.col(name).cast(kind) for name, kind in schema.items()).to_arrow()
    return list(table.cast(pa.schema(fields)).to_batches())
