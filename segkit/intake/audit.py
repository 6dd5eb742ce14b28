"""Audit of raw tables: proposed mapping, findings, and questions to answer first."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, lower_first, money, number, percent, sentences, shorten_list
from segkit.errors import SegkitError
from segkit.intake.answers import as_options, quote_text
from segkit.intake.cells import is_text
from segkit.intake.clean import ORDER, Audited, Reading, read_columns, run
from segkit.intake.columns import Columns, Shared
from segkit.intake.consents import consent_columns
from segkit.intake.country import currency_of, guess_currency, propose_country
from segkit.intake.counts import about_shared_orders, count_lines, count_months, understand
from segkit.intake.dates import is_absolute, stated_offsets
from segkit.intake.ledger import name_rows
from segkit.intake.lookups import email_column
from segkit.intake.mapping import Mapping, lacks, list_time_zones
from segkit.intake.people import CONSENT
from segkit.intake.proposal import settle_mapping
from segkit.intake.questions import MOST_ASKED, Finding, explain_signs, rest_least
from segkit.intake.readers import Gathered, gather
from segkit.intake.sanity import BEHIND, doubt_orders, doubt_rejected
from segkit.intake.store import Intake
from segkit.result import Result
from segkit.schema import CONTRACTS

if TYPE_CHECKING:
    from segkit.plot import Figure

MOST_SPARE = 8  # columns not used that a finding names


def trial(
    gathered: Gathered, mapping: Mapping, readings: dict[str, Reading], shared: dict[str, Shared]
) -> Intake | None:
    """Run the intake with the likeliest answers, so that findings can be counted.

    The columns read are added to ``readings``, so that the intake need not read them again.
    """
    raw = gathered.raw
    if any(lacks(name, mapping.tables[name]) for name in raw):
        return None
    if not all(frame.height for name, frame in raw.items() if name == "orders"):
        return None
    for name, frame in raw.items():
        if name in (*ORDER, "orders"):
            first = gathered.first_lines.get(name)
            readings[name] = read_columns(name, frame, mapping, first, shared.pop(name, None))
    return run(
        raw,
        mapping,
        base=gathered.base,
        first_lines=gathered.first_lines,
        said=gathered.notes,
        readings=dict(readings),
    )


def findings_of(
    raw: dict[str, pl.DataFrame],
    mapping: Mapping,
    taken: Intake | None,
    questions: list[Finding],
    counts: pl.DataFrame,
    readings: dict[str, Reading],
    reading_notes: tuple[str, ...] = (),
    understood: str = "",
) -> tuple[Finding, ...]:
    """Collect all findings, the most severe first; what is ``understood`` is said already."""
    findings = list(questions)
    findings += [
        Finding("block", name, "", f"{name} holds no rows.", 0, answer="another source")
        for name, frame in raw.items()
        if not frame.height and name == "orders"
    ]
    if taken is not None:
        for step in taken.ledger.steps:
            for item in step.rejected:
                share = percent(item.rows / max(raw[step.table].height, 1))
                reason = item.reason.replace("_", " ").capitalize()
                lost = f", {money(float(item.money))}" if item.money else ""
                source = mapping.tables[step.table].columns.get(BEHIND.get(item.reason, ""))
                lost += f", by {source!r}" if source else ""
                text = f"{reason}: rejected ({share} of its rows{lost})."
                example = item.examples[0] if item.examples else ""
                advice = _advise(item.reason, item.change)
                findings.append(Finding("warn", step.table, "", text, item.rows, example, advice))
        if taken.orders is not None and taken.orders.height:
            findings += about_shared_orders(counts)
            prefix = mapping.option("orders", "return_prefix")
            if prefix:
                text = f"Order ids that start with {prefix!r} are returns."
                answer = f'[orders] return_prefix = "{prefix}"'
                findings.append(Finding("info", "orders", "order_id", text, answer=answer))
            findings.append(_about_country(taken))
            findings += _about_currency(raw["orders"], taken)
        findings += _about_zones(readings, mapping, taken)
        nothing_left = taken.orders is not None and not taken.orders.height
        if nothing_left and not any(item.severity == "block" for item in findings):
            findings += doubt_rejected(Columns("orders", raw["orders"], mapping), taken)
    notes = reading_notes if taken is None else taken.notes
    for note in notes:  # those about consent belong to the customers
        table = note.partition(":")[0]
        findings.append(Finding("info", table if table in CONTRACTS else "customers", "", note))
    findings += _about_columns(raw, mapping, readings, understood)
    for name in (name for frame in raw.values() for name in frame.columns):
        quoted = quote_text(name)
        if quoted[1:-1] != name:
            findings = [
                replace(one, answer=one.answer.replace(f'"{name}"', quoted)) for one in findings
            ]
    rank = {"block": 0, "warn": 1, "info": 2}
    return tuple(sorted(findings, key=lambda item: (rank[item.severity], -(item.rows or 0))))


def _advise(reason: str, change: str) -> str:
    """Say what to change, if anything: rows that lack something are often no orders."""
    rows = {
        "missing_customer_id": "guests, walk-in customers, payments or a footer",
        "missing_order_time": "further lines, sums or a footer",
        "missing_amount": "payments, notes or items of a package",
    }.get(reason)
    change = change.replace("the source", "correct the source")
    return f"nothing, if these rows are {rows}; else {change}" if rows else change


def _about_zones(readings: dict[str, Reading], mapping: Mapping, taken: Intake) -> list[Finding]:
    """Report the time zone used for days, and the offsets in the times."""
    findings = []
    for table, name in (("orders", "order_time"), ("events", "event_time")):
        frame = taken.tables.get(table)
        raw_column = mapping.tables[table].columns.get(name) if table in mapping.tables else None
        if frame is None or raw_column is None or not frame.height:
            continue
        if not frame.select((pl.col(name).dt.time() != pl.time(0)).any()).item():
            continue
        findings += _about_zone(readings[table].columns, name, raw_column)
    return findings


def _about_zone(columns: Columns, name: str, raw_column: str) -> list[Finding]:
    """Ask for the time zone of one table, or report how its offsets are used."""
    table, zone = columns.table, columns.option("timezone")
    clock, texts = columns.clock(name), is_text(columns.raw.schema[raw_column])
    offsets: list[str] = []
    bare = 0
    if not texts or any(map(is_absolute, clock.formats)):
        offsets, bare = stated_offsets(columns.raw[raw_column])
    first = columns.raw[raw_column].drop_nulls().head(1).cast(pl.String)
    is_number = first.len() and first.str.contains(r"^[\d.]+$")[0]
    if is_number and {"epoch_s", "epoch_ms", "epoch_us"} & set(clock.formats):
        offsets, bare = ["UTC"], 0
    example = 'timezone = "Continent/City", the shop\'s own (say "Asia/Tokyo" or "America/Chicago")'
    if not offsets:
        if zone:
            return []
        finding = (
            f"Times carry no zone; they are taken as UTC, which decides the day of late {table}."
        )
        return [Finding("warn", table, name, finding, answer=example)]
    listed = ", ".join(offsets[:4]) + (" ..." if len(offsets) > 4 else "")
    finding = (
        f"Times in {raw_column!r} carry their offset or zone ({listed}) and are stored in UTC; "
        f"each day is the day in {zone or 'UTC'}."
    )
    if bare:
        times = counted(bare, "time without one is", "times without one are")
        finding += f" {times} taken in {zone or 'UTC'}."
    if zone:
        return [Finding("info", table, name, finding)]
    named = "/" in offsets[0] and offsets[0] in list_time_zones()
    answer = f'timezone = "{offsets[0]}"' if named else example
    return [Finding("warn", table, name, finding, answer=answer)]


def _about_country(taken: Intake) -> Finding:
    """Report whose seasons and gift occasions will be assumed."""
    country = propose_country(taken)
    if country.code is None:
        proposal = f"seasons alone, no gift occasions: {country.why}"
    else:
        proposal = f"{country.code}, proposed from {country.why}"
    finding = f"Calendar: {proposal}; change with calendar=."
    answer = 'calendar = "uk" (us, de, jp, ...)'
    return Finding("info", "orders", "", finding, answer=answer, kind="calendar")


def _about_currency(orders: pl.DataFrame, taken: Intake) -> list[Finding]:
    """Say that no currency is stated, and which one the columns' language tells."""
    lines = taken.orders
    stated = lines is not None and "currency" in lines.columns and lines["currency"].count()
    if stated or currency_of(taken) is not None:
        return []
    text = "No currency is stated, in the file or by the mapping: sums are plain numbers."
    answer = f'currency = "{guess_currency(orders.columns) or "..."}" (at the top of the mapping)'
    return [Finding("info", "orders", "currency", text, answer=answer)]


