"""Rows that are no orders among order rows: events, quotes and deliveries, abandoned carts.

Each is asked about, with the words to leave out, until the mapping names the kinds of rows.
"""

from __future__ import annotations

import re

import polars as pl

from segkit.display import counted, money
from segkit.intake.cells import is_text
from segkit.intake.columns import Columns
from segkit.intake.evidence import sample
from segkit.intake.headers import plain
from segkit.intake.mapping import STATUS_COLUMNS, Mapping
from segkit.intake.questions import Finding
from segkit.intake.statuses import CREDIT, spelt

MOST_KINDS = 40
# What visitors do before they buy, and the event that is an order.
_BROWSING = re.compile(
    r"(?:page|item|product|category|screen|cart) ?views?(?:ed)?|views?(?:ed)?(?: (?:item|product|"
    r"page|cart|content|category).*)?|clicks?|clicked.*|add(?:ed)? ?to ?(?:cart|wishlist|bag|"
    r"basket).*|remove(?:d)? ?from ?(?:cart|basket).*|begin checkout|checkout start(?:ed)?|"
    r"started checkout|"
    r"session(?: start)?|search(?:ed)?|scroll|impression|(?:email )?open(?:ed)?|add payment info|"
    r"add shipping info|select item|first visit|visit|log ?in|sign ?up"
)
_BOUGHT = re.compile(
    r".*\b(?:purchased?|bought|buy|ordered|order|transaction|"
    r"checkout completed?|sale|kauf|achat|compra|acquisto)\b.*"
)
# Documents of one sale, the one that is owed first.
_DOCUMENTS = {
    "invoice": r"(?:\w+ )?invoices?|(?:\w+)?rechnung(?:en)?|factures?|facturas?|fattur[ae]|"
    r"faturas?|factuur|faktura|bill|sales receipt|請求書|发票",
    "order": r"(?:sales |customer )?orders?|order confirmation|auftrag(?:sbestatigung)?|bestellung|"
    r"kundenauftrag|(?:bon de )?commande|pedidos?|ordine|encomenda|zamowienie|注文|订单",
    "delivery": r"delivery (?:note|slip)|packing slip|dispatch note|lieferschein|bon de livraison|"
    r"albaran(?:es)?|ddt|guia de remessa|pakbon|納品書",
    "quote": r"quot(?:e|es|ation|ations)|(?:sales )?(?:estimate|offer)|angebot|offerte|devis|"
    r"presupuesto|cotizacion|preventivo|orcamento|oferta|pro ?forma(?: invoice)?|見積書?|报价单?",
}
_ABANDONED = re.compile(r"(?:^|_)(?:abandon\w*|carrito_abandonado)(?:_|$)")
_RECOVERED = re.compile(r"(?:^|_)(?:is_)?recover(?:ed|y)(?:_at|_status)?$")
_CART = re.compile(r"(?:^|_)(?:cart|checkout|basket|panier|carrito|warenkorb)(?:_|$)")
_NOT_CARTS = re.compile(r"url|token|link")


def about_other_rows(frame: pl.DataFrame, given: Mapping, used: Mapping) -> list[Finding]:
    """Ask which rows are orders where a list also holds events, other documents or carts.

    Parameters
    ----------
    frame : polars.DataFrame
        Raw order lines.
    given, used : Mapping
        The mapping as given, and as completed.

    Returns
    -------
    list of Finding
        One of severity "block", or none.
    """
    part = given.tables.get("orders")
    said = {} if part is None else {**part.columns, **part.constants}
    if "row_kind" in said or frame.height < 2:
        return []
    columns = Columns("orders", frame, used)
    settled = {said.get(name) for name in STATUS_COLUMNS}
    few = sample(frame)
    for name, dtype in few.schema.items():
        if not is_text(dtype) or name in settled or name == columns.source("customer_id"):
            continue
        cells = few[name].cast(pl.String).str.strip_chars().drop_nulls()
        words = cells.filter(cells != "").unique()
        if not 2 <= words.len() <= MOST_KINDS or 2 * cells.len() < few.height:
            continue
        spelling = {word: spelt(word) for word in words.sort().to_list()}
        found = _ask_events(name, spelling, columns) or _ask_documents(name, spelling, columns)
        if found:
            return found
    return _ask_carts(frame, said, columns)


