"""Statuses, refunds and totals of orders: nothing unpaid counts, and nothing counts twice."""

import polars as pl
import pytest

import segkit
from segkit.errors import DataError, MappingError
from segkit.intake.answers import mapping_of, offered_answers
from segkit.intake.evidence import profile_columns
from segkit.intake.factors import LEAST
from segkit.intake.headers import concepts
from segkit.intake.roles import score_columns
from segkit.intake.statuses import likely_status, on_account_words, row_meaning, status_meaning

WORDS = {
    "sale": "paid completed Shipped partially_refunded Bezahlt Payé Pagado Pagato Aprovado "
    "Betaald Opłacone 交易成功 発送済み wc-processing 待发货 Captured Teslim_Edildi Kargoda "
    "Tamamlandı Απεστάλη Ολοκληρωμένη הושלמה נשלחה مرحلة مدفوعة Levererad Gennemført Fullført "
    "Maksettu Zaplaceno Doručená Fizetve Kézbesítve Livrată Plaćeno Đã_giao Hoàn_thành "
    "Menunggu_pengiriman Dalam_perjalanan Wartet_auf_Versand À_expédier Aguardando_coleta "
    "Da_spedire Oczekuje_na_wysyłkę Čeká_na_odeslání Ожидает_отгрузки В_пути Chờ_lấy_hàng "
    "รอจัดส่ง 배송대기 待揽收 ממתין_למשלוח Kargo_bekleniyor Szállításra_vár "
    "จัดส่งแล้ว Lunas Selesai Виконано Saldata Soldée Liquidado Quitado Acquittée",
    "unpaid": "pending on-hold Offen impayée Pendiente Aguardando Openstaand Nieopłacone "
    "等待买家付款 入金待ち unpaid authorized 未完成 nicht_bezahlt Pending_Payment Taslak "
    "Ödeme_Bekliyor Σε_εκκρεμότητα ממתינה_לתשלום טיוטה مسودة Ej_betald Utkast Kladde Afventer "
    "Luonnos Maksamatta Nezaplaceno Koncept Piszkozat Függőben Neachitat Ciornă Chưa_thanh_toán "
    "Menunggu_pembayaran Wartet_auf_Zahlung Ожидает_оплаты "
    "รอชำระเงิน Belum_Bayar Non_saldata Non_soldée No_liquidado Não_quitado À_régler Sin_pagar",
    "cancelled": "Видалений Gelöscht Supprimé Eliminado Eliminato Verwijderd Удалён 削除 삭제 "
    "voided Failed Storniert Annulée Anulado Annullato Recusado Geannuleerd "
    "Anulowane 交易关闭 キャンセル Closed_Lost expired Abgelehnt İptal_Edildi Tedarik_Edilemedi "
    "Ακυρωμένη בוטלה ملغاة Makulerad Annulleret Kansellert Avbruten Peruutettu Zrušeno "
    "Stornováno Törölve Anulată Otkazano Đã_hủy ยกเลิก Dibatalkan Скасовано",
    "refunded": "Refunded Zurückerstattet Remboursé Reembolsado Rimborsato Devolvido "
    "Terugbetaald Zwrócone 已退款 返金済み chargeback İade_Edildi Επιστροφή_χρημάτων זוכתה "
    "مرتجع Återbetald Krediterad Refunderet Hyvitetty Palautettu Vráceno Visszatérítve "
    "Rambursat Hoàn_tiền คืนเงิน Dikembalikan",
}


@pytest.mark.parametrize(("meaning", "words"), WORDS.items())
def test_words_of_thirty_languages(meaning, words):
    assert {word: status_meaning(word) for word in words.split()} == dict.fromkeys(
        words.split(), meaning
    )


