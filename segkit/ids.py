"""Ids of customers, products and campaigns: the shared reader for all tables and lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from unicodedata import normalize

import polars as pl

from segkit.display import counted, number
from segkit.errors import ColumnError, DataError

# Columns by which tables meet.
KEYS = ("customer_id", "product_id", "campaign_id")

# Who orders to try the shop out; a word that ends with @ is an address at any domain.
_TESTS = (
    *("test@", "tests@", "tester@", "testing@", "testkunde@", "prueba@", "teste@"),
    *("test", "test test", "test customer", "test user", "test order", "testkunde", "test kunde"),
    *("test tester", "test testsson", "test testesen", "test testersen", "testi testaaja"),
    *("client test", "cliente de prueba", "cliente prueba", "cliente teste", "cliente di prova"),
    *("prueba prueba", "prova prova", "teste teste", "teszt", "teszt elek", "testowy klient"),
    *("тест", "тест тест", "тест тестов", "тестовый клиент", "δοκιμή", "ทดสอบ", "اختبار", "בדיקה"),
    *(
        "テスト",
        "テスト 太郎",
        "テスト太郎",
        "テスト テスト",
        "テストテスト",
        "테스트",
        "테스트 테스트",
    ),
    *("测试", "测试测试", "测试用户", "测试客户", "測試", "測試測試", "測試用戶", "測試客戶"),
)
# What systems write for "no customer"; compared without case.
_NO_CUSTOMER = (
    *("", "-", "--", ".", "?", "0", "0.0", "-1", "[]", "{}"),
    *("na", "n/a", "#n/a", "nan", "nat", "nil", "null", "none", "undefined", "unknown", "missing"),
    *("<na>", "<none>", "<null>", "(none)", "(null)", "(not set)", "not set", "not provided"),
    *("(not provided)", "anonymous", "guest", "no email", "00000000-0000-0000-0000-000000000000"),
    # Buyers at a till whose name nobody asked.
    *("walkin", "walk-in", "walk in", "walk-in customer", "walk in customer", "walkin customer"),
    *("cash", "cash sale", "cash sales", "cash customer", "counter sale", "counter sales"),
    *("counter customer", "guest customer", "pos customer", "casual customer", "retail customer"),
    *("general customer", "default customer", "anonymous customer", "one-time customer"),
    *("various customers", "misc customer", "over the counter", "walk-in customers"),
    *("laufkundschaft", "laufkunde", "laufkunden", "barverkauf", "barkunde", "barkunden"),
    *("barkund", "bar kunde", "kunde bar", "tageskunde", "einmalkunde", "kassenkunde"),
    *("thekenverkauf", "diverse kunden", "gastkunde", "cpd-kunde", "unbekannter kunde"),
    *("client comptoir", "comptoir", "vente comptoir", "vente au comptoir", "client anonyme"),
    *(
        "client de passage",
        "passage",
        "divers",
        "client divers",
        "clients divers",
        "client magasin",
    ),
    *("mostrador", "cliente mostrador", "venta mostrador", "ventas mostrador", "contado"),
    *(
        "cliente contado",
        "cliente de contado",
        "venta contado",
        "clientes contado",
        "cliente boleta",
    ),
    *("público general", "público en general", "venta al público", "cliente final"),
    *("clientes varios", "cliente varios", "cliente eventual", "cliente ocasional"),
    *("cliente genérico", "cliente anónimo", "consumidor final", "consumidor"),
    *("balcão", "cliente balcão", "venda balcão", "cliente padrão", "consumidor não identificado"),
    *("cliente não identificado", "cliente indiferenciado"),
    *("cliente banco", "banco", "vendita banco", "cliente al banco", "cliente occasionale"),
    *("cliente di passaggio", "clienti vari", "cliente anonimo"),
    *("passant", "klant aan de balie", "balie", "baliebezoeker", "balieklant"),
    *("contante klant", "kassaklant", "losse klant", "diverse klanten", "particuliere klant"),
    *("kassakund", "kontantkund", "kontantsalg", "kontantkunde", "drop-in", "drop-in kund"),
    *("butikskund", "diverse kunder", "käteisasiakas", "satunnainen asiakas"),
    *("klient detaliczny", "klient anonimowy", "klient paragonowy", "klient jednorazowy"),
    *("anonymní zákazník", "maloobchodní zákazník", "anonymný zákazník", "koncový zákazník"),
    *("bolti vásárló", "bolti vevő", "lakossági vevő", "készpénzes vevő", "névtelen vevő"),
    *("persoana fizica", "client ocazional", "client magazin", "client anonim"),
    *("perakende müşteri", "nihai tüketici", "muhtelif müşteri", "peşin müşteri", "diğer müşteri"),
    *("diğer", "misafir", "misafir müşteri", "gost", "kupac građanin"),
    *("розничный покупатель", "розничный клиент", "физ. лицо", "частное лицо", "гость"),
    *("роздрібний покупець", "гість", "кінцевий споживач", "клиент на дребно", "краен клиент"),
    *("πελάτης λιανικής", "λιανικής πελάτης", "πελάτες λιανικής", "ιδιώτης πελάτης"),
    *(
        "散客",
        "零售客户",
        "零售客戶",
        "现金客户",
        "普通顾客",
        "匿名客户",
        "路人",
        "门店散客",
        "過路客",
    ),
    *("店頭客", "店頭", "一般客", "一般顧客", "現金客", "フリー客", "非会員", "ゲスト", "一見客"),
    *("비회원", "일반고객", "일반 고객", "현금고객", "게스트", "익명"),
    *("khách lẻ", "khách vãng lai", "khách hàng lẻ", "pelanggan umum", "pembeli umum", "umum"),
    *("pelanggan tunai", "tamu", "ลูกค้าทั่วไป", "ลูกค้าเงินสด", "ลูกค้าหน้าร้าน"),
    *("לקוח מזדמן", "לקוח כללי", "לקוח קופה", "عميل نقدي", "عميل عام", "زبون نقدي", "زائر"),
    *("anonyme", "anonym", "anonimo", "anónimo", "anoniem", "inconnu", "unbekannt", "desconocido"),
    *("sconosciuto", "onbekend", "okänd", "ukendt", "gast", "invité", "invitado"),
    # The tax number of buyers without one: Chile (RUT), Mexico (RFC, at home and abroad), Colombia
    # (NIT), Ecuador, Portugal (NIF), Türkiye, Brazil (CPF).
    *("66.666.666-6", "66666666-6", "666666666", "xaxx010101000", "xexx010101000"),
    *("222222222222", "222222222", "9999999999999", "999999990", "11111111111", "000.000.000-00"),
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
    # What a till writes where the buyer leaves no address; a word that ends with @ is an address at
    # any domain.
    *(
        f"{no}{sign}{mail}@"
        for no in ("no", "sin", "sem", "sans", "senza", "ohne", "kein", "keine", "geen", "ingen")
        for sign in ("", "-", "_", ".")
        for mail in ("mail", "email", "e-mail")
    ),
    *("noreply@", "no-reply@", "no_reply@", "no.reply@", "donotreply@", "do-not-reply@"),
    *("sincorreo@", "sin-correo@", "sinemail@", "keine@", "none@", "null@"),
    *("nobody@", "noone@", "unknown@", "anonymous@", "anonym@"),
    *("guest@", "gast@", "invitado@", "invite@", "ospite@", "misafir@"),
    *("walkin@", "walk-in@", "laufkunde@", "na@na.com", "n@a.com", "a@a.a", "a@a.com"),
    *("aa@aa.com", "x@x.x", "x@x.com", "xx@xx.com", "abc@abc.com", "asd@asd.com", "1@1.com"),
    *_TESTS,
)
_BARE = [normalize("NFKD", word).encode("ascii", "ignore").decode() for word in _NO_CUSTOMER]
_ASCII = [bare for bare, word in zip(_BARE, _NO_CUSTOMER, strict=True) if len(bare) == len(word)]
NO_CUSTOMER = tuple(dict.fromkeys([*_NO_CUSTOMER, *_ASCII]))  # without accents, too
# The till or branch behind such a word: "Walk-in Customer - Store 2".
_PLACES = "pos|till|store|shop|kasse|filiale|caja|tienda|loja|cassa|caisse"
_BRANCH = rf"(?:[\s\-–:/,.#(]*(?:{_PLACES})?[\s\-:#.]*\d{{1,3}}\)?)?"

_NAMES = "|".join(re.escape(word) for word in NO_CUSTOMER if not word.endswith("@"))
_NOBODY = rf"^\s*(?i:(?:{_NAMES}){_BRANCH})\s*$"

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
    text = ids.cast(pl.String)
    if not text.str.contains("+", literal=True).any():  # told at once
        return pl.repeat(False, len(ids), eager=True, dtype=pl.Boolean)
    return text.str.contains(MANGLED).fill_null(value=False)


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
    whole, beginnings = _listed(tuple(map(str, words)))
    marks = ids.str.to_lowercase().is_in(whole.implode())
    if beginnings and ids.str.contains("@", literal=True).any():
        marks |= ids.str.contains(beginnings)
    return marks.fill_null(value=False)


@lru_cache
def _listed(words: tuple[str, ...]) -> tuple[pl.Series, str]:
    """Return the words in lower case, and a pattern of the addresses that begin with one.

    A pattern of all of them would take longer to compile than a small file to read.
    """
    texts = [text for word in words if (text := word.strip())]
    begun = "|".join(re.escape(text) for text in texts if text.endswith("@"))
    whole = pl.Series([text for text in texts if not text.endswith("@")], dtype=pl.String)
    return whole.str.to_lowercase(), rf"^(?i:{begun})[^@\s]+$" if begun else ""


_OF_COLUMN = re.compile(r"(.+?) (=|!=) (.+)")


def is_of_column(entry: object) -> bool:
    """Return whether an entry of ``no_customer`` names the column whose value it speaks of."""
    return _OF_COLUMN.fullmatch(str(entry)) is not None


def split_nobody(entries: Iterable[object]) -> tuple[list[str], dict[str, dict[str, bool]]]:
    """Split the entries of ``no_customer``: bare ids, and by column whether a value is nobody's.

    Bare ids stand in place of the usual words, which are those without any.

    Examples
    --------
    >>> split_nobody(["guest", "Account = 1", "Account != 7"])
    (['guest'], {'Account': {'1': True, '7': False}})
    """
    bare: list[str] = []
    told: dict[str, dict[str, bool]] = {}
    for entry in map(str, entries):
        match = _OF_COLUMN.fullmatch(entry) if "= " in entry else None
        if match is None:
            bare.append(entry)
        else:
            told.setdefault(match[1], {})[match[3].lower()] = match[2] == "="
    return bare if bare or not told else [*NO_CUSTOMER], told


def are_tests(customers: pl.Series) -> pl.Series:
    """Return which ids, names or addresses of customers are of those who try the shop out.

    Examples
    --------
    >>> are_tests(pl.Series(["Test@shop.example", "testa@shop.example", "Test Customer"])).to_list()
    [True, False, True]
    """
    low = customers.cast(pl.String).str.strip_chars().str.to_lowercase()
    return (low.is_in(_TESTS) | low.str.extract("^([^@]+@)").is_in(_TESTS)).fill_null(value=False)


def names_nobody(names: pl.Series) -> pl.Series:
    """Return which names are of accounts for buyers without a name, perhaps of a till or branch.

    Examples
    --------
    >>> names = ["Walk-in Customer - Store 2", "Publico General", "Cash & Co"]
    >>> names_nobody(pl.Series(names)).to_list()
    [True, True, False]
    """
    return names.str.contains(_NOBODY).fill_null(value=False)


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

    Raises
    ------
    DataError
        If none is, as those of the one side are pseudonyms.

    Examples
    --------
    >>> unmatched(pl.Series(["7", "B"]), pl.Series(["7", "b"]), "the opt-outs", "the customers")
    'of 2 ids in the opt-outs 1 is not among the customers (1 would be but for its spelling)'
    """
    unique_ids = wanted.drop_nulls().unique().alias("id")
    missing = unique_ids.filter(~unique_ids.is_in(present.drop_nulls().unique().implode()))
    if not missing.len():
        return ""
    hint = spelling_hint(missing, present)
    if missing.len() == unique_ids.len():
        refuse_pseudonyms(missing, present, what, among)
        return f"none of {counted(unique_ids.len(), 'id')} in {what} is among {among}{hint}"
    rest = counted(missing.len(), "is", "are")
    return f"of {counted(unique_ids.len(), 'id')} in {what} {rest} not among {among}{hint}"


