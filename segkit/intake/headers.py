"""Meaning of column names: the concepts that a header names, in the main trading languages."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

# The words that tell what columns, rows and states mean.
WORDS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("words.toml").read_text(encoding="utf-8")
)


def pattern(name: str) -> str:
    """Return a regular expression of ``words.toml``, where it may take several lines."""
    return str(WORDS["patterns"][name]).replace("\n", "")


@cache
def regex(name: str) -> re.Pattern[str]:
    """Return `pattern` as it is searched for."""
    return re.compile(pattern(name))


SMALL = frozenset(WORDS["headers"]["small"].split())
_JOINTS = ("", "s", "n", "en", "es", "e")  # letters that join compounds
_LATIN = re.compile(r"[a-z0-9_]+$")
_WITH_TAX = frozenset(WORDS["headers"]["with_tax"].split())
_WITHOUT_TAX = frozenset(WORDS["headers"]["without_tax"].split())
# Words of states also name columns: "Refunderet beløb"; not who returns, feedback, or cash on
# delivery.
_RETURNS = [stem for stem in re.split(r"[|\n]", WORDS["states"]["refunded"]) if stem.isalpha()]
_GIVEN_BACK = re.compile(rf"(?!returning|palaute$|rembours(?:$|kost))(?:{'|'.join(_RETURNS)})")
_PAID_BACK = re.compile(pattern("given_back"))
_BRACKETED = re.compile(r"[(\[（［【〔][^)\]）］】〕]*[)\]）］】〕]")
_TAILS = ("nr", "no", "id", "num", "code")
_DOCUMENT_TYPE = re.compile(
    r"^(?:fk|bl|au|vg|bw|vbtyp|faktura|beleg|auftrags?|vorgangs?|buchungs?)_?(?:art|typ)$|^vbtyp$|"
    r"^(?:txn|tran|trans|transaction|doc|document|rec|record|line|row|sale)_?(?:type|kind|code)$"
)
_BARE = str.maketrans("äöüÄÖÜıİ", "aouAOUiI")
# Letters that no accent is taken off: Danish, Vietnamese, Turkish, Polish.
_STROKES = str.maketrans({"ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ı": "i", "ł": "l", "Ł": "L",
                          "æ": "ae", "Æ": "Ae"})  # fmt: skip
_ABBREVIATED = re.compile(r"(?<=[\u05d0-\u05ea])[\"'׳״”’](?=[\u05d0-\u05ea])")  # סה"כ
_ALPHABETS = "\u0900"  # from here on, scripts without words, or with vowels as marks
LETTERS = r"\w\u0900-\u0eff"  # vowels of Indian and Thai letters are marks, too


def without_accents(text: str) -> str:
    """Take the accents off letters; marks that are vowels of Indian and Thai words stay.

    Examples
    --------
    >>> without_accents("Quantité"), without_accents("Beløb"), without_accents("Đã hủy")
    ('Quantite', 'Belob', 'Da huy')
    """
    letters = (
        letter
        for letter in unicodedata.normalize("NFKD", text.translate(_STROKES))
        if not unicodedata.combining(letter) or "\u0900" <= letter <= "\u0eff"
    )
    return unicodedata.normalize("NFC", "".join(letters))


_HAN = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # Chinese, Japanese and Korean
_WORD_ENDS = re.compile(
    rf"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[{_HAN}])(?=[A-Za-z])|(?<=[A-Za-z])(?=[{_HAN}])"
)
LEXICON: dict[str, frozenset[str]] = {}
_WIDE: dict[str, frozenset[str]] = {}
for _concept, _words in WORDS["concepts"].items():
    for _word in map(without_accents, _words.split()):
        _into = LEXICON if _LATIN.match(_word) else _WIDE
        _into[_word] = _into.get(_word, frozenset()) | {_concept}
_LONG = sorted((word for word in LEXICON if len(word) >= 3), key=len, reverse=True)


def _stems_in(token: str) -> list[str]:
    """List the words of other scripts that a word contains: stems, of two letters whole words.

    In alphabets, a stem within a longer one says nothing (ποσο in ποσοτητα), nor does an order
    within who placed it (注文 in 注文者), nor a quantity within an amount (จำนวน in จำนวนเงิน).
    """

    def hides(longer: str, word: str) -> bool:
        meant, hidden = _WIDE[longer], _WIDE[word]
        return "customer" in meant or ("amount" in meant and "quantity" in hidden)

    stems = [
        word
        for word in _WIDE
        if word in token and (len(word) > 2 or word > _ALPHABETS or word == token)
    ]
    return [
        word
        for word in stems
        if not any(
            word != stem and word in stem and (word < _ALPHABETS or hides(stem, word))
            for stem in stems
        )
    ]


_PREFIX = ContextVar("prefix", default="")
FEWEST_HEADERS, SHARED = 5, 0.8


@contextmanager
def without_prefix(headers: Iterable[str]) -> Iterator[str]:
    """Read headers, as long as this lasts, without the prefix that nearly all of them share.

    Examples
    --------
    >>> shop = ["OXID", "OXORDERDATE", "OXORDERNR", "OXPAID", "OXTOTALSUM", "OXCURRENCY"]
    >>> with without_prefix(shop) as prefix:
    ...     prefix, plain("OXPAID"), sorted(concepts("OXORDERDATE")[0])
    ('OX', 'paid', ['date', 'order'])
    """
    token = _PREFIX.set(_shared_prefix([*headers]))
    try:
        yield _PREFIX.get()
    finally:
        _PREFIX.reset(token)


def _shared_prefix(headers: list[str]) -> str:
    """Return the prefix without which headers are known, or that says a thing twice."""
    least = SHARED * max(len(headers), FEWEST_HEADERS)
    whole = ""
    for size in range(1, max(map(len, headers), default=0)):
        start, count = Counter(h[:size] for h in headers if len(h) > size).most_common(1)[0]
        if count < least:
            break
        whole = start
    # Cut where a word ends; anywhere in a prefix that no sign and no capital letter parts off.
    first = next((h for h in headers if h.startswith(whole)), "")
    ends = {end.end() for end in re.finditer(rf"[\W_]|{_WORD_ENDS.pattern}", first)}
    sizes = sorted(ends & {*range(len(whole) + 1)}) or [*range(1, len(whole) + 1)]
    known = {n: sum(not _concepts(h.removeprefix(whole[:n]))[1] for h in headers) for n in sizes}
    size = max(known, key=lambda n: known[n], default=0)
    gained = known.get(size, 0) - sum(not _concepts(h)[1] for h in headers)
    prefix = whole[:size] if gained >= len(headers) / 4 else ""
    words = re.findall(r"[^\W\d_]+[\W\d_]+", whole.removeprefix(prefix))
    if words:  # sales_order.status, order.order_date
        meant = _concepts(words[-1])[0]
        rests = [_concepts(h.removeprefix(prefix + "".join(words)))[0] for h in headers]
        twice = bool(meant) and sum(meant <= rest for rest in rests) > 1
        prefix += "".join(words if twice else words[:-1])
    return prefix


def _short(name: str) -> str:
    return name.removeprefix(_PREFIX.get()) or name


def plain(name: str) -> str:
    """Write a column's name in lower case without accents, its words parted by underscores.

    Examples
    --------
    >>> plain("InvoiceNo"), plain("Kunden-Nr."), plain("Quantité"), plain("订单ID")
    ('invoice_no', 'kunden_nr', 'quantite', '订单_id')
    """
    return _plain(_short(name))


@lru_cache(maxsize=4096)  # a header is compared with many names
def _plain(name: str) -> str:
    text = _ABBREVIATED.sub("", name).replace("ß", "ss").replace("№", "no")
    text = text.lower() if text.isupper() else text  # KÄUFER is one word
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")):
        text = text.replace(umlaut, letters).replace(umlaut.upper(), letters.capitalize())
    text = without_accents(text)
    parted = _WORD_ENDS.sub("_", text)
    return re.sub(rf"[^{LETTERS}]+|_+", "_", parted.lower()).strip("_")


def bare(name: str) -> str:
    """Write a name as `plain` does, an umlaut as its vowel alone: Bülten, not Buelten.

    Examples
    --------
    >>> bare("E-Bülten"), bare("Müşteri")
    ('e_bulten', 'musteri')
    """
    return plain(name.translate(_BARE))


def without_number(header: str) -> str:
    """Return a header as it was read: the second of two of one name is called "name (2)".

    Examples
    --------
    >>> without_number("amount (2)")
    'amount'
    """
    return re.sub(r" \(\d+\)$", "", header)


def concepts(header: str) -> tuple[frozenset[str], int]:
    """Return the concepts that a header names, and how many of its words are not known.

    Examples
    --------
    >>> sorted(concepts("Kundennummer")[0]), sorted(concepts("N° client")[0])
    (['customer', 'id'], ['customer', 'id'])
    >>> sorted(concepts("Total Foo")[0]), concepts("Total Foo")[1]
    (['total'], 1)
    >>> sorted(concepts("订单金额")[0]), sorted(concepts("จำนวนเงิน")[0])
    (['amount', 'order'], ['amount'])

    A remark in brackets makes an order's date or number no other one.

    >>> sorted(concepts("Order date (before payment)")[0])
    ['date', 'order']
    """
    return _concepts(_short(header))


@cache
def _concepts(header: str) -> tuple[frozenset[str], int]:
    name = without_number(header)
    outside = _BRACKETED.sub("", name).strip()
    if outside != name and (known := _concepts(outside))[0] & {"order", "buy", "created"}:
        beside = _concepts(" ".join(part[1:-1] for part in _BRACKETED.findall(name)))[0]
        if "date" in known[0] or ("id" in known[0] and not beside & {"product", "line"}):
            return known
    tokens = _plain(name).split("_")
    others = _plain(name.translate(_BARE)).split("_")
    others = others if len(others) == len(tokens) else tokens
    meant: set[str] = set()
    unknown = 0
    for token, other in zip(tokens, others, strict=True):
        if other != token and (other in LEXICON or _compound(token) is None):
            token = other
        wide = _stems_in(token)
        if wide:
            meant |= {item for word in wide for item in _WIDE[word]}
        elif token in LEXICON:
            meant |= LEXICON[token]
        elif token not in SMALL:
            parts = _compound(token)
            if parts is None and _GIVEN_BACK.match(token):
                parts = {"refund"}
            meant |= parts or set()
            unknown += parts is None
    return _settle(header, tokens, meant), unknown


def _settle(header: str, tokens: list[str], meant: set[str]) -> frozenset[str]:
    """Add what signs and neighbouring words say of a header's concepts."""
    if meant == {"id", "deadline"} or re.search(  # Termin-ID, of an appointment
        r"(?:^|_)(?:check|charge)_(?:id|no|num|number)$", "_".join(tokens)
    ):
        meant |= {"order", "id"}
    if "minor_unit" in "_".join(tokens):  # hundredths, no quantity
        meant -= {"unit", "quantity"}
    if "nombre" in tokens and meant & {"customer", "name", "product"}:  # del cliente: no pieces
        meant = (meant - {"quantity"}) | {"name"}
    meant = _settle_users(tokens, meant)
    meant = _settle_vietnamese(header, tokens, meant)
    if "cep" in tokens and "phone" in meant:  # a mobile in Turkish, a postcode in Portuguese
        meant -= {"place"}
    meant |= {concept for sign, concept in (("%", "percent"), ("#", "id")) if sign in header}
    if _DOCUMENT_TYPE.search("_".join(tokens)):  # Fakturaart
        meant = {"order", "type"}
    if "tax" in meant and (side := _side_of_tax(tokens)):  # "total incl. tax" is no tax
        meant = (meant - {"tax"}) | {side}
    if "number_of" in "_".join(tokens) or {"id", "quantity"} <= meant:  # number of items
        meant = (meant - {"id"}) | {"quantity"}
    if _PAID_BACK.search("_".join(tokens)):
        meant = (meant - {"payment"}) | {"refund"}
    if {"amount", "date"} <= meant:  # data zapłaty
        meant = (meant - {"amount"}) | {"payment"}
    meant = _settle_facts("_".join(tokens), meant)
    return frozenset(meant - {"place"} if "email" in meant else meant)  # e-mail address


