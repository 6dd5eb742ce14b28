"""Intake of raw tables: one call, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError, MappingError
from segkit.intake.columns import Columns, Shared
from segkit.intake.consents import add_refusals
from segkit.intake.ledger import Ledger, Part, Step
from segkit.intake.mapping import Mapping, TableMapping, lacks
from segkit.intake.orders import clean_orders, read_orders
from segkit.intake.people import (
    CONSENT,
    WHO,
    People,
    erased_ids,
    links_from,
    match_by_address,
    match_lists,
    names_customers,
    pseudonymised,
)
from segkit.intake.questions import Finding, rest_least
from segkit.intake.readers import Gathered, gather
from segkit.intake.spellings import spell_ids
from segkit.intake.store import Intake
from segkit.intake.tables import clean_events, clean_table, read_events, read_table
from segkit.result import Result
from segkit.schema import CONTRACTS, fields, validate

TABLES = tuple(CONTRACTS)
# Orders and events come after the tables that they are checked against.
ORDER = ("fx", "customers", "products", "prices", "campaigns", "survey", "assignments", "events")


@dataclass(frozen=True, slots=True)
class Reading:
    """A raw table read column by column, before its rows are matched to customers."""

    columns: Columns  # the raw rows with their mapping, and notes on changes made in reading
    frame: pl.DataFrame  # one row per raw row: the contract's columns and helpers of rules


def read_columns(
    table: str,
    raw: pl.DataFrame,
    mapping: Mapping,
    first_line: int | None = None,
    shared: Shared | None = None,
) -> Reading:
    """Read a raw table's columns; nothing here depends on identities, consent or erasure.

    ``shared`` holds cells that are read already; it is emptied.
    """
    columns = Columns(table, raw, mapping, first_line=first_line, shared=shared or {})
    frame = {"orders": read_orders, "events": read_events}.get(table, read_table)(columns)
    if "customer_id" in fields(table) and columns.has("customer_id"):
        columns.id("customer_id")  # read once, so that its notes come first
    columns.release()
    return Reading(columns, frame)


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """The tables that an audit has read."""

    gathered: Gathered  # the raw tables, with the mapping as completed
    questions: list[Finding]  # those that are open
    readings: dict[str, Reading]  # `segkit.clean_data` removes each after use, to free memory


def clean_data(
    source: Any = None,
    mapping: Mapping | Map[str, Any] | Path | str | None = None,
    *,
    erase: Any = None,
    identities: Any = None,
    as_of: date | None = None,
    preset: str | None = None,
) -> Intake:
    """Clean raw tables, and account for every row.

    Parameters
    ----------
    source : frame, path, dict of str to (frame or path), or Source
        Order lines as a Polars or pandas frame or a file, several tables by name, a folder of
        files named after their tables or exported by a system that a preset knows, or what
        `segkit.load_source` gives. None: the files that the mapping names. An `Audit`: what it has
        read, by its mapping, without reading it again.
    mapping : Mapping, dict, path or None
        None proposes one from names and values. If the mapping lacks required columns, the proposal
        completes it, so that one line is enough to answer one question.
    erase : iterable, frame or path, optional
        Customer ids to be erased from every table.
    identities : frame or result, optional
        ``identifier``, ``customer_id``: customers by e-mail address, device or card.
    as_of : datetime.date, optional
        Orders and events after this day are rejected.
    preset : str, optional
        The layout of the export ("shopify", "klaviyo", ...), else recognised by its header;
        "none" recognises none.

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
        If a question that changes the numbers is open (the data quality gate), or there are no
        rows.

    Examples
    --------
    >>> lines = pl.DataFrame({"customer_id": ["a", None], "order_time": ["2024-05-01"] * 2,
    ...                       "amount": ["12.50", "1.00"]})
    >>> taken = clean_data(lines)
    >>> taken.orders.height, taken.ledger.reasons()
    (1, {'missing_customer_id': 1})
    """
    gathered = gather(source, mapping, preset)
    raw = gathered.raw
    audited: Audited | None = getattr(source, "audited", None) if mapping is None else None
    shared: dict[str, Shared] = {}
    questions = None if audited is None else audited.questions
    settled_mapping = complete_mapping(gathered, questions, shared)
    facts = shared.get("orders")  # what columns show stays in it
    if as_of is not None:
        settled_mapping = settled_mapping.with_option(None, "as_of", as_of.isoformat())
    result = run(
        raw,
        settled_mapping,
        erase=erase,
        identities=identities,
        base=gathered.base,
        first_lines=gathered.first_lines,
        said=gathered.notes,
        readings=None if audited is None else audited.readings,
        shared=shared,
    )
    if audited is None and "orders" in raw:
        doubt_result(raw["orders"], gathered.given, settled_mapping, result, facts)
    if result.orders is not None and not result.orders.height:
        raise DataError(f"no order line is left: {result.ledger.text}")
    return result


def complete_mapping(
    gathered: Gathered,
    questions: list[Finding] | None = None,
    shared: dict[str, Shared] | None = None,
) -> Mapping:
    """Complete the mapping of raw tables; raise what must be answered or added first.

    ``questions`` are those of an audit that has completed it already; ``shared`` collects the
    cells read, by table.
    """
    from segkit.intake.proposal import settle_mapping

    raw, mapping = gathered.raw, gathered.given
    if questions is None:
        mapping, questions = settle_mapping(raw, mapping, shared)
        questions = rest_least(questions, gathered.given)
    _ask(questions)
    for name, frame in raw.items():
        mapping.check_columns(name, frame)
        missing = lacks(name, mapping.tables[name])
        if missing:
            raise MappingError(
                f"[{name}.columns] lacks {', '.join(missing)}; "
                f"the source has: {', '.join(frame.columns)}"
            )
    if "orders" in raw and not raw["orders"].height:
        raise DataError("orders holds no rows; expected at least one order line")
    return mapping


def doubt_result(
    raw: pl.DataFrame, given: Mapping, used: Mapping, result: Intake, shared: Shared | None = None
) -> None:
    """Raise the doubts about proposed columns of orders that the clean lines raise."""
    from segkit.intake.sanity import doubt_orders

    _ask(doubt_orders(raw, given, used, result, shared=shared))


def _ask(findings: list[Finding]) -> None:
    """Raise ``DataError`` with the questions among the findings that must be answered."""
    questions = [finding for finding in findings if finding.severity == "block"]
    if questions:
        raise DataError(
            "the data quality gate is closed; "
            + "; ".join(f"{q.finding} Answer with: {q.answer}" for q in questions)
            + " (in a mapping file, or as mapping={...} in the call)"
        )


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
    shared: dict[str, Shared] | None = None,
) -> Intake:
    """Clean raw tables by a complete mapping, without questions; see `clean_data`.

    ``readings`` holds the columns read already, ``shared`` cells; each is removed after use.
    """
    notes = list(said)
    links = usable_links(identities, mapping)
    nobody = pl.Series("customer_id", [], dtype=pl.String)
    erased = erased_ids(erase, mapping.options.get("erase_file"), base)
    erased = spell_ids(erased, mapping).unique().sort()
    listed = pl.DataFrame({"id": erased, "customer_id": erased})
    if links is not None and erased.len():
        also = links.filter(pl.col("identifier").is_in(erased.implode()))
        linked = also.select(id="identifier", customer_id="customer_id").unique("id")
        listed = listed.select("id").join(linked, on="id", how="left")
        erased = pl.concat([erased.alias("customer_id"), also["customer_id"]]).unique()
    people = People(links, erased, nobody)
    in_force = mapping.option("customers", "consent") == "enforce"
    if in_force and mapping.option("customers", "consent_default") == "refused":
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
            first_line, cells = (first_lines or {}).get(name), (shared or {}).pop(name, None)
            reading = read_columns(name, raw[name], mapping, first_line, cells)
        notes += reading.columns.notes
        columns = replace(reading.columns, mapping=mapping, notes=notes)
        if name == "orders":
            cleaned = clean_orders(columns, reading.frame, people, clean.get("fx"))
            clean |= match_by_address(columns, cleaned.frame, clean)
            clean |= add_refusals(columns, cleaned.frame, cleaned.settled.rejects, clean)
        else:
            clean_rows = clean_events if name == "events" else clean_table
            cleaned = clean_rows(columns, reading.frame, people)
        if name == "customers":
            people = _with_customers(people, cleaned.frame, cleaned.refused)
        clean[name], rejects[name] = validate(name, cleaned.frame), cleaned.settled.rejects
        steps += cleaned.settled.steps
        parts += cleaned.parts
    _note_consent(clean, rejects, mapping, notes)
    if links is None and "links" in raw:
        notes.append(
            f"links: {counted(raw['links'].height, 'row joins', 'rows join')} nobody unless "
            "identities = segkit.pipeline.link_source(source) is given"
        )
    erased_rows = sum(int((frame["reason"] == "erased").sum()) for frame in rejects.values())
    notes += match_lists(listed, people, clean, erased_rows)
    clean, rejects = pseudonymised(clean, rejects, mapping, notes)
    ledger = Ledger(tuple(steps), parts, mapping.option("orders", "currency"), tuple(notes)).check()
    # Links are not cleaned: they contain only identifiers, and are not part of the trace.
    cleaned_raw = {name: frame for name, frame in raw.items() if name in clean}
    keep_raw = None if mapping.options.get("pseudonymise") else cleaned_raw
    in_order = {name: clean[name] for name in TABLES if name in clean}
    return Intake(in_order, rejects, ledger, mapping, tuple(notes), keep_raw)


def usable_links(identities: Any, mapping: Mapping) -> pl.DataFrame | None:
    """Read identities, their customer ids in the same spelling as the ids of the tables."""
    links = links_from(identities)
    if links is None:
        return None
    customers = spell_ids(links["customer_id"], mapping)
    ours = links.select(names_customers()).to_series()
    spelled = spell_ids(links["identifier"], mapping).zip_with(ours, links["identifier"])
    return links.with_columns(customer_id=customers, identifier=spelled)


def _with_customers(people: People, frame: pl.DataFrame, refused: pl.Series | None) -> People:
    """Add data of the customers table: refusals and grants of consent, birth dates."""
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
    """Note how many customers have no recorded consent to profiling, and what is assumed."""
    part = mapping.tables.get("customers", TableMapping())
    is_recorded = "profiling_consent" in {**part.columns, **part.constants}
    customer_ids = [clean[name]["customer_id"] for name in ("orders", "events") if name in clean]
    refused = [_refused_in(rejects[name]) for name in ("orders", "events") if name in rejects]
    recorded = []
    if is_recorded and "customers" in clean:
        recorded = [clean["customers"]["customer_id"], _refused_in(rejects["customers"])]
    elif "customers" in clean:
        customer_ids.append(clean["customers"]["customer_id"])
    if not customer_ids:
        return
    # Hashes of the ids, which are told apart much faster than texts, and only counted.
    everybody = pl.concat([*customer_ids, *refused]).drop_nulls().hash().unique()
    silent = everybody
    if recorded:
        silent = everybody.filter(~everybody.is_in(pl.concat(recorded).hash().implode()))
    if silent.is_empty():
        return
    default = mapping.option("customers", "consent_default")
    other = "refused" if default == "granted" else "granted"
    counts = f"{number(silent.len())} of {counted(everybody.len(), 'customer')}"
    notes.append(
        f"{CONSENT} not recorded for {counts}; it is taken as {default} "
        f'(to change it: [customers] consent_default = "{other}")'
    )


def _refused_in(rejects: pl.DataFrame) -> pl.Series:
    return rejects.filter(pl.col("reason") == "no_profiling_consent")[WHO].alias("customer_id")


@dataclass(frozen=True, slots=True, eq=False)
class CustomerCounts(Result):
    """Counts of customers, from accounts to buyers.

    Attributes
    ----------
    accounts : int or None
        Customer ids before linking; None where nothing was linked.
    customers : int or None
        Customers after linking.
    ordering : int
        Customers with an order line in the raw tables.
    kept : int
        Customers with an order line that is kept.
    buyers : int
        Customers with a sale line that is kept: the customer table's rows.
    """

    accounts: int | None
    customers: int | None
    ordering: int
    kept: int
    buyers: int

    def to_frame(self) -> pl.DataFrame:
        """Return the counts, one row each."""
        rows = {
            "accounts": self.accounts,
            "customers after linking": self.customers,
            "customers with an order line": self.ordering,
            "customers with an order line that is kept": self.kept,
            "customers who bought": self.buyers,
        }
        return pl.DataFrame({"what": list(rows), "count": list(rows.values())})

    @property
    def text(self) -> str:
        """The counts in one sentence."""
        first = ""
        if self.accounts is not None:
            first = (
                f"{counted(self.accounts, 'account belongs', 'accounts belong')} to "
                f"{counted(self.customers, 'customer')} after linking: "
            )
        return (
            f"{first}{number(self.ordering)} of them have an order line, {number(self.kept)} one "
            f"that is kept, and {number(self.buyers)} of these bought, which makes the rows of the "
            "customer table."
        )


def count_customers(taken: Intake, linked: Any = None) -> CustomerCounts:
    """Count the customers at each step from accounts to the customer table.

    Parameters
    ----------
    taken : Intake
        Clean tables, with what was rejected.
    linked : Identities, optional
        The result of `segkit.pipeline.link_source` used in that intake.

    Returns
    -------
    CustomerCounts

    Raises
    ------
    DataError
        If there are no orders.

    Examples
    --------
    >>> from segkit.intake import clean_data
    >>> lines = pl.DataFrame({"customer_id": ["a", "b", "b"], "amount": [10.0, -5.0, 0.0],
    ...                       "order_time": ["2024-05-01"] * 3})
    >>> counts = count_customers(clean_data(lines))
    >>> counts.ordering, counts.kept, counts.buyers
    (2, 2, 1)
    """
    orders = taken.orders
    if orders is None:
        raise DataError("customers are counted by their orders; the source has none")
    named = pl.concat([orders["customer_id"], taken.rejects["orders"][WHO].alias("customer_id")])
    people = None if linked is None else int((linked.customers["customer_ids"] > 0).sum())
    return CustomerCounts(
        None if linked is None else linked.customer_ids,
        people,
        named.drop_nulls().n_unique(),
        orders["customer_id"].n_unique(),
        orders.filter(~pl.col("is_return"))["customer_id"].n_unique(),
    )