# What waits for something is unpaid where that is payment, a sale where it is goods or their way,
# and asked where it is a decision; so are returns and cancellations that are not yet done.
AWAITED = {
    "sale": "Pending pickup, Waiting for shipment, Waiting for pickup, Waiting for delivery, "
    "Waiting for courier, Waiting for carrier, Awaiting packing, Awaiting processing, "
    "Pending processing, Waiting for confirmation of receipt, Awaiting review, "
    "Awaiting feedback, Pending review by buyer, Waiting for handover, "
    "Shipped awaiting confirmation of receipt, Awaiting handover, Awaiting goods, "
    "Awaiting stock, Waiting for production, In Bearbeitung (Wartet), Warten auf Auslieferung, "
    "Warten auf Bewertung, Lieferung ausstehend, Versand ausstehend, Ausstehende Lieferung, "
    "Wartet auf Übergabe, Wartet auf Empfangsbestätigung, En attente de réception, "
    "En attente de confirmation de réception, En attente d’avis, "
    "En attente de remise au transporteur, En attente de collecte, En espera de envío, "
    "Pendiente de valoración, Pendiente de servir, Pendiente de procesar, Aguardando avaliação, "
    "Aguardando confirmação de recebimento, Aguardando produção, Aguardando faturamento, "
    "In attesa di elaborazione, In attesa di recensione, In attesa di conferma di ricezione, "
    "Wacht op verwerking, Wachten op leverancier, Wacht op beoordeling, Väntar på plockning, "
    "Venter på utsendelse, Odottaa käsittelyä, Oczekuje na spakowanie, Oczekuje na kuriera, "
    "Oczekuje na przekazanie kurierowi, Oczekuje na opinię, Čeká na vyřízení, "
    "Čeká na předání dopravci, Čeká na naskladnění, Čeká na hodnocení, Ожидает передачи, "
    "Ожидает передачи курьеру, Ожидает в пункте выдачи, Ожидает самовывоза, Ожидает отзыва, "
    "Ожидает обработки, Ожидает подтверждения получения, Ожидает поставки, Очікує самовивозу, "
    "Очікує пакування, Очікує передачі кур’єру, Очікує обробки, Paketleme bekliyor, "
    "Hazırlanmayı bekliyor, Değerlendirme bekliyor, ממתין למסירה, ממתין לליקוט, "
    "Menunggu diproses, Menunggu ulasan, Menunggu penerimaan, 受取確認待ち, 구매확정대기, "
    "포장대기, Čeka preuzimanje, Čeka otpremu, Čeka dostavu, Čaka na odpremo, Čaka na dostavo, "
    "Čaka na prevzem, Čaka na pošiljanje",
    "unpaid": "Esperando pago, Nije plaćeno, Ni plačano",
    "refunded": "Geri ödendi",
    None: "Awaiting approval, Awaiting confirmation, Pending approval, Pending confirmation, "
    "Waiting for confirmation, Waiting for approval, Awaiting response, Awaiting customer, "
    "Return in progress, Pending refund, Awaiting return, Waiting for refund, Awaiting refund, "
    "Awaiting cancellation, Cancellation requested, Cancel requested, Wartet auf Bestätigung, "
    "Warten auf Freigabe, Wartet auf Genehmigung, Wartet auf Freigabe, Erstattung beantragt, "
    "Stornierung angefragt, Rückerstattung ausstehend, Wartet auf Retoure, "
    "En attente de validation, En attente de confirmation, En attente d’approbation, "
    "Retour demandé, Remboursement demandé, En attente de remboursement, "
    "Remboursement en attente, En attente d’acceptation, Annulation demandée, "
    "En attente de retour, Pendiente de confirmación, Pendiente de aprobación, "
    "Esperando confirmación, En espera de confirmación, Pendiente de validación, "
    "Devolución solicitada, Pendiente de devolución, Reembolso pendiente, "
    "Pendiente de reembolso, Cancelación solicitada, Aguardando aprovação, "
    "Aguardando confirmação, Aguardando autorização, Reembolso solicitado, Devolução solicitada, "
    "Aguardando devolução, Aguardando reembolso, Aguardando estorno, Aguardando cancelamento, "
    "In attesa di conferma, In attesa di approvazione, In attesa di rimborso, "
    "Rimborso richiesto, In attesa di reso, Wacht op goedkeuring, Wacht op bevestiging, "
    "In afwachting van bevestiging, Retour aangemeld, Wacht op retour, Wacht op terugbetaling, "
    "In afwachting van goedkeuring, Annulering aangevraagd, Väntar på bekräftelse, "
    "Väntar på godkännande, Väntar på retur, Väntar på återbetalning, Afventer bekræftelse, "
    "Afventer godkendelse, Afventer refundering, Afventer retur, Venter på bekreftelse, "
    "Venter på godkjenning, Avventer godkjenning, Venter på retur, Odottaa vahvistusta, "
    "Odottaa hyväksyntää, Odottaa palautusta, Odottaa hyvitystä, Oczekuje na potwierdzenie, "
    "Oczekuje na akceptację, Oczekuje na zatwierdzenie, Oczekuje na zwrot, Zgłoszono zwrot, "
    "Oczekuje na weryfikację, Čeká na potvrzení, Čeká na schválení, Čeká na vrácení, "
    "Čaká na potvrdenie, Čaká na schválenie, Čaká na vrátenie, Jóváhagyásra vár, "
    "Visszaigazolásra vár, Visszatérítésre vár, În așteptarea confirmării, Așteaptă confirmarea, "
    "În așteptarea aprobării, Așteaptă returul, Чака потвърждение, Очаква връщане, "
    "Ожидает подтверждения, Ожидает согласования, Ожидает возврата, Запрошен возврат, "
    "Ожидает одобрения, Ожидается подтверждение, Ожидает отмены, Очікує підтвердження, "
    "Очікує погодження, Очікує повернення, Очікує схвалення, Αναμονή επιβεβαίωσης, "
    "Σε αναμονή έγκρισης, Αναμονή έγκρισης, Αναμονή επιστροφής, Onay bekliyor, Onay bekleniyor, "
    "İade talebi, İade bekliyor, İptal talebi, Onay beklemede, İade onayı bekliyor, "
    "بانتظار المراجعة, بانتظار التأكيد, في انتظار الموافقة, بانتظار الموافقة, قيد الاسترجاع, "
    "في انتظار التأكيد, ממתין לאישור, ממתינה לאישור, ממתין להחזר, ממתין לזיכוי, รอยืนยัน, "
    "รอการยืนยัน, รอคืนเงิน, รอตรวจสอบ, Chờ xác nhận, Chờ duyệt, Chờ hoàn tiền, Chờ hủy, "
    "Menunggu konfirmasi, Menunggu persetujuan, Menunggu verifikasi, Menunggu pengembalian, "
    "Menunggu pembatalan, 待审核, 待退款, 申请退款, 退货中, 等待退款, 待確認, 等待確認, 退貨中, "
    "待退款, 申請取消, 確認待ち, 返金待ち, 返品待ち, キャンセル待ち, 注文確認待ち, 返品受付, "
    "キャンセル申請中, 승인대기, 환불대기, 반품요청, 취소요청, 확인대기, 주문확인대기, 반품대기, "
    "Čeka potvrdu, Čeka odobrenje, Čeka povrat, Čaka na potrditev, Čaka na odobritev, "
    "Čaka na vračilo",
}


