"""Consent read from names and words of columns: who refused is on no list, whatever is assumed."""

from datetime import date, timedelta

import polars as pl
import pytest

import segkit
from segkit.campaign import SegmentContract, build_audience
from segkit.errors import SourceError
from segkit.intake.answers import mapping_of, offered_answers
from segkit.intake.consents import AGREED, NOT_REFUSED, REFUSED, consent_meaning, word_meaning
from segkit.intake.layouts import add_contacts
from segkit.intake.mapping import Mapping
from segkit.start import start

REFUSING, PEOPLE = 6, 30  # every fifth customer refuses


def orders(header, refused, other):
    """Make 90 orders of 30 customers, of whom c0, c5, ... c25 refuse."""
    rows = [
        (1000 + k, f"c{k % PEOPLE}@shop.example", date(2024, 1, 3) + timedelta(days=3 * k),
         20.5 + k % 7, refused if k % 5 == 0 else other)
        for k in range(90)
    ]  # fmt: skip
    names = ["Order ID", "Email", "Order date", "Total", header]
    return pl.DataFrame(rows, schema=names, orient="row")


def read(frame, answer=None):
    mapping = None if answer is None else Mapping.from_dict(answer)
    return add_contacts(segkit.clean_data(frame, mapping)).customers


@pytest.mark.parametrize(
    ("other", "who"),
    [("E-mail", "E-mail acheteur"), ("ShippingEmail", "Phone"), ("Teilnehmer-Mail", None)],
)
def test_the_address_is_the_customers_and_no_companions(other, who):
    paid = orders("Newsletter", "no", "yes").rename({"Email": "E-mail acheteur"})
    digits = pl.col("E-mail acheteur").str.extract(r"(\d+)").str.zfill(4)
    of_others = pl.format("guest{}@shop.example", "Order ID").alias(other)
    frame = paid.select(of_others, pl.all(), Phone=pl.lit("+49151000") + digits)
    answers = [] if who is None else [f"orders.columns.customer_id={who}"]
    customers = add_contacts(segkit.clean_data(frame, mapping_of(answers))).customers
    assert set(customers["email"]) == {f"c{k}@shop.example" for k in range(PEOPLE)}
    assert customers["marketing_consent"].sum() == PEOPLE - REFUSING
    answers = [f"orders.columns.customer_id={who or 'Phone'}", f"orders.columns.email={other}"]
    named = add_contacts(segkit.clean_data(frame, mapping_of(answers)))
    assert named.customers["email"].str.starts_with("guest").all()


def listed(customers, unrecorded):
    """Return the numbers of the customers on a mailing list."""
    customers = customers.with_columns(email="customer_id")
    assigned = customers.select("customer_id", offer=pl.lit("mail"), segment=pl.lit("all"))
    contract = SegmentContract("c", "2024-12-31", "", "", "rfm", {"all": "all"})
    made = build_audience(
        assigned, customers, contract=contract, unrecorded=unrecorded, min_cell=1,
        columns=("email",),
    )  # fmt: skip
    return {int(address.split("@")[0][1:]) for address in made.frame["email"]}


AGREE = {k for k in range(PEOPLE) if k % 5}
# Column, the word of those who refuse, that of the others, and whether that is a consent.
CASES = [
    ("Do not contact?", "1", "0", False),
    ("Do Not Email", "true", "false", False),
    ("Unsubscribed", "Yes", "No", False),
    ("Opted Out", "TRUE", "FALSE", False),
    ("Email Opt Out", "1", "0", False),
    ("Has Opted Out Of Email", "1", "0", False),
    ("Opt-out", "x", None, False),
    ("Suppressed", "Yes", "No", False),
    ("Unsubscribed at", "2024-05-03", None, False),
    ("Werbesperre", "Ja", "Nein", False),
    ("Werbewiderspruch", "J", "N", False),
    ("Désabonné", "Oui", "Non", False),
    ("No enviar publicidad", "Sí", "No", False),
    ("Disiscritto", "sì", "no", False),
    ("Niet mailen", "ja", "nee", False),
    ("Afmeldt nyhedsbrev", "ja", "nej", False),
    ("Suoramarkkinointikielto", "kyllä", "ei", False),
    ("Отписан", "да", "нет", False),
    ("수신거부", "Y", "N", False),
    ("GDPR consent", "N", "Y", False),  # a consent to something else, perhaps
    ("Buyer Accepts Marketing", "no", "yes", True),
    ("Newsletter", "0", "1", True),
    ("Newsletter", "Abgemeldet", "Angemeldet", True),
    ("Marketing Consent", "Denied", "Granted", True),
    ("Email status", "unsubscribed", "subscribed", True),
    ("Email status", "bounced", "subscribed", True),
    ("Email status", "cleaned", "subscribed", True),
    ("Info", "désinscrit", "inscrit", True),  # the words alone say it
    ("Status", "unsubscribed", "subscribed", True),
    ("Donor Further Contact", "No", "Yes", True),
    ("Happy to be contacted", "N", "Y", True),
    ("Zgoda marketingowa", "nie", "tak", True),
    ("メルマガ", "いいえ", "はい", True),
    ("订阅", "已退订", "已订阅", True),
    ("Consent withdrawn at", "2024-05-03", None, False),
    ("メルマガ停止", "1", "0", False),
    ("Newsletter", "Opt-In: nein", "Opt-In: ja", True),
    ("Newsletter", "ex-abonné", "abonné", True),  # not understood, and taken as a refusal
    ("Partner/Newsletter", "False", "True", True),  # in Odoo the customer is a partner
]