def refuse_pseudonyms(listed: pl.Series, present: pl.Series, what: str, among: str) -> None:
    """Refuse ids of which no one is met, as those of the one side are pseudonyms.

    Raises
    ------
    DataError
        If so: those who refused would be missed.
    """
    listed_hashed, hashed = (
        bool(ids.len()) and bool(ids.drop_nulls().str.contains(PSEUDONYM).all())
        for ids in (listed, present)
    )
    if listed_hashed != hashed and present.len():
        hidden, raw = (what, among) if listed_hashed else (among, what)
        raise DataError(
            f"{what}: none is among {among}, as the ids of {hidden} are pseudonyms and those of "
            f"{raw} are not; give both with the same key (pseudonymise), or neither"
        )


PSEUDONYM = "^[0-9a-f]{32}$"  # as segkit.intake makes them


def spelling_hint(missing: pl.Series, present: pl.Series) -> str:
    """Return how many ids would be among those present but for their spelling, in brackets."""
    folded, numbers = near_ids(missing, present)
    # A number is another one's spelling where signs stand in it, as in telephone numbers.
    close = int((folded | (numbers & missing.str.contains(r"[^\d]"))).sum())
    return f" ({number(close)} would be but for {_its(close)} spelling)" if close else ""


def near_ids(missing: pl.Series, present: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return which ids would be among those present but for spelling; which end in their figures.

    Examples
    --------
    >>> near_ids(pl.Series(["007", "+47 912 34 567"]), pl.Series(["7", "91234567"]))[1].to_list()
    [False, True]
    """
    others = present.drop_nulls().unique()
    folded, numbers = (
        spell(missing).is_in(spell(others).drop_nulls().implode()).fill_null(value=False)
        for spell in (_folded, _last_figures)
    )
    return folded, numbers


def _folded(ids: pl.Series) -> pl.Series:
    """Return ids in one spelling, numbers without the zeros before them."""
    one = fold_ids(pl.col("id")).str.replace(r"^0+(\d+)$", "$1")
    return ids.to_frame("id").select(one).to_series()


def _last_figures(ids: pl.Series) -> pl.Series:
    """Return the figures of telephone numbers that a country's code leaves alone; else null."""
    numbers = ids.set(~ids.str.contains(r"^[\d\s().+/-]{7,}$"), None)
    return numbers.str.replace_all(r"\D", "").str.tail(7)


def _its(count: int) -> str:
    return "its" if count == 1 else "their"
