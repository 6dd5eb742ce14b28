"""Ids of customers, products and campaigns: the shared reader for all tables and lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from segkit.display import counted, number
from segkit.errors import ColumnError, DataError

# Columns by which tables meet.
KEYS = ("customer_id", "product_id", "campaign_id")

# What systems write for "no customer"; compared without case.
NO_CUSTOMER = (
    *("", "-", "--", ".", "?", "0", "0.0", "-1", "[]", "{}"),
    *("na", "n/a", "#n/a", "nan", "nat", "nil", "null", "none", "undefined", "unknown", "missing"),
    *("<na>", "<none>", "<null>", "(none)", "(null)", "(not set)", "not set", "not provided"),
    *("(not provided)", "anonymous", "guest", "no email", "00000000-0000-0000-0000-000000000000"),
    # Buyers at a till whose name nobody asked.
    *("walkin", "walk-in", "walk in", "walk-in customer", "walk in customer", "walkin customer"),
    *("cash", "cash sale", "cash sales", "cash customer", "counter sale", "counter sales"),
    *("laufkundschaft", "laufkunde", "barverkauf", "barkunde", "client comptoir"),
    *("comptoir", "vente comptoir", "mostrador", "balcão", "kassakund", "kontantkund"),
    *("client de passage", "cliente mostrador", "venta mostrador", "consumidor final"),
    *(
        "consumidor não identificado",
        "cliente banco",
        "banco",
        "vendita banco",
        "passant",
        "klant aan de balie",
    ),
    *("klient detaliczny", "散客", "店頭客", "розничный покупатель", "физ. лицо"),
    *("passage", "divers", "client divers", "clients divers", "barkund", "kunde bar", "bar kunde"),
    *("público general", "publico general", "cliente occasionale", "cliente generico"),
    *("kontantsalg", "kontantkunde", "drop-in", "drop-in kund", "balie", "baliebezoeker", "店頭"),
    *("anonyme", "anonym", "anonimo", "anónimo", "anoniem", "inconnu", "unbekannt", "desconocido"),
    *("sconosciuto", "onbekend", "okänd", "ukendt", "bolti vásárló", "bolti vevő", "khách lẻ"),
    *("khách vãng lai", "perakende müşteri", "nihai tüketici", "pelanggan umum", "ลูกค้าทั่วไป"),
    *("ゲスト", "비회원", "частное лицо", "розничный клиент", "роздрібний покупець"),
    *("πελάτης λιανικής", "käteisasiakas", "לקוח מזדמן", "عميل نقدي", "persoana fizica"),
    *(
        "ohne",
        "ohne karte",
        "keine",
        "keine karte",
        "sans",
        "sans carte",
        "senza",
        "zonder",
        "geen",
    ),
    *("geen kaart", "brak", "sin tarjeta", "senza tessera", "without", "no card"),
    # Orders to try the shop out; a word that ends with @ is an address at any domain.
    *("test@", "tests@", "tester@", "testing@", "testkunde@", "prueba@", "teste@"),
    *("test", "test test", "test customer", "test user", "test order", "testkunde", "test kunde"),
    *("client test", "cliente de prueba", "cliente prueba", "cliente teste", "cliente di prova"),
    *("テスト", "テスト 太郎", "テスト太郎", "测试", "테스트", "тест"),
)

# White space by Unicode, as polars strips it; the \s of other engines knows less.
SPACE = "[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
# A number as spreadsheets show it when it is too long: 1.23457E+12 stands for many numbers.
MANGLED = rf"^{SPACE}*-?\d(?:[.,]\d+)?[eE]\+\d+{SPACE}*$"
WHOLE = r"^-?\d+\.0+$"
# Above these, neighbouring whole numbers have the same floating-point number.
EXACT, EXACT_32 = 2.0**53, 2.0**24
# Ids that the reader changes; all others stay as they are.
ODD = rf"^$|^{SPACE}|{SPACE}$|{WHOLE}|\p{{Lu}}.*@|@.*\p{{Lu}}"

INVISIBLE = r"[\p{Cf}\p{Cc}\u{034f}\u{115f}\u{1160}\u{3164}\u{fe00}-\u{fe0f}]"
# Letters of the Cyrillic and the Greek alphabet that look like Latin ones, in lower case or only
# in capitals. Source: Unicode Technical Standard #39, confusables, the single-script part.
_CYRILLIC = "авекмнорстухіјѕԁԛԝһ", "abekmhopctyxijsdqwh"
_GREEK = "αβεζηικμνορτυχ", "abezhikmnoptyx"
LOOK_ALIKE = dict(zip("".join((_CYRILLIC[0], _GREEK[0])), _CYRILLIC[1] + _GREEK[1], strict=True))


def read_ids(ids: pl.Series) -> pl.Series:
    """Read ids as text, so that ``17850.0``, ``17850`` and ``" 17850 "`` are the same.

    Whole numbers lose their decimals, texts the blanks around them; e-mail addresses are put in
    lower case, as those who send to them do. Empty ids are null.

    Raises
    ------
    ColumnError
        If the column holds lists, structures or bytes.

    Examples
    --------
    >>> read_ids(pl.Series(["17850.0", " 17850 ", "A12", "Ann@Shop.org", ""])).to_list()
    ['17850', '17850', 'A12', 'ann@shop.org', None]
    """
    dtype = ids.dtype
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        raise ColumnError(f"expected ids as text or whole numbers, got a column of {dtype}")
    if dtype.is_float():
        finite = ids.set(~ids.is_finite(), None)
        whole = finite.cast(pl.Int64, strict=False).cast(pl.String)
        return whole.zip_with(
            (finite == finite.floor()).fill_null(value=True), finite.cast(pl.String)
        )
    if dtype.is_integer():
        return ids.cast(pl.String)
    text = ids.cast(pl.String)
    odd = text.str.contains(ODD)
    return text.scatter(odd.arg_true(), _tidy(text.filter(odd))) if odd.any() else text


def _tidy(text: pl.Series) -> pl.Series:
    """Read ids with blanks, decimals or capitals in e-mail addresses."""
    text = text.str.strip_chars()
    whole = text.str.contains(WHOLE)
    if whole.any():
        text = text.str.replace(r"\.0+$", "").zip_with(whole, text)
    email = text.str.contains("@", literal=True)
    if email.any():
        text = text.str.to_lowercase().zip_with(email, text)
    return text.set(text == "", None)


def mangled_ids(ids: pl.Series) -> pl.Series:
    """Mark ids that a spreadsheet or a floating-point number has rounded to the same text.

    Examples
    --------
    >>> mangled_ids(pl.Series(["1.23457E+12", "123", "12E4", None])).to_list()
    [True, False, False, False]
    """
    dtype = ids.dtype
    if dtype.is_float():
        most = EXACT_32 if dtype == pl.Float32 else EXACT
        return (ids.is_finite() & (ids.abs() > most)).fill_null(value=False)
    if not (dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum)):
        return pl.repeat(False, len(ids), eager=True, dtype=pl.Boolean)
    return ids.cast(pl.String).str.contains(MANGLED).fill_null(value=False)


def mangled(what: str, count: int) -> str:
    """Return the error message for ids that cannot be told apart any more."""
    return (
        f"{what}: {counted(count, 'id is', 'ids are')} written as 1.23457E+12 or beyond what a "
        "decimal number holds: many ids have become one. Expected the ids as text"
    )


def ids_of(values: Any, what: str) -> pl.Series:
    """Read a series or list of ids as text; see `read_ids`.

    Parameters
    ----------
    values : polars.Series or iterable
    what : str
        Its name in messages.

    Raises
    ------
    DataError
        If a spreadsheet has mangled some: they cannot be told apart any more.

    Examples
    --------
    >>> ids_of([17850.0, "17851", None], "the opt-outs").to_list()
    ['17850', '17851', None]
    """
    series = values if isinstance(values, pl.Series) else _series(list(values))
    lost = int(mangled_ids(series).sum())
    if lost:
        raise DataError(mangled(what, lost))
    return read_ids(series)


def _series(values: list[Any]) -> pl.Series:
    """Turn Python values into a series: of numbers if they are all numbers, else of text."""
    try:
        return pl.Series("id", values)
    except (TypeError, pl.exceptions.PolarsError):
        return pl.Series("id", [None if item is None else str(item) for item in values], pl.String)


def with_ids(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    """Read the ids by which a frame is joined with others; see `ids_of`.

    Examples
    --------
    >>> with_ids(pl.DataFrame({"customer_id": [7.0, None]}), "orders")["customer_id"].to_list()
    ['7', None]
    """
    names = [name for name in KEYS if name in frame.columns]
    read = {name: ids_of(frame.get_column(name), f"{what}.{name}") for name in names}
    return frame.with_columns(read.values()) if read else frame


def with_lazy_ids(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Read the ids of a frame that is not in memory yet; see `ids_of`."""
    names = frame.collect_schema().names()
    return frame.with_columns(
        pl.col(name).map_batches(_one_by_one, return_dtype=pl.String, is_elementwise=True)
        for name in KEYS
        if name in names
    )


