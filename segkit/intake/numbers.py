"""Numbers, amounts of money and survey answers: dialects, units, exact reading.

All functions that read numbers from text use this module. A cell is a number only if it is written
as the column's dialect writes numbers: signs between thousands are accepted where they separate
groups of three (or India's groups of two), and never dropped elsewhere.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from unicodedata import category

import polars as pl

from segkit.intake.cells import is_text, null_numbers, text
from segkit.intake.headers import WORDS, concepts, language_of

# Thousands separators that are never a decimal sign: spaces and apostrophes.
SPACES = (" ", "\u00a0", "\u2009", "\u202f")
APOSTROPHES = ("'", "’")
_MINUS = r"[-\u2212\u2013]"
_UNIT = r"\p{L}\.\p{L}\.?|\p{L}+\.|[^\d\s.,'’()+\-\u2212\u2013]+"
_GAPS = r"'’ \u00a0\u2009\u202f"
_CELL = (
    rf"^(?P<open>\()?(?P<first>\+|{_MINUS})?\s*(?P<before>{_UNIT})?\s*(?P<second>\+|{_MINUS})?\s*"
    rf"(?P<core>[.,]?[0-9](?:[0-9.,{_GAPS}]*[0-9])?(?:[eE][+-]?[0-9]{{1,3}})?)"
    # "12,-" means twelve without cents; it is not negative.
    rf"(?:(?P<tail>[.,])(?:{_MINUS}|\u2014){{0,2}})?"
    rf"\s*(?P<third>{_MINUS})?\s*(?P<after>{_UNIT})?\s*(?P<fourth>{_MINUS})?(?P<close>\))?$"
)
FEWEST_GROUPS = 5  # different amounts of three figures behind the sign
PLAIN = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
_PLAIN_CENTS = (  # no thousands: not three figures behind the point, or none before it
    r"^[+-]?[0-9]*\.(?:[0-9]{1,2}|[0-9]{4,})(?:[eE][+-]?[0-9]{1,3})?$|^[+-]?0?\.[0-9]"
)

CODES = frozenset(WORDS["currencies"]["codes"].split())
# Codes of currencies that are no words as well.
TRADED = CODES - frozenset(["ALL", "TOP", "CUP", "MOP", "BAM", "GEL", "LAK", "MAD", "PEN", "RON"])
# Currencies of three decimals (ISO 4217), and languages of which no country has one.
MILLS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
WITHOUT_MILLS = frozenset(["de", "es", "id", "it", "nl", "pt", "tr"])
SYMBOLS: dict[str, tuple[str, ...]] = {
    sign: tuple(codes.split())
    for codes, _, signs in (item.partition(":") for item in WORDS["currencies"]["signs"].split(";"))
    for sign in signs.split()
}


def code_of(word: str) -> str | None:
    """Return the code that a word or sign of one currency alone stands for.

    Examples
    --------
    >>> [code_of(word) for word in ("eur", "TL", "TRL", "RMB", "грн", "NT$", "zł", "kr", "$")]
    ['EUR', 'TRY', 'TRY', 'CNY', 'UAH', 'TWD', 'PLN', None, None]
    """
    codes = SYMBOLS.get(word.lower(), ())
    return word.upper() if word.upper() in CODES else codes[0] if len(codes) == 1 else None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a column writes numbers."""

    decimal: str = "."
    thousands: str = ","  # "" for none; spaces and apostrophes are accepted beside "." and ","
    lakh: bool = False  # whether groups are India's: 12,34,567

    @property
    def pattern(self) -> str:
        """A regular expression that matches exactly the numbers of the dialect."""
        point = re.escape(self.decimal)
        groups = [rf"[1-9][0-9]{{0,2}}(?:{sign}[0-9]{{3}})+" for sign in self._signs()]
        if self.lakh and self.thousands:
            sign = re.escape(self.thousands)
            groups[0] = rf"[1-9][0-9]?(?:{sign}[0-9]{{2}})*{sign}[0-9]{{3}}"
        whole = "|".join(("[0-9]+", *groups))
        return (
            rf"^(?:(?:{whole})(?:{point}[0-9]*)?|{point}[0-9]+"
            rf"|(?:[0-9]+{point}?[0-9]*|{point}[0-9]+)[eE][+-]?[0-9]{{1,3}})$"
        )

    def _signs(self) -> list[str]:
        alike = {sign: kind for kind in (SPACES, APOSTROPHES) for sign in kind}
        signs = alike.get(self.thousands, (self.thousands,))
        more = (*SPACES, *APOSTROPHES) if self.thousands in (".", ",") else ()
        return [re.escape(sign) for sign in (*signs, *more) if sign]