@pytest.mark.parametrize(("meaning", "words"), AWAITED.items())
def test_what_is_awaited_decides_the_state(meaning, words):
    assert {word: status_meaning(word) for word in words.split(", ")} == dict.fromkeys(
        words.split(", "), meaning
    )
    on_hold = "Pending, Awaiting, In attesa, En espera, Beklemede, Venter, Σε αναμονή, Menunggu, 待"
    assert {status_meaning(word) for word in on_hold.split(", ")} == {"unpaid"}
    gone = "(删除)等待出库, Deleted - waiting for pickup"
    assert {status_meaning(word) for word in gone.split(", ")} == {"cancelled"}
    paid = "Payment received - awaiting shipment, 买家已付款等待卖家发货"
    assert {status_meaning(word) for word in paid.split(", ")} == {"sale"}


CREDIT_NOTES = (
    "NOTA DE CRÉDITO ELECTRÓNICA, Credit Note, Credit memo, Avoir, Facture d'avoir, Gutschrift, "
    "Stornorechnung, Rechnungskorrektur, Nota di credito, Factura rectificativa, Kreditnota, "
    "Kreditfaktura, Creditfactuur, Hyvityslasku, Faktura korygująca, Dobropis, Factură storno, "
    "Notă de credit, İade Faturası, Helyesbítő számla, Jóváíró számla, Πιστωτικό τιμολόγιο, "
    "Кредит-нота, 貸方票, 赤伝票, 红字发票, 贷项通知单, 折讓單, 대변 메모, "
    "ใบลดหนี้, إشعار دائن, חשבונית זיכוי"
)
VOID = (
    "Annullo scontrino, Scontrino annullato, Anulación ticket, Ticket anulado, Anulação de talão, "
    "Bon anulat, Storno Kassenbon, Storno scontrino, Voided receipt, Cancelled invoice, "
    "Annulation ticket, Fatura iptali, Отмена чека, Аннулированный чек, 取消レシート, 作废发票, "
    "주문 취소, Geannuleerde bon, Zrušená účtenka, Ακύρωση απόδειξης, ביטול קבלה, ยกเลิกใบเสร็จ, "
    "Makulerat kvitto, Törölt nyugta, Anulowany paragon, Peruutettu kuitti"
)
RECEIPTS = "Boleta Electrónica, Scontrino, Kassenbon, Paragon, Nota fiscal, 領収書, Nota de débito"


def test_refunds_are_known_by_their_header_and_parts_of_them_by_their_word():
    headers = (
        "Refund|Refunded|Amount Refunded|Returned amount|Reimbursement|Paid back|Erstattet|"
        "Rückerstattungsbetrag|Erstatteter Betrag|Rückzahlung|Remboursée|Montant remboursé|"
        "Reembolsos|Importe devuelto|Reintegro|Rimborsi|Importo reso|Devolvido|Valor estornado|"
        "Estorno|Terugbetaald bedrag|Gecrediteerd|Återbetalt|Återbetalat|Återbetalning|Krediterat|"
        "Refunderet|Tilbagebetaling|Tilbakebetalt|Refusjon|Palautukset|Hyvityssumma|Zwrócono|"
        "Kwota zwrotu|Vrácená částka|Dobropis|Vrátené|Visszatérített összeg|Visszafizetve|"
        "Sumă rambursată|Vraćeno|Vračilo|Geri ödenen|İade tutarı|Возвращено|Сумма возврата|"
        "Возмещено|Повернено|Възстановена сума|Επιστράφηκε|סכום שהוחזר|المبلغ المسترد|已退金额|"
        "退货金额|払戻金額|반품금액|환급|เงินคืน|Số tiền hoàn|Đã hoàn tiền|Dana dikembalikan"
    )
    assert not [name for name in headers.split("|") if "refund" not in concepts(name)[0]]
    others = ("Hoàn thành", "Returning", "Returning customer", "Palaute", "Rembours")
    assert not [name for name in others if "refund" in concepts(name)[0]]
    parts = (
        "Partially_Refunded Teilerstattet Partiellement_remboursée Parcialmente_devuelto "
        "Rimborsato_parzialmente Deels_terugbetaald Delvis_återbetald Delvist_refunderet "
        "Osittain_palautettu Częściowo_zwrócone Částečně_vráceno Részben_visszatérítve "
        "Kısmen_iade_edildi Частично_возвращено 部分退款 一部返金 부분_환불"
    )
    assert {word: status_meaning(word) for word in parts.split()} == dict.fromkeys(
        parts.split(), "sale"
    )