def _settle_facts(joined: str, meant: set[str]) -> set[str]:
    """Tell sums that are possible, expected or of other times from facts, and ends from dates.

    What can be refunded is no refund; one that is expected is no amount.
    """
    if "date" in meant:
        return meant | ({"finished"} if regex("finished").search(joined) else set())
    if "id" in meant or (meant and not meant & _MEASURED):
        return meant
    if regex("able").search(joined):
        return (meant - {"refund", "discount", "cancelled"}) | {"possible"}
    if not regex("expected").search(joined):
        return meant
    return (meant - _SUMS if meant & {"refund", "discount"} else meant) | {"possible"}


_SUMS = frozenset(["amount", "total", "revenue", "price"])
_MEASURED = _SUMS | {"refund", "discount", "cancelled", "net", "gross", "quantity", "subtotal"}


def _settle_users(tokens: list[str], meant: set[str]) -> set[str]:
    """Read the id of a user, member or account as the customer's; alone it can be who works there.

    Ledgers and banks number their accounts; shops give them an id.
    """
    is_user = "user" in meant and meant & {"id", "customer"}
    if is_user or regex("account_id").search("_".join(tokens)):
        return (meant - {"user"}) | {"customer"}
    return meant


def _settle_vietnamese(header: str, tokens: list[str], meant: set[str]) -> set[str]:
    """Read a unit's price as no order's, and what a customer pays or owes as no customer."""
    joined, debt = "_".join(tokens), "nợ" in header.lower()
    if re.search("nguoi_(?:mua|dung)|tai_khoan|(?:thanh|hoi)_vien", joined):
        meant = (meant - {"buy"}) | {"customer"}
    if "don_gia" in joined:
        meant = (meant - {"order"}) | {"unit"}
    if "khach" not in tokens or not (debt or re.search(r"_(?:tra|dua)(?!_hang)", joined)):
        return meant
    due = {"can", "phai"} & {*tokens}
    sums = "balance" if debt or (due and "con" in tokens) else "total" if due else "payment"
    return (meant - {"customer", "id", "amount"}) | {sums}


