"""Consent read from names and words of columns: who refused is on no list, whatever is assumed."""

from datetime import date, timedelta

import polars as pl
import pytest

import segkit
from segkit.campaign import SegmentContract, build_audience
from segkit.intake.consents import AGREED, REFUSED, consent_meaning, word_meaning
from segkit.intake.layouts import add_contacts
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


def read(frame):
    return add_contacts(segkit.clean_data(frame)).customers


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
    ("Zgoda marketingowa", "nie", "tak", True),
    ("メルマガ", "いいえ", "はい", True),
    ("订阅", "已退订", "已订阅", True),
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
     "Unsubscribe URL", "Post status"],
)  # fmt: skip
def test_other_columns_are_no_consents(header):
    assert consent_meaning(header) is None


def test_a_word_for_agreed_that_is_negated_is_a_refusal_however_the_language_negates():
    refused = [
        "購読しない", "許可しない", "同意しません", "동의하지 않음", "동의하지않음",
        "동의 안 합니다", "구독하지 않음", "Onaylamıyor", "Onaylanmadı", "n'accepte pas",
        "Je n’accepte pas", "doesn't agree", "didn’t subscribe",
    ]  # fmt: skip
    assert [word_meaning(word) for word in refused] == [REFUSED] * len(refused)
    agreed = ["購読する", "동의함", "Onaylandı", "J'accepte", "agrees", "登録済み", "iscritto"]
    assert [word_meaning(word) for word in agreed] == [AGREED] * len(agreed)


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