MOVEMENTS = (
    "Saque, Retirada, Payout, Withdrawal, Transferência, Auszahlung, Virement, Retiro, Prelievo, "
    "Levantamento, Uttag, Utbetalning, Udbetaling, Wypłata, Převod, Výběr, Kifizetés, Nosto, "
    "Retragere, Isplata, Вывод средств, Виплата, Теглене, Ανάληψη, משיכה, سحب, ถอนเงิน, Rút tiền, "
    "Penarikan, Para çekme, 提现, 提領, 出金, 출금, 인출, Top-up, Doładowanie, Nạp tiền, เติมเงิน"
)


def test_credit_notes_take_back_and_receipts_are_sales():
    told = ("return", CREDIT_NOTES), ("line", RECEIPTS), ("other", MOVEMENTS), ("refunded", VOID)
    for kind, words in told:
        assert {word: row_meaning(word) for word in words.split(", ")} == dict.fromkeys(
            words.split(", "), kind
        )
    pickups = ("Retirado", "Pronto para retirada", "已撥款", "โอนเงินแล้ว", "送金済み", "Převzato")
    assert "other" not in {row_meaning(word) for word in pickups}
    assert [row_meaning(word) for word in ("Credit card", "Carte de crédit", "Kredit")] == [
        None
    ] * 3


OWED = (
    "Outstanding, Part paid, Überfällig, Teilbezahlt, À payer, Échue, Pendiente de pago, Vencida, "
    "Da incassare, Em aberto, Te laat, Przeterminowana, Förfallen, Delvist betalt, Avoin, "
    "Neuhrazená, Lejárt, Neachitată, Kısmen ödendi, Не оплачен, Ανεξόφλητο, 期限超過, 一部入金, "
    "逾期, 연체, Quá hạn, Belum dibayar, เกินกำหนด, متأخر, שולם חלקית"
)


def test_invoices_that_are_owed_are_known_and_what_is_settled_or_no_invoice_is_not():
    assert on_account_words(OWED.split(", ")) == {*OWED.split(", ")}
    assert not on_account_words(
        ["Draft", "Entwurf", "Paid", "Void", "Expired", "Pendiente", "入金済"]
    )


@pytest.mark.parametrize(
    "word",
    ["Stage 7", "closed", "not delivered", "refund requested", "x", "isn't paid",
     "n'est pas payée", "결제되지 않음", "결제 안됨", "Onaylanmadı"],
)  # fmt: skip
def test_words_that_can_mean_either_are_not_guessed(word):
    assert status_meaning(word) is None


