"""Which month is "août"? Names of months and weekdays, written as a date format reads them."""

from __future__ import annotations

import unicodedata

import polars as pl

LANGUAGES = "English, German, French, Spanish, Italian, Portuguese and Dutch"
# Without accents, in lower case; German, French, Spanish, Italian, Portuguese, Dutch.
NAMES: dict[str, str] = {
    "Jan": "january januar jaenner janner jan janvier janv enero ene gennaio genn gen janeiro "
    "januari",
    "Feb": "february februar feb fevrier fevr fev febrero febbraio febbr fevereiro februari febr",
    "Mar": "march marz maerz mrz mar mars marzo marco maart mrt",
    "Apr": "april apr avril avr abril abr aprile",
    "May": "may mai mayo maggio magg mag maio mei",
    "Jun": "june juni jun juin junio giugno giu junho",
    "Jul": "july juli jul juillet juil julio luglio lug julho",
    "Aug": "august aug aout agosto ago augustus",
    "Sep": "september sept sep septembre septiembre setiembre settembre sett set setembro",
    "Oct": "october oktober oct okt octobre octubre ottobre ott outubro out",
    "Nov": "november nov novembre noviembre novembro",
    "Dec": "december dezember dec dez decembre diciembre dic dicembre dezembro",
}
MONTHS = {name: short for short, names in NAMES.items() for name in names.split()}
# What stands around a date and says nothing that it does not: weekdays, "de", "of", "le".
_IDLE = (
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs "
    "fri sat sun montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag "
    "lundi mardi mercredi jeudi vendredi samedi dimanche lun mer jeu ven sam dim "
    "lunes martes miercoles jueves viernes sabado domingo mie jue vie sab dom "
    "lunedi martedi mercoledi giovedi venerdi gio segunda terca quarta quinta sexta feira seg ter "
    "qua qui sex maandag dinsdag woensdag donderdag vrijdag zaterdag zondag "
    "de del do di of le den der the il el op as um uhr"
)
IDLE = frozenset(_IDLE.split())
WORD = r"\p{L}{2,}"


def date_words(values: pl.Series) -> dict[str, str]:
    """Find the words of a text column of dates that a date format would not read.

    Parameters
    ----------
    values : polars.Series
        Text.

    Returns
    -------
    dict of str to str
        Every word to what stands for it ("août" to "Aug", "lundi" to nothing); empty where the
        column holds no months' names, or all are English already.

    Examples
    --------
    >>> date_words(pl.Series(["lundi 5 août 2024"]))
    {'lundi': '', 'août': 'Aug'}
    >>> date_words(pl.Series(["5 August 2024", "2024-08-05T07:00Z"]))
    {}
    """
    texts = values.cast(pl.String)
    spelt = texts.filter(texts.str.contains(WORD).fill_null(value=False)).unique(
        maintain_order=True
    )
    if not spelt.len():
        return {}
    words = spelt.str.extract_all(WORD).explode().drop_nulls().unique(maintain_order=True)
    found = {word: _read(word) for word in words.head(200)}
    strange = [word for word, meant in found.items() if meant != word and not _english(word, meant)]
    months = any(meant in NAMES for meant in found.values())
    return found if months and strange else {}


def in_english(cell: pl.Expr, words: dict[str, str]) -> pl.Expr:
    """Write the dates of a column with the words that `date_words` found for it.

    Examples
    --------
    >>> words = {"lundi": "", "août": "Aug"}
    >>> pl.select(in_english(pl.lit("lundi 5 août 2024"), words)).item()
    '5 Aug 2024'
    """
    if not words:
        return cell
    longest = sorted(words, key=len, reverse=True)
    # "mar. 5 mars": what stands before the day is a weekday, whatever else it may mean.
    bare = cell.str.replace(r"^\p{L}{2,10}[.,]*\s+(\d{1,2}[-. ]+(?:\p{L}{1,3} )?\p{L}{3,})", "${1}")
    put = bare.str.replace_many(longest, [words[word] for word in longest], leftmost=True)
    spaced = put.str.replace_all(r"\s+[àÀaeEA]\s+|\s+", " ")
    return spaced.str.strip_chars(" ,.'’-")


def _read(word: str) -> str:
    """Give what stands for a word: an English month, nothing, or the word itself."""
    bare = unicodedata.normalize("NFKD", word.lower()).encode("ascii", "ignore").decode()
    if bare in MONTHS:
        return MONTHS[bare]
    return "" if bare in IDLE else word


def _english(word: str, meant: str) -> bool:
    """Tell whether a date format reads the word as it is: Aug or August."""
    return word.lower() in (meant.lower(), NAMES.get(meant, "").split()[0] if meant else "")