@pytest.mark.parametrize(("header", "refused", "other", "agreed"), CASES)
def test_who_refused_is_on_no_list(header, refused, other, agreed):
    customers = read(orders(header, refused, other))
    assert listed(customers, "granted") == AGREE
    assert listed(customers, "refused") == (AGREE if agreed else set())


@pytest.mark.parametrize(
    "header",
    ["Mailing State", "Contact name", "Subscription ID", "Order rejected", "Note mail",
     "Widerruf", "Temporada baja", "İletişim", "수신자명", "Cookie consent", "Marketing channel",
     "Unsubscribe URL", "Post status", "Reklamation abgelehnt",
     "Marketplace order cancelled", "Mailing address invalid", "Order stop",
     "Accepted offer", "Angebot angenommen", "Received date"],
)  # fmt: skip
def test_other_columns_are_no_consents(header):
    assert consent_meaning(header) is None


# Words of real systems: refusals; what says neither, and is asked; agreements.
REFUSING_WORDS = """
unsubscribed|non-subscribed|never subscribed|not subscribed|cleaned|Hard bounced|pending|
not confirmed|not_opted_in|Opt-In: nein|Opt-In: false|opted out|OPT_OUT|opted_out|
SUPPRESSED|Do not email|DNC|blocked|spam|complained|inactive|Archived|disabled|invalid|
DENIED|rejected|Withdrawn|consent withdrawn|no consent|not allowed|unapproved|disagree|
does not agree|not accepted|opt-in declined|double opt-in pending|awaiting confirmation|
Awaiting opt-in|Subscription cancelled|Expired|0|no|✗|✘|❌|off|No thanks|None|nein danke|
nicht angemeldet|nicht bestätigt|ausstehend|Widerspruch|gesperrt|keine Einwilligung|
nicht zugestimmt|inaktiv|deaktiviert|abbestellt|désabonné|non inscrit|pas inscrit|refus|
en attente|inactif|non confirmé|no suscrito|Baja|no acepta|no inscrito|sin consentimiento|
inactivo|pendiente de confirmar|revocado|Não|descadastrado|recusado|inativo|não autoriza|
desinscrito|disiscritto|rifiutato|non accetta|revocato|non acconsento|inattivo|cancellato|
uitgeschreven|afgemeld|niet akkoord|ingetrokken|onbevestigd|Nie|niezapisany|
nie wyraził zgody|niepotwierdzony|odrzucona|wycofana|nieaktywny|Nej|ej prenumerant|avböjd|
ikke samtykket|afmeldt|ikke påmeldt|nei takk|Ei|peruutettu|ei suostumusta|Ne|odhlášený|
nesouhlasí|nepotvrzeno|zamítnuto|neprihlásený|leiratkozott|nem járul hozzá|nem aktív|
inaktív|dezabonat|nu este de acord|neconfirmat|inactiv|neprijavljen|neaktivan|abone değil|
onaysız|onaylanmadı|onay yok|iptal|нет|не согласен|отписался|отказался|не подтверждён|
заблокирован|Не активен|Ні|відписаний|відмова|не згоден|отказал|Όχι|לא|לא מאושר|סירב|
לא מסכים|غير مشترك|إلغاء الاشتراك|いいえ|登録解除|退会済み|配信停止|解除|未同意|購読停止|
希望しない|不要|配信しない|同意しない|登録拒否|登録待ち|受信しない|配信不可|수신거부|
수신안함|미동의|동의 안함|거부|구독 취소|구독안함|해지|탈퇴|동의 철회|아니요|수신동의 안함|
不|已退订|订阅已取消|不同意|拒绝订阅|退订|不接收|已拒绝|黑名单|未訂閱|已退訂|không|
chưa đồng ý|từ chối|không nhận|tidak|berhenti berlangganan|menolak|belum berlangganan|ไม่|
ยกเลิก|ปฏิเสธ|ยกเลิกการยินยอม|Yes (opted out)|Email: no|Subscribed: No|subscribed=0|
Consent: denied|Accepted: 0|Subscribed - cleaned|Confirmed unsubscribe|Opt-in withdrawn|
Not active|permission denied|Permission withdrawn|not explicit|ungranted|nonconsent|unsub|
unsubscr|non subscriber|No Opt-In|no-opt-in|ohne Opt-in|Kein Newsletter|global unsubscribe|
undeliverable|consent not obtained|consent expired|former subscriber|ehemals angemeldet|
2024-05-01 unsubscribed|abgemeldet am 01.05.2024|forbidden|prohibido|購読しない|許可しない|
同意しません|동의하지 않음|동의하지않음|동의 안 합니다|구독하지 않음|Onaylamıyor|
Onaylanmadı|n'accepte pas|Je n’accepte pas|doesn't agree|didn’t subscribe
"""
UNKNOWN_WORDS = """
acconsento|配信|有|wants newsletter|Zgoda|without consent|unbestätigt|sans accord|résilié|
removido|senza consenso|bez zgody|nej tak|nije prijavljen|ret|неподписан|без согласия|
неабониран|δεν συμφωνεί|χωρίς συγκατάθεση|מבוטל|الغى الاشتراك|رفض|لم يوافق|غير مفعل|
登録なし|仮登録|아니오|未确认|订阅失败|đã hủy|ngừng theo dõi|ไม่สมัคร|opted in, then out|
missing opt-in|Opt-in fehlt|Sperre|stop|stopped|role address|Held|quarantined|ex-abonné|
ex iscritto|früher angemeldet|verboten|untersagt|interdit|vietato|proibido|zakázáno|
запрещено|запрещен|禁止|금지|ห้าม|yasak|dilarang|cấm|transactional|
SUBSCRIBED_TO_TRANSACTIONAL|unknown|not asked|not set|not provided|?|weekly|quarterly|
imported|lead|customer|guest|notify|test|unspecified|undefined|null|keine Angabe|indéfini|
sin datos|desconocido|nicht gefragt|unbekannt|inconnu|nieznany|неизвестно|未設定|未选择|
未选|미선택|알수없음|belirsiz|belirtilmemiş|transaktional|nur Rechnungen|only invoices|
service only|solo factura|Order confirmations only|order updates|orders only|third party|
partner|confirmation email sent|Confirmation sent|sent confirmation|opt-in email sent|
opt-in mail sent|DOI sent|Einladung gesendet|invited|to be confirmed|à confirmer|
por confirmar|da confermare|zu bestätigen|te bevestigen|do potwierdzenia|confirm|Confirm?|
needs confirmation|requires opt-in|reconfirm|Opt-in required|eligible|yes/no|subscribed?|
activity unknown|activated later|akkoord?|SMS only|nur SMS|post only|only by phone|
Postal mail only|jeszcze nie|まだ|0/1|not yet|later|vielleicht|maybe|peut-être|Abandoned|
consent requested|consent required|angefragt|agree to terms|accepted terms|Accepted T&C|
terms accepted|AGB akzeptiert|CGV acceptées|accepts cookies|Privacy accepted|allow tracking|
active customer|Aktivkunde|aktiver Kunde|cliente attivo|inscription|Inscription en cours|
registered|registriert|会員登録済み|2|3
"""
AGREEING_WORDS = """
subscribed|opted in|opt-in|Opt-In: ja|OPT_IN|opted_in|double opt-in|confirmed|granted|
Accepted|agreed|allowed|approved|active|explicit|CONFIRMED_OPT_IN|SINGLE_OPT_IN|yes|Y|1|
true|✓|☑|✔|on|Ja|Angemeldet|abonniert|aktiv|bestätigt|zugestimmt|eingewilligt|erteilt|Oui|
abonné|inscrit|accepté|d'accord|Sí|suscrito|aceptado|Sim|inscrito|aceito|Sì|iscritto|
accettato|Ja, graag|ingeschreven|aangemeld|akkoord|Tak|zapisany|wyrażona|prenumererar|
ja tack|tilmeldt|påmeldt|samtykker|Kyllä|tilannut|Ano|přihlášen|Igen|feliratkozott|abonat|
Da|Evet|onaylı|izinli|abone|да|подписан|согласен|підписаний|Так|абониран|Ναι|εγγεγραμμένος|
כן|רשום|نعم|مشترك|موافق|はい|登録済み|購読中|受け取る|希望する|同意する|예|동의|수신동의|
수신 동의|구독|동의함|是|已订阅|订阅|同意|已同意|đồng ý|Có|ya|setuju|berlangganan|ยินยอม|
ใช่|I agree|Accepts marketing|✅|Y - email|Yes, please|2024-05-01|2024-05-01T10:00:00Z|
01.05.2024|Einwilligung erteilt|Ja (DOI)|DOI bestätigt|zgoda wyrażona|Consentito|Permitido|
Implied|implicit|購読する|Onaylandı|J'accepte|agrees
"""
# Headers whose yes refuses; whose yes agrees, or says something; of mailings of others.
REFUSALS = """
No newsletter|Do not email|do_not_email|DoNotContact|email_opt_out|EmailOptOut|opt-out|
Opted out|OptOut|unsubscribed|Unsubscribed at|unsubscribed_at|unsubscribe_date|
Date unsubscribed|Newsletter unsubscribed|Suppressed|suppression|Blacklisted|
email_blacklisted|DNC|Do Not Call|No marketing|No emails|Exclude from marketing|
Excluded from mailing|Marketing exclusion|Marketing opt out|Block marketing|
Marketing blocked|Email blocked|Bounced|Hard bounce|Never email|Consent withdrawn|
Consent withdrawn at|Consent withdrawal date|Withdrawal of consent|Consent revoked|
Consent revoked on|revoked_at consent|Date of consent withdrawal|Opt-out date|optout_at|
Stop marketing|marketing_disabled|Email disabled|Newsletter disabled|Newsletter declined|
Refuses marketing|Refused newsletter|Objects to marketing|Marketing objection|Werbesperre|
Werbewiderspruch|Keine Werbung|Kein Newsletter|Newsletter abgemeldet|
Newsletter abbestellt am|Newsletter-Abmeldung|Abgemeldet am|Widerspruch Werbung|
Einwilligung widerrufen am|Widerruf der Einwilligung|Widerrufsdatum Einwilligung|
Nicht anschreiben|Mailsperre|E-Mail gesperrt|Newsletter gesperrt|Ne pas envoyer|
Ne pas contacter|ne_pas_solliciter|Désabonné|Désabonné le|Désinscription|
Date de désinscription|Refus newsletter|Refuse la publicité|Opposition démarchage|
Opposition pub|Retrait du consentement|Date de retrait du consentement|Pas de newsletter|
Pas de mail|Stop pub|No enviar|No contactar|No enviar correos|No desea publicidad|
Baja newsletter|Fecha de baja newsletter|Dado de baja|Rechaza publicidad|
Revocación consentimiento|Consentimiento revocado|Sin publicidad|Não enviar e-mail|
Não contactar|Descadastrado|Recusa newsletter|Consentimento revogado|Sem newsletter|
Non inviare|Non contattare|Disiscritto|Data disiscrizione|Rifiuta newsletter|
Consenso revocato|Revoca consenso|Data revoca consenso|Opposizione marketing|Niet mailen|
Geen nieuwsbrief|Geen reclame|Afgemeld nieuwsbrief|Uitgeschreven op|Toestemming ingetrokken|
Weigert nieuwsbrief|Nie wysyłać|Wypisany|Wypisany z newslettera|Cofnięcie zgody|
Zgoda cofnięta|Zgoda wycofana|Data cofnięcia zgody|Brak zgody|Sprzeciw marketing|
Rezygnacja z newslettera|Bez newslettera|Ej utskick|Avregistrerad|Reklamspärr|
Inget nyhetsbrev|Återkallat samtycke|Ingen nyhedsbrev|Frabedt markedsføring|Afmeldt|Avmeldt|
Ikke nyhetsbrev|Reservert mot reklame|Markkinointikielto|Suoramarkkinointikielto|
Ei uutiskirjettä|Uutiskirje peruttu|Neposílat|Nezasílat newsletter|Odhlášen|
Odhlášen z newsletteru|Nesouhlas|Odvolání souhlasu|Souhlas odvolán|Odvolaný súhlas|
Leiratkozott|Leiratkozás dátuma|Ne küldjön|Hozzájárulás visszavonva|Dezabonat|Nu trimite|
Nu dorește newsletter|Retragere consimțământ|Acord retras|Odjavljen|Ne šalji|
Privola povučena|Abonelikten çıktı|İleti red|SMS ret|İzin yok|не отправлять|Не присылать|
Не беспокоить|Отписан|Отписался от рассылки|Отказ от рассылки|Дата отписки|Отзыв согласия|
Согласие отозвано|Отключить рассылку|Чёрный список|Не надсилати|Відписаний|
Відмова від розсилки|Відкликання згоди|Отказ от бюлетин|Оттегляне на съгласие|
Διαγραφή από newsletter|Απεγγραφή|Όχι ενημερωτικά|Ανάκληση συγκατάθεσης|הסרה מדיוור|
לא לשלוח|הוסר מרשימת דיוור|إلغاء الاشتراك|عدم الإرسال|لا ترسل|سحب الموافقة|メール配信停止|
配信停止|メルマガ停止|メルマガ解除|メルマガ拒否|購読停止|購読解除日|受信拒否|メール不可|
DM不可|DM拒否|退会日 メルマガ|同意撤回日|수신거부|수신거부일|메일수신거부|동의철회일|
구독취소일|마케팅 동의 철회|수신차단|退订|退订时间|取消订阅|拒收邮件|拒绝营销|撤回同意|
不同意营销|禁止营销|营销黑名单|拒收短信|Không gửi email|Hủy đăng ký nhận tin|
Từ chối nhận tin|Rút lại đồng ý|Berhenti berlangganan|Tolak newsletter|Tarik persetujuan|
ยกเลิกรับข่าวสาร|ไม่ยินยอม|ถอนความยินยอม|ไม่รับข่าว|is_unsubscribed|gdpr_optout|
Marketing suppression|Newsletter Opt-Out|SMS unsubscribed|sms_opt_out|STOP SMS|Do not text|
Newsletter cancelled|Subscription cancelled newsletter|Newsletter_Abmeldedatum|
Austragungsdatum|Einwilligung erloschen|Consent expired|Accord refusé|Marketing refused|
Marketing rejected|consent_denied|newsletter_off|Non-marketing|Newsletter inactive|
Not subscribed|Unsubscribe|no_consent|Without consent|Ohne Einwilligung|Sans consentement|
Non consenti|Bez souhlasu|Zonder toestemming|Not opted in|email_invalid|Complained|
Spam complaint
"""
CONSENTS = """
Newsletter|newsletter|Newsletter abonniert|Nieuwsbrief|Zgoda na newsletter|
Aceita newsletter|メルマガ購読|メルマガ|Accepts Marketing|Buyer Accepts Marketing|
accepts_marketing|Email Marketing Consent|Opt-in|optin|opt_in|Email opt-in|
Marketing consent|Marketing opt-in|Subscribed|is_subscribed|Email subscribed|Consent given|
Consent date|Newsletter-Einwilligung|Einwilligung Werbung|Werbung erlaubt|Consentement|
Accepte newsletter|AccepteMailing|Inscrit à la newsletter|Suscrito|Boletín|
Acepta publicidad|Consenso marketing|Iscritto newsletter|Consenso newsletter|Samtycke|
Nyhetsbrev|Nyhedsbrev|Uutiskirje|Souhlas s marketingem|Hírlevél|Abonat newsletter|
Acord marketing|E-bülten|Ticari ileti izni|Pazarlama izni|Согласие на рассылку|
Подписан на рассылку|Рассылка|Згода на розсилку|Бюлетин|Συγκατάθεση|Ενημερωτικό δελτίο|
דיוור|הסכמה לדיוור|موافقة على النشرة|النشرة البريدية|接收邮件|订阅|同意营销|电子报|뉴스레터|
마케팅 수신동의|메일수신여부|SMS수신동의|수신동의|Đồng ý nhận email|Bản tin|
Persetujuan marketing|ยินยอมรับข่าวสาร|Mailing OK|May we email|Contact permission|
Permission to email|Email permission|Marketing permission|wants_newsletter|
receive_newsletter|Receives newsletter|Send newsletter|Mailing list|SMS consent|
Accepts SMS Marketing|GDPR consent|Newsletter ja/nein|Opt In|Double opt-in|
marketing_allowed|Email allowed|email_ok|mail_ok|
Acepta marketing|Acepta el marketing|Acepta recibir marketing|Acepta email marketing|
Acepta recibir correos|Acepta promociones|Acepta comunicaciones comerciales|Marketing aceptado|
Akzeptiert Marketing|Möchte Newsletter erhalten|Souhaite recevoir des offres|
Deseja receber e-mails|Vuole ricevere comunicazioni|Wil e-mail ontvangen|
Zgadza się na marketing|Vill ha nyhetsbrev|Ønsker nyhedsbrev|Godtar markedsføring|
Hyväksyy markkinoinnin|Souhlasí s marketingem|Elfogad marketing|Dorește newsletter|
Prihvaća marketing|Sprejema marketing|Приема маркетинг|Хочет получать новости|
Погоджується на маркетинг|Αποδέχεται μάρκετινγκ|Pazarlama kabul|Menerima promosi|
Đồng ý nhận quảng cáo|ยอมรับการตลาด|広告メール受信|接受营销|يوافق على التسويق|מסכים לשיווק
"""
OTHERS = """
Offers from partners|optin_partners|Partner offers|Partner offers consent|
Third party marketing consent|Third-party consent|third_party_opt_in|Werbung Dritter|
Einwilligung Werbung Dritter|Newsletter Partner|Partnernewsletter|
Partnerangebote Einwilligung|Weitergabe an Dritte Einwilligung|Offres partenaires|
Accepte les offres des partenaires|Newsletter partenaires|Consentement tiers|
Cession à des tiers consentement|cessione a terzi|Consenso cessione a terzi|Consenso terzi|
Consentimiento terceros|Cesión a terceros|Acepta publicidad de terceros|
Publicidad de socios|Consentimento terceiros|Aceita newsletter de parceiros|
Toestemming derden|Nieuwsbrief partners|Zgoda na marketing podmiotów trzecich|
Zgoda partnerzy|Zgoda na przekazanie osobom trzecim|Samtycke tredje part|
Samtykke tredjepart|Kolmannet osapuolet suostumus|Souhlas třetí strany|Souhlas partneři|
Hozzájárulás harmadik fél|Partner hírlevél|Consimțământ terți|Acord parteneri|
Üçüncü taraf onayı|Согласие третьих лиц|Согласие на передачу третьим лицам|
Рассылка партнёров|Згода третіх осіб|Партньори съгласие|Συγκατάθεση τρίτων|הסכמה צד שלישי|
موافقة طرف ثالث|第三者提供同意|提携先メルマガ|他社メルマガ|第三方同意|第三方营销同意|
合作伙伴订阅|제3자 제공 동의|제휴사 수신동의|Đồng ý bên thứ ba|Persetujuan pihak ketiga|
ยินยอมบุคคลที่สาม|Affiliate newsletter|Group companies marketing consent|
No third-party marketing|Do not share with third parties
"""