PARTLY_REFUNDED = (
    "partially refunded, Partly refunded, Partial refund, partially returned, "
    "teilweise erstattet, Teilerstattung, Teilrückerstattung, teilweise zurückerstattet, "
    "Teilweise retourniert, Teilretoure, partiellement remboursé, Remboursement partiel, "
    "partiellement retournée, Remboursé en partie, parcialmente reembolsado, "
    "Reembolso parcial, Parcialmente devuelto, Devolución parcial, Reembolsado en parte, "
    "parzialmente rimborsato, Rimborso parziale, Reso parziale, Rimborsato in parte, "
    "Parcialmente devolvido, Devolução parcial, Gedeeltelijk terugbetaald, "
    "Deels terugbetaald, Gedeeltelijke terugbetaling, Gedeeltelijk geretourneerd, "
    "Częściowo zwrócone, Częściowy zwrot, Zwrot częściowy, Zwrócono częściowo, "
    "Delvis återbetald, Delåterbetald, Delvis returnerad, Delvist refunderet, "
    "Delvis refundert, Delvist tilbagebetalt, Osittain palautettu, Osittain hyvitetty, "
    "Osapalautus, Částečně vráceno, Částečná refundace, Částečný dobropis, "
    "Čiastočne vrátené, Čiastočne refundované, Részben visszatérítve, "
    "Részleges visszatérítés, Rambursat parțial, Parțial rambursată, Rambursare parțială, "
    "Djelomično vraćeno, Djelomičan povrat, Delno vrnjeno, Частичный возврат, "
    "Частично возвращён, Возврат частичный, Частково повернено, Часткове повернення, "
    "Частично възстановена, Частично върната, Μερική επιστροφή, Επιστράφηκε μερικώς, "
    "זוכה חלקית, החזר חלקי, Kısmen iade edildi, Kısmi iade, İade (kısmi), مسترد جزئيا, "
    "استرجاع جزئي, Hoàn tiền một phần, Đã hoàn tiền một phần, Hoàn trả một phần, "
    "Dikembalikan sebagian, Pengembalian sebagian, คืนเงินบางส่วน, "
    "部分退款, 一部返金, 部分退货, 一部返品, "
    "부분 환불, 일부 환불, 부분환불, PartiallyRefunded, partially_refunded"
)
PARTLY_DONE = (
    "partially paid, Part paid, partially shipped, partially fulfilled, "
    "partially cancelled, teilweise bezahlt, Teilbezahlt, Teilweise versandt, "
    "teilweise storniert, Teilweise geliefert, Teilstorno, Teilstorniert, Teillieferung, "
    "partiellement payé, Partiellement expédiée, Partiellement annulée, Payé en partie, "
    "Paiement partiel, parcialmente pagado, Parcialmente enviado, Parcialmente cancelado, "
    "Pago parcial, parzialmente pagato, Parzialmente spedito, Annullato parzialmente, "
    "Parzialmente annullato, Parcialmente pago, Parcialmente paga, Gedeeltelijk betaald, "
    "Gedeeltelijk verzonden, Gedeeltelijk geannuleerd, Częściowo opłacone, "
    "Częściowo wysłane, Częściowo anulowane, Częściowo zapłacone, Delvis betald, "
    "Delbetald, Delvis skickad, Delvis levererad, Delvist betalt, Delvist sendt, "
    "Delvis makulerad, Dellevererad, Delbetaling, Osittain maksettu, Osittain toimitettu, "
    "Osittain peruttu, Částečně zaplaceno, Částečně odesláno, Částečně stornováno, "
    "Čiastočne zaplatené, Čiastočne odoslané, Részben fizetve, Részben kiszállítva, "
    "Részben törölve, Plătit parțial, Expediat parțial, Anulat parțial, "
    "Djelomično plaćeno, Djelomično poslano, Delno plačano, Частично оплачен, "
    "Частично отправлен, Частично отменён, Частково оплачено, Частково відправлено, "
    "Частково скасовано, Частично платена, Μερικώς πληρωμένη, Μερικώς απεσταλμένη, "
    "Ακυρώθηκε μερικώς, שולם חלקית, נשלח חלקית, בוטל חלקית, Kısmen ödendi, "
    "Kısmen kargolandı, Kısmi iptal, Kısmen gönderildi, مدفوع جزئيا, مشحون جزئيا, "
    "ملغي جزئيا, Thanh toán một phần, Đã giao một phần, Đã hủy một phần, Giao một phần, "
    "Dibayar sebagian, Dikirim sebagian, Dibatalkan sebagian, ชำระแล้วบางส่วน, "
    "จัดส่งบางส่วน, ยกเลิกบางส่วน, 部分付款, 部分发货, 部分取消, "
    "一部入金, 一部発送, 一部キャンセル, 부분 결제, 부분 배송, "
    "부분 취소, 일부 취소, 부분배송, partially_captured"
)
NOT_RETURNED = (
    "No refund, No return, No returns, Without return, "
    "None returned, 无售后或售后取消, 没有退款, 无退款, "
    "無退貨, Ohne Rückerstattung, Keine Rückerstattung, Keine Retoure, Ohne Retoure, "
    "Sin devolución, Ninguna devolución, Sin reembolso, Sans retour, Aucun remboursement, "
    "Pas de retour, Sem devolução, Sem reembolso, Senza reso, Nessun rimborso, "
    "Geen retour, Zonder retour, Bez zwrotu, Brak zwrotu, Bez vrácení, Utan retur, "
    "Ingen återbetalning, Uden retur, Ingen refundering, Uten retur, Ilman palautusta, "
    "Ei palautusta, Nincs visszatérítés, Fără retur, Fără rambursare, Bez povrata, "
    "Без возврата, Нет возврата, Без повернення, Немає повернення, Без връщане, "
    "Χωρίς επιστροφή, ללא החזר, אין החזר, İade yok, بدون استرجاع, Không hoàn tiền, "
    "Không có hoàn tiền, Tanpa pengembalian, Tidak ada pengembalian, ไม่มีการคืนเงิน, "
    "返品なし, 返金なし, 환불 없음, 반품 없음, No after-sale, No aftersales"
)


@pytest.mark.parametrize(
    ("words", "meaning"), [(PARTLY_REFUNDED, "sale"), (PARTLY_DONE, None), (NOT_RETURNED, "sale")]
)
def test_what_is_done_in_part_or_not_at_all_is_read_in_thirty_languages(words, meaning):
    assert {word: status_meaning(word) for word in words.split(", ")} == dict.fromkeys(
        words.split(", "), meaning
    )
    others = "Participant paid, Teilnehmer bezahlt, Partita spedita, Department delivered"
    assert {status_meaning(word) for word in others.split(", ")} == {"sale"}


