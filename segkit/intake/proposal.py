"""Proposal of a mapping from names and values, with the open questions.

Names of columns are known in English, German, French, Spanish, Italian, Portuguese and Dutch.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import polars as pl

from segkit.intake.cells import is_text
from segkit.intake.dates import formats, numeric_format
from segkit.intake.layouts import match_customer_columns, preset_mapping
from segkit.intake.mapping import Mapping, TableMapping, lacks
from segkit.intake.questions import RIVALS, Finding, about_ids, open_questions
from segkit.schema import CONTRACTS, EVENT_TYPES

# Per table and contract column: names that identify it, then names that only suggest it.
# Written as `segkit.intake.proposal.plain` leaves them: lower case, no accents, underscores.
Words = dict[str, tuple[str, str]]


def _each(first: str, second: str) -> str:
    """Join each of the first words with each of the second."""
    return " ".join(f"{one}_{other}" for one in first.split() for other in second.split())


# "n" is what is left of N°; "codice articolo" and "artikelnummer" put the number on either side.
BEFORE = "id ident identifiant n no nr num numero nummer code cod codigo codice ref reference"
AFTER = "id no nr num number nummer code key"

WHO: Words = {
    "customer_id": (
        " ".join(
            (
                _each("customer cust client buyer shopper user member household", AFTER),
                _each("kunden kunde kd debitor debitoren klant klanten relatie", AFTER),
                _each(BEFORE, "client tiers acheteur adherent cliente comprador acquirente utente"),
                _each(BEFORE, "kunde klant customer comprador socio"),
            )
        ),
        (
            "customer client kunde debitor klant cliente tiers compte buyer user utente member "
            "shopper account_id account id"
        ),
    ),
    "email": (
        (
            "email e_mail email_address mail_address adresse_mail correo correo_electronico "
            "courriel emailadres"
        ),
        "mail",
    ),
    "device_id": ("device_id deviceid cookie_id visitor_id anonymous_id", "device cookie"),
    "loyalty_id": (
        (
            "loyalty_id loyalty_card loyalty_number card_number kundenkarte carte_fidelite "
            "tarjeta tarjeta_fidelidad carta_fedelta cartao_fidelidade klantenkaart"
        ),
        "card",
    ),
}
PLACES: Words = {
    "country": (
        " ".join(
            (
                _each("country billing_country shipping_country customer_country", "name code"),
                "country billing_country shipping_country customer_country land pays pais paese",
            )
        ),
        "nation",
    ),
    "region": (
        (
            "region customer_region billing_province shipping_province billing_state "
            "shipping_state bundesland provincia provincie"
        ),
        "state province county",
    ),
    "company": (
        (
            "company company_name billing_company shipping_company customer_company firma "
            "firmenname societe raison_sociale empresa azienda ragione_sociale bedrijf"
        ),
        "organisation organization",
    ),
}
ORDERS: Words = {
    **WHO,
    "order_id": (
        " ".join(
            (
                _each("order invoice transaction receipt basket", AFTER),
                _each("bestell bestellungs auftrag auftrags rechnung rechnungs beleg bon", AFTER),
                _each("kassenbon vorgangs order bestel bestelling factuur transactie", AFTER),
                _each(BEFORE, "commande facture piece ticket bon vente achat transaction pedido"),
                _each(BEFORE, "factura ordine fattura scontrino documento encomenda fatura"),
                _each(BEFORE, "bestellung bestelling factuur order"),
                _each("pedido commande ordine encomenda", "id"),
            )
        ),
        (
            "order invoice transaction receipt basket bestellung auftrag rechnung beleg bon "
            "kassenbon commande facture piece ticket pedido factura ordine fattura scontrino "
            "encomenda fatura bestelling factuur"
        ),
    ),
    "order_time": (
        " ".join(
            (
                "ordered_at purchased_at",
                _each("order invoice transaction purchase sale", "date time datetime timestamp"),
                _each("bestell auftrags rechnungs kauf beleg verkaufs bestel order", "datum zeit"),
                _each("aankoop factuur verkoop", "datum"),
                _each("date", "commande achat facture piece vente ticket transaction document"),
                _each("fecha", "pedido compra factura venta ticket documento"),
                _each("data", "ordine acquisto fattura vendita documento scontrino"),
                _each("data", "pedido compra fatura venda encomenda"),
            )
        ),
        (
            "date datetime timestamp time created_at created day datum tag zeit zeitpunkt jour "
            "fecha dia data giorno"
        ),
    ),
    "amount": (
        " ".join(
            (
                "amount line_total line_amount total_amount amount_total total_price net_amount",
                "gross_amount revenue sales_amount sales_value order_value order_total spend",
                "dollar_value turnover betrag umsatz zeilensumme gesamtpreis summe",
                _each("gesamt zeilen netto brutto positions rechnungs", "betrag"),
                "montant ca chiffre_affaires",
                _each("montant total ca prix chiffre_affaires", "total ht ttc ligne net"),
                "importe importe_total total_linea monto monto_total",
                "importo importo_totale importo_riga totale_riga fatturato prezzo_totale",
                "valor_total total_linha montante faturamento receita preco_total",
                "bedrag totaalbedrag regelbedrag omzet totaalprijs",
            )
        ),
        "total sales value sum wert gesamt valor totaal totale paid",
    ),
    "quantity": (
        (
            "quantity qty units units_sold item_count number_of_items number_of_cds menge anzahl "
            "anz stueck stuck stk stueckzahl stuckzahl quantite qte nb_articles nombre cantidad "
            "cant unidades uds quantita qta pezzi quantidade qtd qtde aantal hoeveelheid stuks"
        ),
        "count pieces items",
    ),
    "unit_price": (
        " ".join(
            (
                "unit_price price_per_unit item_price price_each",
                "einzelpreis stueckpreis stuckpreis preis_pro_stueck preis_stk verkaufspreis",
                "pu pu_ht pu_ttc p_u p_u_ht p_u_ttc",
                _each("prix_unitaire prix_unit px_unitaire px_unit", "ht ttc"),
                _each("prix px precio prezzo preco", "unit unitaire unitario unidad unidade vente"),
                "valor_unitario stuksprijs stukprijs eenheidsprijs prijs_per_stuk verkoopprijs",
            )
        ),
        "price preis prix px precio prezzo preco prijs",
    ),
    "discount": (
        (
            "discount discount_amount money_off rabatt rabattbetrag remise rabais descuento dto "
            "sconto desconto korting"
        ),
        "reduction nachlass promo_amount",
    ),
    "product_id": (
        " ".join(
            (
                "sku stock_code",
                _each("product item article", AFTER),
                _each("artikel produkt art", AFTER),
                _each(BEFORE, "produit article producto articulo prodotto articolo produto artigo"),
                _each(BEFORE, "artikel produkt product"),
            )
        ),
        (
            "product item article artikel produkt produit producto articulo prodotto articolo "
            "produto artigo reference ean"
        ),
    ),
    "category": (
        (
            "category product_category department warengruppe artikelgruppe kategorie "
            "produktgruppe categorie rayon famille categoria familia famiglia reparto "
            "productgroep artikelgroep"
        ),
        "group gruppe type_produit",
    ),
    "brand": ("brand brand_name marke marque marca merk vendor hersteller", "manufacturer"),
    "currency": (
        "currency currency_code waehrung wahrung devise moneda divisa valuta moeda",
        "ccy",
    ),
    "channel": (
        (
            "channel sales_channel order_channel kanal vertriebskanal canal canal_vente "
            "canal_venta canal_venda canale canale_vendita verkoopkanaal kanaal"
        ),
        "store_type medium",
    ),
    **PLACES,
    "is_return": (
        (
            "is_return returned is_returned return_flag is_refund refunded retoure ist_retoure "
            "retour est_retour devolucion es_devolucion is_retour reso devolucao"
        ),
        "return refund",
    ),
    "status": (
        "order_status line_status auftragsstatus bestellstatus statut estado stato",
        "status",
    ),
}
EVENTS: Words = {
    **WHO,
    "event_time": (
        (
            "event_time event_date event_timestamp event_datetime occurred_at happened_at "
            "timestamp ereigniszeit"
        ),
        "time date datetime created_at datum",
    ),
    "event_type": ("event_type event_name eventtype event action ereignis evenement", "type name"),
    "campaign_id": ("campaign_id campaign mailing_id kampagne campagne", ""),
    "session_id": ("session_id sessionid session visit_id", "visit"),
    "product_id": ORDERS["product_id"],
    "page": ("page page_name section url page_url path", ""),
    "channel": ("channel medium kanal canal", ""),
    "duration_seconds": (
        "duration_seconds duration seconds time_on_page dwell_seconds time_spent dauer",
        "",
    ),
}
CUSTOMERS: Words = {
    **WHO,
    "birth_date": (
        (
            "birth_date birthdate date_of_birth dob birthday geburtsdatum date_naissance "
            "date_de_naissance fecha_nacimiento geboortedatum"
        ),
        "",
    ),
    "gender": ("gender sex geschlecht sexe genero sexo geslacht", ""),
    "income_band": (("income_band income income_group einkommen revenu ingresos inkomen"), ""),
    **PLACES,
    "region": (f"{PLACES['region'][0]} state city zip_code postcode", "area"),
    "latitude": ("latitude lat", ""),
    "longitude": ("longitude lon lng", ""),
    "preferred_channel": ("preferred_channel channel_preference", "channel"),
    "industry": ("industry sector branche", ""),
    "company_size": ("company_size employees", ""),
    "marketing_consent": ("marketing_consent email_opt_in opt_in newsletter", "consent"),
    "email_consent": ("email_consent accepts_email_marketing email_marketing_consent", ""),
    "sms_consent": ("sms_consent accepts_sms_marketing sms_marketing_consent sms_opt_in", ""),
    "phone_consent": ("phone_consent phone_opt_in", ""),
    "post_consent": ("post_consent postal_consent direct_mail_consent", ""),
    "ads_consent": ("ads_consent ad_user_data_consent", ""),
    "profiling_consent": ("profiling_consent consent_profiling profiling_opt_in", ""),
}
TABLE_WORDS: dict[str, Words] = {
    "orders": ORDERS,
    "events": EVENTS,
    "customers": CUSTOMERS,
    "products": {
        "product_id": ORDERS["product_id"],
        "category": ORDERS["category"],
        "brand": ORDERS["brand"],
        "name": ("name product_name description title bezeichnung libelle nombre", ""),
        "list_price": ("list_price price unit_price preis prix precio prijs", ""),
    },
    "prices": {
        "product_id": ORDERS["product_id"],
        "valid_from": ("valid_from from_date start_date since gueltig_ab", "date from"),
        "unit_price": ORDERS["unit_price"],
    },
    "fx": {
        "currency": ORDERS["currency"],
        "valid_from": ("valid_from from_date since rate_date", "date day"),
        "rate": ("rate fx_rate exchange_rate kurs taux tipo koers", ""),
    },
    "campaigns": {
        "campaign_id": ("campaign_id campaign", "id"),
        "offer": ("offer angebot offre oferta aanbod", ""),
        "starts": ("starts start_date starts_on start", "date"),
        "cost_per_contact": ("cost_per_contact contact_cost cost", ""),
        "margin": ("margin gross_margin marge", ""),
    },
    "survey": {**WHO, "nps": ("nps recommend", ""), "csat": ("csat satisfaction", "")},
    "links": WHO,
    "assignments": {
        "customer_id": WHO["customer_id"],
        "campaign_id": ("campaign_id campaign", ""),
        "arm": ("arm group treatment variant segment", ""),
        "offer": ("offer", ""),
        "assigned_at": ("assigned_at assigned assignment_date", "date"),
    },
}
EVENT_WORDS: dict[str, str] = {
    "sent": "email_sent",
    "email_delivered": "email_sent",
    "send": "email_sent",
    "open": "email_open",
    "opened": "email_open",
    "email_opened": "email_open",
    "click": "email_click",
    "clicked": "email_click",
    "email_clicked": "email_click",
    "unsubscribed": "unsubscribe",
    "opt_out": "unsubscribe",
    "spam": "complaint",
    "visit": "site_visit",
    "session_start": "site_visit",
    "pageview": "page_view",
    "view": "page_view",
    "view_item": "product_view",
    "view_product": "product_view",
    "product_viewed": "product_view",
    "add_to_cart": "cart_add",
    "cart": "cart_add",
    "addtocart": "cart_add",
    "begin_checkout": "checkout",
    "purchase": "checkout",
}


# Articles and prepositions between the words that count.
SMALL = {
    *("d", "de", "del", "dell", "della", "dello", "der", "des", "di", "do"),
    *("da", "du", "dos", "das", "l", "la", "le", "les", "van", "het"),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A table's proposed mapping.

    Attributes
    ----------
    part : TableMapping
        The columns and options proposed.
    rivals : dict of str to tuple of str
        If several columns are possible for one of the contract's: all of them, best first.
    """

    part: TableMapping
    rivals: dict[str, tuple[str, ...]]