def listed_in(table):
    return table.replace("\n", "").split("|")


def test_a_word_is_an_agreement_only_where_all_of_it_is_understood():
    assert {
        word: word_meaning(word) for word in listed_in(REFUSING_WORDS + "|" + UNKNOWN_WORDS)
    } == (
        dict.fromkeys(listed_in(REFUSING_WORDS), REFUSED) | dict.fromkeys(listed_in(UNKNOWN_WORDS))
    )
    agreed = {word: word_meaning(word) for word in listed_in(AGREEING_WORDS)}
    assert agreed == dict.fromkeys(agreed, AGREED)
    dates = ["0000-00-00 00:00:00", "1970-01-01", "01.01.1900", "2024-05-03 10:11:12", "unknown"]
    assert [word_meaning(word) for word in dates] == [REFUSED, REFUSED, REFUSED, AGREED, None]
    unsubscribed_at = [word_meaning(word, REFUSED, NOT_REFUSED) for word in dates]
    assert unsubscribed_at == [NOT_REFUSED, NOT_REFUSED, NOT_REFUSED, REFUSED, None]


def test_a_block_that_is_active_is_no_agreement_nor_are_terms_that_were_accepted():
    blocks = [word_meaning(word, REFUSED, NOT_REFUSED) for word in ("aktiv", "yes, blocked", "no")]
    assert blocks == [None, REFUSED, NOT_REFUSED]
    assert word_meaning("accepted", NOT_REFUSED, REFUSED) == NOT_REFUSED


