"""Words for the state of an order, in the main trading languages, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping as Map

import polars as pl

from segkit.intake.headers import LETTERS, without_accents

# The worst first: where an order has two statuses, the first of these decides.
STATUSES = ("cancelled", "refunded", "unpaid", "sale")
ROW_KINDS = ("line", "return", "discount", "total", "charge", "test", "other")

# Stems by meaning, tried in this order; the first that matches decides. Written as `spelt` leaves
# them: lower case, no accents, single blanks. Chinese, Japanese and Korean are matched anywhere,
# the others at the beginning of a word.
_ASKED = """
autorizad
refund pending|refund request|refund in progress|return request|partially paid|partial payment
partially captured|no show|partially ship|partially fulfil|partially cancel|partially return
disputed|dispute$|teilbezahlt|teilweise bezahlt|partiellement paye|parcialmente pagad|退款中
部分付款
"""
_PART_REFUNDED = """
partial refund|partially refund|partly refund|partial_refund|teilweise erstattet|teilerstattet
partiellement rembours|partially returned|parcialmente reembols|reembolso parcial|parcialmente devol
parzialmente rimbors|gedeeltelijk terugbetaald|czesciowo zwrocon|部分退款|一部返金
"""
_PAID_WAITING = """
awaiting ship|awaiting fulfil|awaiting dispatch|awaiting pickup|awaiting collection
awaiting delivery|pending ship|pending fulfil|pending delivery|ready|to ship|wartet auf versand
en attente d expedition|pendiente de envio|aguardando envio|in attesa di spedizione
oczekuje na wysylke|待发货|等待卖家发货|等待发货|待收货|等待买家确认收货|発送待ち|出荷待ち|出荷準備
"""
_REFUNDED = """
refund|return|charged? ?back|reversed|reversal|dispute lost|lost dispute|erstattet|ruckerstatt
zuruckerstatt|rueckerstatt|zurueckerstatt|zuruckgegeben|retourniert|retoure|gutschrift|rembours
retourn|reembols|devuelt|devolucion|devolvid|estornad|rimbors|resa$|reso$|restituit|terugbetaald
geretourneerd|retour|zwrot|zwrocon|zrefund|退款|退货|返金|返品|환불|반품|возврат|возвращ
dikembalikan|pengembalian|مسترجع|استرجاع|gutgeschrieben|aterbetal|tilbakebetal|refundere
"""
_CANCELLED = """
cancel|annul|void|fail|declin|reject|expir|abandon|lost|closed lost|denied|error|deleted|trash
blocked|fraud|erreur|fehler|errore|erro de|erro no|storn|abgebrochen|abgelehnt|fehlgeschlagen
geloscht|geloescht|abgelaufen|verloren|echou|echec|refus|perdu|cancelad|anulad|rechazad|fallid
caducad|perdid|fracas|rifiutat|fallit|scadut|perso$|respint|recusad|negad|falhou|falhad|perdida
rejeitad|geannuleerd|mislukt|afgewezen|verlopen|geweigerd|anulowan|odrzucon|nieudan|przegran
wygasl|取消|删除|关闭|已关闭|失败|作废|拒绝|キャンセル|失敗|無効|拒否|취소|실패|거절|отмен|отклон
iptal|ยกเลิก
batal|dibatalkan|ملغ|محذوف|الغاء|denegad|missing orders?$|annullerad|avbrut|makulerad
"""
_UNPAID = """
unpaid|uncollectib|not paid|non paid|pending|await|waiting|on hold|onhold|hold$|overdue|past due
due$|outstanding|draft|checkout draft|quote|quotation|proposal
negotiat|qualif|prospect|open$|opened$|authori[sz]ed
authori[sz]ation|uncaptured|not captured|requires|incomplete|payment due|to pay|in checkout|offen
ausstehend|unbezahlt|nicht bezahlt|wartet|entwurf|angebot|zahlung erwartet|zahlung ausstehend
uberfallig|ueberfaellig|en attente|impaye|non paye|a payer|brouillon|devis|pendient|impagad
no pagad|por pagar|borrador|en espera|presupuesto|in attesa|non pagat|da pagare|bozza|insolut
preventivo|pendente|aguard|nao pag|em aberto|rascunho|em analise|orcamento|in afwachting|openstaand
onbetaald|niet betaald|wacht|concept|offerte|oczekuj|nieoplacon|niezaplacon|szkic|wstrzyman
do zaplaty|未付|待付|待支付|等待买家付款|等待付款|待处理|未完成|未払|未入金|入金待ち|支払い待ち
支払待ち|保留|下書き|미결제|미입금|결제 ?대기|대기|не оплач|неоплач|ожида|odenmedi|bekl
belum bayar|belum dibayar|menunggu|بانتظار|بإنتظار|قيد الانتظار|입금 ?전|obetald|ubetalt|vantar
รอชําระ|รอการชําระ
"""
_SALE = """
paid|payment complete|payment received|complete|fulfil|ship|deliver|captur|succe|settle|process
approv|sale|sold|closed won|won$|invoiced|billed|dispatch|finish|done|confirm|ok$|received
accepted|accredited|charged|collected|purchase|payment$|unfulfil|partially fulfil|bezahlt
abgeschlossen|versendet|versandt|geliefert|zugestellt|erledigt|fertig|verkauf|ausgeliefert
fakturiert|berechnet|gewonnen|in bearbeitung|paye|regle|termine|expedie|livre|valide|complet
traite|en cours de traitement|en cours de preparation|preparation en cours|en preparation
facture|accept|gagne|pagad|pagament|completad|enviad|entregad|finalizad|aprobad|en camino
en preparacion|listo para|cobrad|facturad|acreditad|procesando|en proceso|ganad|pagat|completat
spedit|consegnat|evas|approvat|conclus|fatturat|incassat|elaborazione|pago$|paga$|aprovad|conclu
entregue|faturad|concretizad|enviado|processando|ganha|betaald|voltooid|afgerond|verzonden
geleverd|afgehandeld|compleet|gefactureerd|verwerk|oplacon|zaplacon|zrealizowan|zakonczon|wyslan
dostarczon|wygran|odebran|realizacji|已付|已支付|支付成功|付款成功|交易成功|已完成|完成|已发货
卖家已发货|已签收|已收货|成功|支払済|支払い済|入金済|完了|発送済|出荷済|配達|配送済|売上|確定
완료|배송|оплачен|выполнен|доставлен|отправлен|завершен|odendi|tamamlan
selesai|dikirim|perlu dikirim|sedang dikirim|تم ال|قيد التنفيذ|جاري ال|مكتمل|구매 ?확정
deposited|fully applied
betald|betalt|levererad|levert|skickad|สําเร็จ|จัดส่ง|ชําระแล้ว
"""
_MEANINGS: tuple[tuple[str, str | None], ...] = (
    (_ASKED, None),
    (_PART_REFUNDED, "sale"),
    (_PAID_WAITING, "sale"),
    (_REFUNDED, "refunded"),
    (_CANCELLED, "cancelled"),
    (_UNPAID, "unpaid"),
    (_SALE, "sale"),
)

# Rows of statements and tills that are no sales, by what they are; the first that matches decides.
# Charges, refunds, money that moves (payouts, transfers, holds, loads of gift cards), sales.
_WAS_REFUNDED = """
refunded|returned$|erstattet|rembourse$|remboursee|reembolsad|rimborsat|terugbetaald
geretourneerd|devuelt|devolvid|zwrocon
"""
_MOVED = """
void|cekim|para cekme|havale|pay ?outs?$|paid out|pay ?out |disburs|withdraw|transfer|sweep
deposit|top ?ups?|funds?$|funding|reserve|holdback|hold$|holds$|hold for|on hold|release
authori[sz]|preauth|uncaptured|adjust|correction|recoup|conversion|exchange|loan|advance
interest|dividend|balance|settlement$|invoice deduction|sent for settle|owner|salary|payroll
wages|expense|bill$|bill payment|purchase order|cash ?up|cash in$|cash out$|cash drop|cash count
cash lift|pay ?in$|float|no sale|drawer|petty cash|(?:re)?load$|gift ?card (?:re)?load
activation|activate|add value|store credit|write ?off|stock|inventory|liquidation|debt|claim
\\w*auszahlung|ausbuchung|\\w*uberweisung|uebertrag|ubertrag|\\w*umbuchung|abhebung
\\w*einzahlung|einlage|entnahme|\\w*anzahlung|\\w*aufladung|anpassung|korrektur|ausgleich
vorautorisierung|autorisierung|reservierung|ruckstellung|zins|gehalt|ausgabe|virement|transfert
versement|retrait|depot|acompte|rechargement|ajustement|autorisation|retenue|reversement
approvisionnement|transferencia|transferir|retiro|ingreso en|anticipo|recarga|ajuste
autorizacion|retencion|desembolso|bonifico|trasferimento|prelievo|versamento|acconto|ricarica
rettifica|modifica|autorizzazione|trattenuta|saque|repasse|adiantamento|autorizacao|retencao
overboeking|uitbetaling|opname|storting|aanbetaling|opwaardering|correctie|autorisatie|inhouding
wyplata|przelew|wplata|zaliczka|doladowanie|korekta|autoryzacja|blokada|提现|提現|转账|转帐|充值
调整|调账|冻结|解冻|预授权|结算|出金|振込|振替|入金|チャージ|調整|保留|与信|출금|이체|충전|조정
보류|вывод|перевод|пополнен|корректир|удержан|выплат
brinde|remessa em bonificacao|doacao|amostra
"""
_CHARGED = """
fees?$|fees? |commission|surcharge|service charge|postage|shipping|freight|handling|taxe?s?$
taxe? |vat$|vat |gst$|gst |tips?$|gratuity|advertis|marketing|\\w*gebuhr|provision|\\w*steuer$
mwst|ust$|versand|porto$|trinkgeld|frais|tva$|livraison|pourboire|comision|tarifa|cargo por
impuesto|iva$|envio$|propina|costo del|imposta|spedizione|mancia|comissao|taxa$|taxa |imposto
frete|gorjeta|\\w*kosten$|provisie|belasting|btw$|verzend|fooi|oplata|prowizja|podatek|手续费
服务费|佣金|税|运费|手数料|料金|送料|수수료|세금|배송비|комисси|налог|доставк
"""
_BOUGHT_BACK = """
iade|refund|return|charge ?back|dispute|reversal|reversed|credit note|credit memo|retrocharge
\\w*erstattung|\\w*ruckzahlung|rucklastschrift|ruckbuchung|gutschrift|retoure|storno|rembours
retour|avoir|reembols|devolu|contracargo|rimbors|reso$|nota di credito|estorno|terugbetal
creditnota|zwrot|退款|退货|返金|返品|환불|반품|возврат
"""
_SOLD = """
items?$|goods|tickets?$|articles?$|artikel|articulos?$|articol|artigo|products?$|produkt|produit
producto|merchandise|ware$|ligne|line$|lines$|position|商品|satis|satıs|odeme|sale|sold|payment
charge$|charged$|order|purchase|invoice|capture|checkout|receipt|transaction|bought|buy$|settled
\\w*verkauf|\\w*zahlung$|\\w*bestellung|kauf|\\w*rechnung|umsatz|einnahme|vente|paiement
commande|achat|facture|encaissement|venta|pago|pedido|compra|factura|cobro|vendita|pagamento
ordine|acquisto|fattura|incasso|venda|fatura|recebimento|verkoop|betaling|bestelling|factuur
sprzedaz|platnosc|zamowienie|zakup|faktura|销售|消费|支付|订单|收款|注文|売上|販売|購入|支払
주문|판매|결제|구매|продаж|оплат|заказ|покупк
"""
_TAKEN_OFF = """
coupon|voucher|discount|promo|rebate|markdown|rabatt|gutscheincode|nachlass|aktionsgutschein|remise
rabais|reduction|code promo|bon de reduction|descuento|cupon|sconto|buono sconto|desconto|cupom
korting|rabat|kupon|diskon|割引|値引|クーポン|优惠|折扣|할인|쿠폰|скидк|купон
"""
ROW_WORDS: tuple[tuple[str, str], ...] = (
    (_CHARGED, "charge"), (_TAKEN_OFF, "discount"), (_WAS_REFUNDED, "refunded"), (_MOVED, "other"),
    (_BOUGHT_BACK, "return"), (_SOLD, "line"),
)  # fmt: skip

# A refund or credit note as a row of its own, in the main trading languages.
CREDIT = (
    r"\b(avoir|credit[ _-]?note|credit[ _-]?memo|refund|return|returned|retour|gutschrift|retoure"
    r"|storno|abono|devoluci[oó]n|reembolso|creditnota|nota di credito|reso)\b"
)


def _pattern(stems: str) -> re.Pattern[str]:
    listed = [stem for line in stems.split("\n") for stem in line.split("|") if stem]
    return re.compile(
        "|".join(rf"\b{stem}" if stem[0].isascii() else stem for stem in listed if stem)
    )


_PATTERNS = tuple((_pattern(stems), meaning) for stems, meaning in _MEANINGS)
_ROW_PATTERNS = tuple((_pattern(stems), meaning) for stems, meaning in ROW_WORDS)


# "Not delivered" is no sale for certain.
_NEGATED = re.compile(r"\b(?:not|non|no|nicht|nao|niet|nie|sin|senza|ohne|sem)\b|未|不|非|нет|не ")


def spelt(word: object) -> str:
    """Write a status word without case, accents and punctuation.

    Examples
    --------
    >>> spelt("wc-on-hold"), spelt(" Annulée "), spelt("Partially_Refunded")
    ('on hold', 'annulee', 'partially refunded')
    """
    text = without_accents(str(word).casefold().replace("ł", "l").replace("ß", "ss"))
    return re.sub(rf"[^{LETTERS}]+|_+", " ", text).strip().removeprefix("wc ") or str(word).strip()


def status_meaning(word: object, own_words: Map[str, str] | None = None) -> str | None:
    """Return what a status word means: a member of ``STATUSES``, or None where it is not known.

    Parameters
    ----------
    word : str
        A status as the source writes it.
    own_words : mapping of str to str, optional
        The mapping file's words and their meanings; they go first. "*" is every other word.

    Examples
    --------
    >>> [status_meaning(word) for word in ("Pending Payment", "Recusado", "交易关闭")]
    ['unpaid', 'cancelled', 'cancelled']
    >>> status_meaning("partially_refunded"), status_meaning("completed"), status_meaning("Stage 7")
    ('sale', 'sale', None)
    """
    text = spelt(word)
    bare = re.sub(r" ?\S*\d\S*", "", text).strip()  # "Denied 184"
    rest = (own_words or {}).get("*")
    own = {
        spelt(own_word): meant
        for own_word, meant in (own_words or {}).items()
        if own_word not in ("", "*")
    }
    if text in own or bare in own:
        return own.get(text, own.get(bare))
    if rest is not None:
        return rest
    meaning = next((known for pattern, known in _PATTERNS if pattern.search(text)), None)
    return None if meaning == "sale" and _NEGATED.search(text) else meaning


# States as numbers. Source: Rakuten RMS, order search API, list of orderProgress (100 waits for the
# shop's confirmation, 800 and 900 are cancelled).
RAKUTEN = {"100": "sale", "200": "sale", "300": "sale", "400": "sale", "500": "sale",
           "600": "sale", "700": "sale", "800": "cancelled", "900": "cancelled"}  # fmt: skip


def likely_status(word: object, others: Iterable[object] = ()) -> str:
    """Return the meaning to offer for a status word that is not known, beside others."""
    if str(word) in RAKUTEN and {*map(str, others)} <= {*RAKUTEN}:
        return RAKUTEN[str(word)]
    meant = status_meaning(word)
    if meant is not None:
        return meant
    is_other = row_meaning(word) in ("other", "charge") or bool(_NEGATED.search(spelt(word)))
    return "cancelled" if is_other else "sale"


def row_meaning(word: object) -> str | None:
    """Return what kind of row a word names: a member of ``ROW_KINDS``, or None if it is not known.

    "refunded" is the kind of a word that can be a sale given back, or the row that gives it back.

    Examples
    --------
    >>> [row_meaning(word) for word in ("Sale", "Payout", "Service fee", "Chargeback", "Blue")]
    ['line', 'other', 'charge', 'return', None]
    """
    text = spelt(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", str(word)))
    return next((meant for pattern, meant in _ROW_PATTERNS if pattern.search(text)), None)


def stem(words: pl.Series) -> pl.Series:
    """Write words without the numbers that tell one from the next.

    Examples
    --------
    >>> stem(pl.Series(["Payout #55", "Fee 3/2024", "Sale"])).to_list()
    ['Payout', 'Fee', 'Sale']
    """
    bare = words.str.replace_all(r"\S*\d\S*", " ").str.replace_all(r"[\s#№:;,/–-]+", " ")
    return bare.str.strip_chars(" .")


def read_kinds(cells: pl.Series, kinds: Map[str, str]) -> pl.Series:
    """Return the kind of each row by the mapping's words; a word stands for its numbered ones too.

    Examples
    --------
    >>> read_kinds(pl.Series(["Sale", "Payout #55", None]), {"Payout": "other"}).to_list()
    ['line', 'other', 'line']
    """
    numbered = {word: kind for word, kind in kinds.items() if word and not re.search(r"\d", word)}
    read = cells.replace_strict(kinds, default=None, return_dtype=pl.String)
    other = read.is_null() & cells.str.contains(r"\d").fill_null(value=False)
    if numbered and other.any():
        by_stem = stem(cells.filter(other)).replace_strict(
            numbered, default=None, return_dtype=pl.String
        )
        read = read.scatter(other.arg_true(), by_stem)
    blank = kinds.get("", "line")
    return read.set(cells.is_null(), blank).fill_null("line")


def read_statuses(
    words: pl.Series, own_words: Map[str, str], *, blank: str | None = "sale"
) -> pl.Series:
    """Return the meaning of each status; null where it is not known.

    Examples
    --------
    >>> read_statuses(pl.Series(["Paid", "n/k", None]), {"n/k": "unpaid"}).to_list()
    ['sale', 'unpaid', 'sale']
    """
    unique = words.drop_nulls().unique()
    meanings = {word: status_meaning(word, own_words) for word in unique.to_list()}
    read = words.replace_strict(
        list(meanings), list(meanings.values()), default=None, return_dtype=pl.String
    )
    blank = own_words.get("", blank)
    return read if blank is None or not words.null_count() else read.set(words.is_null(), blank)
