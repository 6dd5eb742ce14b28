"""Events, customers, products, prices, rates and surveys: every table but orders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import polars as pl

from segkit.display import counted, number
from segkit.intake.columns import Columns
from segkit.intake.consents import CONSENTS, as_consent, read_consents
from segkit.intake.ledger import Part
from segkit.intake.numbers import count_unreadable, read_item
from segkit.intake.people import CONSENT, People, customers_of
from segkit.intake.rejects import (
    REPEAT,
    Rule,
    Settled,
    consent_rules,
    date_rules,
    people_rules,
    repeat_rules,
    repeats,
    settle,
)
from segkit.schema import CONTRACTS, DTYPES, EVENT_TYPES, OPEN, Field


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Clean table with its rejected rows."""

    frame: pl.DataFrame  # clean rows, as the contract has them
    settled: Settled  # rejected rows and the ledger's steps
    refused: pl.Series | None = None  # customers without profiling consent (customers table only)
    parts: tuple[Part, ...] = ()  # sales and returns among the rows kept (orders only)


def time_columns(columns: Columns, name: str) -> dict[str, pl.Expr]:
    """Read row number, time and day of orders or events (``name`` is "order" or "event")."""
    utc, day, _ = columns.time(f"{name}_time")
    return {
        "source_row": pl.int_range(pl.len(), dtype=pl.Int64),
        f"{name}_time": utc,
        f"{name}_day": day,
        "__no_time": columns.blank(f"{name}_time"),
    }


def join_customers(frame: pl.DataFrame, customers: pl.DataFrame, people: People) -> pl.DataFrame:
    """Add to each row its customer, and the customer's birth date where it is known."""
    frame = pl.concat([customers, frame], how="horizontal")
    if people.births is None:
        return frame
    return frame.join(people.births, on="customer_id", how="left", maintain_order="left")


def note_repeats(columns: Columns, frame: pl.DataFrame, row: str) -> None:
    """Note how many rows (or lines) repeat an earlier one and are kept."""
    count = int(frame[REPEAT].sum())
    if count and columns.option("duplicates") == "flag":
        repeated = counted(count, f"{row} repeats", f"{row}s repeat")
        columns.notes.append(
            f"{columns.table}: {repeated} an earlier {row} in every column; such {row}s are kept "
            '(duplicates = "drop" would remove them)'
        )


def read_events(columns: Columns) -> pl.DataFrame:
    """Read raw events; a duration that cannot be read is left empty."""
    wanted = {**time_columns(columns, "event"), "event_type": columns.text("event_type")}
    optional = [
        f
        for f in CONTRACTS["events"]
        if f.clean and f.raw and f.name not in (*wanted, "customer_id")
    ]
    wanted |= {f.name: _read(columns, f) for f in optional if columns.has(f.name)}
    frame = columns.raw.lazy().select(**wanted).collect()
    return frame.with_columns(repeats(columns.raw).alias(REPEAT))


def clean_events(columns: Columns, frame: pl.DataFrame, people: People) -> Cleaned:
    """Clean events that were read by `read_events`."""
    frame = join_customers(frame, customers_of(columns, people.links), people)
    note_repeats(columns, frame, "row")
    is_known = pl.col("event_type").is_in(EVENT_TYPES)
    rules = [
        *people_rules(people, frame),
        *date_rules(columns, "event_time", "event_day", frame),
        Rule(
            "kinds",
            "unknown_event_type",
            ~is_known | pl.col("event_type").is_null(),
            columns.shown("event_type"),
            "[events.values.event_type]",
        ),
        *repeat_rules(columns),
    ]
    settled = settle(columns, frame, [*rules, *consent_rules(people)])
    return Cleaned(settled.kept.select(_names("events", settled.kept)), settled)


def read_table(columns: Columns) -> pl.DataFrame:
    """Read a raw table that is neither orders nor events."""
    table = columns.table
    wanted = {f.name: _read(columns, f) for f in _listed(columns) if f.name != "customer_id"}
    frame = (
        columns.raw.lazy()
        .select(pl.int_range(pl.len(), dtype=pl.Int64).alias("source_row"), **wanted)
        .collect()
    )
    if table == "customers":
        frame = _with_consents(columns, frame)
    if table in OPEN:
        frame = pl.concat([frame, _extras(columns, frame)], how="horizontal")
    return frame


