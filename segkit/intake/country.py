"""The country that customers live in, as their data tell it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from segkit.display import percent
from segkit.intake.headers import concepts, language_of, without_accents

if TYPE_CHECKING:
    from segkit.intake.evidence import ColumnProfile
    from segkit.intake.mapping import Mapping
    from segkit.intake.store import Intake

TOLD = 0.1  # of the rows of a column tell a country
MOST = 0.5  # of the order lines must be of one country for it to be the shop's
EURO = "EUR"
# Letters of headers that are written where one currency is paid.
SCRIPTS = {"KRW": "[가-힣]", "JPY": "[ぁ-ヶ]", "THB": "[ก-ฮ]", "ILS": "[א-ת]", "VND": "[ăđơư]"}


@dataclass(frozen=True, slots=True)
class Country:
    """A country proposed from data.

    Attributes
    ----------
    code : str or None
        ISO 3166 code of two letters; None where the data do not tell one.
    why : str
        What tells it, or why nothing does.
    """

    code: str | None
    why: str


@cache
def countries() -> dict[str, dict[str, Any]]:
    """Return what is known of each country: names, currency, time zones, language."""
    text = (Path(__file__).parent / "countries.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def country_code(name: str) -> str | None:
    """Return the code of a country's name or code, in English or its own language.

    Examples
    --------
    >>> country_code("Deutschland"), country_code("UK"), country_code("TÜRKİYE")
    ('DE', 'GB', 'TR')
    """
    word = without_accents(name.strip().casefold())
    return word.upper() if word.upper() in countries() else _by_name().get(word)


@cache
def _by_name() -> dict[str, str]:
    items = countries().items()
    return {without_accents(name): code for code, item in items for name in item["names"]}


def propose_country(taken: Intake) -> Country:
    """Propose the country from the data: its country column, or currency, time zone and language.

    A country column decides where more than half of the rows name one country. Otherwise the
    currency, the time zone and the language of the column names must leave one country.

    Parameters
    ----------
    taken : Intake
        Clean tables with their mapping.

    Returns
    -------
    Country

    Examples
    --------
    >>> from segkit.intake import clean_data
    >>> lines = pl.DataFrame({"Kundennummer": ["a", "b"], "Betrag": [9.5, 3.5],
    ...     "Bestelldatum": ["13.04.2024", "15.06.2024"], "Waehrung": ["EUR", "EUR"]})
    >>> propose_country(clean_data(lines))
    Country(code='DE', why='the language of the columns and the currency EUR')
    """
    named = {
        table: frame["country"]
        for table, frame in (("order lines", taken.orders), ("customers", taken.customers))
        if frame is not None and "country" in frame.columns
    }
    return tell_country(named, taken.mapping, currency_of(taken))


def tell_country(named: dict[str, pl.Series], mapping: Mapping, currency: str | None) -> Country:
    """Tell the country by the columns of countries (by what they are of), or else the mapping."""
    for table, names in named.items():
        stated = _of_column(names, table)
        if stated is not None:
            return stated
    evidence = _evidence(mapping, currency)
    if not evidence:
        return Country(None, "no country, currency or time zone tells where the customers live")
    words = " and ".join(what for what, _ in evidence)
    left = set.intersection(*(codes for _, codes in evidence))
    if len(left) == 1:
        return Country(left.pop(), words)
    if not left:
        fits = "fits" if len(evidence) == 1 else "together fit"
        return Country(None, f"{words} {fits} no country that is known here")
    leaves = "leaves" if len(evidence) == 1 else "leave"
    return Country(None, f"{words} alone {leaves} several countries")


def tell_currency(codes: set[str], profiles: dict[str, ColumnProfile]) -> str | None:
    """Tell which of several currencies by the countries of places, addresses and telephones."""
    items = {code: item for code, item in countries().items() if item["currency"] in codes}
    shares = dict.fromkeys(codes, 0.0)
    for shown in profiles.values():
        texts = shown.cells.drop_nulls()
        if texts.dtype != pl.String or shown.is_money or shown.dated or not shown.rows:
            continue
        named = texts.replace_strict(
            {word: country_code(word) for word in shown.words}, default=None, return_dtype=pl.String
        )
        for code, item in items.items():
            told = texts.str.contains(_tells(code, item))
            if "country" in concepts(shown.name)[0]:
                told |= (named == code).fill_null(value=False)
            shares[item["currency"]] = max(shares[item["currency"]], int(told.sum()) / shown.rows)
    ranked = sorted(codes, key=lambda code: -shares[code])
    if (
        not codes
        or shares[ranked[0]] < TOLD
        or any(2 * shares[c] > shares[ranked[0]] for c in ranked[1:])
    ):
        return None
    return ranked[0]


def guess_currency(headers: Iterable[str]) -> str | None:
    """Return the one currency of those who write headers so, by their letters or language.

    Examples
    --------
    >>> guess_currency(["주문번호", "금액"]), guess_currency(["Order", "Amount"])
    ('KRW', None)
    """
    text = " ".join(headers)
    scripts = [code for code, letters in SCRIPTS.items() if re.search(letters, text)]
    language = language_of(text.split())
    spoken = {item["currency"] for item in countries().values() if item.get("language") == language}
    codes = scripts or [*spoken] if language else scripts
    return codes[0] if len(codes) == 1 else None


def _tells(code: str, item: dict[str, Any]) -> str:
    """Return what tells a country: ends of addresses, codes of telephones, postcodes."""
    number = item.get("phone", ("",))[0]
    tells = [rf"(?i:\.{'uk' if code == 'GB' else code})$", item.get("place", "")]
    tells += [rf"^(?:\+|00){number}[\s(.-]?\d"] if number and number != "1" else []
    return "|".join(filter(None, tells))


def _of_column(names: pl.Series, table: str) -> Country | None:
    """Return the country that most rows name; None where no row names one that is known."""
    counts = names.drop_nulls().value_counts()
    codes: dict[str | None, int] = {}
    for name, n in counts.iter_rows():
        code = country_code(str(name))
        codes[code] = codes.get(code, 0) + n
    if not set(codes) - {None}:
        return None
    total = sum(codes.values())
    code, most = max(codes.items(), key=lambda pair: (pair[1], pair[0] or ""))
    if code is None or most <= MOST * total:
        shares = sorted(((rows, item) for item, rows in codes.items() if item), reverse=True)[:3]
        listed = ", ".join(f"{item} {percent(rows / total, places=0)}" for rows, item in shares)
        why = f"the country column of the {table} names no country mostly ({listed})"
        return Country(None, why)
    return Country(code, f"the country column ({percent(most / total, places=0)} of the {table})")


def _evidence(mapping: Mapping, currency: str | None) -> list[tuple[str, set[str]]]:
    """List what tells a country, each with the countries that it leaves."""
    by_code = countries()
    evidence: list[tuple[str, set[str]]] = []
    headers = [source for part in mapping.tables.values() for source in part.columns.values()]
    language = language_of(headers)
    speakers = {
        code for code, item in by_code.items() if language and item.get("language") == language
    }
    users = {code for code, item in by_code.items() if item["currency"] == currency}
    if speakers and not speakers & users:  # Switzerland's shops write German, French or Italian
        also = {code for code in users if language in by_code[code].get("also", "").split()}
        speakers = also or speakers
    if speakers:
        evidence.append(("the language of the columns", speakers))
    if currency:
        evidence.append((f"the currency {currency}", users))
    zone = mapping.option("orders", "timezone")
    residents = {code for code, item in by_code.items() if zone in item["zones"]}
    if residents:
        evidence.append((f"the time zone {zone}", residents))
    # German columns and euros are Germany's rather than Austria's, unless a time zone says so.
    if language == "de" and currency == EURO and not residents:
        evidence[0] = (evidence[0][0], {"DE"})
    return evidence


def currency_of(taken: Intake) -> str | None:
    """Return the reporting currency, or else the one that all order lines state."""
    if taken.ledger.currency or taken.orders is None or "currency" not in taken.orders.columns:
        return taken.ledger.currency
    stated = taken.orders["currency"].drop_nulls().unique()
    return str(stated[0]) if stated.len() == 1 else None