def parts(texts: pl.Series) -> pl.DataFrame:
    """Split trimmed cells into digits with separators, sign and unit.

    ``core`` is null where a cell is not one number, ``unit`` (in lower case) where it has none;
    ``tail`` is a sign without digits after it ("12,-").

    Examples
    --------
    >>> parts(pl.Series(["-1.234,50 €", "12,-", "5 + 5"])).rows()
    [('1.234,50', True, '€', None), ('12', False, None, ','), (None, False, None, None)]
    """
    minus, col = ("first", "second", "third", "fourth", "open"), pl.col
    bare = col("text").str.replace_all(r"\p{Cf}", "").str.replace(r"^\(-\)", "-")
    signs = pl.sum_horizontal(col(name).is_not_null() for name in minus)
    plus = pl.any_horizontal((col(n) == "+").fill_null(value=False) for n in ("first", "second"))
    sound = (
        (signs <= 1)
        & (col("open").is_null() == col("close").is_null())
        & (col("before").is_null() | col("after").is_null())
    )
    groups = texts.to_frame("text").select(bare.str.extract_groups(_CELL)).unnest("text")
    return groups.select(
        core=pl.when(sound).then("core"),
        negative=(signs == 1) & ~plus,
        unit=pl.coalesce("before", "after").str.to_lowercase(),
        tail="tail",
    )


def read_numbers(texts: pl.Series, dialect: Dialect, units: Collection[str] = ()) -> pl.Series:
    """Read texts exactly, as ``Decimal(38, 6)``; null where they are no number of the dialect.

    Currency signs and codes, a trailing or a typographic minus and accountants' brackets are
    understood; figures beyond the sixth decimal are rounded to the nearest millionth. Texts are
    trimmed; ``units``, in lower case, may stand before or after a number (`CURRENCY_UNITS`).

    Examples
    --------
    >>> texts = pl.Series(["1.234,50 €", "(7,25)", "12,-", "12.5", "10 20", "3 PCS"])
    >>> read = read_numbers(texts, Dialect(",", "."), CURRENCY_UNITS)
    >>> [None if item is None else float(item) for item in read]
    [1234.5, -7.25, 12.0, None, None, None]
    """
    exact = pl.Decimal(38, 6)
    if dialect.decimal == "." and bool(texts.str.contains(PLAIN).all()):
        return texts.cast(exact, strict=False)
    once = texts.unique().drop_nulls()
    other = "." if dialect.decimal == "," else ","
    bare = pl.col("core").str.replace_all(f"[{other}{_GAPS}]", "")
    if dialect.decimal != ".":
        bare = bare.str.replace(dialect.decimal, ".", literal=True)
    whole = ~pl.col("core").str.contains(f"[{dialect.decimal}eE]")
    fits = (
        pl.col("core").str.contains(dialect.pattern)
        & (pl.col("tail").is_null() | ((pl.col("tail") == dialect.decimal) & whole))
        & (pl.col("unit").is_null() | pl.col("unit").is_in(list(units)))
    )
    signed = pl.when("negative").then("-" + bare).otherwise(bare)
    number = pl.when(fits).then(signed).cast(exact, strict=False)
    read = parts(once).select(number.alias("number")).to_series()
    return _each(texts, once, read)


def foreign_units(texts: pl.Series, units: Collection[str]) -> pl.Series:
    """Mark numbers with another unit: 20.25 PCS in a column of money.

    Examples
    --------
    >>> foreign_units(pl.Series(["20 PCS", "20 EUR", "20", "x"]), CURRENCY_UNITS).to_list()
    [True, False, False, False]
    """
    once = texts.filter(texts.str.contains(_UNIT)).unique()
    strange = pl.col("core").is_not_null() & ~pl.col("unit").is_in(list(units))
    marks = parts(once).select(strange.fill_null(value=False).alias("unit")).to_series()
    return _each(texts, once, marks).fill_null(value=False)