def _side_of_tax(tokens: list[str]) -> str:
    """Return whether words say that tax is in an amount ("gross") or not ("net"); else empty."""
    joined = "_".join(tokens)
    for side, words in (("net", _WITHOUT_TAX), ("gross", _WITH_TAX)):
        wide = (word for word in words if word > _ALPHABETS)
        if words & set(tokens) or any(word in joined for word in wide):
            return side
    return ""


def _compound(token: str) -> set[str] | None:
    """Split a word that is made of known words only; None if it is not."""
    for word in _LONG:
        if not token.startswith(word):
            continue
        for joint in _JOINTS:
            if not token.startswith(word + joint):
                continue
            rest = token[len(word) + len(joint) :]
            if not rest:
                return set(LEXICON[word])
            if rest in _TAILS:
                return {*LEXICON[word], "id"}
            after = _compound(rest)
            if after is not None:
                return {*LEXICON[word], *after}
    return None


def is_personal_number(header: str) -> bool:
    """Return whether a header is that of a number that a state gives to persons.

    Examples
    --------
    >>> is_personal_number("Documento de identidad"), is_personal_number("N° document")
    (True, False)
    """
    return bool(_PERSONAL_NUMBER.search(plain(header)))


_PERSONAL_NUMBER = re.compile(pattern("personal_number"))


