"""Layouts of known exports (presets), recognised by their header.

Each preset is a TOML file in ``presets/``: a shop or marketing system, with the layouts of its
files. A layout names the columns that tell it, and what its columns mean.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from segkit.errors import SegkitError, SourceError
from segkit.ids import NO_CUSTOMER, read_ids
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.consents import consent_columns, consents_of_orders
from segkit.intake.lookups import email_column
from segkit.intake.mapping import PRESET_FOLDER, PRESETS, Mapping, TableMapping, lacks
from segkit.intake.store import Intake

# A column is preferred to a fuller one with this share of its values; if of orders' customers.
NEARLY, HALF = 0.9, 0.5
# The share of ids that two columns must have in common to be taken for the same ids.
LEAST_MET = 0.2
# What a sentence says of the columns that matter most.
ROLES = {
    "customer_id": "customers by",
    "order_id": "orders by",
    "amount": "amounts from",
    "refund": "refunds from",
    "event_type": "events by",
    "product_id": "products by",
    "email_consent": "consent to e-mail from",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file that a system exports."""

    preset: str  # the preset's name
    title: str  # the system's name
    kind: str  # as in "order export"
    table: str  # the contract's, that it becomes
    header: tuple[str, ...]  # columns that all such files have
    file: tuple[str, ...] = ()  # how the file's name begins, where the header alone does not tell
    # For each of the contract the source's, the preferred first.
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    # A second table in the file: ``table``, ``columns``, ``latest_by``.
    also: dict[str, Any] | None = None

    def fits(self, names: Iterable[str], file: str = "") -> bool:
        """Return whether a file with these columns and this name has the layout."""
        named = not self.file or file.lower().startswith(self.file)
        return named and set(self.header) <= set(names)


@functools.cache
def list_layouts() -> tuple[Layout, ...]:
    """Read the layouts of all presets, those with the longest header first."""
    layouts = []
    for preset in PRESETS:
        data = tomllib.loads((PRESET_FOLDER / f"{preset}.toml").read_text(encoding="utf-8"))
        for item in data["layouts"]:
            for name in ("header", "file"):
                item[name] = tuple(item.get(name, ()))
            item["columns"] = {ours: tuple(names) for ours, names in item["columns"].items()}
            layouts.append(Layout(preset, data["title"], **item))
    return tuple(sorted(layouts, key=lambda one: (-len(one.header), not one.file)))


def find_layout(names: Sequence[str], preset: str | None, file: str = "") -> Layout | None:
    """Find the layout of a file by its columns.

    Of ``preset`` None is for all, "none" for none; ``file`` is the file's name.

    Examples
    --------
    >>> layout = find_layout(["event_name", "event_timestamp", "user_pseudo_id", "platform"], None)
    >>> layout.title, layout.table
    ('Google Analytics 4', 'events')
    """
    if preset == "none":
        return None
    listed = (one for one in list_layouts() if preset in (None, one.preset))
    return next((one for one in listed if one.fits(names, file)), None)


def missing_layout(names: Sequence[str], preset: str, file: str) -> SourceError:
    """Return the error for a file that has none of the layouts of the preset that is set."""
    listed = [one for one in list_layouts() if one.preset == preset]
    near = min(listed, key=lambda one: len(set(one.header) - set(names)))
    lacking = ", ".join(name for name in near.header if name not in names) or "its name"
    return SourceError(
        f"{file}: preset = {preset!r}: expected a {near.title} {near.kind} or another of its "
        f"exports; columns not found: {lacking} (preset = 'none' reads the file by its values)"
    )


def layout_mapping(layout: Layout, frame: pl.DataFrame) -> TableMapping:
    """Choose a layout's columns in a frame.

    Of several columns for one thing, the first that is nearly as full as the fullest is taken (for
    the customers of orders, half as full: guests have no id); an empty one only where a table
    cannot be read without.
    """
    columns: dict[str, str] = {}
    for ours, names in layout.columns.items():
        present = [name for name in names if name in frame.columns]
        if not present:
            continue
        filled = {name: _filled(frame[name], is_id=ours == "customer_id") for name in present}
        most = max(filled.values())
        if most or ours in layout.header or ours == "customer_id":
            is_buyer = ours == "customer_id" and layout.table == "orders"
            least = most * (HALF if is_buyer else NEARLY)
            columns[ours] = next(name for name in present if filled[name] >= least)
    values = {name: words for name, words in layout.values.items() if name in columns}
    return TableMapping(columns, dict(layout.constants), values, dict(layout.options))


