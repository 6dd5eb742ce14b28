"""Spellings of customer ids: telephone numbers, zeros before numbers, case and look-alikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import polars as pl

from segkit.display import counted, number
from segkit.errors import DataError
from segkit.ids import fold_ids, is_no_customer, near_ids, read_ids, refuse_pseudonyms
from segkit.intake.country import countries
from segkit.intake.headers import concepts

if TYPE_CHECKING:
    from segkit.intake.mapping import Mapping

# Figures, and the signs that part them; how numbers begin after which a country's code follows.
_NUMBER, _ABROAD = r"^[(+\s]*\d[\d\s().\-–/·]*$", r"^[\s(]*(?:\+|00)"
_FEWEST, _MOST = 7, 15  # digits of a number, by ITU-T E.164
# Options that decide how customer ids are spelled.
SPELLINGS = ("phone_country", "leading_zeros", "similar_ids", "pseudonymise")
MOST, NEARLY_ALL = 0.5, 0.9  # of the international numbers: of a likely country, or of another


def read_telephones(numbers: pl.Series, country: str | None = None) -> pl.Series:
    """Write telephone numbers as their digits, after a plus where the country's code leads them.

    Of numbers of ``country`` (ISO 3166) the code is left out, what is dialled before a number
    within it, and digits that only some write before or in mobile numbers (as in Argentina). A code
    without a plus is one only where the digits after it make a number and all of them make none.
    Texts that are no telephone numbers stay as they are.

    Examples
    --------
    >>> ways = pl.Series(["+47 912 34 567", "0047-91234567", "4791234567", "912.34.567", "Ann"])
    >>> read_telephones(ways, "NO").to_list()
    ['91234567', '91234567', '91234567', '91234567', 'Ann']
    >>> read_telephones(ways).to_list()
    ['+4791234567', '+4791234567', '4791234567', '91234567', 'Ann']
    """
    text, digits, abroad = pl.col("text"), pl.col("digits"), pl.col("abroad")
    bare = pl.when("abroad").then(text.str.replace("(0)", "", literal=True)).otherwise("text")
    short = pl.when("abroad").then(digits.str.replace("^00", "")).otherwise("digits")
    frame = (
        numbers.to_frame("text")
        .with_columns(abroad=text.str.contains(_ABROAD), shaped=text.str.contains(_NUMBER))
        .with_columns(digits=bare.str.replace_all(r"\D", ""))
        .with_columns(digits=short)
    )
    read = pl.when("abroad").then("+" + digits).otherwise("digits")
    if country is not None:
        read = pl.coalesce(_national(digits, abroad, country), read)
        for pattern, rewritten in countries()[country].get("rewritten", {}).items():
            read = read.str.replace(pattern, rewritten)
    is_number = pl.col("shaped") & digits.str.len_chars().is_between(_FEWEST, _MOST)
    return frame.select(
        pl.when(is_number).then(read).otherwise("text").alias(numbers.name)
    ).to_series()


def _national(digits: pl.Expr, abroad: pl.Expr, country: str) -> pl.Expr:
    """Return a country's numbers as they are dialled from next door; null where that is not told.

    What is dialled before them (the trunk prefix) is a zero mostly, with which no number begins.
    """
    code, trunk, least, most = countries()[country]["phone"]
    after, dialled = digits.str.slice(len(code)), digits.str.slice(len(trunk))
    fits = (part.str.len_chars().is_between(least, most) for part in (after, dialled, digits))
    after_fits, dialled_fits, is_whole = fits
    zero = trunk.startswith("0")
    has_code = digits.str.starts_with(code) & (abroad | (after_fits & ~is_whole))
    has_trunk = digits.str.starts_with(trunk) & (dialled_fits | zero) & bool(trunk) & ~abroad
    own = after.str.replace("^0", "") if zero else after
    return pl.when(has_code).then(own).when(has_trunk).then(dialled)


def country_of(numbers: pl.Series, likely: str | None = None) -> str | None:
    """Return the country that nearly all international numbers are of, or most of a likely one.

    Where no number has a country's code, the likely one; None where several countries are left.

    Examples
    --------
    >>> country_of(pl.Series(["+47 912 34 567", "0047 913 34 567", "914 34 567"]))
    'NO'
    """
    abroad = read_telephones(numbers.drop_nulls().unique())
    abroad = abroad.filter(abroad.str.contains(r"^\+\d+$") & ~is_placeholder(abroad))
    if not abroad.len():
        return likely
    # The United States before Canada, whose code they share.
    for country in filter(None, (likely, *reversed(countries()))):
        own = abroad.str.starts_with("+" + countries()[country]["phone"][0])
        if own.mean() >= (MOST if country == likely else NEARLY_ALL):  # type: ignore[operator]
            return country
    return None


def are_telephones(mapping: Mapping) -> bool:
    """Return whether a mapping's customer ids are telephone numbers."""
    named = [part.columns.get("customer_id", "") for part in mapping.tables.values()]
    is_named = any("phone" in concepts(header)[0] for header in named if header)
    return is_named or mapping.option("orders", "phone_country") is not None


def is_placeholder(numbers: pl.Series) -> pl.Series:
    """Return which telephone numbers are zeros, but for a country's code: nobody's."""
    bare = numbers.str.replace_all(r"[^\p{L}\d+]", "")
    return bare.str.contains(r"^(?:\+\d{1,3})?0{7,}$").fill_null(value=False)