def _ask_events(name: str, spelling: dict[str, str], columns: Columns) -> list[Finding]:
    browsing = [word for word, text in spelling.items() if _BROWSING.fullmatch(text)]
    bought = [word for word, text in spelling.items() if _BOUGHT.fullmatch(text)]
    bought = [word for word in bought if word not in browsing]
    is_named = bool({"event", "action", "activity"} & set(plain(name).split("_")))
    most = len(browsing) + len(bought) >= 0.5 * len(spelling)
    if not browsing or not most or (len(browsing) < 2 and not is_named):
        return []
    if not bought:
        text = f"{name!r} holds kinds of events ({_shown(name, browsing, columns)}), none an order."
        answer = (
            'give it as "events", beside a table of order lines: {"orders": ..., "events": ...}'
        )
        return [Finding("block", "orders", "row_kind", text, columns.raw.height, answer=answer)]
    text = (
        f"{name!r} holds kinds of events ({_shown(name, list(spelling), columns)}): are only the "
        f"rows with {' and '.join(map(repr, bought))} orders?"
    )
    return _question(name, text, [word for word in spelling if word not in bought], columns)


def _ask_documents(name: str, spelling: dict[str, str], columns: Columns) -> list[Finding]:
    kinds: dict[str, list[str]] = {}
    for word, text in spelling.items():
        kind = next((k for k, names in _DOCUMENTS.items() if re.fullmatch(names, text)), "")
        kind = "credit" if not kind and re.search(CREDIT, word.lower()) else kind
        kinds.setdefault(kind, []).append(word)
    several = [kind for kind in _DOCUMENTS if kind in kinds]
    known = sum(len(words) for kind, words in kinds.items() if kind)
    if len(several) < 2 or known < 0.5 * len(spelling):
        return []
    listed = [word for kind in several for word in kinds[kind]]
    counts = kinds[several[0]]
    text = (
        f"{name!r} holds several documents of one sale ({_shown(name, listed, columns)}); added "
        "up, the same money counts several times. Does only "
        f"{' or '.join(map(repr, counts))} count?"
    )
    return _question(name, text, [word for word in listed if word not in counts], columns)


def _ask_carts(frame: pl.DataFrame, said: dict[str, object], columns: Columns) -> list[Finding]:
    """Ask whether carts that were left behind are orders."""
    headers = {name: plain(name) for name in frame.columns}
    headers = {name: text for name, text in headers.items() if not _NOT_CARTS.search(text)}
    left = [name for name, text in headers.items() if _ABANDONED.search(text)]
    back = [name for name, text in headers.items() if _RECOVERED.search(text)]
    if not left and not (back and any(_CART.search(text) for text in headers.values())):
        return []
    if {"status", "payment_status"} & {*said} or not any(
        columns.cells(name).drop_nulls().len() for name in (*left, *back)
    ):
        return []
    listed = ", ".join(map(repr, [*left, *back][:3]))
    text = (
        f"These look like carts that were left behind ({listed}), not like orders: do they count?"
    )
    answer = '[orders.constants] status = "sale", if all were paid'
    if back:
        words = columns.cells(back[0]).cast(pl.String).drop_nulls().unique().sort().to_list()
        yes = next((word for word in words if spelt(word) in _YES), None)
        no = next((word for word in words if spelt(word) not in _YES), None)
        if yes and no and len(words) == 2:
            answer = (
                f'[orders.columns] status = "{back[0]}" with [orders.values.status] "{yes}" = '
                f'"sale" and "{no}" = "cancelled", if the recovered ones count; or {answer}'
            )
    return [Finding("block", "orders", "status", text, frame.height, answer=answer)]


_YES = {"yes", "y", "true", "1", "ja", "oui", "si", "sim", "recovered"}


def _shown(name: str, words: list[str], columns: Columns) -> str:
    """List words with their rows and their money."""
    cells = columns.raw[name].cast(pl.String).str.strip_chars()
    worth = columns.numbers("amount") if columns.source("amount") else None
    shown = []
    for word in words[:8]:
        is_word = (cells == word).fill_null(value=False)
        told = counted(int(is_word.sum()), "row")
        total = "" if worth is None else f", {money(float(worth.filter(is_word).sum()))}"
        shown.append(f"{word!r} {told}{total}")
    return "; ".join(shown) + ("; ..." if len(words) > len(shown) else "")


def _question(name: str, text: str, others: list[str], columns: Columns) -> list[Finding]:
    """Write the question with the words that the answer leaves out."""
    cells = columns.raw[name].cast(pl.String).str.strip_chars()
    rows = int(cells.is_in(others).sum())
    values = " and ".join(f'"{word}" = "other"' for word in others)
    answer = (
        f'[orders.columns] row_kind = "{name}" with [orders.values.row_kind] {values} ("line" '
        'instead of "other" for words that count)'
    )
    return [Finding("block", "orders", "row_kind", text, rows, answer=answer)]