def _filled(cells: pl.Series, *, is_id: bool) -> int:
    """Count the cells that hold something."""
    if not is_text(cells.dtype):
        return cells.len() - cells.null_count()
    text = cells.cast(pl.String).str.strip_chars().str.to_lowercase()
    empty = list(NO_CUSTOMER) if is_id else [""]
    return int((text.is_not_null() & ~text.is_in(empty)).sum())


def count_met(cells: pl.Series, ids: pl.Series) -> int:
    """Count the distinct ids of a column that occur among other ids."""
    if cells.dtype.is_nested():
        return 0
    own = read_ids(cells).drop_nulls().unique()
    return int(own.is_in(ids.implode()).sum())


def describe_layout(layout: Layout, part: TableMapping) -> str:
    """Write what a file was recognised as, and by which columns it is read."""
    article = "an" if layout.title[0] in "AEIOU" else "a"
    roles = [f"{text} {part.columns[n]!r}" for n, text in ROLES.items() if n in part.columns]
    return (
        f"This looks like {article} {layout.title} {layout.kind}: {', '.join(roles)} "
        '(preset = "none" reads it by its values instead)'
    )


def second_table(layout: Layout, frame: pl.DataFrame) -> tuple[str, pl.DataFrame] | None:
    """Build the second table that a file holds: one row per customer, as last stated.

    Its columns have the contract's names.
    """
    if layout.also is None:
        return None
    also = Layout(
        layout.preset, layout.title, layout.also["kind"], layout.also["table"], (),
        columns={"customer_id": tuple(layout.also["customer_id"])}
        | {ours: tuple(names) for ours, names in layout.also["columns"].items()},
    )  # fmt: skip
    columns = layout_mapping(also, frame).columns
    if set(columns) <= {"customer_id", "email"}:
        return None
    latest = layout.also["latest_by"]
    rows = frame.select(
        *(pl.col(theirs).alias(ours) for ours, theirs in columns.items() if ours != "customer_id"),
        customer_id=pl.Series(read_ids(frame[columns["customer_id"]])),
        __order=pl.col(latest).cast(pl.String),
    ).drop_nulls("customer_id")
    return also.table, _latest_stated(rows, "__order")