def _ways(mapping: Mapping) -> Iterator[tuple[Callable[[pl.Series], pl.Series], str]]:
    """Yield how ids get one spelling, as the mapping says, and the note on it."""
    if are_telephones(mapping):
        country = mapping.option("orders", "phone_country")
        how = f' (phone_country = "{country}")' if country else ""
        note = "{numbers} in {name}, in {ways} spellings, were read as one each" + how
        yield lambda ids: read_telephones(ids, country), note
    if mapping.option("orders", "leading_zeros") == "join":
        note = '{ids} in {name} are {people} without the zeros before them (leading_zeros = "join")'
        yield lambda ids: ids.str.replace(r"^0+(\d+)$", "$1"), note
    if mapping.option("orders", "similar_ids") == "join":
        note = "{ids} in {name} are {people} without case, width, accents and look-alikes "
        note += '(similar_ids = "join")'
        yield lambda ids: ids.to_frame("id").select(fold_ids(pl.col("id"))).to_series(), note


def spell_ids(ids: pl.Series, mapping: Mapping, notes: list[str] | None = None) -> pl.Series:
    """Give customer ids one spelling each, as the mapping says; note how many became one.

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
                    name=repr(ids.name),
                    numbers=counted(after.filter(phones).n_unique(), "telephone number"),
                    ways=number(phones.sum()),
                    ids=counted(before.len(), "id"),
                    people=counted(after.n_unique(), "customer"),
                )
            )
        changed = before != after
        ids = ids.replace(before.filter(changed), after.filter(changed))
    return ids


def spell_list(ids: pl.Series, mapping: Mapping | None, what: str, notes: list[str]) -> pl.Series:
    """Write the ids of a list that came later as the data's are written; note how many changed.

    Without the data's mapping the ids stay as they are.

    Examples
    --------
    >>> from segkit.intake.mapping import Mapping
    >>> norway, notes = Mapping(options={"phone_country": "NO"}), []
    >>> spell_list(pl.Series(["+47 912 34 567"]), norway, "the opt-outs", notes).to_list(), notes
    (['91234567'], ['1 id in the opt-outs was written as the data write it.'])
    """
    if mapping is None:
        return ids
    spelled = spell_ids(ids, mapping)
    changed = ids.filter(ids != spelled).n_unique()
    if changed:
        verb, it = ("was", "it") if changed == 1 else ("were", "them")
        of_list = f"{counted(changed, 'id')} in {what}"
        notes.append(f"{of_list} {verb} written as the data write {it}.")
    return spelled


def require_met(listed: pl.Series, present: pl.Series, what: str) -> None:
    """Refuse a list of refusals whose ids would be among those present but for their spelling.

    It is for lists without the data's mapping: whose numbers have which country is not known. Of
    figures alone, such as 4791234567, most have to be another spelling by one country's code.

    Examples
    --------
    >>> require_met(pl.Series(["+47 912 34 567"]), pl.Series(["91234567"]), "the opt-outs")
    Traceback (most recent call last):
    segkit.errors.DataError: the opt-outs: 1 id is ...
    """
    ids = listed.drop_nulls().unique().alias("id")
    missing = ids.filter(~ids.is_in(present.drop_nulls().unique().implode()))
    if missing.len() == ids.len():
        refuse_pseudonyms(missing, present, what, "the customers")
    folded, ends = near_ids(missing, present)
    numbers, own = missing.filter(ends & ~folded), present.drop_nulls().unique()
    last, own_last = (ids.str.replace_all(r"\D", "").str.tail(_FEWEST) for ids in (numbers, own))
    own = own.filter(own_last.is_in(last.implode()))
    close, all_bare = int(folded.sum()), int(missing.str.contains(r"^\d{7,}$").sum())
    for country in (country_of(numbers), *countries()):
        if numbers.is_empty():
            break
        met = read_telephones(numbers, country).is_in(read_telephones(own, country).implode())
        bare = numbers.str.contains(r"^\d+$")
        met &= ~bare | bool((met & bare).sum() >= MOST * all_bare)
        close, numbers = close + int(met.sum()), numbers.filter(~met)
    if close:
        verb, it = ("is", "its") if close == 1 else ("are", "their")
        raise DataError(
            f"{what}: {counted(close, 'id')} {verb} not among the customers, and would be but for "
            f"{it} spelling: they would be missed. Give mapping= of the data "
            "(segkit.clean_data(...).mapping), by which ids are written as theirs; or "
            "mapping=segkit.intake.Mapping() if they are other customers"
        )


def spell_cells(cells: pl.Series, mapping: Mapping | None = None) -> pl.Series:
    """Write cells that name persons in one spelling each; null where they stand for nobody.

    Ids are spelled as a mapping says. Else a column named after telephones is read by the country
    that its own numbers tell.

    Examples
    --------
    >>> spell_cells(pl.Series("Phone", ["+47 91234567", "912 34 567", "guest"])).to_list()
    ['91234567', '91234567', None]
    """
    texts = read_ids(cells)
    spellings = texts.drop_nulls().unique()
    one = spellings if mapping is None else spell_ids(spellings, mapping)
    one = one.alias("id").to_frame().select(fold_ids(pl.col("id"))).to_series()
    if "phone" in concepts(cells.name)[0]:
        one = one if mapping else read_telephones(one, country_of(one))
        one = one.set(is_placeholder(one), None)
    one = one.set(is_no_customer(one), None)
    return texts.replace(spellings, one)