def test_a_header_of_a_refusal_inverts_and_that_of_others_mailings_says_nothing():
    refusals = {header: consent_meaning(header) for header in listed_in(REFUSALS)}
    assert [header for header, said in refusals.items() if said[1:] != (REFUSED, NOT_REFUSED)] == []
    consents = {header: consent_meaning(header) for header in listed_in(CONSENTS)}
    assert [header for header, said in consents.items() if said[2] != REFUSED] == []
    assert [header for header in listed_in(OTHERS) if consent_meaning(header)] == []


@pytest.mark.parametrize("other", ["optin", "Offers from partners", "Werbung Dritter"])
def test_the_consent_to_mailings_of_others_decides_nothing(other):
    frame = orders("newsletter", "0", "1").with_columns(pl.lit("0").alias(other))
    assert listed(read(frame), "refused") == AGREE
    refuser = frame.with_columns(pl.lit("0").alias("newsletter"), pl.lit("1").alias(other))
    assert listed(read(refuser), "granted") == set()
    for stated, expected in ((frame, AGREE), (refuser, set())):  # in a table of customers
        people = stated.select("newsletter", other, customer_id="Email", email="Email")
        taken = segkit.clean_data({"orders": frame.drop("newsletter", other), "customers": people})
        assert listed(taken.customers, "refused") == expected


