"""What do shops call their columns? Names in English, German, French, Spanish and Dutch."""

from __future__ import annotations

# Per table and contract column: names that say it outright, then names that only hint at it.
# Written as `segkit.ingest.propose.plain` leaves them: lower case, no accents, underscores.
Words = dict[str, tuple[str, str]]

WHO: Words = {
    "customer_id": (
        (
            "customer_id customerid cust_id custid customer_no customer_number "
            "customer_key "
            "customer_code client_id clientid client_no member_id user_id userid "
            "shopper_id buyer_id "
            "household_key kunden_id kundenid kunden_nr kundennr kundennummer kd_nr "
            "id_client idclient "
            "numero_client n_client no_client code_client num_client id_cliente "
            "idcliente codigo_cliente "
            "numero_cliente cod_cliente klant_id klantid klantnummer klantnr klant_nr"
        ),
        ("customer client kunde klant cliente buyer user member shopper account_id account id"),
    ),
    "email": ("email e_mail email_address mail_address correo courriel emailadres", "mail"),
    "device_id": ("device_id deviceid cookie_id visitor_id anonymous_id", "device cookie"),
    "loyalty_id": (
        (
            "loyalty_id loyalty_card loyalty_number card_number kundenkarte "
            "carte_fidelite tarjeta "
            "klantenkaart"
        ),
        "card",
    ),
}
ORDERS: Words = {
    **WHO,
    "order_id": (
        (
            "order_id orderid order_no order_nr order_number ordernumber invoice_no "
            "invoiceno invoice_id "
            "invoice_number transaction_id transactionid receipt_id receipt_no "
            "basket_id bestellnummer "
            "bestell_nr bestellnr bestell_id auftragsnummer auftrag_nr rechnungsnummer "
            "rechnungs_nr "
            "rechnung_nr belegnummer beleg_nr numero_commande n_commande n_facture "
            "no_commande id_commande num_commande "
            "numero_facture no_facture id_pedido numero_pedido pedido_id numero_factura "
            "ordernummer "
            "bestelnummer factuurnummer"
        ),
        (
            "order invoice transaction receipt basket bestellung auftrag rechnung beleg "
            "bon commande "
            "facture ticket pedido factura bestelling factuur"
        ),
    ),
    "order_time": (
        (
            "order_time ordertime order_date orderdate order_datetime order_timestamp "
            "invoice_date "
            "invoicedate transaction_date transaction_time purchase_date purchase_time "
            "sale_date "
            "ordered_at purchased_at bestelldatum bestell_datum bestellzeit auftragsdatum "
            "rechnungsdatum kaufdatum belegdatum date_commande date_de_commande date_achat "
            "date_facture fecha_pedido fecha_compra fecha_factura besteldatum "
            "orderdatum aankoopdatum "
            "factuurdatum"
        ),
        (
            "date datetime timestamp time created_at created day datum tag zeit "
            "zeitpunkt jour fecha "
            "dia"
        ),
    ),
    "amount": (
        (
            "amount line_total linetotal line_amount total_amount amount_total "
            "total_price net_amount "
            "gross_amount revenue sales_amount sales_value order_value order_total "
            "dollar_value spend "
            "turnover betrag gesamtbetrag umsatz zeilenbetrag nettobetrag bruttobetrag "
            "summe montant "
            "montant_total montant_ttc montant_ht chiffre_affaires importe "
            "importe_total total_linea "
            "bedrag totaalbedrag omzet"
        ),
        "total sales value sum wert gesamt valor totaal paid",
    ),
    "quantity": (
        (
            "quantity qty units units_sold item_count number_of_items number_of_cds "
            "menge anzahl "
            "stueck stuck stueckzahl stuckzahl quantite qte nombre cantidad unidades aantal"
        ),
        "count pieces items",
    ),
    "unit_price": (
        (
            "unit_price unitprice price_per_unit item_price price_each einzelpreis "
            "stueckpreis "
            "stuckpreis p_u_ht pu_ht prix_unitaire precio_unitario stuksprijs eenheidsprijs"
        ),
        "price preis prix precio prijs",
    ),
    "discount": (
        "discount discount_amount money_off rabatt rabattbetrag remise descuento korting",
        "reduction nachlass promo_amount",
    ),
    "product_id": (
        (
            "product_id productid product_code product_no sku stock_code stockcode "
            "item_id item_no "
            "item_code article_id article_no artikelnummer artikel_nr artikelnr artikel_id "
            "produkt_id produktnummer id_produit code_produit ref_produit "
            "reference_produit "
            "id_producto codigo_producto artikelcode productcode ref_article reference_article"
        ),
        "product item article artikel produkt produit producto reference ean",
    ),
    "category": (
        (
            "category product_category department warengruppe kategorie produktgruppe "
            "categorie rayon famille "
            "categoria familia productgroep"
        ),
        "group gruppe type_produit",
    ),
    "currency": ("currency currency_code waehrung wahrung devise moneda divisa valuta", "ccy"),
    "channel": (
        (
            "channel sales_channel order_channel kanal vertriebskanal canal canal_vente "
            "canal_venta "
            "verkoopkanaal kanaal"
        ),
        "store_type medium",
    ),
    "is_return": (
        (
            "is_return returned is_returned return_flag is_refund refunded retoure "
            "ist_retoure "
            "retour est_retour devolucion es_devolucion is_retour"
        ),
        "return refund",
    ),
    "status": ("order_status line_status auftragsstatus bestellstatus statut estado", "status"),
}
EVENTS: Words = {
    **WHO,
    "event_time": (
        (
            "event_time event_date event_timestamp event_datetime occurred_at "
            "happened_at timestamp "
            "ereigniszeit"
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
            "region country state city zip_code postcode land bundesland pays pais "
            "provincie provincia"
        ),
        "area",
    ),
    "preferred_channel": ("preferred_channel channel_preference", "channel"),
    "industry": ("industry sector branche", ""),
    "company_size": ("company_size employees", ""),
    "marketing_consent": ("marketing_consent email_opt_in opt_in newsletter", "consent"),
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
