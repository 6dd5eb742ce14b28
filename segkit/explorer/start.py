"""Which segments suit? The call that opens an explorer on a table of customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.errors import DataError, ParameterError, unknown
from segkit.explorer.explorer import Explorer
from segkit.explorer.settings import Settings
from segkit.frames import from_memory, takes_frames
from segkit.pipeline import choose_variables

if TYPE_CHECKING:
    from segkit.cluster.outcome import Segmentation

FIRST_FEW = 6


@takes_frames
def explore_segments(
    table: Any,
    *,
    features: Sequence[str] = (),
    k: int = 5,
    method: str = "ward",
    start: Segmentation | None = None,
    definitions: Mapping[str, str] | None = None,
    as_of: date | None = None,
    seed: int = 0,
    folder: Path | str = ".",
) -> Explorer:
    """Which segments suit? Choose variables, method and number, and look at what comes of it.

    In JupyterLab, as the last line of a cell, controls appear; changes are worked out in the
    background. Where nobody can click (a report, another front end) the choice stands as a map
    and a table. Nothing is computed here that `segkit.cluster` and `segkit.profile` do not.

    Parameters
    ----------
    table : CustomerTable, polars or pandas DataFrame
        One row a customer: ``customer_id`` and numeric columns, of which any may be chosen.
    features : sequence of str
        Variables chosen at first; by default those of ``start``, else the usual ones.
    k : int
        Number of segments at first, 2 to 12.
    method : {"ward", "two-step", "kmeans", "mixture"}
        At first.
    start : Segmentation, optional
        Segments found before of this table: their settings are taken over, and the first view
        needs no fit.
    definitions, as_of
        As for `segkit.cluster_customers`; a CustomerTable brings its own.
    seed : int
        Of everything random.
    folder : path
        Where the chosen model and assignments are saved.

    Returns
    -------
    Explorer
        Its ``found``, ``profile`` and ``code()`` are those of the choice on view.

    Raises
    ------
    ColumnError, DataError
        If the table has no ids, or no column that varies.
    ParameterError
        If a setting is unknown or out of range.

    Examples
    --------
    >>> rows = [(f"C{i}", i % 2 * 9 + i / 20, float(i % 3)) for i in range(20)]
    >>> table = pl.DataFrame(rows, schema=["customer_id", "frequency", "monetary"], orient="row")
    >>> chosen = explore_segments(table, features=["frequency"], k=2)
    >>> chosen.found.segments["customers"].to_list()
    [10, 10]
    >>> chosen.change(features=["frequency", "monetary"], k=3).wait().found.k
    3
    """
    frame = table
    if hasattr(table, "definitions") and hasattr(table, "frame"):
        known = dict(table.definitions.select("name", "description").iter_rows())
        frame, definitions, as_of = table.frame, definitions or known, as_of or table.as_of
    frame = from_memory(frame)
    if start is not None:
        k, method, seed = start.k, _method_of(start), start.model.seed
        features = features or start.model.features
        definitions = definitions or start.model.definitions
        as_of = as_of or start.model.as_of
    usable = numeric_columns(frame)
    for name in features:
        if name not in usable:
            raise ParameterError(unknown("numeric column that varies", name, usable))
    chosen = tuple(features) or _usual(frame, usable)
    settings = Settings(chosen, k, method, seed, dict(definitions or {}), as_of)
    settings.check()
    return Explorer(frame, settings, usable, Path(folder), start)


def numeric_columns(frame: pl.DataFrame) -> list[str]:
    """Name the columns that may shape segments: numbers that vary, known for most customers.

    Raises
    ------
    DataError
        If there is none.
    """
    found = [
        name
        for name, kind in frame.schema.items()
        if name != "customer_id"
        and kind.is_numeric()
        and frame[name].null_count() <= frame.height / 2
        and frame[name].drop_nulls().n_unique() > 1
    ]
    if not found:
        raise DataError("the table has no numeric column that varies, so nothing to segment by")
    return found


def _method_of(start: Segmentation) -> str:
    return "two-step" if start.route == "two-step" else start.method


def _usual(frame: pl.DataFrame, usable: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(choose_variables(frame))
    except DataError:
        return tuple(usable[:FIRST_FEW])
