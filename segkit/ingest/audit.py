"""Can we trust the data? A proposed mapping, what was found, and what must be answered first."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted
from segkit.errors import SegkitError
from segkit.ingest.findings import Finding, findings_of, trial
from segkit.ingest.id_questions import about_ids
from segkit.ingest.mapping import Mapping, TableMapping, lacks
from segkit.ingest.parse import MICRO, from_micro
from segkit.ingest.propose import propose_table
from segkit.ingest.questions import open_questions
from segkit.ingest.readers import Gathered, gather
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.ingest.process import Intake, Reading
    from segkit.plot import Figure

CONSENT = "consent to profiling is"
RIVALS = "Several columns could be"

__all__ = ["Audit", "Finding", "check", "settle_mapping"]


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """The tables that an audit has read.

    Attributes
    ----------
    gathered : Gathered
        The raw tables, with the mapping as completed.
    questions : list of Finding
        What was open.
    readings : dict of str to Reading
        The columns as read; `segkit.intake` takes each out as it uses it, to free its memory.
    """

    gathered: Gathered
    questions: list[Finding]
    readings: dict[str, Reading]


@dataclass(frozen=True, slots=True, eq=False)
class Audit(Result):
    """What a look at the raw tables shows, before anything is computed from them.

    Attributes
    ----------
    mapping : Mapping
        The mapping given, completed by what names and values show.
    findings : tuple of Finding
        Worst first; those of severity "block" must be answered before intake.
    coverage : polars.DataFrame
        One row a calendar month between the first and the last order: ``month``, ``rows``,
        ``customers``, ``amount``; zero rows are gaps.
    rows : dict of str to int
        Raw rows by table.
    audited : Audited or None
        The tables behind the audit, for `segkit.intake`; None where an audit was read back.
    """

    mapping: Mapping
    findings: tuple[Finding, ...]
    coverage: pl.DataFrame
    rows: dict[str, int]
    audited: Audited | None = field(default=None, repr=False, metadata={"stored": False})

    @property
    def blocked(self) -> bool:
        """Whether a question must be answered before the data can be used."""
        return any(finding.severity == "block" for finding in self.findings)

    def save_mapping(self, path: Path | str) -> Path:
        """Write the mapping; where several columns would do, the question stands in their place.

        So that a proposal is never taken for an answer: such a file is refused until it is given.
        """
        tables = dict(self.mapping.tables)
        for item in self.findings:
            part = tables.get(item.table)
            asks = item.severity == "block" and item.finding.startswith(RIVALS)
            if asks and part is not None:
                asked = {**part.columns, item.column: f"? {item.finding}"}
                tables[item.table] = replace(part, columns=asked)
        return replace(self.mapping, tables=tables).save(path)

    def to_frame(self) -> pl.DataFrame:
        """Return one row a finding."""
        columns = ("severity", "table", "column", "finding", "rows", "example", "answer")
        return pl.DataFrame(
            [{name: getattr(item, name) for name in columns} for item in self.findings],
            schema={name: pl.Int64 if name == "rows" else pl.String for name in columns},
        )

    @property
    def text(self) -> str:
        """The audit in words: what was read, what must be answered, what else was found."""
        read = ", ".join(
            counted(rows, f"{table} row", f"{table} rows") for table, rows in self.rows.items()
        )
        blocks = self._of("block")
        if blocks:
            asked = " ".join(f"{item.finding} Answer with: {item.answer}." for item in blocks)
            questions = counted(len(blocks), "question")
            verdict = f"Before they can be used, {questions} must be answered. {asked}"
        else:
            verdict = "They can be used as mapped."
        look = self._look()
        consent = [item.finding for item in self.findings if item.finding.startswith(CONSENT)]
        return " ".join(
            [
                f"Read {read}. {verdict}",
                *([f"{look[0].upper()}{look[1:]}."] if look else []),
                *(f"{one[0].upper()}{one[1:]}." for one in consent),
            ]
        )

    @property
    def headline(self) -> str:
        """The verdict alone."""
        blocks = len(self._of("block"))
        if blocks:
            verb = "is" if blocks == 1 else "are"
            return f"Not before {counted(blocks, 'question')} {verb} answered in the mapping."
        look = self._look()
        return "They can be used as mapped" + (f"; {look}." if look else ".")

    def _of(self, severity: str) -> list[Finding]:
        return [item for item in self.findings if item.severity == severity]

    def _look(self) -> str:
        """Say how many findings deserve a look; nothing where none does."""
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
        alt = f"Bars of order lines in {self.coverage.height} months, {gaps} of them without any."
        return Figure(figure, alt, self.coverage)

    def _repr_html_(self) -> str:
        import html

        toml = html.escape(self.mapping.to_toml())
        return f"{Result._repr_html_(self)}<pre>{toml}</pre>"

    def __str__(self) -> str:
        lines = [self.text, "", "Proposed mapping:", "", self.mapping.to_toml(), "", "Findings:"]
        for item in self.findings:
            count = f" ({counted(item.rows, 'row')})" if item.rows is not None else ""
            example = f" E.g. {item.example}." if item.example else ""
            answer = f" -> {item.answer}" if item.answer else ""
            lines.append(f"  {item.severity}: {item.finding}{count}{example}{answer}")
        return "\n".join(lines if self.findings else [*lines, "  none"])


def settle_mapping(raw: dict[str, pl.DataFrame], given: Mapping) -> tuple[Mapping, list[Finding]]:
    """Complete a mapping by proposals where it lacks required columns; list open questions.

    Returns
    -------
    tuple of (Mapping, list of Finding)
        The mapping to use, and what is open; what is of severity "block" bars its use.
    """
    proposed: dict[str, TableMapping] = {}
    questions: list[Finding] = []
    for name, frame in raw.items():
        part = given.tables.get(name)
        if part is not None and part.columns and not lacks(name, part):
            continue
        if part is not None:
            given.check_columns(name, frame)
        proposal = propose_table(name, frame, given)
        proposed[name] = proposal.part
        questions += _rivals(name, proposal.rivals)
    # With the likeliest of the rivals, so that what else is open is asked in the same breath.
    used = given.over(Mapping(proposed))
    for name, frame in raw.items():
        used.check_columns(name, frame)
        questions += open_questions(name, frame, used, with_fx="fx" in raw)
    return used, questions + about_ids(raw, used)


def _rivals(table: str, rivals: dict[str, tuple[str, ...]]) -> list[Finding]:
    """Word the questions that arise where several columns would do for one."""
    asked = []
    for ours, theirs in rivals.items():
        listed = ", ".join(repr(name) for name in theirs)
        must = ours in ("customer_id", "order_time", "amount", "event_time", "event_type")
        asked.append(
            Finding(
                "block" if must else "warn",
                table,
                ours,
                f"{RIVALS} {ours}: {listed}.",
                answer=f'[{table}.columns] {ours} = "{theirs[0]}"',
            )
        )
    return asked


def check(source: Any, mapping: Mapping | Map[str, Any] | Path | str | None = None) -> Audit:
    """Can we trust the data? Find what must be answered before they are used.

    Parameters
    ----------
    source, mapping
        As for `segkit.intake`.

    Returns
    -------
    Audit
        With the mapping proposed, the findings, and order lines by month. It is itself a source
        for `segkit.intake` and `segkit.link_source`, which then read nothing a second time.

    Raises
    ------
    SourceError, MappingError
        If a file is not there or cannot be read, or the mapping names what does not exist.

    Examples
    --------
    >>> lines = pl.DataFrame({"Kunden-Nr.": ["a", "b"], "Betrag": ["1.234,50", "7,20"],
    ...                       "Bestelldatum": ["03.04.2024", "05.06.2024"]})
    >>> audit = check(lines)
    >>> audit.blocked, audit.mapping.tables["orders"].columns["amount"]
    (False, 'Betrag')
    """
    gathered = gather(source, mapping)
    # Copies of the frames, not of their columns: whoever changes a frame does not change these.
    raw = {name: frame.clone() for name, frame in gathered.raw.items()}
    used, questions = settle_mapping(raw, gathered.given)
    gathered = replace(gathered, raw=raw, given=used)
    readings: dict[str, Reading] = {}
    taken: Intake | None = None
    try:
        taken = trial(gathered, used, readings)
    except (SegkitError, pl.exceptions.PolarsError):
        if not any(item.severity == "block" for item in questions):
            raise
    found = findings_of(raw, used, taken, questions, gathered.notes)
    return Audit(
        used,
        found,
        _coverage(taken),
        {name: frame.height for name, frame in raw.items()},
        Audited(gathered, questions, readings),
    )


def _coverage(taken: Intake | None) -> pl.DataFrame:
    """Count clean order lines by month, months without any included."""
    schema: dict[str, type[pl.DataType]] = {
        "month": pl.Date,
        "rows": pl.UInt32,
        "customers": pl.UInt32,
        "amount": pl.Float64,
    }
    if taken is None or taken.orders is None or not taken.orders.height:
        return pl.DataFrame(schema=schema)
    # Whole millionths add up to the same sum in whatever order threads take the lines.
    micro = (pl.col("amount") * MICRO).round(0).cast(pl.Int64)
    by_month = (
        taken.orders.lazy()
        .group_by(month=pl.col("order_day").cast(pl.Date).dt.truncate("1mo"))
        .agg(rows=pl.len(), customers=pl.col("customer_id").n_unique(), micro=micro.sum())
        .with_columns(amount=from_micro(pl.col("micro")))
        .sort("month")
        .collect()
    )
    months = pl.date_range(by_month["month"][0], by_month["month"][-1], "1mo", eager=True)
    whole = months.alias("month").to_frame().join(by_month, on="month", how="left")
    return whole.sort("month").select(
        pl.col(name).fill_null(0).cast(kind) if name != "month" else pl.col(name)
        for name, kind in schema.items()
    )
