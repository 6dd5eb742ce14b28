"""Meaning of column names: the concepts that a header names, in the main trading languages."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

# Words by concept, as `plain` leaves them; words of Chinese, Japanese and Korean stand in any
# place of a header, the others are whole words or parts of a compound (Kundennummer).
_WORDS = {
    "id": """id ident identifiant identifier n no nr num numero number nummer code cod codigo
        username nickname login userid codice ref reference key uuid guid numer kod
        编号 号码 单号 番号 コード 번호 아이디
        رقم رمز معرف
        номер 帐号 账号 หมายเลข เลขที่ รหัส""",
    "customer": """customer cust client buyer shopper user member household kunden kunde kd
        username nickname login userid debitor debitoren klant klanten relatie tiers
        kaeufer besteller auftraggeber acheteur adherent cliente comprador acquirente utente
        socio compte account
        klient klienta nabywca patron subscriber contact person consumer
        客户 顾客 买家 会员 用户 顧客 会員 お客様 購入者 고객 회원 구매자 клиент
        покупатель musteri
        pembeli pelanggan kund kunder kjoper kober العميل المشتري khach контрагент
        帐号 账号 ลูกค้า ผู้ซื้อ auftrgeb""",
    "email": """email emails mail correo courriel emailadres emailadresse epost 邮箱 邮件 メール
        이메일 почта
        البريد e_post""",
    "device": "device cookie visitor anonymous deviceid",
    "loyalty": """loyalty kundenkarte fidelite fidelidad fidelidade fedelta klantenkaart stammkunde
        bonuskarte tarjeta""",
    "card": "card carta carte cartao karte kaart",
    "order": """order orders invoice transaction transactions receipt basket bestell bestellung
        auftrag rechnung beleg bon kassenbon vorgang commande facture piece ticket pedido factura
        ordine fattura scontrino documento document encomenda fatura bestelling bestel factuur
        transactie zamowienie zamowienia paragon faktura deal opportunity txn trans siparis fis
        islem quittung folio booking reservation reserva buchung prenotazione reservering
        订单 交易 注文 受注 伝票 取引 주문 заказ คำสั่งซื้อ
        pesanan ordre ordrer bestallning kvitto kvittering doc merchant الطلب
        документ""",
    "buy": """purchase purchases kauf achat compra acquisto aankoop vente venta venda vendita sale
        verkauf verkauft gekauft bestellt sold vendido vendu venduto verkocht verkoop checkout
        zakup sprzedaz 购买 購入 下单""",
    "date": """date datetime timestamp time datum zeit zeitpunkt tag jour fecha dia data giorno day
        tarih when moment 时间 日期 日時 日付 날짜 일시 дата
        注文日 受注日 購入日 売上日 販売日 取引日 주문일 구매일
        waktu tanggal dato تاريخ ngay วันที่ boekingsdatum boekdatum""",
    "created": """created ordered purchased placed creation occurred happened bought booked
        dibuat erstell erstellt skapad oprettet""",
    "amount": """amount betrag montant importe monto importo valor bedrag kwota summe tutar
        金额 金額 금액 сумма
        belopp belob jumlah_bayar المبلغ ยอดเงิน จำนวนเงิน""",
    "total": """total totale gesamt sum totaal somma suma razem toplam 合计 合計 总额 総額 총액
        итого
        summa اجمالي المجموع tong ยอดรวม ยอดสุทธิ""",
    "revenue": """revenue sales turnover umsatz ca chiffre affaires fatturato faturamento receita
        omzet spend spent value wert montante ingreso collected totalprice obrot wartosc
        销售额 売上 实付 实际支付 매출""",
    "net": "net netto ht neto nett",
    "gross": "gross brutto ttc bruto lordo",
    "price": """price preis prix px precio prezzo preco prijs cena fiyat pu 单价 价格 価格
        単価 가격
        цена
        harga pris vk السعر ราคา""",
    "unit": """unit unitaire unitario unidad unidade unite einzel stueck stuck stk
        each per pro stuks
        stuk eenheid eenheids piece_each pu jednostkowa 单价 単価""",
    "quantity": """quantity qty units menge anzahl anz stueckzahl stuckzahl quantite qte nombre
        cantidad cant unidades uds quantita qta pezzi quantidade qtd qtde aantal hoeveelheid count
        pieces items ilosc sztuk adet nb 数量 個数 件数 수량 количество
        jumlah antal antall عدد الكمية จำนวนรวม จำนวนชิ้น""",
    "discount": """discount discounts rabatt remise rabais descuento dto sconto desconto korting
        reduction nachlass promo coupon voucher rabat indirim off 折扣 割引 値引 优惠 할인
        скидка
        diskon rabatter الخصم ส่วนลด""",
    "percent": "percent pct prozent pourcent procent percentage rate ratio",
    "product": """product products item article artikel produkt produit producto articulo prodotto
        articolo produto artigo sku ean stock upc gtin barcode asin material art isbn urun
        商品 产品 品番 상품 товар
        produk vara varor المنتجات المنتج สินค้า""",
    "sku": "sku ean stockcode upc gtin asin isbn",
    "line": """line lineitem position zeile regel ligne linea linha riga pos row rigo""",
    "category": """category categories department kategorie categorie rayon famille
        categoria familia
        famiglia reparto warengruppe artikelgruppe produktgruppe productgroep artikelgroep
        kategoria
        类目 分类 类别 カテゴリ 분류""",
    "group": "group gruppe groupe grupo gruppo groep",
    "currency": """currency ccy waehrung wahrung devise moneda divisa valuta moeda waluta 币种 货币
        通貨 통화
        العملة""",
    "channel": """channel kanal canal canale kanaal vertriebskanal verkoopkanaal
        medium 渠道 チャネル
        채널""",
    "status": """status statut statuts etat etats situation situacao situacion
        estatus fase toestand estado stato stage state zustand phase durum stan 状态
        状態 ステータス
        상태 статус
        حالة 状況
        cleared result resultado resultat ergebnis esito outcome สถานะ""",
    "refund": """refund refunds refunded return returned returns retoure retour retouren gutschrift
        erstattung erstattet
        erstatten zurueckerstattet rueckerstattung rembourse remboursee remboursement reembolsada
        reembolso reembolsado rimborso rimborsato devolucion reso devolucao
        terugbetaling terugbetaald zwrot iade 退款 返金 환불 возврат
        pengembalian المسترجع aterbetald""",
    "payment": """payment paid zahlung paiement pago pagamento betaling platnosc financial captured
        payed bezahlt paye pagado pagato betaald 付款 应付 支付 支払 결제 оплата
        pembayaran betalt betald betalning cleared psp الدفع ชำระเงิน""",
    "cancelled": """cancelled canceled cancel cancellation canceling cancelling storniert storno
        stornierung annule annulee annules annulation cancelado cancelada cancelacion cancelamento
        anulado anulada anulacion annullato annullata annullamento stornato geannuleerd annulering
        anulowane anulowano anulowany anulacja void voided iptal abgebrochen
        取消 キャンセル 취소 отмен
        удал""",
    "dispute": """dispute disputed disputes chargeback chargebacks chargedback litige contestation
        rueckbuchung rucklastschrift contracargo contestazione""",
    "accepted": """accepted won gewonnen angenommen accepte acceptee gagne aceptado aceptada
        ganado accettato vinto aceito ganho geaccepteerd gewonnen wygrana
        проведен posted""",
    "live": "live livemode",
    "test": "test testmode sandbox testing",
    "tax": "tax taxes vat mwst ust tva iva btw steuer gst podatek 税 세금 moms mva الضريبة",
    "shipping": """shipping freight delivery versand livraison envio spedizione
        verzend postage porto
        frete handling wysylka shipped ship fulfillment fulfilled fulfilment delivered 运费
        送料 发货
        配送 배송
        ongkos kirim frakt fragt الشحن ค่าจัดส่ง""",
    "fee": "fee fees gebuehr gebuhr frais comision commission tip tips service surcharge رسوم",
    "cost": "cost costs margin profit kosten cout costo custo ekpreis compare",
    "subtotal": "subtotal zwischensumme soustotal 小计 小計 الفرعي",
    "balance": "balance outstanding due gift cash points credit",
    "converted": "converted settlement presentment local base original",
    "name": """name names first last vorname nachname nom nome naam description bezeichnung libelle
        title desc descripcion descrizione descricao omschrijving label nazwa 名称 姓名 名前
        氏名
        nama namn navn اسم ชื่อ""",
    "country": "country land pays pais paese nation kraj ulke 国家 国",
    "region": """region state province provincia provincie bundesland county canton departement
        地区 省份""",
    "company": """company organisation organization firma firmenname societe raison sociale empresa
        azienda ragione bedrijf unternehmen 公司 会社""",
    "brand": "brand marke marque marca merk vendor hersteller manufacturer 品牌 ブランド",
    "place": """city zip postcode postal address street store branch location filiale adresse
        direccion indirizzo endereco adres ville stadt plz ort""",
    "type": "type typ kind nature tipo turu tur rodzaj soort art_type 类型 種類 種別 종류 тип вид",
    "updated": """updated modified changed expires expiry due_date birth registered
        signup shipped_at
        start end until valid from last_login""",
    "first_last": "lifetime ltv recency frequency avg average mean",
    "age": "age gender sex",
    "phone": """phone tel telefon telephone telefono telefone mobile cell handy gsm msisdn
        电话 手机 電話 전화 โทรศัพท์ телефон""",
}
# Words between the words that count, and letters that join compounds.
_SMALL = """
d de del dell della dello der des di do da du dos das l la le les van het the of in for a e o
y und et at on is utc gmt my billing your our attributes mode
"""
SMALL = frozenset(_SMALL.split())
_JOINTS = ("", "s", "n", "en", "es", "e")
_LATIN = re.compile(r"[a-z0-9_]+$")
LEXICON: dict[str, frozenset[str]] = {}
_WIDE: dict[str, frozenset[str]] = {}
for _concept, _words in _WORDS.items():
    for _word in _words.split():
        _into = LEXICON if _LATIN.match(_word) else _WIDE
        _word = unicodedata.normalize("NFKD", _word) if "\u0900" <= _word[0] <= "\u0eff" else _word
        _into[_word] = _into.get(_word, frozenset()) | {_concept}
_LONG = sorted((word for word in LEXICON if len(word) >= 3), key=len, reverse=True)
_WITH_TAX = frozenset(["inc", "incl", "including", "included", "inkl", "mit", "avec", "con", "com"])
_WITHOUT_TAX = frozenset(["ex", "exc", "excl", "excluding", "exkl", "ohne", "hors", "sin", "sem"])
_TAILS = ("nr", "no", "id", "num", "code")


_DOCUMENT_TYPE = re.compile(
    r"^(?:fk|bl|au|vg|bw|vbtyp|faktura|beleg|auftrags?|vorgangs?|buchungs?)_?(?:art|typ)$|^vbtyp$|"
    r"^(?:txn|tran|trans|transaction|doc|document|rec|record|line|row|sale)_?(?:type|kind|code)$"
)
_BARE = str.maketrans("äöüÄÖÜıİ", "aouAOUiI")


LETTERS = r"\w\u0900-\u0eff"  # vowels of Indian and Thai letters are marks, too


def without_accents(text: str) -> str:
    """Take the accents off letters; marks that are vowels of Indian and Thai words stay.

    Examples
    --------
    >>> without_accents("Quantité")
    'Quantite'
    """
    letters = (
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(letter) or "\u0900" <= letter <= "\u0eff"
    )
    return unicodedata.normalize("NFC", "".join(letters))


@lru_cache(maxsize=4096)  # a header is compared with many names
def plain(name: str) -> str:
    """Write a column's name in lower case without accents, its words parted by underscores.

    Examples
    --------
    >>> plain("InvoiceNo"), plain("Kunden-Nr."), plain("Quantité"), plain("订单号")
    ('invoice_no', 'kunden_nr', 'quantite', '订单号')
    """
    text = name.replace("ß", "ss").replace("ł", "l").replace("№", "no")
    for umlaut, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue")):
        text = text.replace(umlaut, letters).replace(umlaut.upper(), letters.capitalize())
    text = without_accents(text)
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", text)
    return re.sub(rf"[^{LETTERS}]+|_+", "_", parted.lower()).strip("_")


def without_number(header: str) -> str:
    """Return a header as it was read: the second of two of one name is called "name (2)".

    Examples
    --------
    >>> without_number("amount (2)")
    'amount'
    """
    return re.sub(r" \(\d+\)$", "", header)


@cache
def concepts(header: str) -> tuple[frozenset[str], int]:
    """Return the concepts that a header names, and how many of its words are not known.

    Examples
    --------
    >>> sorted(concepts("Kundennummer")[0]), sorted(concepts("N° client")[0])
    (['customer', 'id'], ['customer', 'id'])
    >>> sorted(concepts("Total Foo")[0]), concepts("Total Foo")[1]
    (['total'], 1)
    >>> sorted(concepts("订单金额")[0])
    ['amount', 'order']
    """
    name = without_number(header)
    tokens = plain(name).split("_")
    others = plain(name.translate(_BARE)).split("_")  # Müşteri: musteri, not muesteri
    others = others if len(others) == len(tokens) else tokens
    meant: set[str] = set()
    unknown = 0
    for token, other in zip(tokens, others, strict=True):
        if other != token and (other in LEXICON or _compound(token) is None):
            token = other
        wide = [word for word in _WIDE if word in token]
        if wide:
            meant |= {item for word in wide for item in _WIDE[word]}
        elif token in LEXICON:
            meant |= LEXICON[token]
        elif token not in SMALL:
            parts = _compound(token)
            meant |= parts or set()
            unknown += parts is None
    return _settle(header, tokens, meant), unknown


def _settle(header: str, tokens: list[str], meant: set[str]) -> frozenset[str]:
    """Add what signs and neighbouring words say of a header's concepts."""
    if "%" in header:
        meant.add("percent")
    if "#" in header:
        meant.add("id")
    if _DOCUMENT_TYPE.search("_".join(tokens)):  # Fakturaart
        meant = {"order", "type"}
    if "tax" in meant and (_WITH_TAX | _WITHOUT_TAX) & set(tokens):  # "total incl. tax" is no tax
        meant = (meant - {"tax"}) | {"gross" if _WITH_TAX & set(tokens) else "net"}
    if "number_of" in "_".join(tokens) or {"id", "quantity"} <= meant:  # number of items
        meant = (meant - {"id"}) | {"quantity"}
    return frozenset(meant - {"place"} if "email" in meant else meant)  # e-mail address


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