def plain(name: str) -> str:
    """Write a column's name as the word lists do.

    Examples
    --------
    >>> plain("InvoiceNo"), plain("Kunden-Nr."), plain("Quantité"), plain("CustomerID")
    ('invoice_no', 'kunden_nr', 'quantite', 'customer_id')
    """
    spelt = name.replace("ß", "ss")
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")):
        spelt = spelt.replace(umlaut, letters).replace(umlaut.upper(), letters.capitalize())
    bare = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", bare)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def squeezed(spelt: str) -> str:
    """Drop underscores and small words, so that 'belegnr' is 'beleg_nr'.

    Examples
    --------
    >>> squeezed("date_de_la_commande") == squeezed("date_commande")
    True
    """
    return "".join(word for word in spelt.split("_") if word not in SMALL) or spelt


def propose_table(table: str, frame: pl.DataFrame, given: Mapping) -> Proposal:
    """Propose columns and options for one raw table, from its names and values."""
    # The second of two columns of one name is called "name (2)".
    names = {name: plain(re.sub(r" \(\d+\)$", "", name)) for name in frame.columns}
    fixed = given.tables.get(table, TableMapping()).columns
    columns, rivals = _by_name(table, frame, names, fixed)
    taken = {*fixed.values(), *columns.values()}
    time = next((f.name for f in CONTRACTS[table] if f.kind == "time" and f.required), None)
    if time and time not in columns and time not in fixed:
        dated = [n for n in frame.columns if n not in taken and _is_dated(frame[n])]
        if len(dated) == 1:
            columns[time] = dated[0]
    if table == "survey":
        columns = {
            ours: theirs
            for ours, theirs in columns.items()
            if ours in ("customer_id", "nps", "csat")
        }
    part = TableMapping(columns)
    return Proposal(_with_values(table, frame, part), rivals)


