"""Who is behind the id? Nobody can tell: keyed hashes in its place."""

from __future__ import annotations

import hashlib
import hmac
import os

import polars as pl

from segkit.errors import MappingError
from segkit.ingest.mapping import Mapping
from segkit.ingest.settle import WHO


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
    """Replace customer ids by keyed hashes and drop what else names a person."""
    variable = mapping.options.get("pseudonymise")
    if not variable:
        return clean, rejects
    with_ids = [frame["customer_id"] for frame in clean.values() if "customer_id" in frame.columns]
    with_ids += [frame[WHO].alias("customer_id") for frame in rejects.values()]
    table = pseudonyms(pl.concat(with_ids), variable)
    done: dict[str, pl.DataFrame] = {}
    for name, frame in clean.items():
        if "customer_id" not in frame.columns:
            done[name] = frame
            continue
        joined = frame.join(table, on="customer_id", how="left", maintain_order="left")
        named = joined.with_columns(pl.col("pseudonym").alias("customer_id"))
        made = [n for n in frame.columns if n not in ("email", "phone", "device_id", "loyalty_id")]
        done[name] = named.select(made)
        if name == "orders":
            done[name] = _hide_made_ids(done[name], frame)
    notes.append(
        f"customer ids are pseudonyms (HMAC-SHA256 with the key in {variable}); e-mail, phone, "
        "device and card numbers are dropped, rejects keep only row and reason, raw rows are "
        "not kept"
    )
    hashed = {
        name: frame.select("source_row", "reason", customer_id=WHO)
        .join(table, on="customer_id", how="left", maintain_order="left")
        .select("source_row", "reason", pl.col("pseudonym").alias(WHO))
        for name, frame in rejects.items()
    }
    return done, hashed


def _hide_made_ids(lines: pl.DataFrame, original: pl.DataFrame) -> pl.DataFrame:
    """Rewrite order ids that intake made from the customer's id."""
    made = original.select(
        pl.col("order_id").str.starts_with(pl.col("customer_id") + "@")
        | pl.col("order_id").str.starts_with(pl.col("customer_id") + "#")
    ).to_series()
    if not made.any():
        return lines
    tail = pl.col("order_id").str.extract(r"([@#][^@#]*)$", 1)
    return lines.with_columns(
        pl.when(made)
        .then(pl.concat_str("customer_id", tail))
        .otherwise("order_id")
        .alias("order_id")
    )