def _latest_stated(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Give each customer what its latest row says, of the rows that say it."""
    names = [name for name in rows.columns if name not in ("customer_id", *by)]
    by_customer = rows.sort(*by, maintain_order=True).group_by("customer_id", maintain_order=True)
    return by_customer.agg(pl.col(names).drop_nulls().last())


def add_contacts(taken: Intake) -> Intake:
    """Add addresses and consents that the order lines state, where no table of customers does.

    A customer's address and consent are those of its latest order that states them; of a consent
    and a refusal at one time the refusal. Of rejected lines only a refusal counts.

    Examples
    --------
    >>> from segkit.intake import clean_data
    >>> lines = pl.DataFrame({"customer_id": ["a", "a"], "amount": [9.5, 3.5],
    ...     "order_date": ["2024-05-01", "2024-06-01"], "E-Mail": ["ann@x.org"] * 2,
    ...     "Newsletter": ["ja", "nein"]})
    >>> add_contacts(clean_data(lines)).customers.select("email", "marketing_consent").rows()
    [('ann@x.org', False)]
    """
    from segkit.intake.clean import clean_data

    raw = (taken.raw or {}).get("orders")
    known = taken.customers
    if taken.orders is None or raw is None or (known is not None and "email" in known.columns):
        return taken
    frame = raw.lazy().collect()
    columns = Columns("orders", frame, taken.mapping)
    email = email_column(columns)
    latest = consents_of_orders(columns, taken.orders, taken.rejects["orders"])
    latest = latest.join(taken.orders, on="customer_id", how="semi")
    if email is not None:
        stated = frame.select(email=email).with_row_index("source_row")
        rows = taken.orders.select("customer_id", "order_time", "source_row").join(
            stated.cast({"source_row": pl.Int64}), on="source_row"
        )
        addresses = _latest_stated(rows, "order_time", "source_row")
        latest = addresses.join(latest, on="customer_id", how="left")
    if latest.width < 2:
        return taken
    mapping = Mapping({"customers": TableMapping({name: name for name in latest.columns})})
    try:
        customers = clean_data({"customers": latest}, mapping).customers
    except SegkitError:  # an address column of another kind
        return taken
    if known is not None and customers is not None and "email" in customers.columns:
        addresses = customers.select("customer_id", "email")
        customers = known.join(addresses, on="customer_id", how="left", maintain_order="left")
    elif customers is None or known is not None:
        return taken
    named = [*([email] if email else []), *consent_columns(columns)]
    note = f"customers: {', '.join(map(repr, named))} of the order lines, the latest stated"
    return replace(
        taken, tables={**taken.tables, "customers": customers}, notes=(*taken.notes, note)
    )


def preset_part(
    table: str, frame: pl.DataFrame, given: Mapping, file: str = ""
) -> tuple[Layout, TableMapping] | None:
    """Return the layout and the mapping that a preset gives a table.

    None if no preset fits, or if the given mapping is complete and sets no preset.
    """
    preset = given.option(table, "preset")
    own = given.tables.get(table, TableMapping())
    if preset is None and own.columns and not lacks(table, own):
        return None
    layout = find_layout(frame.columns, preset, file)
    if layout is None or layout.table != table:
        return None
    return layout, layout_mapping(layout, frame)


def preset_mapping(raw: Map[str, pl.DataFrame], given: Mapping) -> Mapping:
    """Return what the presets say of raw tables, as a mapping under the given one."""
    parts = {name: preset_part(name, frame, given) for name, frame in raw.items()}
    return Mapping({name: part[1] for name, part in parts.items() if part is not None})


def match_customer_columns(
    raw: Map[str, pl.DataFrame], mapping: Mapping, given: Mapping
) -> Mapping:
    """Let customers and events be told by the column that holds the orders' customers.

    Changed is only a column that the given mapping does not name and that meets none of them: a
    contact's own id where orders go by e-mail address, or the reverse. Contacts without any go by
    their address.
    """
    orders = mapping.tables.get("orders", TableMapping()).columns.get("customer_id")
    if "orders" not in raw or orders is None or raw["orders"].schema[orders].is_nested():
        return mapping
    ids = read_ids(raw["orders"][orders]).drop_nulls().unique()
    tables = dict(mapping.tables)
    for table in ("customers", "events", "survey", "assignments"):
        if table not in raw or "customer_id" in given.tables.get(table, TableMapping()).columns:
            continue
        part, frame = tables[table], raw[table]
        now = part.columns.get("customer_id")
        if now is not None and count_met(frame[now], ids):
            continue
        met = {name: count_met(frame[name], ids) for name in _id_columns(table, frame)}
        best = max(met, key=lambda name: met[name], default=None)
        enough = best and met[best] >= LEAST_MET * min(ids.len(), frame[best].n_unique())
        address = part.columns.get("email") if table == "customers" and now is None else None
        told_by = best if enough else address
        if told_by:
            tables[table] = replace(part, columns={**part.columns, "customer_id": told_by})
    return replace(mapping, tables=tables)


def _id_columns(table: str, frame: pl.DataFrame) -> list[str]:
    """List the columns that could tell a customer: addresses, or distinct in nearly every row."""
    names = []
    for name, dtype in frame.schema.items():
        if not (is_text(dtype) or dtype.is_integer()):
            continue
        cells = frame[name].drop_nulls()
        is_distinct = table != "events" and cells.n_unique() >= NEARLY * max(cells.len(), 1)
        addresses = is_text(dtype) and cells.head(100).cast(pl.String).str.contains("@").all()
        if cells.len() and (is_distinct or addresses):
            names.append(name)
    return names


def words_of(values: Map[str, Any]) -> dict[str, str]:
    """Write the meanings of words as cells do ("true", "sale")."""
    return {
        str(word): str(meant).lower() if isinstance(meant, bool) else str(meant)
        for word, meant in values.items()
    }