def _about_columns(
    raw: dict[str, pl.DataFrame], mapping: Mapping, readings: dict[str, Reading], understood: str
) -> list[Finding]:
    """Report unused source columns not named yet, and what is assumed if a column is missing."""
    findings = []
    for table, frame in raw.items():
        used = mapping.tables[table].columns
        contacts: set[str | None] = set()
        if table in ("orders", "customers") and table in readings:
            contacts = {*consent_columns(readings[table].columns)}
            contacts |= {email_column(readings[table].columns)} if "customers" not in raw else set()
        named = {name for name in frame.columns if repr(name) in understood}
        spare = [name for name in frame.columns if name not in {*used.values(), *contacts, *named}]
        if spare and table != "survey":
            text = ("Further columns" if named - {*used.values()} else "Columns") + " not used: "
            text += ", ".join(shorten_list(spare, MOST_SPARE)) + "."
            answer = f'[{table}.columns] name = "column"'
            findings.append(Finding("info", table, "", text, answer=answer))
        if table != "orders":
            continue
        if "order_id" not in used:
            grain = mapping.option("orders", "order_grain")
            text = f"No order ids: one order is taken to be one customer's {grain}."
            answer = '[orders.columns] order_id = "..." (or order_grain)'
            findings.append(Finding("warn", "orders", "order_id", text, answer=answer))
        if "discount" in used and not mapping.is_set("orders", "discount_taken"):
            where = "amount already has" if "amount" in used else "unit_price does not have"
            text = f"It is assumed that {where} the discount taken off."
            answer = f"[orders] discount_taken = {'false' if 'amount' in used else 'true'}"
            findings.append(Finding("warn", "orders", "discount", text, answer=answer))
    return findings


