"""Ledger of raw rows and money: kept, or rejected for one reason."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import counted, money, number, percent
from segkit.errors import DataError
from segkit.result import Result

if TYPE_CHECKING:
    from segkit.plot import Figure

MICRO = Decimal(1_000_000)


def money_from_micro(micro: int | None) -> Decimal | None:
    """Turn whole millionths of the currency into an exact decimal.

    Examples
    --------
    >>> money_from_micro(9747747934000)
    Decimal('9747747.934')
    """
    if micro is None:
        return None
    exact = (Decimal(micro) / MICRO).normalize()
    return exact if exact.as_tuple().exponent <= 0 else exact.quantize(Decimal(1))  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Rows rejected for one reason.

    Attributes
    ----------
    reason : str
        Name of the reason ("missing_customer_id").
    rows, customers : int
        Number of rows, and of known customers in them.
    money : Decimal or None
        Their sum in the reporting currency (unreadable amounts count nothing); None where the
        table holds no money.
    examples : tuple of str
        Up to three rows: row number and the invalid values; never a customer's id.
    change : str
        The mapping line that would change the decision.
    """

    reason: str
    rows: int
    customers: int
    money: Decimal | None
    examples: tuple[str, ...]
    change: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the ledger: rows before, rows kept, rows rejected.

    Attributes
    ----------
    table, step : str
        The table ("orders") and what the step looks at ("dates").
    rows_in, rows_kept, customers_in, customers_kept : int
        Counts before and after.
    money_in, money_kept : Decimal or None
        Exact sums before and after; None where the table holds no money.
    rejected : tuple of Rejection
        What was rejected, by reason.
    """

    table: str
    step: str
    rows_in: int
    rows_kept: int
    customers_in: int
    customers_kept: int
    money_in: Decimal | None
    money_kept: Decimal | None
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the rows kept: sales, returns.

    Attributes
    ----------
    table, kind : str
        The table and the kind of row ("sale", "return").
    rows, customers, orders : int
        How many lines, customers and distinct orders.
    money : Decimal or None
        Their exact sum in the reporting currency.
    """

    table: str
    kind: str
    rows: int
    customers: int
    orders: int
    money: Decimal | None