def currencies(texts: pl.Series, home: str | None, *, sure: bool = False) -> pl.Series:
    """Return the currency that each cell states, three letters; null where it states none.

    A sign that several currencies share stands for the reporting currency where that is one of
    them, else for the commonest; with ``sure`` for none.

    Examples
    --------
    >>> currencies(pl.Series(["€10.50", "20 usd", "$5", "7"]), "CAD").to_list()
    ['EUR', 'USD', 'CAD', None]
    """
    code_by_unit: dict[str, str | None] = {code.lower(): code for code in CODES}
    for sign, codes in SYMBOLS.items():
        likely = None if sure and len(codes) > 1 else codes[0]
        code_by_unit[sign] = home if home in codes else likely
    once = texts.filter(texts.str.contains(_UNIT)).unique()
    stated = parts(once)["unit"].replace_strict(code_by_unit, default=None, return_dtype=pl.String)
    return _each(texts, once, stated)


def units_of(code: str) -> set[str]:
    """List the ways to write a currency: its code and its signs, in lower case.

    Examples
    --------
    >>> sorted(units_of("GBP"))
    ['gbp', 'sterling', 'stg', '£']
    """
    return {code.lower(), *(sign for sign, codes in SYMBOLS.items() if code in codes)}


def _each(texts: pl.Series, once: pl.Series, read: pl.Series) -> pl.Series:
    """Return the value read from each text; null if there is none."""
    if not once.len():
        return pl.Series(texts.name, [None], dtype=read.dtype).new_from_index(0, texts.len())
    table = pl.DataFrame({"text": once, "read": read})
    joined = (
        texts.alias("text").to_frame().join(table, on="text", how="left", maintain_order="left")
    )
    return joined["read"].alias(texts.name)


def seen_dialect(values: pl.Series) -> tuple[Dialect, bool]:
    """Detect how a column writes numbers, and whether its decimal sign is certain.

    Examples
    --------
    >>> seen_dialect(pl.Series(["1.234,50 €", "12,00 €"]))
    (Dialect(decimal=',', thousands='.', lakh=False), True)
    >>> seen_dialect(pl.Series(["1,234", "5,678"]))[1]
    False
    >>> seen_dialect(pl.Series(["12,34,567.00"]))[0].lakh
    True
    """
    texts = values.cast(pl.String).unique().str.strip_chars()
    if texts.str.contains(PLAIN).all():  # as computers write them
        point = texts.str.contains(r"\.[0-9]").any()
        return Dialect(".", ","), not point or texts.str.contains(_PLAIN_CENTS).any()
    marks = _marks(texts)

    def dialect(decimal: str) -> Dialect:
        groups = "comma" if decimal == "." else "point"
        lakh = marks[f"{groups}_lakh"] and not marks[f"{groups}_threes"]
        return Dialect(decimal, "," if decimal == "." else ".", lakh)

    if not marks["comma"] and not marks["point"]:
        return dialect("."), True
    for decimal, other, name, rival in ((",", ".", "comma", "point"), (".", ",", "point", "comma")):
        if not marks[rival]:
            if marks[f"{name}_parts"]:
                return dialect(other), not marks[f"{name}_sure"]
            return dialect(decimal), marks[f"{name}_sure"]
        sure = marks[f"{name}_last"] or marks[f"{name}_sure"] or marks[f"{rival}_parts"]
        against = marks[f"{rival}_last"] or marks[f"{rival}_sure"] or marks[f"{name}_parts"]
        if sure and not against:
            return dialect(decimal), True
    return dialect("."), False


def _marks(texts: pl.Series) -> defaultdict[str, bool]:
    """Say of each sign whether it stands in a number, stands last, parts thousands, ..."""
    tests: dict[str, str] = {}
    for name, sign, rival in (("comma", ",", r"\."), ("point", r"\.", ",")):
        if not texts.str.contains(sign).any():
            continue
        tests |= {
            name: sign,
            f"{name}_last": rf"{rival}\d{{3}}{sign}\d+$",
            f"{name}_sure": rf"^[^{sign}]*{sign}(\d{{1,2}}|\d{{4,}})$|^0?{sign}\d",
            f"{name}_parts": rf"\d{sign}\d{{2,3}}{sign}\d{{3}}",
            f"{name}_lakh": rf"^\d{{1,2}}{sign}(\d{{2}}{sign})+\d{{3}}(\D|$)",
            f"{name}_threes": rf"^(\d{{3}}({sign}\d{{3}})+|\d{{1,3}}({sign}\d{{3}}){{2,}})(\D|$)",
        }
    marks: defaultdict[str, bool] = defaultdict(bool)
    if tests:
        core = pl.col("core").str.replace(r"[eE][+-]?\d+$", "").str.replace_all(f"[{_GAPS}]", "")
        read = parts(texts).select(core.alias("c"))
        shown = pl.col("c").str
        signs = read.select(shown.contains(test).any().alias(n) for n, test in tests.items())
        marks.update(signs.row(0, named=True))
    return marks


