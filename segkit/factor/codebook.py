"""What was asked? The statements behind a survey's columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from segkit.errors import SourceError, require_columns

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
        path = Path(source)
        if not path.suffix:
            return {}
        if not path.is_file():
            raise SourceError(
                f"there is no codebook {path.name!r}; expected a CSV file with the columns item "
                f"and statement, or {SIMULATED!r}"
            )
        table = pl.read_csv(path, infer_schema=False)
        require_columns(table.columns, ["item", "statement"], "the codebook")
    return dict(table.select("item", "statement").drop_nulls().iter_rows())
