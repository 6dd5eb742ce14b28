"""From raw tables to clean ones: one call, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, MappingError
from segkit.ids import fold_ids
from segkit.ingest.columns import Columns
from segkit.ingest.mapping import Mapping, lacks
from segkit.ingest.orders import clean_orders, read_orders
from segkit.ingest.people import IDENTIFIERS, People, erased_ids, links_from, match_lists
from segkit.ingest.pseudonyms import pseudonymised
from segkit.ingest.readers import gather
from segkit.ingest.settle import WHO
from segkit.ingest.tables import clean_events, clean_table, read_events, read_table
from segkit.ledger import Ledger, Part, Step
from segkit.schema import CONTRACTS, fields, validate

if TYPE_CHECKING:
    from segkit.ingest.trace import Trace

TABLES = tuple(CONTRACTS)
# Orders and events come after what they are checked against.
ORDER = ("fx", "customers", "products", "prices", "campaigns", "survey", "assignments", "events")


@dataclass(frozen=True, slots=True)
class Reading:
    """A raw table read column by column, before it is known whom its rows are about.

    Attributes
    ----------
    columns : Columns
        The raw rows with their mapping; its notes say what was changed in reading.
    frame : polars.DataFrame
        One row a raw row: the contract's columns and helpers that rules ask for.
    """

    columns: Columns
    frame: pl.DataFrame


def read_columns(
    table: str, raw: pl.DataFrame, mapping: Mapping, first_line: int | None = None
) -> Reading:
    """Read a raw table's columns; nothing here depends on identities, consent or erasure."""
    columns = Columns(table, raw, mapping, first_line=first_line)
    frame = {"orders": read_orders, "events": read_events}.get(table, read_table)(columns)
    if "customer_id" in fields(table) and columns.has("customer_id"):
        columns.id("customer_id")  # read once, and what it changes noted among the first
    columns.release()
    return Reading(columns, frame)


@dataclass(frozen=True, slots=True, eq=False)
class Intake:
    """Clean tables, with the account of how they came to be.

    Attributes
    ----------
    tables : mapping of str to polars.DataFrame
        The clean tables by name; `orders`, `events` ... give them, or None. After `open` each is
        read when it is first asked for.
    rejects : mapping of str to polars.DataFrame
        For each table the rows set apart: ``source_row``, ``reason``,
        ``resolved_customer_id`` and the raw columns (those of erased customers are blank).
    ledger : Ledger
        Every row and every penny accounted for.
    mapping : Mapping
        The mapping as used.
    notes : tuple of str
        What was changed or assumed without setting rows apart.
    raw : dict of str to (polars.DataFrame or polars.LazyFrame), or None
        The raw tables, for `trace` (lazy after `open`); None where a folder holds none.
    """

    tables: Map[str, pl.DataFrame]
    rejects: Map[str, pl.DataFrame]
    ledger: Ledger
    mapping: Mapping
    notes: tuple[str, ...] = ()
    raw: Map[str, pl.DataFrame | pl.LazyFrame] | None = None

    @property
    def orders(self) -> pl.DataFrame | None:
        """Clean order lines: sales and returns."""
        return self.tables.get("orders")

    @property
    def events(self) -> pl.DataFrame | None:
        """Clean events."""
        return self.tables.get("events")

    @property
    def customers(self) -> pl.DataFrame | None:
        """One row a customer."""
        return self.tables.get("customers")

    @property
    def products(self) -> pl.DataFrame | None:
        """One row a product."""
        return self.tables.get("products")

    @property
    def prices(self) -> pl.DataFrame | None:
        """Prices by product and first day."""
        return self.tables.get("prices")

    @property
    def fx(self) -> pl.DataFrame | None:
        """Rates to the reporting currency by first day."""
        return self.tables.get("fx")

    @property
    def campaigns(self) -> pl.DataFrame | None:
        """One row a campaign."""
        return self.tables.get("campaigns")

    @property
    def survey(self) -> pl.DataFrame | None:
        """One row a respondent."""
        return self.tables.get("survey")

    @property
    def assignments(self) -> pl.DataFrame | None:
        """Which customer was drawn into which arm."""
        return self.tables.get("assignments")

    def trace(self, customer_id: str) -> Trace:
        """Which raw rows stand behind this customer? See `segkit.ingest.trace.Trace`."""
        from segkit.ingest.trace import trace_customer

        return trace_customer(self, customer_id)

    def save(
        self, folder: Path | str, *, private: Path | str | None = None, owner: Path | None = None
    ) -> Path:
        """Write the clean tables, rejects, ledger and mapping to a folder; return it.

        With ``private``, raw rows and rejects are kept in a store there, on behalf of the run
        ``owner``; see `segkit.ingest.store.save_intake`.
        """
        from segkit.ingest.store import save_intake

        root = None if private is None else Path(private)
        return save_intake(self, Path(folder), private=root, owner=owner)

    @classmethod
    def open(cls, folder: Path | str) -> Intake:
        """Read back what `save` wrote."""
        from segkit.ingest.store import open_intake

        return open_intake(Path(folder))

    def __str__(self) -> str:
        return self.ledger.text

    def _repr_html_(self) -> str:
        return self.ledger._repr_html_()