def parts_thousands(texts: pl.Series, sign: str) -> bool:
    """Return whether three figures stand behind each sign, in several texts, as in thousands.

    Examples
    --------
    >>> texts = pl.Series(["85.000", "133.727", "1.250", "12.500", "99.000", "500"])
    >>> parts_thousands(texts, "."), parts_thousands(pl.Series(["85.000", "12.50"]), ".")
    (True, False)
    """
    core = parts(texts.unique().str.strip_chars())["core"].drop_nulls()
    signed = core.filter(core.str.contains(sign, literal=True))
    groups = rf"^[1-9]\d{{0,2}}(\{sign}\d{{3}})+$"
    plain = core.filter(~core.str.contains(sign, literal=True)).str.len_chars() <= 3
    fits = signed.str.contains(groups).all() and plain.all() and signed.str.contains(r"^\d\d").any()
    return signed.len() >= FEWEST_GROUPS and bool(fits)


def other_decimal(
    texts: pl.Series, decimal: str, codes: Collection[str], headers: Iterable[str]
) -> str | None:
    """Return the other decimal sign where the one seen parts thousands; None if that is unclear.

    Three figures stand behind each sign, and the currencies, or else the language of the headers,
    have no three decimals.
    """
    has_mills = MILLS & {*codes} if codes else language_of(headers) not in WITHOUT_MILLS
    if has_mills or not parts_thousands(texts, decimal):
        return None
    return "," if decimal == "." else "."


def named_currency(header: str) -> str | None:
    """Return the one currency that a header names, by a code or a sign of one currency alone.

    Examples
    --------
    >>> named_currency("Total (IDR)"), named_currency("Betrag in EUR"), named_currency("paid_usd")
    ('IDR', 'EUR', 'USD')
    >>> named_currency("Amount RMB"), named_currency("Genel Toplam TRL")
    ('CNY', 'TRY')
    >>> named_currency("Сума, ₴"), named_currency("€ total")
    ('UAH', 'EUR')
    >>> named_currency("Total ($)"), named_currency("Total of all"), named_currency("EUR or USD")
    (None, None, None)
    """
    words = re.findall(r"(?<![^\W_])[A-Z]{3}(?![^\W_])|(?<=[\s_])[a-z]{3}$", header)
    signs = re.findall(r"[(\[]\s*([^)\]\s]+)\s*[)\]]|,\s*(\S+)$", header)
    signs = [*map("".join, signs), *(sign for sign in header if category(sign) == "Sc")]
    codes = {word.upper() for word in words} & TRADED | {sign for sign in signs if sign in CODES}
    signs += [word for word in words if word.isupper()]
    codes |= {code for sign in signs for code in _meant(sign)}
    return codes.pop() if len(codes) == 1 else None


def _meant(sign: str) -> tuple[str, ...]:
    codes = SYMBOLS.get(sign.lower(), ())
    return codes if len(codes) == 1 else ()


def title_currency(title: str) -> str | None:
    r"""Return the one currency that the lines above a header name.

    Examples
    --------
    >>> title_currency("Journal des ventes\nDevise : EUR\nÉdité le 27/07/2026")
    'EUR'
    >>> title_currency("Отчёт;Валюта;RUB"), title_currency("Beträge in CHF")
    ('RUB', 'CHF')
    >>> title_currency("Sales Mar;Currency rate: 1.5 USD")
    """
    cells = [cell.strip() for cell in re.split(r"[\n\t;,|:=\"]+", title) if cell.strip()]
    codes = {
        code
        for name, cell in pairwise(cells)
        if concepts(name)[0] == {"currency"}
        for first in cell.split()[:1]
        for code in ({first} & CODES or _meant(first))
    }
    codes |= {
        named_currency(cell)
        for cell in cells
        if re.search(r"[(\[]|\b(?:in|en|em|w|в) [A-Z]{3}$", cell)
        or concepts(cell)[0] == {"currency"}
    } - {None}
    return str(codes.pop()) if len(codes) == 1 else None


CURRENCY_UNITS = frozenset({*(code.lower() for code in CODES), *SYMBOLS})

