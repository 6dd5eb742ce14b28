"""What does a profile claim of a segment that its members could be asked?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from segkit.errors import ParameterError, require_columns
from segkit.frames import takes_frames


@takes_frames
def claims_of(
    markers: pl.DataFrame, pairs: Sequence[str], *, labels: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """What should members of a segment say of themselves, if the profile is right?

    Parameters
    ----------
    markers : polars.DataFrame
        One row a segment and variable, as `Profile.markers`: ``segment``, ``variable``, ``marker``
        (yes/no), ``direction`` (above, below), ``strength``; ``segment_name`` if there is one.
    pairs : sequence of str
        "variable: item": who is marked by more of the variable should agree more to the item;
        "variable: -item": should agree less. Variables that mark no segment claim nothing.
    labels : mapping of str to str, optional
        Item to its statement.

    Returns
    -------
    polars.DataFrame
        ``segment``, ``item``, ``direction`` (high, low), ``variable``, ``claim`` (in words): what
        `validate_profile` takes. Of two claims on one item the stronger marker's is kept.

    Raises
    ------
    ParameterError
        If a pair is not of that form.
    ColumnError
        If a column is missing.

    Examples
    --------
    >>> markers = pl.DataFrame(
    ...     {"segment": ["S1"], "variable": ["discount_share"], "marker": [True],
    ...      "direction": ["above"], "strength": [0.6]}
    ... )
    >>> claims_of(markers, ["discount_share: thrift"])["claim"].to_list()
    ['S1 agree more: thrift']
    """
    needed = ["segment", "variable", "marker", "direction", "strength"]
    require_columns(markers.columns, needed, "the markers")
    rules = [read_claim(text) for text in pairs]
    table = pl.DataFrame(
        rules,
        schema={"variable": pl.String, "item": pl.String, "turned": pl.Boolean},
        orient="row",
    )
    said = labels or {}
    who = "segment_name" if "segment_name" in markers.columns else "segment"
    found = (
        markers.filter(pl.col("marker"))
        .join(table, on="variable")
        .sort("strength", descending=True)
        .unique(["segment", "item"], keep="first", maintain_order=True)
        .sort("segment", "item")
    )
    high = (pl.col("direction") == "above") != pl.col("turned")
    words = pl.when(high).then(pl.lit("more")).otherwise(pl.lit("less"))
    statement = pl.col("item").replace(dict(said))
    return found.select(
        "segment",
        "item",
        pl.when(high).then(pl.lit("high")).otherwise(pl.lit("low")).alias("direction"),
        "variable",
        claim=pl.format("{} agree {}: {}", who, words, statement),
    )


def read_claim(text: str) -> tuple[str, str, bool]:
    """Read a claim's variable and item, and whether the item is turned (``-item``: less)."""
    variable, colon, item = (part.strip() for part in text.partition(":"))
    turned = item.startswith("-")
    item = item.removeprefix("-").strip()
    if not (variable and colon and item):
        raise ParameterError(f"a claim is written 'variable: item', got {text!r}")
    return variable, item, turned