def test_a_refusal_of_text_messages_says_nothing_of_emails():
    assert len(listed(read(orders("SMS opt out", "1", "0")), "granted")) == PEOPLE


def test_the_latest_row_decides_and_at_one_time_a_refusal():
    frame = orders("Unsubscribed", "No", "No")
    first = pl.int_range(pl.len()) < 1  # c0 at first
    last = pl.int_range(pl.len()) == pl.len() - 1  # c29 at last
    frame = frame.with_columns(
        Unsubscribed=pl.when(first | last).then(pl.lit("Yes")).otherwise("Unsubscribed")
    )
    same_time = (
        frame.tail(2)
        .head(1)
        .with_columns(  # c28, twice at one time
            pl.col("Order ID") + 500, pl.lit("Yes").alias("Unsubscribed")
        )
    )
    assert listed(read(pl.concat([same_time, frame])), "granted") == {*range(PEOPLE)} - {28, 29}


def test_a_refusal_on_an_order_that_does_not_count_holds_and_an_agreement_there_does_not():
    frame = orders("Newsletter", "no", "yes")
    row = pl.int_range(pl.len())
    frame = frame.with_columns(
        Status=pl.when(row >= 88).then(pl.lit("cancelled")).otherwise(pl.lit("paid")),
        Newsletter=pl.when(row == 88).then(pl.lit("no"))  # c28, at last
        .when(row.is_in([29, 59])).then(pl.lit("no"))  # c29 agrees on the cancelled order alone
        .otherwise("Newsletter"),
    )  # fmt: skip
    assert listed(read(frame), "granted") == AGREE - {28, 29}