def intake(
    source: Any = None,
    mapping: Mapping | Map[str, Any] | Path | str | None = None,
    *,
    erase: Any = None,
    identities: Any = None,
    as_of: date | None = None,
) -> Intake:
    """Which rows can be trusted? Clean raw tables, and account for every row.

    Parameters
    ----------
    source : frame, path, dict of str to (frame or path), or Source
        Order lines as a Polars or pandas frame or a file, several tables by name, a folder of
        files named after their tables, or what `segkit.load_source` gives. None: the files that
        the mapping names. An `Audit`: what it has read, by its mapping, without reading it again.
    mapping : Mapping, dict, path or None
        None proposes one from names and values. A mapping that lacks required columns is laid
        over the proposal, so that one line can answer one question.
    erase : iterable, frame or path, optional
        Customer ids to be erased from every table.
    identities : frame or result, optional
        ``identifier``, ``customer_id``: customers by e-mail address, device or card.
    as_of : datetime.date, optional
        Orders and events after this day are set apart.

    Returns
    -------
    Intake

    Raises
    ------
    SourceError
        If a file is missing or cannot be read.
    MappingError
        If the mapping names a column or option that is not there.
    DataError
        If a question that changes the numbers is open (the data gate), or there are no rows.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", None], "order_time": ["2024-05-01"] * 2,
    ...                       "amount": ["12.50", "1.00"]})
    >>> taken = intake(lines)
    >>> taken.orders.height, taken.ledger.reasons()
    (1, {'missing_customer_id': 1})
    """
    from segkit.ingest.audit import Audit, settle_mapping

    found = gather(source, mapping)
    raw = found.raw
    audited = source.audited if isinstance(source, Audit) and mapping is None else None
    if audited is None:
        used, asked = settle_mapping(raw, found.given)
    else:
        used, asked = found.given, audited.questions
    questions = [question for question in asked if question.severity == "block"]
    if as_of is not None:
        used = used.with_option(None, "as_of", as_of.isoformat())
    if questions:
        raise DataError(
            "the data gate is shut; "
            + "; ".join(f"{q.finding} Answer with: {q.answer}" for q in questions)
            + " (in a mapping file, or as mapping={...} in the call)"
        )
    for name, frame in raw.items():
        used.check_columns(name, frame)
        missing = lacks(name, used.tables[name])
        if missing:
            raise MappingError(
                f"[{name}.columns] lacks {', '.join(missing)}; "
                f"the source has: {', '.join(frame.columns)}"
            )
    if "orders" in raw and not raw["orders"].height:
        raise DataError("orders holds no rows; expected at least one order line")
    taken = run(
        raw,
        used,
        erase=erase,
        identities=identities,
        base=found.base,
        first_lines=found.first_lines,
        said=found.notes,
        readings=None if audited is None else audited.readings,
    )
    if taken.orders is not None and not taken.orders.height:
        raise DataError(f"no order line is left: {taken.ledger.text}")
    return taken