@dataclass(frozen=True, slots=True, eq=False)
class Ledger(Result):
    """Account of every raw row: kept, or rejected for exactly one reason.

    Attributes
    ----------
    steps : tuple of Step
        In the order in which they were taken, table by table.
    parts : tuple of Part
        The kept rows of a table by kind (orders: sales and returns).
    currency : str or None
        The reporting currency, if the mapping names it.
    notes : tuple of str
        What was changed or assumed without rejecting rows.
    """

    steps: tuple[Step, ...]
    parts: tuple[Part, ...] = ()
    currency: str | None = None
    notes: tuple[str, ...] = ()

    def check(self) -> Ledger:
        """Check that rows and money balance at every step; return the ledger itself.

        Raises
        ------
        DataError
            If a step does not balance; the error names it.
        """
        before: dict[str, Step] = {}
        for step in self.steps:
            _balance(step)
            last = before.get(step.table)
            if last and (last.rows_kept, last.money_kept) != (step.rows_in, step.money_in):
                raise DataError(f"{step.table}: {step.step} starts from other rows than were kept")
            before[step.table] = step
        for table, last in before.items():
            parts = [part for part in self.parts if part.table == table]
            if not parts:
                continue
            if sum(part.rows for part in parts) != last.rows_kept or (
                last.money_kept is not None
                and sum((part.money or Decimal(0) for part in parts), Decimal(0)) != last.money_kept
            ):
                raise DataError(f"{table}: the kept parts do not add up to the rows kept")
        return self

    def reasons(self, table: str = "orders") -> dict[str, int]:
        """Count the rejected rows by reason (only reasons that occurred)."""
        return {
            rejection.reason: rejection.rows
            for step in self.steps
            if step.table == table
            for rejection in step.rejected
        }

    def part(self, kind: str, table: str = "orders") -> Part:
        """Return one part of the kept rows ("sale", "return").

        Raises
        ------
        DataError
            If the ledger has no such part.
        """
        for part in self.parts:
            if (part.table, part.kind) == (table, kind):
                return part
        have = ", ".join(f"{part.table}/{part.kind}" for part in self.parts)
        raise DataError(f"the ledger has no part {table}/{kind}; it has {have or 'none'}")

    def to_frame(self) -> pl.DataFrame:
        """Return one row for each entry: read, rejected by reason, kept by kind."""
        rows: list[dict[str, object]] = []
        for table in self.tables:
            steps = [step for step in self.steps if step.table == table]
            first, last = steps[0], steps[-1]
            rows.append(
                _entry(table, "read", "", first.rows_in, first.customers_in, first.money_in)
            )
            for step in steps:
                for a in step.rejected:
                    entry = _entry(table, step.step, a.reason, a.rows, a.customers, a.money)
                    rows.append({**entry, "examples": "; ".join(a.examples), "to_change": a.change})
            rows.append(
                _entry(table, "kept", "", last.rows_kept, last.customers_kept, last.money_kept)
            )
            rows += [
                _entry(table, "of which", p.kind, p.rows, p.customers, p.money)
                for p in self.parts
                if p.table == table
            ]
        return pl.DataFrame(rows, schema=_SCHEMA)

    def kept_share(self, table: str = "orders") -> float:
        """Return the share of a table's rows that is kept; 0 for a table without rows."""
        steps = [step for step in self.steps if step.table == table]
        read = steps[0].rows_in if steps else 0
        return steps[-1].rows_kept / read if read else 0.0

    @property
    def tables(self) -> list[str]:
        """The tables accounted for, in order."""
        return list(dict.fromkeys(step.table for step in self.steps))

    @property
    def text(self) -> str:
        """The ledger in one or two sentences."""
        if not self.steps:
            return "No table was read."
        table = "orders" if "orders" in self.tables else self.tables[0]
        steps = [step for step in self.steps if step.table == table]
        read, last = steps[0].rows_in, steps[-1]
        share = percent(self.kept_share(table) if read else None)
        sentence = (
            f"Of {number(read)} {name_rows(table)} {number(last.rows_kept)} ({share}) are kept, "
            f"from {counted(last.customers_kept, 'customer')}"
        )
        if last.money_kept is not None:
            unit = f" {self.currency}" if self.currency else ""
            sentence += f", worth {number(last.money_kept)}{unit}"
        kinds = [
            f"{number(p.rows)} {p.kind} lines ({number(p.money)})"
            for p in self.parts
            if p.table == table and p.rows
        ]
        sentence += f": {' and '.join(kinds)}. " if kinds else ". "
        rejected = sorted(self.reasons(table).items(), key=lambda item: -item[1])
        if rejected:
            listed = ", ".join(
                f"{reason.replace('_', ' ')} {number(count)}" for reason, count in rejected
            )
            return sentence + f"The others are rejected, each for one reason: {listed}."
        return sentence + "No row is rejected."

    @property
    def answer(self) -> str:
        """How many rows are kept, of how many, and what they are worth."""
        if not self.steps:
            return "No table was read."
        table = "orders" if "orders" in self.tables else self.tables[0]
        steps = [step for step in self.steps if step.table == table]
        share = percent(self.kept_share(table) if steps[0].rows_in else None)
        text = f"{share} of {number(steps[0].rows_in)} {table} rows are kept"
        if steps[-1].money_kept is not None:
            text += f", worth {money(round(steps[-1].money_kept), self.currency)}"
        return f"{text}; each of the others is rejected for one stated reason."

    def plot(self, table: str = "orders") -> Figure:
        """Draw the rejected rows of one table by reason, beside those kept."""
        from segkit.plot import GREY, OKABE_ITO, Figure, canvas
        from segkit.plot.figure import name_axis, note

        chosen = table if table in self.tables else self.tables[0]
        frame = self.to_frame().filter(pl.col("table") == chosen)
        kinds = frame.filter(pl.col("step") == "of which")
        kept_rows = kinds if kinds.height else frame.filter(pl.col("step") == "kept")
        rejected = frame.filter(~pl.col("step").is_in(["read", "kept", "of which"]))
        labels = [f"kept: {kind}" if kind else "kept" for kind in kept_rows["entry"]]
        labels += [reason.replace("_", " ") for reason in rejected["entry"]]
        data = pl.DataFrame({"label": labels, "rows": [*kept_rows["rows"], *rejected["rows"]]})
        colours = [OKABE_ITO[0]] * kept_rows.height + [OKABE_ITO[3]] * rejected.height
        with canvas(height=1.0 + 0.34 * data.height) as (figure, (axes,)):
            spots = list(range(data.height))
            axes.barh(spots, data["rows"].to_list(), color=colours)
            name_axis(axes.yaxis, spots, labels, 40)
            axes.invert_yaxis()
            for spot, rows in zip(spots, data["rows"], strict=True):
                note(axes, number(rows), (rows, spot), (4, 0), color=GREY)
            axes.set_xlabel("rows")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.margins(x=0.12)
            axes.set_title(f"What became of the rows of {chosen}")
        alt = f"Bars of {chosen} rows by what became of them. {self.text}"
        return Figure(figure, alt, data, again=lambda: self.plot(table))


def name_rows(table: str) -> str:
    """Name a table's rows in words.

    Examples
    --------
    >>> name_rows("orders"), name_rows("survey")
    ('order lines', 'survey rows')
    """
    return "order lines" if table == "orders" else f"{table} rows"


_SCHEMA: dict[str, Any] = {
    "table": pl.String,
    "step": pl.String,
    "entry": pl.String,
    "rows": pl.Int64,
    "customers": pl.Int64,
    "money": pl.Decimal(38, 6),
    "examples": pl.String,
    "to_change": pl.String,
}


def _entry(
    table: str, step: str, entry: str, rows: int, customers: int, money: Decimal | None
) -> dict[str, object]:
    return {
        "table": table,
        "step": step,
        "entry": entry,
        "rows": rows,
        "customers": customers,
        "money": money,
        "examples": "",
        "to_change": "",
    }


def _balance(step: Step) -> None:
    """Check that rows before equal rows kept plus rows rejected."""
    rejected = sum(item.rows for item in step.rejected)
    if step.rows_in != step.rows_kept + rejected:
        raise DataError(
            f"{step.table}/{step.step}: {counted(step.rows_in, 'row')} in, but {step.rows_kept} "
            f"kept and {rejected} rejected"
        )
    if step.money_in is None or step.money_kept is None:
        return
    money = sum((item.money or Decimal(0) for item in step.rejected), Decimal(0))
    if step.money_in != step.money_kept + money:
        raise DataError(
            f"{step.table}/{step.step}: {step.money_in} in, but {step.money_kept} kept "
            f"and {money} rejected"
        )
