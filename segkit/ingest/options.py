"""Which choices does a mapping offer? Each option with its default, its values and its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from segkit.ids import NO_CUSTOMER


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of the mapping file.

    Attributes
    ----------
    default : value
        What holds where the mapping is silent; None means "as seen in the data".
    kinds : tuple of type
        Types that a value may have.
    about : str
        What it settles.
    values : tuple of str
        The words allowed, if there are only some.
    """

    default: Any
    kinds: tuple[type, ...]
    about: str
    values: tuple[str, ...] = ()

    def problem(self, value: Any) -> str:
        """Say what is wrong with a value, or nothing."""
        wrong_bool = isinstance(value, bool) and bool not in self.kinds
        if wrong_bool or not isinstance(value, self.kinds):
            names = " or ".join(kind.__name__ for kind in self.kinds)
            return f"expected {names}, got {type(value).__name__}"
        if self.values and value not in self.values:
            return f"expected one of {', '.join(self.values)}"
        return ""


CANCELLED = (
    "cancelled",
    "canceled",
    "cancel",
    "void",
    "voided",
    "failed",
    "storniert",
    "annulé",
    "annule",
    "annulée",
    "annulee",
    "cancelado",
    "cancelada",
    "anulado",
    "anulada",
    "geannuleerd",
)
TOTALS = (
    *("total", "totals", "subtotal", "sub-total", "grand total", "sum", "totaux", "sous-total"),
    *("total général", "total general", "summe", "gesamt", "gesamtsumme", "gesamtbetrag"),
    *("zwischensumme", "endsumme", "suma", "total geral", "soma", "totale", "somma", "subtotale"),
    *("totale generale", "totaal", "subtotaal", "eindtotaal"),
)
NULLS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "NaT")

OPTIONS: dict[str, Option] = {
    # where the rows are
    "file": Option(None, (str,), "path of the raw table, relative to the mapping file or absolute"),
    "database": Option(None, (str,), "path of a SQLite or DuckDB file"),
    "sql": Option(None, (str,), "query whose result is the raw table; needs database"),
    "sheet": Option(None, (str, int, list), "Excel sheet by name, or by number from 1; or several"),
    # how text is read
    "delimiter": Option(None, (str,), "what parts the cells; 'whitespace' for runs of blanks"),
    "encoding": Option(None, (str,), "utf-8, latin-1, cp1252, utf-16, ..."),
    "quote": Option('"', (str,), "quote character; '' for none"),
    "skip_rows": Option(0, (int,), "lines above the header"),
    "nulls": Option(list(NULLS), (list, tuple), "words that mean 'no value'"),
    "no_customer": Option(
        list(NO_CUSTOMER), (list, tuple), "customer ids that stand for nobody, case aside"
    ),
    "similar_ids": Option(
        None,
        (str,),
        "customer ids that differ only in case, width, accents, invisible or look-alike letters",
        ("join", "apart"),
    ),
    "mangled_ids": Option(
        None, (str,), "ids that a spreadsheet wrote as 1.23457E+12: count as missing", ("reject",)
    ),
    "answers": Option(
        None, (list, tuple), "lowest and highest answer to a survey's items, such as [1, 5]"
    ),
    "decimal": Option(None, (str,), "decimal sign", (".", ",")),
    "thousands": Option(None, (str,), "sign between thousands; '' for none"),
    "date_format": Option(
        None, (str, list), "strptime format(s), or epoch_s, epoch_ms, excel for numbers"
    ),
    "day_first": Option(None, (bool,), "whether 03/04/2024 is the third of April"),
    # time and money
    "timezone": Option(None, (str,), "IANA zone of local times and of the business day"),
    "ambiguous_time": Option(
        "earliest", (str,), "local times that the clock shows twice", ("earliest", "latest")
    ),
    "missing_time": Option(
        "shift",
        (str,),
        "local times that the clock skips: an hour later, or set apart",
        ("shift", "reject"),
    ),
    "earliest_date": Option("1990-01-01", (str, date), "days before are impossible"),
    "latest_date": Option(None, (str, date), "days after are impossible (default: tomorrow)"),
    "as_of": Option(None, (str, date), "rows after this day are set apart"),
    "currency": Option(None, (str,), "reporting currency, three letters"),
    # policies
    "duplicates": Option("flag", (str,), "exact repeats: counted or removed", ("flag", "drop")),
    "order_grain": Option(
        "day", (str,), "what one order is where the source has no id", ("day", "time", "line")
    ),
    "return_prefix": Option(None, (str,), "order ids that start so are returns"),
    "negative": Option(
        "return", (str,), "lines with a negative amount or quantity", ("return", "reject")
    ),
    "zero": Option("reject", (str,), "lines worth nothing", ("reject", "keep")),
    "discount_unit": Option("money", (str,), "unit of discount", ("money", "share", "percent")),
    "discount_taken": Option(
        None, (bool,), "amount (or unit_price) already has the discount taken off"
    ),
    "non_products": Option([], (list, tuple), "product codes that are no goods (postage, fees)"),
    "non_product_lines": Option("keep", (str,), "lines with these codes", ("keep", "set_apart")),
    "cancelled": Option(list(CANCELLED), (list, tuple), "words of status that void a line"),
    "total_words": Option(list(TOTALS), (list, tuple), "words that mark a line of totals"),
    # people
    "consent": Option(
        "enforce", (str,), "customers without profiling consent", ("enforce", "ignore")
    ),
    "consent_default": Option(
        "granted", (str,), "where no consent is recorded", ("granted", "refused")
    ),
    "erase_file": Option(None, (str,), "file with one customer id a line, to be erased"),
    "pseudonymise": Option(
        None, (str,), "environment variable that holds the key; ids become keyed hashes"
    ),
}
ORDERS_ONLY = {
    "order_grain",
    "return_prefix",
    "negative",
    "zero",
    "discount_unit",
    "discount_taken",
    "non_products",
    "non_product_lines",
    "cancelled",
    "total_words",
}


def as_date(value: Any) -> date | None:
    """Turn an option's date (text or date) into a date.

    Raises
    ------
    ValueError
        If text is not an ISO date.

    Examples
    --------
    >>> as_date("2011-12-09")
    datetime.date(2011, 12, 9)
    """
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    return date.fromisoformat(str(value)[:10])