LINES = pl.DataFrame(
    [
        ("1", "a", "2024-05-01", 2, 10.0, "paid", 30.0, 0.0, "p1"),
        ("1", None, None, 1, 10.0, None, None, None, "p2"),
        ("2", "b", "2024-05-02", 1, 10.0, "Pending", 10.0, 0.0, "p1"),
        ("3", "b", "2024-05-03", 1, 5.0, "partially_refunded", 10.01, 3.34, "p1"),
        ("3", None, None, 1, 5.0, None, None, None, "p2"),
        ("4", "c", "2024-05-04", 3, 1.0, "refunded", 3.0, 3.0, "p3"),
        ("5", "c", "2024-05-05", 3, 1.0, "storniert", 3.0, 0.0, "p3"),
    ],
    schema=["order", "customer_id", "day", "qty", "price", "status", "total", "refunded", "sku"],
    orient="row",
)
MAPPING = {
    "orders": {
        "amount_of": "order",
        "columns": {
            "order_id": "order",
            "customer_id": "customer_id",
            "order_time": "day",
            "quantity": "qty",
            "unit_price": "price",
            "amount": "total",
            "refund": "refunded",
            "status": "status",
            "product_id": "sku",
        },
    }
}


def test_headers_on_the_first_line_hold_for_the_order_and_money_counts_once():
    taken = segkit.clean_data(LINES, MAPPING)
    assert taken.orders["customer_id"].to_list() == ["a", "a", "b", "b"]
    assert taken.orders["amount"].to_list() == [20.0, 10.0, 3.335, 3.335]
    assert taken.orders["is_return"].sum() == 0
    assert taken.ledger.reasons() == {"cancelled": 1, "refunded": 1, "unpaid": 1}
    money = {item.reason: float(item.money) for s in taken.ledger.steps for item in s.rejected}
    assert money == {"cancelled": 3.0, "refunded": 3.0, "unpaid": 10.0}
    assert any("refunds of 3.34 are taken off 2 lines" in note for note in taken.notes)


def test_a_total_repeated_on_each_line_is_counted_once():
    repeated = LINES.with_columns(pl.col("total", "refunded", "customer_id", "day", "status")
                                  .fill_null(strategy="forward"))  # fmt: skip
    taken = segkit.clean_data(repeated, MAPPING)
    assert taken.orders["amount"].to_list() == [20.0, 10.0, 3.335, 3.335]
    odd = repeated.with_columns(
        total=pl.when(pl.int_range(pl.len()) == 1).then(31.0).otherwise("total")
    )
    assert segkit.clean_data(odd, MAPPING).ledger.reasons()["conflicting_totals"] == 2


def test_thirds_of_a_total_add_up_to_it():
    lines = pl.DataFrame(
        {"customer_id": ["a"] * 3, "order_id": ["1"] * 3, "day": ["2024-05-01"] * 3,
         "amount": ["10.00"] * 3}
    )  # fmt: skip
    taken = segkit.clean_data(lines, {"orders": {"amount_of": "order"}})
    assert taken.ledger.part("sale").money == 10


def test_refunds_of_lines_stay_on_their_lines():
    lines = LINES.select("order", "day", "qty", sku="sku", customer_id=pl.lit("a")).with_columns(
        day=pl.lit("2024-05-01"), amount=pl.lit(10.0),
        refunded=pl.Series([2.5, 0, 0, 10, 0, 0, 0]),
    )  # fmt: skip
    columns = {"order_id": "order", "amount": "amount", "refund": "refunded", "order_time": "day"}
    taken = segkit.clean_data(lines, {"orders": {"columns": columns}})
    assert taken.orders["amount"].to_list() == [7.5, 10, 10, 10, 10, 10]
    assert taken.ledger.reasons() == {"refunded": 1}
    of_orders = {"orders": {"columns": columns, "refund_of": "order"}}
    assert segkit.clean_data(lines, of_orders).orders["amount"].to_list() == [
        *(8.75, 8.75, 10.0, 5.0, 5.0, 10.0, 10.0)
    ]


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_the_refund_of_a_cancelled_line_does_not_come_off_the_others(repeated, whole):
    rows = [
        ("1", "Delivered", 12.0, 71.0, 59.0 if repeated else 0.0),
        ("1", "Cancelled", 59.0, 71.0, 59.0),
        ("2", "Delivered", 40.0, 100.0, 65.0 if repeated else 5.0),  # 5 beside the cancelled line
        ("2", "Cancelled", 60.0, 100.0, 65.0 if repeated else 60.0),
        ("3", "Cancelled", 60.0, 60.0, 60.0),
    ]
    frame = pl.DataFrame(rows, ["order", "status", "Item amount", "Total", "back"], orient="row")
    frame = frame.with_columns(day=pl.lit("2025-03-01"), who=pl.lit("a"), sku=pl.lit("x"))
    columns = {"order_id": "order", "customer_id": "who", "order_time": "day", "status": "status",
               "product_id": "sku", "refund": "back",
               "amount": "Total" if whole else "Item amount"}  # fmt: skip
    mapping = {"columns": columns, "amount_of": "order" if whole else "line"}
    taken = segkit.clean_data(frame, {"orders": mapping})
    assert taken.orders["amount"].to_list() == [12, 35]
    assert taken.ledger.reasons() == {"cancelled": 3}
    unrefunded = {**columns, "refund": "none"}
    kept = segkit.clean_data(
        frame.with_columns(none=pl.lit(0.0)), {"orders": {**mapping, "columns": unrefunded}}
    )
    assert kept.orders["amount"].to_list() == [12, 40]


