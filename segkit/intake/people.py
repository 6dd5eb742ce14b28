"""Customers behind raw rows: linked identifiers, consent, erasure, pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import MappingError, SourceError, require_columns
from segkit.frames import from_memory, take_frame
from segkit.ids import ids_of, read_ids, unmatched
from segkit.intake.columns import Columns
from segkit.intake.lookups import email_column
from segkit.intake.mapping import Mapping
from segkit.intake.textfiles import read_utf8

# Column of rejects that holds the customer as intake understood it, for `trace`.
WHO = "resolved_customer_id"
# How a note on consent begins; the audit quotes such notes.
CONSENT = "consent to profiling is"
UNLINKED = "such ids stay as they are"  # ends a note on ids that the links do not have
IDENTIFIERS = ("email", "device_id", "loyalty_id")
# Columns that name a person, or a home: not kept beside a pseudonym.
IDENTIFYING = (*IDENTIFIERS, "phone", "company", "latitude", "longitude")


@dataclass(frozen=True, slots=True)
class People:
    """Customers as known before their orders are read: links, erasure, consent, births.

    Attributes
    ----------
    links : polars.DataFrame or None
        ``identifier``, ``customer_id``, ``kind``: which customer each identifier belongs to.
    erased, refused : polars.Series
        Customer ids to be erased; and those without profiling consent.
    births : polars.DataFrame or None
        ``customer_id``, ``birth_date``, where known.
    met : list of polars.Series
        Collects the erased ids that occur in the tables.
    allowed : polars.Series or None
        The customers who may be profiled, if missing consent counts as refusal.
    """

    links: pl.DataFrame | None
    erased: pl.Series
    refused: pl.Series
    births: pl.DataFrame | None = None
    met: list[pl.Series] = field(default_factory=list)
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
    frame = from_memory(frame.to_frame() if hasattr(frame, "to_frame") else frame)
    require_columns(frame.columns, ["identifier", "customer_id"], "identities")
    named = next((n for n in ("identifier_type", "kind") if n in frame.columns), None)
    linked: pl.DataFrame = frame.select(
        ids_of(frame.get_column("identifier"), "identities.identifier").alias("identifier"),
        ids_of(frame.get_column("customer_id"), "identities.customer_id").alias("customer_id"),
        (pl.col(named) if named else pl.lit(None)).cast(pl.String).alias("kind"),
    )
    whole = linked.drop_nulls(["identifier", "customer_id"])
    return whole.unique(["kind", "identifier"], keep="first", maintain_order=True)


def customers_of(columns: Columns, people_links: pl.DataFrame | None) -> pl.DataFrame:
    """Return the customer of each raw row, by its id or else by its linked identifiers.

    ``__unlinked`` says whether the row has only an unknown identifier.
    """
    given = columns.id("customer_id") if columns.has("customer_id") else pl.lit(None, pl.String)
    # With the row numbers, so that a constant fills all rows.
    ids = columns.raw.select(pl.int_range(pl.len()), given.alias("customer_id"))["customer_id"]
    if people_links is None:
        return ids.to_frame().with_columns(__unlinked=pl.lit(value=False))
    linked = _look_up(ids, people_links, "customer_id")
    _note_unlinked(columns, ids, linked, people_links)
    customers = linked.zip_with(linked.is_not_null(), ids)
    offered = customers.is_not_null()
    for name in IDENTIFIERS:
        if columns.source(name) is not None:
            keys = columns.raw.select(columns.id(name)).to_series()
            offered = offered | keys.is_not_null()
            found = _look_up(keys, people_links, name)
            customers = customers.zip_with(customers.is_not_null(), found)
    unlinked = offered & customers.is_null()
    return pl.DataFrame({"customer_id": customers, "__unlinked": unlinked})


def _note_unlinked(
    columns: Columns, given: pl.Series, linked: pl.Series, links: pl.DataFrame
) -> None:
    """Note how many ids are not in the links, if the links contain customer ids."""
    linked_ids = links.filter(names_customers())["identifier"]
    without = given.filter(given.is_not_null() & linked.is_null()).unique()
    if linked_ids.len() and without.len():
        given_ids = pl.concat([without, given.filter(linked.is_not_null()).unique()])
        message = unmatched(given_ids, linked_ids, "its customer_id", "the linked ids")
        columns.notes.append(f"{columns.table}: {message}; {UNLINKED}")


def match_lists(
    listed: pl.DataFrame, people: People, clean: Map[str, pl.DataFrame], rejects: int
) -> list[str]:
    """Note which lists and tables match no customer, or only some.

    ``listed`` are the ids to be erased (``id``), with who each is after linking (``customer_id``);
    ``rejects`` is how many rows were erased.
    """
    messages = []
    if listed.height:
        erased_ids_seen = pl.concat([pl.Series("id", [], dtype=pl.String), *people.met]).unique()
        hit = pl.col("id").is_in(erased_ids_seen.implode()) | pl.col("customer_id").is_in(
            erased_ids_seen.implode()
        )
        without = listed.filter(~hit)["id"]
        found_ids = listed["id"].n_unique() - without.n_unique()
        left = [frame["customer_id"] for frame in clean.values() if "customer_id" in frame.columns]
        lacking = unmatched(without, pl.concat(left), "the erasure list", "the customers")
        messages.append(
            f"erasure list: {number(found_ids)} of {counted(listed['id'].n_unique(), 'id')} found, "
            f"{counted(rejects, 'row')} erased" + (f"; {lacking}" if lacking else "")
        )
    orders = clean.get("orders")
    for name in ("customers", "survey", "assignments", "events"):
        table = clean.get(name)
        if orders is None or table is None or not table.height or not orders.height:
            continue
        theirs = table["customer_id"].unique()
        if not orders["customer_id"].is_in(theirs.implode()).any():
            near = unmatched(theirs, orders["customer_id"], name, "the orders")
            messages.append(f"{name}: {near}: do they mean the same customers?")
    return messages


def names_customers() -> pl.Expr:
    """Return which links are of customer ids, and of no address, device or card."""
    return ~pl.col("kind").is_in(IDENTIFIERS).fill_null(value=False)


def match_by_address(
    columns: Columns, orders: pl.DataFrame, clean: Map[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """Let contacts that no order names be the customers whose orders state their address.

    One address of several customers speaks for each of them; of several contacts of one customer
    a refusal holds.
    """
    customers, column = clean.get("customers"), email_column(columns)
    if customers is None or column in (None, columns.source("customer_id")):
        return {}
    own = customers["customer_id"]
    address = read_ids(customers.get_column("email", default=own)).fill_null(own)
    stated = pl.DataFrame({"address": read_ids(columns.cells(column))})
    pairs = stated.with_row_index("source_row").cast({"source_row": pl.Int64})
    pairs = pairs.join(orders.select("source_row", buyer="customer_id"), on="source_row")
    pairs = pairs.filter(pl.col("address").str.contains("@")).unique(["address", "buyer"])
    pairs = pairs.filter(~pl.col("buyer").is_in(own.implode()))
    unmet = ~own.is_in(orders["customer_id"].implode())
    found = customers.with_columns(address=address).filter(unmet).join(pairs, on="address")
    if not found.height:
        return {}
    columns.notes.append(
        f"customers: {counted(found['buyer'].n_unique(), 'customer')} of the orders "
        "told by the e-mail address of their orders"
    )
    consents = [name for name in found.columns if name.endswith("_consent")]
    matched = found.with_columns(
        *(pl.col(name).min().over("buyer") for name in consents), customer_id="buyer"
    ).unique("buyer", keep="first", maintain_order=True)
    left = customers.filter(~own.is_in(found["customer_id"].implode()))
    return {"customers": pl.concat([left, matched.select(left.columns)])}


def _look_up(keys: pl.Series, links: pl.DataFrame, kind: str) -> pl.Series:
    """Find the customers of identifiers of one kind (cards are not read as customer ids)."""
    is_kind = (pl.col("kind") == kind).fill_null(value=True)
    ours = links.filter(names_customers() if kind == "customer_id" else is_kind)
    ours = ours.unique("identifier", keep="first", maintain_order=True).drop("kind")
    frame = keys.alias("identifier").to_frame()
    joined = frame.join(ours, on="identifier", how="left", maintain_order="left")
    return joined["customer_id"]


def erased_ids(erase: Any, file: str | None, base: Path | None = None) -> pl.Series:
    """Gather the ids to be erased from an argument and from the mapping's file.

    Raises
    ------
    SourceError
        If the file is not there.
    """
    given: Any = [] if erase is None else take_frame(erase, "the erasure list")
    if isinstance(erase, str | Path):
        file, given = str(erase), []
    if isinstance(given, pl.LazyFrame):
        given = given.collect()
    if isinstance(given, pl.DataFrame):
        given = given.get_column(
            "customer_id" if "customer_id" in given.columns else given.columns[0]
        )
    ids = ids_of(given, "the erasure list").to_list()
    if file:
        path = Path(file) if Path(file).is_absolute() or base is None else base / file
        if not path.is_file():
            raise SourceError(f"expected an erasure list (one customer id per line) at {path.name}")
        lines = read_utf8(path, Mapping(), "customers", []).decode().splitlines()
        cells = [line.split(",")[0].strip().strip('"') for line in lines]
        listed = [cell for cell in cells if cell and cell.lower() != "customer_id"]
        ids += ids_of(pl.Series(listed, dtype=pl.String), path.name).to_list()
    unique_ids = {item for item in ids if item is not None}
    return pl.Series("customer_id", sorted(unique_ids), dtype=pl.String)


def pseudonyms(ids: pl.Series, variable: str) -> pl.DataFrame:
    """Map customer ids to keyed hashes (HMAC-SHA256, first 128 bits in hexadecimal).

    Raises
    ------
    MappingError
        If the environment variable that should hold the key is empty or not set.
    """
    key = os.environ.get(variable, "")
    if not key:
        raise MappingError(
            f"pseudonymise = {variable!r}: expected a key in that environment variable, found none"
        )
    unique = ids.drop_nulls().unique()
    secret = key.encode()
    hashed = [hmac.new(secret, item.encode(), hashlib.sha256).hexdigest()[:32] for item in unique]
    return pl.DataFrame(
        {"customer_id": unique, "pseudonym": hashed},
        schema={"customer_id": pl.String, "pseudonym": pl.String},
    )


def pseudonymised(
    clean: dict[str, pl.DataFrame],
    rejects: dict[str, pl.DataFrame],
    mapping: Mapping,
    notes: list[str],
) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """Replace customer ids by keyed hashes, and drop other columns that identify a person."""
    variable = mapping.options.get("pseudonymise")
    if not variable:
        return clean, rejects
    with_ids = [frame["customer_id"] for frame in clean.values() if "customer_id" in frame.columns]
    with_ids += [frame[WHO].alias("customer_id") for frame in rejects.values()]
    table = pseudonyms(pl.concat(with_ids), variable)

    def hidden(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        """Replace ids by their hashes; null for any other."""
        hashes = table["pseudonym"]
        ids = pl.col(name).replace_strict(
            table["customer_id"], hashes, default=None, return_dtype=pl.String
        )
        return frame.with_columns(ids)

    tables = dict(clean)
    for name, frame in clean.items():
        if "customer_id" in frame.columns:
            kept = [column for column in frame.columns if column not in IDENTIFYING]
            tables[name] = hidden(frame, "customer_id").select(kept)
        if name == "orders":
            tables[name] = _hide_made_ids(tables[name], frame)
    notes.append(
        f"customer ids are pseudonyms (HMAC-SHA256 with the key in {variable}); e-mail, phone, "
        "device and card numbers are dropped, rejects keep only row and reason, raw rows are "
        "not kept"
    )
    bare = {name: frame.select("source_row", "reason", WHO) for name, frame in rejects.items()}
    return tables, {name: hidden(frame, WHO) for name, frame in bare.items()}


def _hide_made_ids(lines: pl.DataFrame, original: pl.DataFrame) -> pl.DataFrame:
    """Rewrite order ids that intake made from the customer's id."""
    order, customer = pl.col("order_id"), pl.col("customer_id")
    made = (order.str.starts_with(customer + sign) for sign in "@#")
    is_made = original.select(pl.any_horizontal(made).fill_null(value=False)).to_series()
    ids = pl.concat_str(customer, order.str.extract(r"([@#][^@#]*)$", 1))
    return lines.with_columns(order_id=pl.when(is_made).then(ids).otherwise(order))