def _by_name(
    table: str, frame: pl.DataFrame, names: dict[str, str], fixed: dict[str, str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Find columns by their names, and those for which the name does not decide."""
    spelt: dict[str, list[str]] = {}
    for name, bare in names.items():
        spelt.setdefault(squeezed(bare), []).append(name)
    chosen: dict[str, str] = {}
    rivals: dict[str, tuple[str, ...]] = {}
    taken = set(fixed.values())
    words = TABLE_WORDS[table]
    for strength in (0, 1):
        for ours, lists in words.items():
            if ours in chosen or ours in fixed:
                continue
            accepted_words = (f"{ours} {lists[0]}", lists[1])[strength]
            wanted = dict.fromkeys(squeezed(word) for word in accepted_words.split())
            candidates = [n for word in wanted for n in spelt.get(word, ()) if n not in taken]
            if not candidates:
                continue
            chosen[ours] = candidates[0]
            taken.add(candidates[0])
            if names[candidates[0]] == ours:  # only columns of this very name can rival it
                candidates = [n for n in candidates if names[n] == ours]
            if len(candidates) > 1 and not all(
                frame[n].equals(frame[candidates[0]]) for n in candidates
            ):
                rivals[ours] = tuple(candidates)
    return chosen, rivals


def _is_dated(cells: pl.Series) -> bool:
    """Return whether a column's values are dates."""
    if cells.dtype.is_temporal():
        return True
    if not is_text(cells.dtype):
        return cells.dtype.is_integer() and numeric_format(cells) == "%Y%m%d"
    sample = cells.drop_nulls().cast(pl.String).head(1000)
    if not sample.len() or not formats(sample, day_first=True):
        return False
    return bool(
        sample.str.contains(
            r"^\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|^[^\d]{0,12}\d{1,2}[-. ]+\p{L}{2,10}"
        ).sum()
        > 0.9 * sample.len()
    )


def _with_values(table: str, frame: pl.DataFrame, part: TableMapping) -> TableMapping:
    """Add options detected from values: a prefix of return orders, the words of events."""
    options = dict(part.options)
    values = dict(part.values)
    if table == "orders":
        prefix = return_prefix(frame, part)
        if prefix:
            options["return_prefix"] = prefix
        if re.search(
            r"%|pct|percent|prozent|pourcent|procent", part.columns.get("discount", "").lower()
        ):
            options["discount_unit"] = "percent"
    if table == "events" and "event_type" in part.columns:
        cells = frame[part.columns["event_type"]].drop_nulls().cast(pl.String).unique().to_list()
        event_types = {cell: _event(cell) for cell in sorted(cells)}
        event_words = {cell: word for cell, word in event_types.items() if word and word != cell}
        if event_words:
            values["event_type"] = event_words
    return TableMapping(part.columns, part.constants, values, options)


def _event(word: str) -> str | None:
    spelt = plain(word)
    return spelt if spelt in EVENT_TYPES else EVENT_WORDS.get(spelt)


def return_prefix(frame: pl.DataFrame, part: TableMapping) -> str | None:
    """Find the prefix of return orders: other ids are numbers, and all its lines are negative.

    Examples
    --------
    >>> lines = pl.DataFrame({"InvoiceNo": ["536365", "C536379"], "Quantity": [6, -1]})
    >>> return_prefix(lines, TableMapping({"order_id": "InvoiceNo", "quantity": "Quantity"}))
    'C'
    """
    sign = part.columns.get("quantity") or part.columns.get("amount")
    order = part.columns.get("order_id")
    if not sign or not order or not is_text(frame.schema[order]):
        return None
    value = pl.col(sign)
    negative = (
        value.cast(pl.String).str.strip_chars().str.contains(r"^[-−(]|-$")
        if is_text(frame.schema[sign])
        else value < 0
    )
    letters = pl.col(order).cast(pl.String).str.extract(r"^([A-Za-z]{1,3})-?\d+$", 1)
    marked = (
        frame.lazy()
        .select(prefix=letters, negative=negative)
        .group_by("prefix")
        .agg(rows=pl.len(), negative=pl.col("negative").mean())
        .collect()
    )
    bare = marked.filter(pl.col("prefix").is_null())["rows"].sum()
    if bare < 0.5 * frame.height:
        return None
    prefixes = marked.filter(pl.col("prefix").is_not_null() & (pl.col("negative") > 0.95))
    return str(prefixes.sort("rows", descending=True)["prefix"][0]) if prefixes.height else None


def settle_mapping(raw: dict[str, pl.DataFrame], given: Mapping) -> tuple[Mapping, list[Finding]]:
    """Complete a mapping by proposals where it lacks required columns; list open questions.

    Returns
    -------
    tuple of (Mapping, list of Finding)
        The mapping to use, and the open questions; one of severity "block" prevents its use.
    """
    proposed: dict[str, TableMapping] = {}
    questions: list[Finding] = []
    own, given = given, given.over(preset_mapping(raw, given))
    for name, frame in raw.items():
        part = given.tables.get(name)
        if part is not None and part.columns and not lacks(name, part):
            continue
        if part is not None:
            given.check_columns(name, frame)
        proposal = propose_table(name, frame, given)
        proposed[name] = proposal.part
        questions += _rivals(name, proposal.rivals)
    # With the likeliest of the rivals, so that all other questions are asked at the same time.
    completed = match_customer_columns(raw, given.over(Mapping(proposed)), own)
    for name, frame in raw.items():
        completed.check_columns(name, frame)
        questions += open_questions(name, frame, completed, with_fx="fx" in raw)
    return completed, questions + about_ids(raw, completed)


def _rivals(table: str, rivals: dict[str, tuple[str, ...]]) -> list[Finding]:
    """Return the questions for contract columns with several possible source columns."""
    findings = []
    for column, rival_columns in rivals.items():
        listed = ", ".join(repr(name) for name in rival_columns)
        must = column in ("customer_id", "order_time", "amount", "event_time", "event_type")
        findings.append(
            Finding(
                "block" if must else "warn",
                table,
                column,
                f"{RIVALS} {column}: {listed}.",
                answer=f'[{table}.columns] {column} = "{rival_columns[0]}"',
            )
        )
    return findings