def test_an_unknown_status_is_asked_and_answered():
    lines = LINES.with_columns(status=pl.col("status").replace({"Pending": "Stage 7"}))
    with pytest.raises(DataError, match=r"'Stage 7' \(1 row, 10\) in 'status' mean"):
        segkit.clean_data(lines, MAPPING)
    values = {"values": {"status": {"stage 7": "sale"}}}
    answered = {"orders": {**MAPPING["orders"], **values}}
    assert segkit.clean_data(lines, answered).ledger.reasons() == {"cancelled": 1, "refunded": 1}
    with pytest.raises(MappingError, match="expected one of cancelled, refunded, unpaid, sale"):
        segkit.clean_data(lines, {"orders": {"values": {"status": {"Stage 7": "yes"}}}})


def test_the_worse_of_two_statuses_decides():
    lines = LINES.head(1).with_columns(payment=pl.lit("unpaid"), cancelled=pl.lit("2024-06-01"))
    columns = {**MAPPING["orders"]["columns"], "payment_status": "payment"}
    two = {"orders": {**MAPPING["orders"], "columns": columns}}
    with pytest.raises(DataError, match="unpaid 1"):
        segkit.clean_data(lines, two)
    columns["cancelled_at"] = "cancelled"
    with pytest.raises(DataError, match="cancelled 1"):
        segkit.clean_data(lines, two)


def test_rows_that_sum_up_others_are_rejected():
    lines = pl.DataFrame(
        {"customer_id": ["a"] * 3, "order_id": ["1"] * 3, "day": ["2024-05-01"] * 3,
         "amount": [3.0, 1.0, 2.0], "type": ["Order", "Item", "Item"]}
    )  # fmt: skip
    part = {"columns": {"row_kind": "type"}, "values": {"row_kind": {"Order": "total"}}}
    taken = segkit.clean_data(lines, {"orders": part})
    assert taken.orders["amount"].to_list() == [1.0, 2.0]
    assert taken.ledger.reasons() == {"total_line": 1}


def test_a_rate_of_discount_applies_to_the_gross():
    lines = pl.DataFrame(
        {"customer_id": ["a"] * 2, "day": ["2024-05-01"] * 2, "amount": [80.0, 10.0],
         "discount": [0.2, 0.0]}
    )  # fmt: skip
    taken = segkit.clean_data(lines, {"orders": {"discount_unit": "share"}})
    assert taken.orders["amount"].to_list() == [80.0, 10.0]
    assert taken.orders["discount"].to_list() == [20.0, 0.0]


@pytest.mark.parametrize(
    ("quantity", "price", "asked"), [(-1, 20.0, False), (1, -20.0, False), (1, 20.0, True)]
)
def test_a_returned_line_of_negative_quantity_or_price_is_no_question(quantity, price, asked):
    rows = [
        {"customer": f"c{i % 7}", "order": f"o{i}", "date": f"2024-03-{i % 28 + 1:02d}"}
        | {"quantity": 1, "unit price": 10.0 + i % 3, "status": "completed"}
        for i in range(60)
    ]
    for place in (50, 51):
        rows[place] |= {"quantity": quantity, "unit price": price, "status": "returned"}
    findings = segkit.audit_data(pl.DataFrame(rows)).findings
    blocked = [one.finding for one in findings if one.severity == "block"]
    assert any("'returned' (2 rows, 40" in text for text in blocked) == asked


def test_what_is_open_counts_beside_payments_and_is_unpaid_among_them():
    assert likely_status("in_progress", ["paid", "in_progress"]) == "unpaid"
    assert likely_status("Abierta", ["Abierta", "Zork"], paid=True) == "sale"
    assert likely_status("Abierta", ["Abierta", "Zork"]) == "..."
    assert likely_status("Yeni", ["Yeni", "Teslim Edildi"]) == "sale"


def test_codes_under_the_header_of_a_state_are_one_whatever_the_header_ends_in():
    states = (
        "OrderStatusId|PaymentStatusId|status_code|Status-Nr.|Statusschlüssel|id_order_state|"
        "id_statut|Código de estado|Kod statusu|stav_id|Номер статуса|状态码|ステータスコード"
    )
    others = "ShippingStatusId|Customer status id|TaxStatusCode|ProductStateId"
    codes = [30, 30, 20, 40, 10] * 8
    frame = pl.DataFrame(dict.fromkeys([*states.split("|"), *others.split("|")], codes))
    frame = frame.with_columns(pl.Series("State ID", range(40)), CustomerCurrencyCode=pl.lit("EUR"))
    scores = score_columns(profile_columns(frame, []), [])
    assert {h for h, score in scores["status"].items() if score >= LEAST} == {*states.split("|")}
    assert [h for h, score in scores["currency"].items() if score >= LEAST] == [frame.columns[-1]]
    assert [likely_status(code, ["30", "50", "35"], header="PaymentStatusId")
            for code in ("30", "35", "50")] == ["sale", "sale", "cancelled"]  # fmt: skip
    assert likely_status("40", ["30", "40"], header="Stage") == "..."