def run(
    raw: dict[str, pl.DataFrame],
    mapping: Mapping,
    *,
    erase: Any = None,
    identities: Any = None,
    base: Path | None = None,
    first_lines: Map[str, int] | None = None,
    said: tuple[str, ...] = (),
    readings: dict[str, Reading] | None = None,
) -> Intake:
    """Clean raw tables by a complete mapping, without asking anything; see `intake`.

    Of ``readings``, what the tables hold as read already, each is taken out as it is used.
    """
    notes = list(said)
    links = links_from(identities)
    nobody = pl.Series("customer_id", [], dtype=pl.String)
    erased = erased_ids(erase, mapping.options.get("erase_file"), base)
    if mapping.options.get("similar_ids") == "join":
        erased = erased.to_frame("id").select(fold_ids(pl.col("id"))).to_series().unique()
        links = None if links is None else _folded(links)
    listed = pl.DataFrame({"id": erased, "customer_id": erased})
    if links is not None and erased.len():
        also = links.filter(pl.col("identifier").is_in(erased.implode()))
        linked = also.select(id="identifier", customer_id="customer_id").unique("id")
        listed = listed.select("id").join(linked, on="id", how="left")
        erased = pl.concat([erased.alias("customer_id"), also["customer_id"]]).unique()
    people = People(links, erased, nobody)
    if mapping.option("customers", "consent_default") == "refused" and _enforced(mapping):
        people = replace(people, allowed=nobody)
    clean: dict[str, pl.DataFrame] = {}
    rejects: dict[str, pl.DataFrame] = {}
    steps: list[Step] = []
    parts: tuple[Part, ...] = ()
    for name in (*ORDER, "orders"):
        if name not in raw:
            continue
        reading = (readings or {}).pop(name, None)
        if reading is None:
            reading = read_columns(name, raw[name], mapping, (first_lines or {}).get(name))
        notes += reading.columns.notes
        columns = replace(reading.columns, mapping=mapping, notes=notes)
        if name == "orders":
            lines = clean_orders(columns, reading.frame, people, clean.get("fx"))
            frame, settled, parts = lines.frame, lines.settled, lines.parts
        else:
            clean_rows = clean_events if name == "events" else clean_table
            cleaned = clean_rows(columns, reading.frame, people)
            frame, settled = cleaned.frame, cleaned.settled
            if name == "customers":
                people = _with_customers(people, cleaned.frame, cleaned.refused)
        clean[name], rejects[name] = validate(name, frame), settled.rejects
        steps += settled.steps
    _note_consent(clean, rejects, mapping, notes)
    if links is None and "links" in raw:
        notes.append(
            f"links: {counted(raw['links'].height, 'row joins', 'rows join')} nobody unless "
            "identities = segkit.link_source(source) is given"
        )
    gone = sum(int((frame["reason"] == "erased").sum()) for frame in rejects.values())
    notes += match_lists(listed, people, clean, gone)
    clean, rejects = pseudonymised(clean, rejects, mapping, notes)
    ledger = Ledger(tuple(steps), parts, mapping.option("orders", "currency"), tuple(notes)).check()
    # Links are not cleaned: they hold nothing but identifiers, and no row is traced to them.
    cleaned_raw = {name: frame for name, frame in raw.items() if name in clean}
    keep_raw = None if mapping.options.get("pseudonymise") else cleaned_raw
    in_order = {name: clean[name] for name in TABLES if name in clean}
    return Intake(in_order, rejects, ledger, mapping, tuple(notes), keep_raw)


def _folded(links: pl.DataFrame) -> pl.DataFrame:
    """Give the customer ids of links the one spelling that the tables' ids are given."""
    ours = ~pl.col("kind").is_in(IDENTIFIERS).fill_null(value=False)
    one = pl.when(ours).then(fold_ids(pl.col("identifier"))).otherwise("identifier")
    return links.with_columns(fold_ids(pl.col("customer_id")), identifier=one)


def _enforced(mapping: Mapping) -> bool:
    return bool(mapping.option("customers", "consent") == "enforce")


def _with_customers(people: People, frame: pl.DataFrame, refused: pl.Series | None) -> People:
    """Add what the customers table tells: who refused, who is allowed, when they were born."""
    births = None
    if "birth_date" in frame.columns:
        births = frame.select("customer_id", "birth_date").drop_nulls()
    if refused is not None:
        people = replace(people, refused=refused)
    if people.allowed is not None and "profiling_consent" in frame.columns:
        people = replace(people, allowed=frame["customer_id"])
    return replace(people, births=births)


def _note_consent(
    clean: Map[str, pl.DataFrame],
    rejects: Map[str, pl.DataFrame],
    mapping: Mapping,
    notes: list[str],
) -> None:
    """Say how many customers have no consent to profiling recorded, and what is assumed."""
    part = mapping.tables.get("customers")
    known = part is not None and "profiling_consent" in {**part.columns, **part.constants}
    who = [clean[name]["customer_id"] for name in ("orders", "events") if name in clean]
    held = [_refused_in(rejects[name]) for name in ("orders", "events") if name in rejects]
    recorded = []
    if known and "customers" in clean:
        recorded = [clean["customers"]["customer_id"], _refused_in(rejects["customers"])]
    elif "customers" in clean:
        who.append(clean["customers"]["customer_id"])
    if not who:
        return
    everybody = pl.concat([*who, *held]).drop_nulls().unique()
    silent = everybody
    if recorded:
        silent = everybody.filter(~everybody.is_in(pl.concat(recorded).implode()))
    if silent.is_empty():
        return
    default = mapping.option("customers", "consent_default")
    other = "refused" if default == "granted" else "granted"
    told = f"{number(silent.len())} of {counted(everybody.len(), 'customer')}"
    notes.append(
        f"consent to profiling is not recorded for {told}; it is taken as {default} "
        f'(to change it: [customers] consent_default = "{other}")'
    )


def _refused_in(rejects: pl.DataFrame) -> pl.Series:
    return rejects.filter(pl.col("reason") == "no_profiling_consent")[WHO].alias("customer_id")