def test_refusals_of_order_lines_hold_beside_a_table_of_customers():
    lines = orders("Do not email", "yes", "no").rename({"Email": "Customer ID"})
    people = pl.DataFrame({"customer_id": [f"c{k}@shop.example" for k in range(PEOPLE)]})
    people = people.with_columns(email="customer_id", email_consent=pl.lit("yes"))
    taken = segkit.clean_data({"orders": lines, "customers": people})
    assert taken.customers.filter(~pl.col("email_consent")).height == REFUSING


def test_check_and_start_say_in_the_same_words_how_consents_are_read(tmp_path):
    frame = orders("Nieuwsbrief", "nee", "ja").with_columns(
        pl.when(pl.col("Email") == "c1@shop.example").then(None).otherwise("Nieuwsbrief")
        .alias("Nieuwsbrief"), pl.lit("weekly").alias("SMS consent"),
    )  # fmt: skip
    frame.write_csv(tmp_path / "orders.csv")
    audit = segkit.audit_data(frame)
    said = audit.understood.split("\n")[3]
    assert said == (
        "May be e-mailed: 23 people yes, 6 people no, 1 person not recorded "
        "(by 'Nieuwsbrief': 'ja' yes, 'nee' no). May be texted: 30 people no "
        "(by 'SMS consent': 'weekly' not understood and taken as no)."
    )
    assert "Columns not used" not in str(audit)
    made = start(tmp_path / "orders.csv", out=tmp_path / "out")
    assert said in made.understood
    assert "23 people yes, 6 people no" in made.page.read_text(encoding="utf-8")


