"""Is this row an order line, or a total that somebody's spreadsheet added up?"""

from __future__ import annotations

import re

import polars as pl

from segkit.ingest.columns import Columns
from segkit.ingest.parse import is_text

# "Total 2023", "Summe:", "Gesamt 01/2024", "Total HT": the word, then a period or a tax, no more.
_AFTER = r"[\s:=.\-–]*(?:\(?(?:ht|ttc|net|netto|brutto|eur|€)\)?)?[\s:\d./\-–]*$"


def total_lines(columns: Columns, customers: pl.Series) -> pl.Series:
    """Mark the rows that are sums of other rows.

    Such a row names no customer, or has the total's word where the customer should be and no
    date: a customer that is called Total keeps its orders.

    Parameters
    ----------
    columns : Columns
        The raw order lines, with their mapping.
    customers : polars.Series
        Who each row is about, as far as it is known.

    Returns
    -------
    polars.Series
        Boolean, one a row.
    """
    raw = columns.raw
    nobody = pl.Series("total", [False]).new_from_index(0, raw.height)
    texts = [name for name, kind in raw.schema.items() if is_text(kind)]
    words = [str(word).lower() for word in columns.option("total_words")]
    if not texts or not words or not raw.height:
        return nobody
    pattern = rf"^(?i)\s*(?:{'|'.join(re.escape(word) for word in words)}){_AFTER}"
    who = columns.source("customer_id")
    named = customers.is_not_null()
    unnamed = raw.lazy().filter(~named).select(pl.col(name).cast(pl.String) for name in texts)
    says = [pl.col(name).str.contains(pattern).fill_null(value=False) for name in texts]
    found = unnamed.select(pl.any_horizontal(says).alias("total")).collect()["total"]
    marks = nobody.scatter((~named).arg_true(), found)
    if who is None or who not in texts:
        return marks
    told = pl.col(who).cast(pl.String).str.contains(pattern) & columns.blank("order_time")
    return marks | raw.select(told.fill_null(value=False)).to_series()