def test_a_word_whose_orders_are_refunded_as_a_whole_is_offered_as_refunded():
    frame = pl.DataFrame(
        {"order": [f"N{n}" for n in range(40)], "customer_id": [f"k{n % 7}" for n in range(40)],
         "date": [f"2024-05-{1 + n % 28:02}" for n in range(40)], "total": [n + 1.5 for n in
         range(40)], "refund": [n + 1.5 if n % 9 == 4 else 0.0 for n in range(40)],
         "status": ["zork" if n % 9 == 4 else "complete" for n in range(40)]}
    )  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert '"zork" = "refunded"' in asked.answer


def test_rows_of_payments_without_an_amount_are_left_out_unasked():
    rows = [
        (f"N{n}", f"k{n % 7}", f"2024-05-{1 + n % 28:02}", kind, worth)
        for n in range(40)
        for kind, worth in (
            ("Sale", f"{2 * n + 12}.50"), ("Sale Line", f"{n + 10}.00"),
            ("Sale Line", f"{n + 2}.50"), ("Payment", None))
    ]  # fmt: skip
    names = ["Receipt", "Customer code", "Date", "Line type", "Total"]
    audit = segkit.audit_data(pl.DataFrame(rows, schema=names, orient="row"))
    assert not audit.blocked
    assert segkit.clean_data(audit).orders["amount"].sum() == sum(2 * n + 12.5 for n in range(40))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (["columns.status=Paid", "values.status.Lurp=unpaid"], "stand in 'State', and status is"),
        (["values.row_kind.Lurp=other"], "no column is read as row_kind"),
        (["discount_taken=false"], "no column is read as discount"),
        (["columns.refund=Back", "constants.refund=0"], "refunds are read from 'Back'"),
        (["columns.status=Paid", "columns.payment_status=Paid"], "orders.columns.status = 'Paid'"),
    ],
)
def test_an_answer_that_another_one_makes_void_is_named(answers, said):
    states, paid = ["Lurp", "Completed", "Completed"] * 40, ["Paid", "Paid", "Unpaid"] * 40
    lines = {"Customer": [f"c{i % 50}" for i in range(120)], "Date": ["2024-05-17"] * 120}
    lines |= {"Order": [str(i) for i in range(120)], "Amount": [9.5] * 120, "Back": [0.0] * 120}
    frame = pl.DataFrame(lines | {"State": states, "Paid": paid})
    told = mapping_of([f"orders.{one}" for one in answers])
    voids = [f for f in segkit.audit_data(frame, told).findings if "no effect" in f.finding]
    assert [said in void.finding for void in voids] == [True]


@pytest.mark.parametrize(
    ("words", "paid", "offered"),
    [
        (("Paid", "Deposit", "Reserved"), {"Deposit"},
         [("sale", "unpaid"), ("sale", "sale"), ("unpaid", "unpaid")]),
        (("wykonana", "odrzucona", "nowa"), {"wykonana"}, [("unpaid",), ("sale",)]),
        (("Paid", "Deposit"), None, [("sale",), ("unpaid",)]),
        (("Paid", "Reserved"), None, [("unpaid",), ("sale",)]),
        (("Void", "Zork"), None, [("sale",), ("cancelled",)]),
        (("Void", "Emitido"), None, [("sale",), ("unpaid",)]),
        (("2", "1", "3", "0"), None,
         [("sale", "cancelled", "sale", "cancelled"), ("sale",) * 4, ("cancelled",) * 4]),
    ],
)  # fmt: skip
def test_words_of_a_state_are_offered_as_sales_and_as_none(words, paid, offered):
    state = [words[0]] * 40 + [word for word in words[1:] for _ in range(12)]
    rows = range(len(state))
    frame = pl.DataFrame(
        {"order": [f"N{n}" for n in rows], "customer_id": [f"k{n % 7}" for n in rows],
         "date": [f"2024-05-{1 + n % 28:02}" for n in rows], "total": [n + 1.5 for n in rows],
         "Statut facture" if words[0] == "2" else "Status": state}
    )  # fmt: skip
    if paid is not None:
        frame = frame.with_columns(Paid=pl.Series([n * 0.5 + 1 if state[n] in {*paid, words[0]}
                                                   else 0.0 for n in rows]))  # fmt: skip
    (asked,) = [one for one in segkit.audit_data(frame).findings if one.column == "status"
                and one.severity == "block"]  # fmt: skip
    read = [[line.rpartition("=")[2] for line in offer] for offer in offered_answers(asked.answer)]
    assert [tuple(offer) for offer in read] == offered
    assert " as sales " in asked.finding
