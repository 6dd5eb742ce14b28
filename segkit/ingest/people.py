"""Who is this row about, and may it be used? Identities, consent, erasure, pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from segkit.errors import SourceError, require_columns
from segkit.ingest.columns import Columns

IDENTIFIERS = ("email", "device_id", "loyalty_id")


@dataclass(frozen=True, slots=True)
class People:
    """What intake knows about customers before it reads their orders.

    Attributes
    ----------
    links : polars.DataFrame or None
        ``identifier``, ``customer_id``, ``kind``: which customer each identifier belongs to.
    erased, refused : polars.Series
        Customer ids to be erased; and those without profiling consent.
    births : polars.DataFrame or None
        ``customer_id``, ``birth_date``, where known.
    allowed : polars.Series or None
        Where silence counts as refusal: the only customers who may be profiled.
    """

    links: pl.DataFrame | None
    erased: pl.Series
    refused: pl.Series
    births: pl.DataFrame | None = None
    allowed: pl.Series | None = None


def links_from(identities: Any) -> pl.DataFrame | None:
    """Turn identities (a frame, or a result with ``to_frame``) into identifier and customer.

    Raises
    ------
    ColumnError
        If the columns ``identifier`` and ``customer_id`` are not both there.
    """
    if identities is None:
        return None
    frame: Any = identities
    for name in ("mapping", "frame"):
        inner = getattr(identities, name, None)
        if not isinstance(identities, pl.DataFrame) and isinstance(inner, pl.DataFrame):
            frame = inner
            break
    if not isinstance(frame, pl.DataFrame):
        frame = identities.to_frame()
    require_columns(frame.columns, ["identifier", "customer_id"], "identities")
    named = next((n for n in ("identifier_type", "kind") if n in frame.columns), None)
    linked: pl.DataFrame = frame.select(
        _tidy(pl.col("identifier")),
        pl.col("customer_id").cast(pl.String),
        (pl.col(named) if named else pl.lit(None)).cast(pl.String).alias("kind"),
    )
    whole = linked.drop_nulls(["identifier", "customer_id"])
    return whole.unique(["kind", "identifier"], keep="first", maintain_order=True)


def _tidy(column: pl.Expr) -> pl.Expr:
    trimmed = column.cast(pl.String).str.strip_chars()
    mail = trimmed.str.contains("@", literal=True)
    return pl.when(mail).then(trimmed.str.to_lowercase()).otherwise(trimmed)


def customers_of(columns: Columns, people_links: pl.DataFrame | None) -> pl.DataFrame:
    """Name the customer of each raw row, by its id or else by its linked identifiers.

    Returns
    -------
    polars.DataFrame
        ``customer_id`` and ``__unlinked``: whether only an unknown identifier is there.
    """
    given = columns.id("customer_id") if columns.has("customer_id") else pl.lit(None, pl.String)
    frame = columns.raw.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("source_row"), given.alias("customer_id")
    )
    if people_links is None:
        return frame.select("customer_id", __unlinked=pl.lit(value=False))
    linked = _look_up(frame["customer_id"], people_links, "customer_id")
    who = pl.DataFrame({"id": frame["customer_id"], "linked": linked}).select(
        pl.coalesce("linked", "id")
    )
    found = who.to_series().alias("customer_id")
    offered = found.is_not_null()
    for name in IDENTIFIERS:
        if columns.source(name) is None:
            continue
        keys = columns.raw.select(columns.id(name)).to_series()
        offered = offered | keys.is_not_null()
        found = found.zip_with(found.is_not_null(), _look_up(keys, people_links, name))
    return pl.DataFrame(
        {"customer_id": found.alias("customer_id"), "__unlinked": offered & found.is_null()}
    )


def _look_up(keys: pl.Series, links: pl.DataFrame, kind: str) -> pl.Series:
    """Find the customers of identifiers of one kind; a card is never taken for a customer id."""
    if kind == "customer_id":
        ours = links.filter(~pl.col("kind").is_in(IDENTIFIERS).fill_null(value=False))
    else:
        ours = links.filter((pl.col("kind") == kind).fill_null(value=True))
    ours = ours.unique("identifier", keep="first", maintain_order=True).drop("kind")
    frame = keys.alias("identifier").to_frame().select(_tidy(pl.col("identifier")))
    joined = frame.join(ours, on="identifier", how="left", maintain_order="left")
    return joined["customer_id"]


def erased_ids(erase: Any, file: str | None, base: Path | None = None) -> pl.Series:
    """Gather the ids to be erased from an argument and from the mapping's file.

    Raises
    ------
    SourceError
        If the file is not there.
    """
    ids: list[str] = []
    given: Iterable[Any] = [] if erase is None else erase
    if isinstance(erase, str | Path):
        file, given = str(erase), []
    if isinstance(erase, pl.DataFrame):
        given = erase.get_column(
            "customer_id" if "customer_id" in erase.columns else erase.columns[0]
        )
    ids += [str(item).strip() for item in given if item is not None]
    if file:
        path = Path(file) if Path(file).is_absolute() or base is None else base / file
        if not path.is_file():
            raise SourceError(f"expected an erasure list (one customer id a line) at {path.name}")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        cells = [line.split(",")[0].strip().strip('"') for line in lines]
        ids += [cell for cell in cells if cell and cell.lower() != "customer_id"]
    return pl.Series("customer_id", sorted(set(ids)), dtype=pl.String)
