"""What do shops call their columns? Names in seven languages.

English, German, French, Spanish, Italian, Portuguese and Dutch.
"""

from __future__ import annotations

# Per table and contract column: names that say it outright, then names that only hint at it.
# Written as `segkit.ingest.propose.plain` leaves them: lower case, no accents, underscores.
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
    "region": (
        (
            "region country state city zip_code postcode land bundesland pays pais provincie "
            "provincia"
        ),
        "area",
    ),
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