def test_check_names_the_consents_of_a_table_of_customers():
    people = orders("Do not email", "yes", "no").unique("Email")
    people = people.select("Do not email", customer_id="Email", email="Email")
    lines = orders("Info", "a", "a").drop("Info")
    assert segkit.audit_data({"orders": lines, "customers": people}).understood.endswith(
        "May be e-mailed: 6 people no, 24 people not recorded "
        "(by 'Do not email': 'yes' no, 'no' not recorded)."
    )


@pytest.mark.parametrize(
    ("file", "orders_by", "contacts_by"),
    [
        ("Kontakte.csv", ["No"], ["Kundennr", "Mail"]),
        ("Verteiler.csv", ["No", "Email"], ["E-Mail"]),  # by the address of the orders
        ("Verteiler.csv", ["Email"], ["E-Mail"]),
        ("Verteiler.csv", ["No", "Email"], ["Kundennr"]),  # the orders have the addresses
    ],
)
def test_contacts_beside_the_orders_are_joined_by_number_or_address(
    tmp_path, file, orders_by, contacts_by
):
    lines = orders("Info", "nein", "ja").with_columns(
        pl.col("Email").str.extract("(.*)@").str.to_uppercase().alias("No")
    )
    people = lines.unique("Email", maintain_order=True).select(
        Kundennr="No",
        Mail="Email",
        Newsletter="Info",
        **{"E-Mail": pl.col("Email").str.to_uppercase()},
    )
    sales = lines.select("Order ID", "Order date", "Total", *orders_by).rename(
        {"No": "Kundennr"}, strict=False
    )
    sales.write_csv(tmp_path / "Bestellungen.csv")
    people.select(*contacts_by, "Newsletter").write_csv(tmp_path / file)
    made = start(tmp_path, out=tmp_path / "out")
    assert "30 of 30 people are in the table of customers" in made.understood
    addresses = pl.read_csv(tmp_path / "out" / "klaviyo.csv")["Email Address"].to_list()
    assert {address.lower() for address in addresses} == {f"c{k}@shop.example" for k in AGREE}


