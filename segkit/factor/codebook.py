"""What was asked? The statements behind a survey's columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segkit.errors import DataError, SourceError, require_columns

SIMULATED = "simulated"


def read_codebook(source: Path | str) -> dict[str, str]:
    """What was asked? Each item's statement, from a table, or of the simulated survey.

    Parameters
    ----------
    source : path or str
        A CSV file with the columns ``item`` and ``statement``; "simulated"; or the name of a
        source (no path) without a codebook, which gives none.

    Returns
    -------
    dict of str to str
        Item to statement, and the stem that items share to what they measure, where that is known.

    Raises
    ------
    SourceError
        If there is no such file.
    ColumnError
        If it lacks a column.

    Examples
    --------
    >>> read_codebook("simulated")["price_2"]
    'I wait for the sale'
    """
    if str(source) == SIMULATED:
        from segkit.simulate.survey import items

        table = items()
        stems = table.with_columns(
            item=pl.col("item").str.replace(r"_\d+$", ""),
            statement=pl.col("attitude").str.replace_all("_", " "),
        ).unique("item", maintain_order=True)
        table = pl.concat([table, stems])
    else:
        read = _read_table(source)
        if read is None:
            return {}
        table = read
    return dict(table.select("item", "statement").drop_nulls().iter_rows())


def read_answer_ranges(source: Path | str) -> dict[str, tuple[float, float]]:
    """Read which answers respondents could give to each item: the lowest and the highest.

    Parameters
    ----------
    source : path or str
        As for `read_codebook`; the table's columns ``low`` and ``high`` hold the ends.

    Returns
    -------
    dict of str to (float, float)
        Item to its lowest and highest answer, where the codebook states them.

    Raises
    ------
    SourceError
        If there is no such file.
    ColumnError
        If it lacks item or statement, or has only one of low and high.
    DataError
        If an end is no number, or the lowest is not below the highest.

    Examples
    --------
    >>> read_answer_ranges("simulated")["price_2"]
    (1.0, 5.0)
    """
    if str(source) == SIMULATED:
        from segkit.simulate.survey import ANSWERS, items

        return {item: (float(ANSWERS[0]), float(ANSWERS[1])) for item in items()["item"]}
    table = _read_table(source)
    if table is None or not {"low", "high"} & set(table.columns):
        return {}
    require_columns(table.columns, ["low", "high"], "the codebook")
    stated = table.drop_nulls(["item", "low", "high"])
    ends = stated.select("item", pl.col("low", "high").cast(pl.Float64, strict=False))
    bad = ends.filter(~(pl.col("low") < pl.col("high")).fill_null(value=False))
    if bad.height:
        row = stated.filter(pl.col("item") == bad["item"][0]).row(0, named=True)
        raise DataError(
            f"the codebook's answers to {row['item']} run from {row['low']!r} to {row['high']!r}; "
            "expected two numbers, the lower first"
        )
    return {item: (low, high) for item, low, high in ends.iter_rows()}


def _read_table(source: Path | str) -> pl.DataFrame | None:
    """Read a codebook's file; None for the name of a source without one."""
    path = Path(source)
    if not path.suffix:
        return None
    if not path.is_file():
        raise SourceError(
            f"there is no codebook {path.name!r}; expected a CSV file with the columns item "
            f"and statement, or {SIMULATED!r}"
        )
    table = pl.read_csv(path, infer_schema=False)
    require_columns(table.columns, ["item", "statement"], "the codebook")
    return table