YES_NO = {"yes": 1.0, "no": 0.0}
# A rating scale: it begins at 1 or below, and has no more answers than 0 to 10.
LOWEST_START, HIGHEST_START, MOST_ANSWERS = -5, 1, 11
# Numbers that surveys write for "no answer", "don't know" and "does not apply".
HIGH_CODES = (8, 9, *(11 * k for k in range(1, 10)), 96, 97, 98, *(111 * k for k in range(1, 10)))
HIGH_CODES += (996, 997, 998, 9996, 9997, 9998, 9999)
# Highest answers of scales from 1 with a middle: a 0 is then probably a code, not an answer.
ODD_TOPS = (5, 7)


def read_item(item: pl.Series, nulls: Sequence[object]) -> pl.Series:
    """Read a survey item: numbers as they are, yes and no as 1 and 0, words for no value as null.

    Examples
    --------
    >>> read_item(pl.Series("q1", [1, 5, -999]), ["", "-999"]).to_list()
    [1, 5, None]
    >>> read_item(pl.Series("q1", ["Yes", "no", "k.A."]), ["k.A."]).to_list()
    [1.0, 0.0, None]
    """
    codes = null_numbers(nulls)
    if is_text(item.dtype):
        words = [str(word) for word in nulls]
        spelt = item.to_frame("item").select(text(pl.col("item"), words)).to_series()
        answers = spelt.drop_nulls().str.to_lowercase().unique()
        if answers.len() and answers.is_in(list(YES_NO)).all():
            spelt = spelt.str.to_lowercase().replace_strict(YES_NO, return_dtype=pl.Float64)
        else:
            spelt = _read_numbers(spelt)
        item = spelt.alias(item.name)
    if not codes or not item.dtype.is_numeric():
        return item
    is_code = item.cast(pl.Float64).is_in(codes)
    return item.to_frame().select(pl.when(~is_code).then(pl.first())).to_series()


def _read_numbers(texts: pl.Series) -> pl.Series:
    """Read texts as numbers in the dialect that they show."""
    return read_numbers(texts, seen_dialect(texts)[0]).cast(pl.Float64)


def count_unreadable(item: pl.Series, read: pl.Series, nulls: Sequence[object]) -> int:
    """Count the non-empty cells of a text item that could not be read.

    Examples
    --------
    >>> raw = pl.Series(["1", "five", "", "99"])
    >>> count_unreadable(raw, read_item(raw, ["99"]), ["99"])
    1
    """
    if not is_text(item.dtype):
        return 0
    blank = item.to_frame("item").select(text(pl.col("item"), [str(n) for n in nulls]).is_null())
    lost = _read_numbers(item.cast(pl.String).str.strip_chars()).is_null()
    return int((read.is_null() & lost & ~blank.to_series()).sum())


def doubted_answers(item: pl.Series) -> list[tuple[float, int]]:
    """List the values of an item that look like codes for 'no answer' outside its scale.

    The item must look like a scale apart from such codes: whole numbers that begin between -5 and 1
    and span at most 11 answers. Doubted are then numbers that surveys use as codes (-9, 9, 99, 998,
    …) and that do not continue the scale: a high one that leaves a gap, a negative one where the
    scale is not symmetric around 0, and a 0 below a scale to 5 or 7. Each is returned with its
    count, ascending.

    Examples
    --------
    >>> doubted_answers(pl.Series([1, 2, 3, 4, 5, 99, 99, -9, 0]))
    [(-9.0, 1), (0.0, 1), (99.0, 2)]
    >>> doubted_answers(pl.Series([-2, -1, 0, 1, 2]))
    []
    """
    if not item.dtype.is_numeric():
        return []
    values = item.cast(pl.Float64).fill_nan(None).drop_nulls()
    counts = dict(values.value_counts().sort(values.name).iter_rows())
    if any(value != round(value) for value in counts):
        return []
    return [(value, counts[value]) for value in _codes_among(list(counts))]


def _codes_among(values: list[float]) -> list[float]:
    """Return those of an item's ascending values that are codes rather than answers."""
    scale = [v for v in values if v >= 0 and v not in HIGH_CODES]
    for value in [v for v in values if v in HIGH_CODES]:
        if scale and value <= scale[-1] + 1:
            scale = sorted([*scale, value])
    if len(scale) < 2:
        return []
    top = scale[-1]
    negative = [v for v in values if v < 0]
    if negative and -negative[0] == top:
        scale, negative = [*negative, *scale], []
    if not LOWEST_START <= scale[0] <= HIGHEST_START or top - scale[0] + 1 > MOST_ANSWERS:
        return []
    high = [v for v in values if v not in scale and v not in negative]
    zero = [0.0] if scale[0] == 0 and top in ODD_TOPS and len(scale) > 3 else []
    return [*negative, *zero, *high]