_NO_LINES = pl.DataFrame(
    schema={"is_return": pl.Boolean, "customer": pl.UInt64, "order": pl.UInt64, "day": pl.Int32,
            "rows": pl.UInt32, "micro": pl.Int64}
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Audit(Result):
    """Audit of raw tables, before anything is computed from them.

    Attributes
    ----------
    mapping : Mapping
        The given mapping, completed from column names and values.
    findings : tuple of Finding
        The most severe first; those of severity "block" must be answered before intake.
    coverage : polars.DataFrame
        One row per calendar month between the first and the last order: ``month``, ``rows``,
        ``customers``, ``amount``; zero rows are gaps.
    rows : dict of str to int
        Raw rows by table.
    audited : Audited or None
        The audited tables, for `segkit.clean_data`; None if the audit was read from a file.
    understood : str
        What the orders were understood to be, in lines: columns, counts, what is left out, and who
        may be contacted.
    """

    mapping: Mapping
    findings: tuple[Finding, ...]
    coverage: pl.DataFrame
    rows: dict[str, int]
    audited: Audited | None = field(default=None, repr=False, metadata={"stored": False})
    understood: str = ""

    @property
    def blocked(self) -> bool:
        """Whether a question must be answered before the data can be used."""
        return any(finding.severity == "block" for finding in self.findings)

    @property
    def refused(self) -> bool:
        """Whether the rows given as orders are none, so that no answer helps."""
        return any(finding.is_refusal for finding in self.findings)

    def save_mapping(self, path: Path | str) -> Path:
        """Write the mapping; if several columns are possible, write the question instead.

        Such a file is rejected until the question is answered, so that no proposal counts as an
        answer.
        """
        tables = dict(self.mapping.tables)
        for item in self.findings:
            part = tables.get(item.table)
            is_rival = item.severity == "block" and item.kind in ("rivals", "tax")
            if is_rival and part is not None:
                columns = {**part.columns, item.column: f"? {item.finding}"}
                tables[item.table] = replace(part, columns=columns)
        return replace(self.mapping, tables=tables).save(path)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per finding."""
        columns = ("severity", "table", "column", "finding", "rows", "example", "answer")
        return pl.DataFrame(
            [{name: getattr(item, name) for name in columns} for item in self.findings],
            schema={name: pl.Int64 if name == "rows" else pl.String for name in columns},
        )

    @property
    def text(self) -> str:
        """The audit in words: tables read, questions to answer, other findings."""
        blocks = self._of("block")
        asked_answers = " ".join(
            f"{item.finding} Answer with: {item.answer}." for item in blocks[:MOST_ASKED]
        )
        if len(blocks) > MOST_ASKED:
            asked_answers += f" Then {number(len(blocks) - MOST_ASKED)} more."
        consent = [item.finding for item in self.findings if item.finding.startswith(CONSENT)]
        look = filter(None, [self._look(), *consent])
        calendar = (item.finding for item in self.findings if item.kind == "calendar")
        said = (f"{one[0].upper()}{one[1:]}." for one in look)
        return sentences(self._opening(), asked_answers, *said, *calendar)

    def _opening(self) -> str:
        """Say what was read, and whether it can be used."""
        read = ", ".join(
            counted(rows, name_rows(table)[:-1], name_rows(table))
            for table, rows in self.rows.items()
        )
        blocks = len(self._of("block"))
        if self.refused:
            verdict = "They cannot be used as orders: another export is needed."
        elif blocks:
            verdict = f"Before they can be used, {counted(blocks, 'question')} must be answered."
        else:
            verdict = "They can be used as mapped."
            if "orders" not in self.rows:
                verdict += " They hold no orders: segments need a table of order lines beside them."
        return f"Read {read}. {verdict}"

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        blocks = len(self._of("block"))
        if self.refused:
            return "They cannot be used as orders: another export is needed."
        if blocks:
            verb = "is" if blocks == 1 else "are"
            return f"Not before {counted(blocks, 'question')} {verb} answered in the mapping."
        look = self._look()
        return "They can be used as mapped" + (f"; {look}." if look else ".")

    @property
    def answer(self) -> str:
        """Whether the data can be used."""
        return f"{'No' if self._of('block') else 'Yes'}: {lower_first(self.headline)}"

    def _of(self, severity: str) -> list[Finding]:
        return [item for item in self.findings if item.severity == severity]

    def _look(self) -> str:
        """Write how many findings should be checked; empty if there are none."""
        warned = len(self._of("warn"))
        verb = "deserves" if warned == 1 else "deserve"
        return f"{counted(warned, 'finding')} {verb} a look" if warned else ""

    def plot(self) -> Figure:
        """Draw rows by month."""
        from segkit.plot import OKABE_ITO, Figure, canvas

        with canvas(height=2.8) as (figure, (axes,)):
            axes.bar(
                self.coverage["month"].to_list(),
                self.coverage["rows"].to_list(),
                width=25,
                color=OKABE_ITO[0],
            )
            axes.set_ylabel("order lines")
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.set_title("Order lines by month")
        gaps = self.coverage.filter(pl.col("rows") == 0).height
        alt = (
            f"Bars of order lines in {counted(self.coverage.height, 'month')}, {gaps} of them "
            "without any."
        )
        return Figure(figure, alt, self.coverage, again=self.plot)

    def _repr_html_(self) -> str:
        import html

        toml = html.escape(self.mapping.to_toml())
        return f"{Result._repr_html_(self)}<pre>{toml}</pre>"

    def __str__(self) -> str:
        lines = [self._opening()]
        questions = self._of("block")
        others = [one for one in self.findings if one.severity != "block"]
        if self.understood:
            lines.append("")
            lines += ["Provisional, until the questions are answered:"] if questions else []
            lines += self.understood.splitlines()
        if questions:
            lines += ["", "Why:" if self.refused else "Questions, the costliest first:"]
        for place, item in enumerate(questions, 1):
            lines.append(f"  {place}. {_told(item)}")
            lines.append(f"     {'Needed' if item.is_refusal else 'Answer with'}: {item.answer}")
            lines += [f"     {options}" for options in as_options(item.answer)]
        lines += [f"  {line}" for line in explain_signs(questions)]
        lines += ["", "Proposed mapping:", "", self.mapping.to_toml().strip()]
        lines += ["", "Findings:"]
        for item in others:
            answer = f" -> {item.answer}" if item.answer else ""
            lines.append(f"  {item.severity}: {_told(item)}{answer}")
        return "\n".join(lines if others else [*lines, "  none"])


def _told(item: Finding) -> str:
    """Return a finding with its rows and an example."""
    count = f" ({counted(item.rows, 'row')})" if item.rows is not None else ""
    return f"{item.finding}{count}" + (f" E.g. {item.example}." if item.example else "")


def audit_data(
    source: Any,
    mapping: Mapping | Map[str, Any] | Path | str | None = None,
    *,
    preset: str | None = None,
) -> Audit:
    """Audit raw tables: propose a mapping, find errors, and ask what must be answered first.

    Parameters
    ----------
    source, mapping, preset
        As for `segkit.clean_data`.

    Returns
    -------
    Audit
        With the mapping proposed, the findings, and order lines by month. It is itself a source
        for `segkit.clean_data` and `segkit.pipeline.link_source`, which then read nothing
        a second time.

    Raises
    ------
    SourceError, MappingError
        If a file is missing or unreadable, or the mapping names something that does not exist.

    Examples
    --------
    >>> lines = pl.DataFrame({"Kunden-Nr.": ["a", "b"], "Betrag": ["1.234,50", "7,20"],
    ...                       "Bestelldatum": ["03.04.2024", "05.06.2024"]})
    >>> audit = audit_data(lines)
    >>> audit.blocked, audit.mapping.tables["orders"].columns["amount"]
    (False, 'Betrag')
    """
    gathered = gather(source, mapping, preset)
    # Shallow copies of the frames: later changes to the user's frames do not affect them.
    raw = {name: frame.clone() for name, frame in gathered.raw.items()}
    given = gathered.given
    shared: dict[str, Shared] = {}
    used, questions = settle_mapping(raw, given, shared)
    gathered = replace(gathered, raw=raw, given=used)
    readings: dict[str, Reading] = {}
    trial_intake: Intake | None = None
    counts = _NO_LINES
    try:
        trial_intake = trial(gathered, used, readings, shared)
    except (SegkitError, pl.exceptions.PolarsError):
        if not any(item.severity == "block" for item in questions):
            raise
    if trial_intake is not None and trial_intake.orders is not None:
        counts = count_lines(trial_intake.orders)
    if trial_intake is not None and "orders" in raw:
        asked = {item.column for item in questions if item.severity == "block"}
        facts = dict(readings["orders"].columns.shared)
        doubts = doubt_orders(raw["orders"], given, used, trial_intake, counts, facts)
        # A doubt about what is asked already, or about rows that are refused, says nothing more.
        questions += [item for item in doubts if not {"", item.column} & asked]
    questions = rest_least(questions, given)
    read = {name: reading.columns for name, reading in readings.items()}
    # Where thousands may be decimals, no sum is shown before that is answered.
    is_unclear = any(item.is_refusal or item.kind == "decimal" for item in questions)
    understood = "" if is_unclear else understand(used, trial_intake, counts, read)
    findings = findings_of(
        raw, used, trial_intake, questions, counts, readings, gathered.notes, understood
    )
    return Audit(
        used,
        findings,
        count_months(counts),
        {name: frame.height for name, frame in raw.items()},
        Audited(gathered, questions, readings),
        understood,
    )
