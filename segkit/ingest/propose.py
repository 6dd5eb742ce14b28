"""Which column is probably which? A proposal from names and values, with what is left open."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import polars as pl

from segkit.ingest.mapping import Mapping, TableMapping
from segkit.ingest.parse import is_text
from segkit.ingest.spelling import formats, numeric_format
from segkit.ingest.words import EVENT_WORDS, TABLE_WORDS
from segkit.schema import CONTRACTS, EVENT_TYPES

# Articles and prepositions between the words that count.
SMALL = {
    *("d", "de", "del", "dell", "della", "dello", "der", "des", "di", "do"),
    *("da", "du", "dos", "das", "l", "la", "le", "les", "van", "het"),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A table's proposed mapping.

    Attributes
    ----------
    part : TableMapping
        The columns and options proposed.
    rivals : dict of str to tuple of str
        Where several columns would do for one of the contract's: all of them, best first.
    seen : dict of str to str
        Columns found by their values instead of their names.
    """

    part: TableMapping
    rivals: dict[str, tuple[str, ...]]
    seen: dict[str, str]


def plain(name: str) -> str:
    """Write a column's name as the word lists do.

    Examples
    --------
    >>> plain("InvoiceNo"), plain("Kunden-Nr."), plain("Quantité"), plain("CustomerID")
    ('invoice_no', 'kunden_nr', 'quantite', 'customer_id')
    """
    spelt = name.replace("ß", "ss")
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")):
        spelt = spelt.replace(umlaut, letters).replace(umlaut.upper(), letters.capitalize())
    bare = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", bare)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def squeezed(spelt: str) -> str:
    """Drop underscores and small words, so that 'belegnr' is 'beleg_nr'.

    Examples
    --------
    >>> squeezed("date_de_la_commande") == squeezed("date_commande")
    True
    """
    return "".join(word for word in spelt.split("_") if word not in SMALL) or spelt


def propose_table(table: str, frame: pl.DataFrame, given: Mapping) -> Proposal:
    """Propose columns, and what the values show, for one raw table."""
    # The second of two columns of one name is called "name (2)".
    names = {name: plain(re.sub(r" \(\d+\)$", "", name)) for name in frame.columns}
    fixed = given.tables.get(table, TableMapping()).columns
    chosen, rivals = _by_name(table, frame, names, fixed)
    taken = {*fixed.values(), *chosen.values()}
    seen: dict[str, str] = {}
    time = next((f.name for f in CONTRACTS[table] if f.kind == "time" and f.required), None)
    if time and time not in chosen and time not in fixed:
        dated = [n for n in frame.columns if n not in taken and _is_dated(frame[n])]
        if len(dated) == 1:
            chosen[time] = seen[time] = dated[0]
    if table == "survey":
        chosen = {
            ours: theirs
            for ours, theirs in chosen.items()
            if ours in ("customer_id", "nps", "csat")
        }
    part = TableMapping(chosen)
    return Proposal(_with_values(table, frame, part), rivals, seen)


def _by_name(
    table: str, frame: pl.DataFrame, names: dict[str, str], fixed: dict[str, str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Find columns by what they are called, and those among which the name does not decide."""
    spelt: dict[str, list[str]] = {}
    for name, bare in names.items():
        spelt.setdefault(squeezed(bare), []).append(name)
    chosen: dict[str, str] = {}
    rivals: dict[str, tuple[str, ...]] = {}
    taken = set(fixed.values())
    words = TABLE_WORDS[table]
    for strength in (0, 1):
        for ours, lists in words.items():
            if ours in chosen or ours in fixed:
                continue
            said = (f"{ours} {lists[0]}", lists[1])[strength]
            wanted = dict.fromkeys(squeezed(word) for word in said.split())
            found = [n for word in wanted for n in spelt.get(word, ()) if n not in taken]
            if not found:
                continue
            chosen[ours] = found[0]
            taken.add(found[0])
            if names[found[0]] == ours:  # only columns of this very name can rival it
                found = [n for n in found if names[n] == ours]
            if len(found) > 1 and not all(frame[n].equals(frame[found[0]]) for n in found):
                rivals[ours] = tuple(found)
    return chosen, rivals


def _is_dated(cells: pl.Series) -> bool:
    """Tell whether a column's values are dates."""
    if cells.dtype.is_temporal():
        return True
    if not is_text(cells.dtype):
        return cells.dtype.is_integer() and numeric_format(cells) == "%Y%m%d"
    sample = cells.drop_nulls().cast(pl.String).head(1000)
    if not sample.len() or not formats(sample, day_first=True):
        return False
    return bool(
        sample.str.contains(
            r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|^[^\d]{0,12}\d{1,2}[-. ]+\p{L}{2,10}"
        ).sum()
        > 0.9 * sample.len()
    )


def _with_values(table: str, frame: pl.DataFrame, part: TableMapping) -> TableMapping:
    """Add what the values show: a prefix of return orders, the words of events."""
    options = dict(part.options)
    values = dict(part.values)
    if table == "orders":
        prefix = return_prefix(frame, part)
        if prefix:
            options["return_prefix"] = prefix
        if re.search(
            r"%|pct|percent|prozent|pourcent|procent", part.columns.get("discount", "").lower()
        ):
            options["discount_unit"] = "percent"
    if table == "events" and "event_type" in part.columns:
        cells = frame[part.columns["event_type"]].drop_nulls().cast(pl.String).unique().to_list()
        meant = {cell: _event(cell) for cell in sorted(cells)}
        known = {cell: word for cell, word in meant.items() if word and word != cell}
        if known:
            values["event_type"] = known
    return TableMapping(part.columns, part.constants, values, options)


def _event(word: str) -> str | None:
    spelt = plain(word)
    return spelt if spelt in EVENT_TYPES else EVENT_WORDS.get(spelt)


def return_prefix(frame: pl.DataFrame, part: TableMapping) -> str | None:
    """Find the letters that mark return orders: numbers otherwise, and negative lines only.

    Examples
    --------
    >>> lines = pl.DataFrame({"InvoiceNo": ["536365", "C536379"], "Quantity": [6, -1]})
    >>> return_prefix(lines, TableMapping({"order_id": "InvoiceNo", "quantity": "Quantity"}))
    'C'
    """
    sign = part.columns.get("quantity") or part.columns.get("amount")
    order = part.columns.get("order_id")
    if not sign or not order or not is_text(frame.schema[order]):
        return None
    value = pl.col(sign)
    negative = (
        value.cast(pl.String).str.strip_chars().str.contains(r"^[-−(]|-$")
        if is_text(frame.schema[sign])
        else value < 0
    )
    letters = pl.col(order).cast(pl.String).str.extract(r"^([A-Za-z]{1,3})-?\d+$", 1)
    marked = (
        frame.lazy()
        .select(prefix=letters, negative=negative)
        .group_by("prefix")
        .agg(rows=pl.len(), negative=pl.col("negative").mean())
        .collect()
    )
    bare = marked.filter(pl.col("prefix").is_null())["rows"].sum()
    if bare < 0.5 * frame.height:
        return None
    found = marked.filter(pl.col("prefix").is_not_null() & (pl.col("negative") > 0.95))
    return str(found.sort("rows", descending=True)["prefix"][0]) if found.height else None
