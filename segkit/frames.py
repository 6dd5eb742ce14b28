"""Frames in memory: the shared reader of polars and pandas frames, and of returns in them."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar

import polars as pl

from segkit.errors import ParameterError, SourceError
from segkit.ids import with_ids, with_lazy_ids

P = ParamSpec("P")
R = TypeVar("R")


class _Read(threading.local):
    """Frames whose ids were read since the outermost public function was called."""

    def __init__(self) -> None:
        self.depth = 0
        self.frames: dict[int, weakref.ref[pl.DataFrame]] = {}


_READ = _Read()


def takes_frames(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function take pandas frames and series, and read the ids of every frame.

    Inside, the function has polars alone, and its ``customer_id``, ``product_id`` and
    ``campaign_id`` are text as `segkit.ids.read_ids` gives it. A list where the annotation says
    frame, or a mapping alone, is a `SourceError` or `ParameterError`.

    Examples
    --------
    >>> @takes_frames
    ... def list_customers(table):
    ...     return table["customer_id"].to_list()
    >>> list_customers(pl.DataFrame({"customer_id": [17850.0]}))
    ['17850']
    """
    parameters = inspect.signature(function).parameters
    names = list(parameters)
    kinds = {name: _kinds(str(parameter.annotation)) for name, parameter in parameters.items()}

    def take(item: Any, name: str) -> Any:
        taken = take_frame(item, name)
        _check_kind(taken, name, kinds.get(name, frozenset()))
        return taken

    @functools.wraps(function)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        _READ.depth += 1
        try:
            given = [take(item, name) for item, name in zip(args, names, strict=False)]
            rest = args[len(given) :]
            named = {name: take(item, name) for name, item in kwargs.items()}
            return function(*given, *rest, **named)  # type: ignore[arg-type]
        finally:
            _READ.depth -= 1
            if not _READ.depth:
                _READ.frames.clear()

    door.takes_frames = True  # type: ignore[attr-defined]
    return door


def _kinds(annotation: str) -> frozenset[str]:
    """Return the kinds that an annotation names, without what stands in brackets."""
    return frozenset(part.split("[")[0] for part in annotation.split(" | "))


def _check_kind(value: Any, name: str, kinds: frozenset[str]) -> None:
    """Raise an error for a value that is neither a frame nor a mapping."""
    got = type(value).__name__
    frames = {"pl.DataFrame", "pl.LazyFrame"}
    if kinds and kinds <= frames and not isinstance(value, pl.DataFrame | pl.LazyFrame):
        raise SourceError(f"expected a Polars or pandas frame as {name}, got {got}")
    if kinds - {"None"} == {"Mapping"} and not isinstance(value, Mapping | None):
        raise ParameterError(f"expected a mapping (a dict) as {name}, got {got}")


def take_frame(value: Any, what: str) -> Any:
    """Turn a pandas frame or series into polars and read a frame's ids; leave the rest alone."""
    if isinstance(value, pl.DataFrame):
        before = _READ.frames.get(id(value))
        if before is not None and before() is value:  # one public function calls another
            return value
        read = with_ids(value, what)
        if _READ.depth:
            _READ.frames[id(read)] = weakref.ref(read)
        return read
    if isinstance(value, pl.LazyFrame):
        return with_lazy_ids(value)
    if is_pandas(value):
        if hasattr(value, "columns"):
            return with_ids(_from_pandas(value), what)
        if hasattr(value, "dtype"):
            return _series(str(value.name or ""), value)
    return value


def is_returned(names: Collection[str]) -> pl.Expr:
    """Tell the returns among order lines that have these columns.

    A line is a return if ``is_return`` says so. Where that is null or no column, it is one if its
    amount is below zero or, without an amount, its quantity; without any of them it is a sale.
    (`segkit.features` has the same rule for every engine.)

    Examples
    --------
    >>> lines = pl.DataFrame({"amount": [5.0, -5.0, -5.0], "is_return": [True, False, None]})
    >>> lines.select(back=is_returned(lines.columns))["back"].to_list()
    [True, False, True]
    """
    below = [pl.col(name) < 0 for name in ("amount", "quantity") if name in names]
    flag = [pl.col("is_return").cast(pl.Boolean)] if "is_return" in names else []
    return pl.coalesce(*flag, *below, pl.lit(value=False))


def is_sold(names: Collection[str]) -> pl.Expr:
    """Tell the sales among order lines that have these columns: no returns, and not for nothing.

    Examples
    --------
    >>> lines = pl.DataFrame({"amount": [5.0, 5.0, 0.0], "is_return": [True, None, False]})
    >>> lines.select(sold=is_sold(lines.columns))["sold"].to_list()
    [False, True, False]
    """
    return ~is_returned(names) & (pl.col("amount") > 0)


def is_pandas(value: Any) -> bool:
    """Return whether a value is of pandas, by its type's module: pandas is never imported."""
    return type(value).__module__.split(".")[0] == "pandas"


def from_memory(source: Any) -> pl.DataFrame:
    """Take a Polars or pandas frame; pandas is recognised by name, never imported.

    Raises
    ------
    SourceError
        If it is neither.
    """
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if isinstance(source, pl.DataFrame):
        return source
    if is_pandas(source) and hasattr(source, "columns"):
        return _from_pandas(source)
    raise SourceError(
        f"expected a Polars or pandas frame, a path, or a dict of them, got {type(source).__name__}"
    )


def _from_pandas(frame: Any) -> pl.DataFrame:
    """Turn a pandas frame into polars; levels of the index that have a name are columns too."""
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise SourceError("expected distinct column names, got some twice in the pandas frame")
    levels = [
        _series(str(name), frame.index.get_level_values(place))
        for place, name in enumerate(frame.index.names)
        if name is not None and str(name) not in names
    ]
    made = [_series(name, frame.iloc[:, place]) for place, name in enumerate(names)]
    return pl.DataFrame([*levels, *made])


def _series(name: str, column: Any) -> pl.Series:
    """Turn a pandas series or index into polars without pyarrow; missing becomes null."""
    kind = str(column.dtype)
    missing = pl.Series("missing", column.isna().astype(bool).tolist(), dtype=pl.Boolean)
    if kind.startswith("datetime64"):
        if not hasattr(column, "dt"):
            column = column.to_series()
        zone = getattr(column.dt, "tz", None)
        flat = column.dt.tz_convert("UTC").dt.tz_localize(None) if zone is not None else column
        micros = pl.Series(name, flat.to_numpy().astype("datetime64[us]"))
        if zone is not None:
            named = getattr(zone, "key", None) or str(zone)
            micros = micros.dt.replace_time_zone("UTC")
            with_zone = named if "/" in named else "UTC"
            return micros.dt.convert_time_zone(with_zone)
        return micros
    if kind[:3].lower() in ("int", "uin", "flo", "boo"):
        lower = kind.lower() if kind != "boolean" else "bool"
        if not missing.any():
            return pl.Series(name, column.to_numpy(dtype=lower))
        if lower.startswith("float"):
            return pl.Series(name, column.to_numpy(dtype=lower, na_value=float("nan"))).fill_nan(
                None
            )
    values = [None if null else item for item, null in zip(column, missing, strict=True)]
    return from_list(name, values)


def from_list(name: str, values: list[Any]) -> pl.Series:
    """Turn Python values into a series: of their type if they share one, else of text."""
    kinds = {type(item) for item in values if item is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        try:
            return pl.Series(name, values, strict=False)
        except (TypeError, pl.exceptions.PolarsError):
            pass
    return pl.Series(name, [None if item is None else str(item) for item in values], pl.String)
