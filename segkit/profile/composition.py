"""Who is in a segment: counts and shares by gender, age, region …, small cells hidden."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from segkit.intake.privacy import LEAST_HOLDERS, fold_rare, personal_columns
from segkit.profile.members import Flags, Members
from segkit.stats.intervals import wilson

AGE_FROM = (0, 18, 25, 35, 45, 55, 65)
AGE_BANDS = ("under 18", "18-24", "25-34", "35-44", "45-54", "55-64", "65 and over")
MOST_LEVELS = 12
IMPOSSIBLE_AGE = 120
TYPES: dict[Any, type[pl.DataType]] = {
    **dict.fromkeys(["segment", "segment_name", "variable", "level"], pl.String),
    **dict.fromkeys(["customers", "known"], pl.Int64),
    **dict.fromkeys(["share", "share_low", "share_high", "share_all"], pl.Float64),
    "hidden": pl.Boolean,
}


def read_descriptions(
    members: Members,
    customers: pl.DataFrame | None,
    as_of: date | None,
    table: pl.DataFrame,
    smallest_cell: int = LEAST_HOLDERS,
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Gather the categorical columns that describe customers, as text, in the members' order.

    Text and yes/no columns of the customer table come first, then those of ``customers``; birth
    dates become age bands as of ``as_of``; identifiers, names and addresses are never used.
    Columns of more than 12 values keep the 11 most frequent and "other"; values of fewer than 5
    customers (or ``smallest_cell``, if that is less) become "other" too, since one can be a name
    or a remark.

    Returns
    -------
    (polars.DataFrame, dict)
        The columns, and what was left out with the reason.
    """
    skipped: dict[str, str] = {}
    found = {
        name: table.get_column(name).cast(pl.String)
        for name, kind in table.schema.items()
        if kind in (pl.String, pl.Categorical, pl.Enum) and not personal_columns([name])
    }
    if customers is not None:
        known = customers.unique("customer_id", keep="first", maintain_order=True)
        joined = members.frame.select("customer_id").join(
            known, on="customer_id", how="left", maintain_order="left"
        )
        for name, kind in joined.schema.items():
            if kind == pl.Boolean:
                found[name] = joined.get_column(name).replace_strict(
                    {True: "yes", False: "no"}, default=None, return_dtype=pl.String
                )
            elif kind in (pl.String, pl.Categorical, pl.Enum) and not personal_columns([name]):
                found[name] = joined.get_column(name).cast(pl.String)
        if "birth_date" in joined.columns and as_of is not None:
            found["age_band"] = _age_band(joined.get_column("birth_date"), as_of)
        elif "birth_date" in joined.columns:
            skipped["age_band"] = "no as_of date to take the age at"
    for name in list(found):
        column = found[name]
        if column.null_count() == column.len():
            skipped[name] = "no customer has a value"
            del found[name]
        elif column.n_unique() > max(200, column.len() // 20):
            skipped[name] = f"{column.n_unique()} values: an identifier, not a description"
            del found[name]
        else:
            found[name] = fold_rare(
                column, most=MOST_LEVELS, least=min(smallest_cell, LEAST_HOLDERS)
            )
    return pl.DataFrame(found), skipped


def _age_band(born: pl.Series, as_of: date) -> pl.Series:
    """Return whole years of age at ``as_of`` in bands; null where impossible."""
    frame = pl.DataFrame({"born": born.cast(pl.Date)})
    month, day = (
        part.cast(pl.Int32) for part in (pl.col("born").dt.month(), pl.col("born").dt.day())
    )
    birthday_to_come = month * 100 + day > as_of.month * 100 + as_of.day
    age = as_of.year - pl.col("born").dt.year() - birthday_to_come.cast(pl.Int32)
    whole = frame.select(pl.when(age.is_between(0, IMPOSSIBLE_AGE)).then(age)).to_series()
    known = whole.is_not_null().to_numpy()
    place = np.searchsorted(AGE_FROM[1:], whole.fill_null(0).to_numpy(), side="right")
    bands = pl.DataFrame({"age_band": np.array(AGE_BANDS)[place], "known": known})
    return bands.select(pl.when("known").then("age_band")).to_series()


def levels_of(name: str, column: pl.Series) -> list[str]:
    """Return a description's values in reading order: bands by size, "other" last."""
    values = column.drop_nulls().unique().to_list()
    if name == "age_band":
        return [band for band in AGE_BANDS if band in values]
    return sorted(values, key=lambda value: (value == "other", *_amount_first(value)))


def _amount_first(value: str) -> tuple[float, str]:
    """Sort bands such as "under 25k", "25k-40k", "over 60k" by their amounts."""
    digits = "".join(c if c.isdigit() else " " for c in value).split()
    shift = -0.5 if value.startswith("under") else 0.5 if value.startswith("over") else 0.0
    return (float(digits[0]) + shift if digits else float("inf"), value)


def count_levels(
    members: Members, name: str, column: pl.Series
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return a description's values and the counts of shape (segments, values)."""
    levels = levels_of(name, column)
    codes = column.replace_strict(
        {level: i for i, level in enumerate(levels)}, default=-1, return_dtype=pl.Int64
    ).to_numpy()
    counts = np.stack(
        [
            np.bincount(codes[inside & (codes >= 0)], minlength=len(levels))
            for inside in members.within
        ]
    )
    return levels, counts.astype(np.int64)


def compose(
    members: Members, described: pl.DataFrame, *, smallest_cell: int, level: float
) -> pl.DataFrame:
    """Return one row a segment, description and value: see `Profile`'s ``composition``."""
    tables = [pl.DataFrame(schema=TYPES)]
    for name in described.columns:
        column = described.get_column(name)
        levels, counts = count_levels(members, name, column)
        whole = np.array([int((column == value).sum()) for value in levels])
        known = np.repeat(counts.sum(axis=1), len(levels))
        cells = counts.ravel()
        share = wilson(cells, known, level=level)
        hidden = hide(counts, smallest_cell).ravel()
        table = pl.DataFrame(
            {
                "segment": [s for s in members.segments for _ in levels],
                "segment_name": [s for s in members.names for _ in levels],
                "variable": [name] * cells.size,
                "level": levels * len(members.segments),
                "customers": np.where(hidden, np.nan, cells),
                "known": known,
                "share": np.where(hidden, np.nan, share.value),
                "share_low": np.where(hidden | (known == 0), np.nan, share.low),
                "share_high": np.where(hidden | (known == 0), np.nan, share.high),
                "share_all": np.tile(whole / whole.sum(), len(members.segments)),
                "hidden": hidden,
            }
        )
        tables.append(table.fill_nan(None).cast(TYPES))
    return pl.concat(tables)


def hide(counts: npt.NDArray[np.int64], smallest_cell: int) -> Flags:
    """Tell which cells to hide, so that no count from 1 to ``smallest_cell - 1`` can be read.

    A lone hidden cell of a row or column could be worked out from the total, so the smallest
    other cell that is not zero is hidden with it, until none is alone.

    Examples
    --------
    >>> hide(np.array([[2, 50, 60], [40, 30, 70]]), 5).tolist()
    [[True, True, False], [True, True, False]]
    """
    hidden = (counts > 0) & (counts < smallest_cell)
    for _ in range(counts.size):
        before = hidden.copy()
        for flags, cells in ((hidden, counts), (hidden.T, counts.T)):
            for line, row in zip(flags, cells, strict=True):
                open_cells = np.flatnonzero(~line & (row > 0))
                if line.sum() == 1 and open_cells.size:
                    line[open_cells[np.argmin(row[open_cells])]] = True
        if (before == hidden).all():
            break
    return hidden