def _with_consents(columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """Read consents by what their columns' names and words mean; a constant is joined to them."""
    read = {role: as_consent(levels) for role, levels in read_consents(columns).items()}
    return frame.with_columns(
        consent if columns.constant(role) is None else pl.min_horizontal(consent, role).alias(role)
        for role, consent in ((role, levels.alias(role)) for role, levels in read.items())
    )


def _listed(columns: Columns) -> list[Field]:
    """List the contract's columns that the source provides."""
    return [f for f in CONTRACTS[columns.table] if f.raw and f.clean and columns.has(f.name)]


def clean_table(columns: Columns, frame: pl.DataFrame, people: People) -> Cleaned:
    """Clean a table that was read by `read_table`.

    Rows without the contract's required values are rejected; optional values that cannot be
    read are left empty and counted in the notes. Repeated customers are merged: the first value
    that is not missing is used, and a refusal of consent takes precedence over a grant.
    """
    table = columns.table
    rules: list[Rule] = []
    if any(f.name == "customer_id" for f in CONTRACTS[table]):
        frame = pl.concat([customers_of(columns, people.links), frame], how="horizontal")
        rules += people_rules(people, frame)
    rules += _value_rules(columns, _listed(columns), frame) + _uniqueness(columns, frame)
    refused = None
    if table == "customers" and columns.has("profiling_consent"):
        frame, refused = _refusals(columns, frame)
        if refused.len():
            shown = columns.shown("profiling_consent")
            change = 'consent = "ignore"'
            met = pl.col("__refused")
            rules.append(Rule("consent", "no_profiling_consent", met, shown, change))
    elif table != "customers" and "customer_id" in frame.columns:
        rules += consent_rules(people)
    settled = settle(columns, frame, rules)
    kept_rows = settled.kept
    if table == "customers":
        kept_rows = _merge(frame, kept_rows)
        kept_rows = _marketing_consent(columns, kept_rows)
    if table == "fx":
        kept_rows = kept_rows.with_columns(pl.col("currency").str.to_uppercase())
    names = _names(table, kept_rows)
    extra = [n for n in kept_rows.columns if not n.startswith("__") and n not in names]
    return Cleaned(kept_rows.select(*names, *extra), settled, refused)


def _value_rules(columns: Columns, listed: list[Field], frame: pl.DataFrame) -> list[Rule]:
    """Reject rows without the contract's required values; note optional values left empty."""
    rules = []
    for f in listed:
        shown, col = columns.shown(f.name), pl.col(f.name)
        if f.required and f.name != "customer_id":
            rules.append(Rule("values", f"missing_{f.name}", col.is_null(), shown, "the source"))
        elif f.kind in ("money", "number", "date", "time", "flag") and f.name not in CONSENTS:
            _note_blanked(columns, f, frame)
        if f.name == "rate":
            rules.append(Rule("values", "bad_rate", ~(col > 0), shown, "the source"))
    return rules


def _refusals(columns: Columns, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Mark customers without consent to profiling: at least one refusal, or only blanks."""
    if columns.option("consent") == "ignore":
        return frame, pl.Series("customer_id", [], dtype=pl.String)
    given = pl.col("profiling_consent").min().over("customer_id")
    frame = frame.with_columns(__refused=~given.fill_null(value=False))
    blank = frame.filter(given.is_null())["customer_id"].drop_nulls().n_unique()
    if blank:
        columns.notes.append(
            f"{CONSENT} blank for {counted(blank, 'customer')} of "
            f"{number(frame['customer_id'].n_unique())}; it is taken as refused (to change it: "
            "fill it in the source)"
        )
    refused = frame.filter(pl.col("__refused"))["customer_id"].drop_nulls().unique()
    return frame, refused


def _read(columns: Columns, field: Field) -> pl.Expr:
    """Read one column by the kind that the contract gives it."""
    if field.kind == "time":
        return columns.time(field.name)[0]
    readers = {
        "id": columns.id,
        "text": columns.text,
        "money": columns.number,
        "number": columns.number,
        "date": columns.date,
        "flag": columns.flag,
    }
    return readers[field.kind](field.name)


def _names(table: str, frame: pl.DataFrame) -> list[str]:
    return [f.name for f in CONTRACTS[table] if f.clean and f.name in frame.columns]


def _extras(columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """Keep columns beyond the contract: those mapped by name, or all if none is named."""
    contract = {f.name for f in CONTRACTS[columns.table]}
    mapped = columns.mapping.tables[columns.table].columns
    used = set(mapped.values())
    named = {name: raw_column for name, raw_column in mapped.items() if name not in contract}
    free = [n for n in columns.raw.columns if n not in used and n not in contract]
    if columns.table == "survey" and not named:
        named = {n: n for n in free}
    read = partial(_read_survey_item, columns) if columns.table == "survey" else columns.cells
    return columns.raw.select(
        pl.lit(read(raw_column)).alias(name)
        for name, raw_column in named.items()
        if name not in frame.columns and not name.startswith("__")
    )


def _read_survey_item(columns: Columns, raw_column: str) -> pl.Series:
    """Read an item, and note how many of its answers could not be read."""
    raw = columns.raw.get_column(raw_column)
    read = read_item(raw, columns.nulls)
    lost = count_unreadable(raw, read, columns.nulls)
    if lost:
        columns.notes.append(
            f"survey: {counted(lost, 'answer')} to {raw_column} cannot be read as a number and "
            f"{'is' if lost == 1 else 'are'} left empty"
        )
    return read


def _uniqueness(columns: Columns, frame: pl.DataFrame) -> list[Rule]:
    """Reject rows with a repeated key in a lookup table."""
    keys = {
        "customers": ["customer_id"],
        "products": ["product_id"],
        "prices": ["product_id", "valid_from"],
        "fx": ["currency", "valid_from"],
        "campaigns": ["campaign_id"],
        "survey": ["customer_id"],
        "assignments": ["customer_id", *(["campaign_id"] if columns.has("campaign_id") else [])],
    }[columns.table]
    if not frame.height:
        return []
    again = frame.select(~pl.struct(keys).is_first_distinct()).to_series()
    name = f"repeated_{keys[0].removesuffix('_id')}"
    return [Rule("repeats", name, pl.lit(again), (), "the source")] if again.any() else []


def _note_blanked(columns: Columns, field: Field, frame: pl.DataFrame) -> None:
    """Count the cells of an optional column that hold something unreadable."""
    if columns.source(field.name) is None:
        return
    blank = columns.raw.select(columns.blank(field.name)).to_series()
    lost = int((frame[field.name].is_null() & ~blank).sum())
    if lost:
        columns.notes.append(
            f"{columns.table}: {counted(lost, 'value')} of {field.name} cannot be read as "
            f"{DTYPES[field.kind]} and {'is' if lost == 1 else 'are'} left empty"
        )


def _marketing_consent(columns: Columns, frame: pl.DataFrame) -> pl.DataFrame:
    """Take consent to marketing from that by channel, where only that is recorded."""
    by_channel = [name for name in CONSENTS[1:] if name in frame.columns]
    if not by_channel or "marketing_consent" in frame.columns:
        return frame
    columns.notes.append(
        "customers: consent to marketing is taken as granted by those who have consented to a "
        f"channel ({', '.join(by_channel)}); each list still needs that of its own channel"
    )
    any_channel = pl.max_horizontal(by_channel)
    all_known = pl.all_horizontal(pl.col(by_channel).is_not_null())
    is_refused = all_known & pl.lit("email_consent" in by_channel)  # a text message alone is little
    given = pl.when(any_channel | is_refused).then(any_channel)
    return frame.with_columns(given.alias("marketing_consent"))


def _merge(rows: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Fill the first row of each customer from its further rows; a refusal is always kept."""
    if kept.height == rows.height:
        return kept
    names = [n for n in kept.columns if n not in ("customer_id", "source_row", "__unlinked")]
    consents = [n for n in names if n.endswith("_consent")]
    whole = (
        rows.filter(pl.col("customer_id").is_not_null())
        .sort("source_row")
        .group_by("customer_id")
        .agg(
            *(pl.col(n).drop_nulls().first() for n in names if n not in consents),
            *(pl.col(n).min() for n in consents),
        )
    )
    first = kept.select("customer_id", "source_row", "__unlinked")
    merged = first.join(whole, on="customer_id", how="left", maintain_order="left")
    return merged.select(kept.columns)
