"""Spellings of customer ids: telephone numbers, zeros before numbers, case and look-alikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import counted, number
from segkit.ids import fold_ids
from segkit.intake.country import countries
from segkit.intake.headers import concepts

if TYPE_CHECKING:
    from segkit.intake.mapping import Mapping

# Figures with the signs that part them, as many as a telephone number has at the least.
_NUMBER = r"^\s*\(?\+?[\s(]*\d(?:[\s().\-–/·]*\d){6,}[\s)]*$"
_ABROAD = r"^[\s(]*(?:\+|00)"
_SURE = 0.9  # of the international numbers have the code of one country


def read_telephones(numbers: pl.Series, country: str | None = None) -> pl.Series:
    """Write telephone numbers as their digits, after a plus where the country's code leads them.

    Of numbers of ``country`` the code is left out, and what is dialled before a number within it. A
    code without a plus is one only where the digits after it make a number and all of them make
    none. Texts that are no telephone numbers stay as they are.

    Parameters
    ----------
    numbers : polars.Series of String
    country : str, optional
        ISO 3166 code of the country that numbers without a code are of.

    Examples
    --------
    >>> ways = pl.Series(["+47 912 34 567", "0047-91234567", "4791234567", "912.34.567", "Ann"])
    >>> read_telephones(ways, "NO").to_list()
    ['91234567', '91234567', '91234567', '91234567', 'Ann']
    >>> read_telephones(ways).to_list()
    ['+4791234567', '+4791234567', '4791234567', '91234567', 'Ann']
    """
    text = pl.col("text")
    bare = pl.when("abroad").then(text.str.replace("(0)", "", literal=True)).otherwise(text)
    figures = bare.str.replace_all(r"\D", "")
    plus = text.str.contains(r"^[\s(]*\+")
    frame = numbers.alias("text").to_frame().with_columns(abroad=text.str.contains(_ABROAD))
    frame = frame.with_columns(
        digits=pl.when(pl.col("abroad") & ~plus).then(figures.str.slice(2)).otherwise(figures)
    )
    digits, abroad = pl.col("digits"), pl.col("abroad")
    national = pl.lit(None, pl.String)
    if country is not None:
        code, trunk, least, most = countries()[country]["phone"]

        def fits(part: pl.Expr) -> pl.Expr:
            return part.str.len_chars().is_between(least, most)

        after = digits.str.slice(len(code))
        has_code = digits.str.starts_with(code) & (abroad | (fits(after) & ~fits(digits)))
        dialled = digits.str.slice(len(trunk))
        zero = trunk.startswith("0")
        has_trunk = digits.str.starts_with(trunk) & (zero | fits(dialled)) & bool(trunk)
        own = after.str.replace("^0", "") if zero else after
        national = pl.when(has_code).then(own).when(~abroad & has_trunk).then(dialled)
    plain = pl.when(abroad).then("+" + digits).otherwise(digits)
    is_number = text.str.contains(_NUMBER) & (digits.str.len_chars() <= 15)
    read = pl.when(is_number).then(pl.coalesce(national, plain)).otherwise(text)
    return frame.select(read.alias(numbers.name)).to_series()


def country_of(numbers: pl.Series, likely: str | None = None) -> str | None:
    """Return the country that nearly all international numbers are of, the likely one first.

    Where no number has a country's code, the likely one; None where several countries are left.

    Examples
    --------
    >>> country_of(pl.Series(["+47 912 34 567", "0047 913 34 567", "914 34 567"]))
    'NO'
    """
    abroad = read_telephones(numbers.drop_nulls().unique())
    abroad = abroad.filter(abroad.str.contains(r"^\+\d+$"))
    if not abroad.len():
        return likely
    # The United States before Canada, whose code they share.
    for country in [likely] * bool(likely) + [*reversed(countries())]:
        own = abroad.str.starts_with("+" + countries()[str(country)]["phone"][0])
        if own.sum() >= _SURE * abroad.len():
            return country
    return None


def are_telephones(mapping: Mapping) -> bool:
    """Return whether a mapping's customer ids are telephone numbers."""
    named = [part.columns.get("customer_id", "") for part in mapping.tables.values()]
    is_named = any("phone" in concepts(header)[0] for header in named if header)
    return is_named or mapping.option("orders", "phone_country") is not None


def _ways(mapping: Mapping) -> Iterator[tuple[Callable[[pl.Series], pl.Series], str]]:
    """Yield how ids get one spelling, as the mapping says, and the note on it."""
    if are_telephones(mapping):
        country = mapping.option("orders", "phone_country")
        how = f' (phone_country = "{country}")' if country else ""
        note = "{numbers} in {ways} spellings were read as one each" + how
        yield lambda ids: read_telephones(ids, country), note
    if mapping.option("orders", "leading_zeros") == "join":
        note = '{ids} are {people} without the zeros before them (leading_zeros = "join")'
        yield lambda ids: ids.str.replace(r"^0+(\d+)$", "$1"), note
    if mapping.option("orders", "similar_ids") == "join":
        note = "{ids} are {people} without case, width, accents and look-alikes "
        note += '(similar_ids = "join")'
        yield lambda ids: ids.to_frame("id").select(fold_ids(pl.col("id"))).to_series(), note


def spell_ids(ids: pl.Series, mapping: Mapping, notes: list[str] | None = None) -> pl.Series:
    """Give customer ids one spelling each, as the mapping says; see `_ways`.

    Parameters
    ----------
    ids : polars.Series of String
    mapping : Mapping
    notes : list of str, optional
        Collects how many spellings became one.

    Examples
    --------
    >>> from segkit.intake.mapping import Mapping
    >>> mapping = Mapping(options={"leading_zeros": "join"})
    >>> spell_ids(pl.Series(["00123", "123"]), mapping).to_list()
    ['123', '123']
    """
    for spell, note in _ways(mapping):
        before = ids.drop_nulls().unique()
        after = spell(before)
        if notes is not None and after.n_unique() < before.len():
            phones = after.str.contains(r"^\+?\d{7,15}$")
            notes.append(
                note.format(
                    numbers=counted(after.filter(phones).n_unique(), "telephone number"),
                    ways=number(phones.sum()),
                    ids=counted(before.len(), "id"),
                    people=counted(after.n_unique(), "customer"),
                )
            )
        changed = before != after
        ids = ids.replace(before.filter(changed), after.filter(changed))
    return ids