def _one_by_one(ids: pl.Series) -> pl.Series:
    return ids_of(ids, str(ids.name))


def is_no_customer(ids: pl.Series, words: Sequence[str] = NO_CUSTOMER) -> pl.Series:
    """Return which texts stand for no customer: "unknown", "0", "(not set)".

    Examples
    --------
    >>> is_no_customer(pl.Series(["0", "Unknown", "7", "test@shop.example", None])).to_list()
    [True, True, False, True, False]
    """
    listed = "|".join(
        re.escape(text) + (r"[^@\s]+" if text.endswith("@") else "")
        for word in words
        if (text := str(word).strip())
    )
    if not listed:
        return pl.repeat(False, len(ids), eager=True, dtype=pl.Boolean)
    return ids.str.contains(f"^(?i:{listed})$").fill_null(value=False)


def fold_ids(ids: pl.Expr) -> pl.Expr:
    r"""Return ids one spelling whatever their case, width, accents' composition and look-alikes.

    Lower case, Unicode's compatible composition (NFKC), without invisible characters, and with
    Latin letters for the Cyrillic and Greek ones that look like them.

    Examples
    --------
    >>> frame = pl.DataFrame({"id": ["AB1", "ab1", "аb1", "a\u200bb1"]})
    >>> frame.select(fold_ids(pl.col("id"))).to_series().unique().to_list()
    ['ab1']
    """
    plain = ids.str.normalize("NFKC").str.replace_all(INVISIBLE, "").str.to_lowercase()
    return plain.str.normalize("NFKC").str.replace_many(LOOK_ALIKE).str.strip_chars()