def names_recipient(header: str) -> bool:
    """Return whether a header is of who receives an order, which may be another than who buys.

    Examples
    --------
    >>> names_recipient("Adresse de livraison : nom"), names_recipient("Billing Name")
    (True, False)
    """
    return "shipping" in concepts(header)[0] or bool(_RECIPIENT.search(plain(header)))


_RECIPIENT = re.compile(pattern("recipient"))


def names_companion(header: str) -> bool:
    """Return whether a header is of who comes along or gets the gift, or of a recipient.

    Examples
    --------
    >>> names_companion("E-mail participant"), names_companion("E-mail acheteur")
    (True, False)
    """
    return names_recipient(header) or bool(regex("companion").search(plain(header)))


def is_address_part(header: str) -> bool:
    """Return whether a header names a part of an address, and no e-mail address, telephone or name.

    Examples
    --------
    >>> is_address_part("Kod pocztowy klienta"), is_address_part("Adres e-mail klienta")
    (True, False)
    """
    named = _ADDRESS_PART.search(plain(header)) or _ADDRESS_PART.search(bare(header))
    return bool(named) and not {"email", "phone", "name"} & concepts(header)[0]


_ADDRESS_PART = re.compile(pattern("address_part"))


def language_of(headers: Iterable[str]) -> str | None:
    """Return the one language that columns are named in, if two or more of its words show it."""
    words = [word for name in headers for word in re.split(r"\W+|_", name.casefold()) if word]
    hits = {
        language: sum(any(word.startswith(start) for word in words) for start in starts)
        for language, starts in WORDS["languages"].items()
    }
    best = max(hits, key=lambda language: hits[language])
    alone = sum(n == hits[best] for n in hits.values()) == 1
    return best if hits[best] >= 2 and alone else None