def test_one_address_of_two_customers_refuses_for_both(tmp_path):
    lines = orders("Info", "a", "a").with_columns(
        (pl.int_range(pl.len()) % 60 + 60).alias("Customer ID")
    )
    people = orders("Newsletter", "no", "yes").unique("Email").select("Email", "Newsletter")
    given = {"orders": {"columns": {"customer_id": "Customer ID"}}}
    taken = segkit.clean_data({"orders": lines.drop("Info"), "customers": people}, given)
    refused = taken.customers.filter(~pl.col("marketing_consent"))["customer_id"]
    assert {int(one) % PEOPLE for one in refused} == {*range(0, PEOPLE, 5)}
    assert refused.len() == 2 * REFUSING


def test_a_second_file_of_contacts_is_not_passed_over(tmp_path):
    lines = orders("Newsletter", "no", "yes")
    lines.drop("Newsletter").write_csv(tmp_path / "orders.csv")
    lines.unique("Email").select("Email").write_csv(tmp_path / "customers.csv")
    lines.unique("Email").select("Email", "Newsletter").write_csv(tmp_path / "mailing.csv")
    with pytest.raises(SourceError, match=r"mailing\.csv have different columns"):
        segkit.audit_data(tmp_path)


def test_consents_of_order_lines_hold_where_the_table_of_customers_has_none():
    lines = orders("Newsletter", "no", "yes")
    people = lines.unique("Email").select(customer_id="Email", country=pl.lit("DE"))
    agreed = segkit.clean_data({"orders": lines, "customers": people}).customers
    assert agreed.filter("email_consent")["customer_id"].n_unique() == PEOPLE - REFUSING


def test_words_that_are_not_understood_stop_the_lists_until_they_are_answered(tmp_path):
    file = tmp_path / "orders.csv"
    orders("Newsletter preference", "fortnightly", "weekly").write_csv(file)
    made = start(file, out=tmp_path / "a", assume_consent=True)
    assert not (tmp_path / "a" / "klaviyo.csv").exists()
    assert "'weekly'" in made.notices[-1]
    assert "no column" not in made.notices[-1]
    answers = ["customers.values.email_consent.weekly=true"]
    answers += ["customers.values.email_consent.fortnightly=false"]
    start(file, out=tmp_path / "b", answers=answers)
    assert pl.read_csv(tmp_path / "b" / "klaviyo.csv").height == PEOPLE - REFUSING
    ignored = ["customers.not_consents=['Newsletter preference']"]
    start(file, out=tmp_path / "c", answers=ignored, assume_consent=True)
    assert pl.read_csv(tmp_path / "c" / "klaviyo.csv").height == PEOPLE


def test_o_beside_n_is_yes_in_french_and_two_columns_have_their_own_words():
    frame = orders("Newsletter", "N", "O")
    assert [one for one in segkit.audit_data(frame).findings if one.kind == "consent"]
    french = frame.with_columns(Montant=1.0, Commande=pl.lit("x"))
    audit = segkit.audit_data(french, {"orders": {"columns": {"amount": "Total"}}})
    assert not [one for one in audit.findings if one.kind == "consent"]
    both = frame.rename({"Newsletter": "Newsletter A"}).with_columns(
        pl.col("Newsletter A").replace({"O": "Q"}).alias("Newsletter B")
    )
    asked = [one.answer for one in segkit.audit_data(both).findings if one.kind == "consent"]
    assert [answer.partition(" = ")[0] for answer in asked] == [
        '[customers.values."Newsletter A"] "O"', '[customers.values."Newsletter B"] "Q"'
    ]  # fmt: skip
    told = mapping_of([one.replace("=false", "=true") for one in offered_answers(asked[0])[0]])
    left = [one.finding for one in segkit.audit_data(both, told).findings if one.kind == "consent"]
    assert len(left) == 1
    assert left[0].startswith("'Newsletter B'")


@pytest.mark.parametrize("header", ["Advertising", "Updates", "Kontakt", "お知らせ"])
def test_a_column_of_yes_and_no_that_names_marketing_is_asked_about(header):
    frame = orders(header, "no", "yes").with_columns(pl.col("Email").alias("Recipient e-mail"))
    asked = [one for one in segkit.audit_data(frame).findings if one.kind == "consent"]
    assert [one.finding.partition(" and may")[0] for one in asked] == [
        f"{header!r} holds yes and no"
    ]
    answer = {"customers": {"columns": {"marketing_consent": header}}}
    assert listed(read(frame, answer), "granted") == AGREE
    unread = {"customers": {"columns": {"consent_email": header}}}
    with pytest.raises(segkit.errors.MappingError, match="no effect without a table of customers"):
        segkit.audit_data(frame, Mapping.from_dict(unread))
