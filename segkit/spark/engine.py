"""Spark sessions and frames: opened, checked, and mapped by Polars on the executors."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from segkit.errors import ParameterError, SourceError

UTC = ("UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z", "+00:00")
TYPES = {
    pl.String: "string",
    pl.Float64: "double",
    pl.Int64: "bigint",
    pl.Int32: "int",
    pl.Boolean: "boolean",
}
Schema = Mapping[str, Any]


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
    """Open a Spark session as segkit needs it: UTC, and one thread for each task's libraries.

    A local one runs its tasks in this Python; on a cluster, the executors' Python needs segkit.

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
    if master.startswith("local") and "PYSPARK_PYTHON" not in os.environ:
        session.sparkContext.pythonExec = sys.executable
    check_session(session)
    opened: Session = session
    return opened


def check_session(session: Any) -> None:
    """Raise ``ParameterError`` unless the session's days are those of UTC."""
    zone = session.conf.get("spark.sql.session.timeZone")
    if zone not in UTC:
        raise ParameterError(
            f"the Spark session's time zone is {zone}, in which times have other days than in "
            'segkit\'s tables: session.conf.set("spark.sql.session.timeZone", "UTC")'
        )


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
    """Raise ``ParameterError`` if there are Parquet files at an address to be written."""
    from pyspark.errors import AnalysisException

    try:
        session.read.parquet(address)
    except AnalysisException:
        return
    raise ParameterError(f"{address} is there already; it is not overwritten")


def collect(frame: Any) -> pl.DataFrame:
    """Return the rows of a Spark frame in Polars."""
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


def polars_schema(frame: Any) -> dict[str, Any]:
    """Return the types that a Spark frame's columns have in Polars."""
    return dict(collect(frame.limit(0)).schema)