def require_unique(frame: pl.DataFrame, what: str, column: str = "customer_id") -> None:
    """Raise ``DataError`` unless a frame has one row per customer (or product)."""
    ids = frame.get_column(column)
    repeated = ids.filter(ids.is_duplicated()).n_unique()
    if repeated:
        noun = column.removesuffix("_id")
        raise DataError(
            f"{what}: {counted(repeated, f'{noun} comes', f'{noun}s come')} more than once; give "
            f"one row per {noun}"
        )


def unmatched(wanted: pl.Series, present: pl.Series, what: str, among: str) -> str:
    """Return a note on the ids of a list that are not among those present; empty where all are.

    Parameters
    ----------
    wanted, present : polars.Series of String
        Ids as `ids_of` reads them.
    what, among : str
        "the opt-outs", "the customers".

    Examples
    --------
    >>> unmatched(pl.Series(["7", "B"]), pl.Series(["7", "b"]), "the opt-outs", "the customers")
    'of 2 ids in the opt-outs 1 is not among the customers (1 would be but for its spelling)'
    """
    unique_ids = wanted.drop_nulls().unique().alias("id")
    missing = unique_ids.filter(~unique_ids.is_in(present.drop_nulls().unique().implode()))
    if not missing.len():
        return ""
    spelt = present.drop_nulls().unique().alias("id").to_frame().select(fold_ids(pl.col("id")))
    near = missing.to_frame().select(
        fold_ids(pl.col("id")).is_in(spelt.to_series().implode()).sum()
    )
    close = int(near.item())
    hint = f" ({number(close)} would be but for {_its(close)} spelling)" if close else ""
    if missing.len() == unique_ids.len():
        return f"none of {counted(unique_ids.len(), 'id')} in {what} is among {among}{hint}"
    rest = counted(missing.len(), "is", "are")
    return f"of {counted(unique_ids.len(), 'id')} in {what} {rest} not among {among}{hint}"


def _its(count: int) -> str:
    return "its" if count == 1 else "their"
