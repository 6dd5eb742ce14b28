"""A column that would exclude orders is read as a state or asked, and the answers hold."""

import re
import tomllib
from copy import deepcopy
from datetime import datetime
from functools import cache

import polars as pl
import pytest

import segkit
from segkit.errors import DataError, MappingError
from segkit.intake.answers import mapping_of, offered_answers
from segkit.intake.evidence import without_zero_dates

N = 60
BAD = [i % 10 == 3 for i in range(N)]
TOTALS = [round(10 + (i * 37 % 911) / 20, 2) for i in range(N)]
SOLD = round(sum(total for total, bad in zip(TOTALS, BAD, strict=True) if not bad), 2)
DAYS = [f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(N)]


def orders(header, good, bad, **more):
    cells = [bad if out else good for out in BAD]
    return pl.DataFrame(
        {
            "Order": [f"R{i}" for i in range(N)],
            "Customer email": [f"u{i // 3}@x.example" for i in range(N)],
            "Date": DAYS,
            "Total": [str(total) for total in TOTALS],
            **more,
            header: cells,
        }
    )


def test_reversals_are_offered_as_refunds_and_come_off():
    header = "Typ dokladu"
    frame = orders(header, "Faktura", "Faktura")
    back = frame.head(6).with_columns(
        pl.concat_str(pl.lit("S"), "Order").alias("Order"),
        pl.concat_str(pl.lit("-"), "Total").alias("Total"),
        pl.Series(header, ["Storno", "Dobropis"] * 3),
    )
    whole = pl.concat([frame, back])
    (asked,) = [f for f in segkit.audit_data(whole).findings
                if f.severity == "block" and header in f.finding]  # fmt: skip
    first, *others = offered_answers(asked.answer)
    assert "'refunded'" in str(first) or "=refunded" in str(first)
    assert "cancelled" not in str([first, *others])
    assert taken_money(whole, mapping_of(first))[0] == round(sum(TOTALS[6:]), 2)


def taken_money(frame, mapping=None):
    taken = segkit.clean_data(frame, mapping)
    money = round(float(sum(part.money for part in taken.ledger.parts)), 2)
    return money, taken.orders.height, taken.ledger.reasons()


PARTLY = [i % 10 == 5 for i in range(N)]


@pytest.mark.parametrize("header", ["Återbetalt", "Foo bar"])
def test_refunds_in_part_come_off_are_asked_about_or_are_warned_about(header):
    state = ["Återbetald" if a else "Delvis återbetald" if b else "Skickad"
             for a, b in zip(BAD, PARTLY, strict=True)]  # fmt: skip
    back = [t if a else 2.5 if b else 0.0 for t, a, b in zip(TOTALS, BAD, PARTLY, strict=True)]
    frame = orders("Status", "", "").with_columns(Status=pl.Series(state))
    full = frame.with_columns(pl.Series(header, back))
    answer = None
    if header == "Foo bar":  # told by its values
        (asked,) = [f for f in segkit.audit_data(full).findings if f.severity == "block"]
        assert asked.answer.startswith('[orders.columns] refund = "Foo bar"')
        answer = {"orders": {"columns": {"refund": header}}}
    assert taken_money(full, answer)[0] == round(SOLD - 2.5 * sum(PARTLY), 2)
    (warned,) = [f for f in segkit.audit_data(frame).findings if f.column == "refund"]
    part = round(sum(t for t, b in zip(TOTALS, PARTLY, strict=True) if b))
    assert f"6 orders ({part}) were refunded in part" in warned.finding


FULL = [str(total) for total in TOTALS]


@pytest.mark.parametrize(
    "header",
    [
        "Refundable",
        "Max refund",
        "Available to refund",
        "Erstattungsfähiger Betrag",
        "Montant remboursable",
        "Importe reembolsable",
        "Importo rimborsabile",
        "Kwota możliwa do zwrotu",
        "İade edilebilir tutar",
        "返金可能額",
        "可退金额",
        "환불 가능 금액",
        "Доступно к возврату",
        "Available discount",
        "Max. Rabatt",
    ],
)
@pytest.mark.parametrize("is_full", [True, False])
def test_what_can_be_given_back_or_taken_off_is_no_refund_and_no_discount(header, is_full):
    cells = FULL if is_full else [t if i % 9 == 1 else "0" for i, t in enumerate(FULL)]
    audit = segkit.audit_data(orders("Shop", "A", "A").with_columns(pl.Series(header, cells)))
    assert header not in audit.mapping.tables["orders"].columns.values()
    assert not audit.blocked


@pytest.mark.parametrize("header", ["Expected refund", "Refund pending amount"])
def test_an_expected_refund_is_asked_about_unless_it_is_of_every_order(header):
    part = [t if bad else "0" for t, bad in zip(FULL, BAD, strict=True)]
    (asked,) = _blocks(orders("Shop", "A", "A").with_columns(pl.Series(header, part)))
    assert (asked.column, header in asked.finding) == ("refund", True)
    assert not _blocks(orders("Shop", "A", "A").with_columns(pl.Series(header, FULL)))


def _blocks(frame, mapping=None):
    return [f for f in segkit.audit_data(frame, mapping).findings if f.severity == "block"]


@pytest.mark.parametrize(
    ("header", "cells"),
    [("Refund amount", FULL), ("Cancelled at", [*DAYS[1:], None]), ("Discount", FULL)],
)
def test_a_column_that_leaves_hardly_an_order_is_named_and_can_be_left_out(header, cells):
    frame = orders("Shop", "A", "A").with_columns(pl.Series(header, cells))
    if header == "Discount":
        more = [price * (3 if i % 4 else 4) for i, price in enumerate(TOTALS)]
        frame = frame.rename({"Total": "Unit price"}).with_columns(
            Quantity=pl.lit("3"), Discount=pl.Series(more).round(2)
        )
    (asked,) = _blocks(frame)
    offers = offered_answers(asked.answer)
    assert repr(header) in asked.finding
    assert not any(sign in asked.answer for sign in ('"..."', '"word"', '"column"'))
    assert taken_money(frame, mapping_of(offers[-1]))[1] == N


def test_an_open_balance_is_not_asked_about_once_the_states_are_settled():
    states = {True: "Gecikmiş", False: "Tahsil Edildi"}
    owed = [t if bad else "0" for t, bad in zip(FULL, BAD, strict=True)]
    frame = orders("Durum", states[False], states[True], **{
        "Fatura No": [f"F{i}" for i in range(N)], "Vade Tarihi": DAYS, "Kalan Tutar": owed,
    }).drop("Order")  # fmt: skip
    (asked,) = _blocks(frame)
    assert "Gecikmiş" in asked.finding
    for offer in offered_answers(asked.answer):
        assert not _blocks(frame, mapping_of(offer))


def test_states_are_asked_about_in_the_round_of_the_customer():
    who = [f"+81-90-{1000 + i // 3}-4111" for i in range(N)]
    frame = orders("配送状態", "配送完了", "キャンセル完了", 購入者携帯電話番号=who)
    assert {f.column for f in _blocks(frame.drop("Customer email"))} == {"customer_id", "status"}


def answer_of(finding):
    """Read the first mapping lines that a question offers, as a mapping."""
    first = finding.answer.split("; [orders] not_states")[0]
    column = re.match(r"\[orders\.columns\] (\w+) = (\".*?\") with ", first)
    pairs = re.findall(r"(\"[^\"]*\" = \"\w+\")(?:,| \(or)", first[column.end() :])
    text = f"[orders.columns]\n{column[1]} = {column[2]}\n[orders.values.{column[1]}]\n"
    return tomllib.loads(text + "\n".join(pairs))


READ = {
    "refunded": [
        ("Refunded", "false", "true"),
        ("Refunded", "No", "Yes"),
        ("Refunded?", "0", "1"),
        ("Refunded", 0, 1),
        ("Refunded", False, True),
        ("Erstattet", "nein", "ja"),
        ("Remboursée", "non", "oui"),
        ("Reembolsado", "não", "sim"),
        ("Estornado", "não", "sim"),
    ],
    "cancelled": [
        ("Storno", None, "X"),
        ("Storno", "nein", "ja"),
        ("Storniert", "nein", "ja"),
        ("Void", "FALSE", "TRUE"),
        ("Annulée", "non", "oui"),
        ("Annulé", "non", "oui"),
        ("Cancelada", "no", "sí"),
        ("Cancelled", 0, 1),
        ("Cancelled", "no", "yes"),
        ("Cancelled", None, "x"),
        ("Cancelled", "-", "✓"),
        ("Cancelled at", None, "2024-06-01"),
        ("キャンセル", "いいえ", "はい"),
    ],
}


@pytest.mark.parametrize(
    ("reason", "header", "good", "bad"),
    [(reason, *case) for reason, cases in READ.items() for case in cases],
)
def test_a_flag_of_a_refund_or_a_cancellation_rejects_its_orders(reason, header, good, bad):
    assert taken_money(orders(header, good, bad)) == (SOLD, N - sum(BAD), {reason: sum(BAD)})


ASKED = [
    ("Fulfillment Status", "FULFILLED", "CANCELED"),
    ("Paid at", "2024-06-01 10:00:00", None),
    ("Bezahlt am", "01.06.2024", None),
    ("Disputed?", "0", "1"),
    ("Chargeback", None, "yes"),
    ("Dispute", "–", "✓"),
    ("Litige", None, "✓"),
    ("Accepted", "yes", "no"),
    ("livemode", "true", "false"),
    ("Test", "no", "yes"),
    ("Deleted", "0", "1"),
    ("Confirmed", "yes", "no"),
    ("Cancellation reason", None, "changed my mind"),
]


@pytest.mark.parametrize(("header", "good", "bad"), ASKED)
def test_a_column_that_may_exclude_orders_is_asked_and_answered(header, good, bad):
    frame = orders(header, good, bad)
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert repr(header) in asked.finding
    assert f"({sum(BAD)} rows, " in asked.finding
    with pytest.raises(DataError, match="could tell orders that do not count"):
        segkit.clean_data(frame)
    money, rows, _ = taken_money(frame, answer_of(asked))
    assert (money, rows) == (SOLD, N - sum(BAD))
    all_sold = taken_money(frame, {"orders": {"not_states": [header]}})
    assert all_sold == (round(sum(TOTALS), 2), N, {})


def test_what_is_open_or_not_paid_is_asked_once():
    paid = pl.Series([0.0 if out else total for out, total in zip(BAD, TOTALS, strict=True)])
    due = pl.Series([total if out else 0.0 for out, total in zip(BAD, TOTALS, strict=True)])
    plain = orders("Note", "a", "a")
    whole = {"orders": {"columns": {"amount": "Total"}}}
    for columns in ({"Balance due": due}, {"Amount paid": paid, "Balance due": due}):
        frame = plain.with_columns(**columns)
        (asked,) = [f for f in segkit.audit_data(frame, whole).findings if f.severity == "block"]
        answer = answer_of(asked)
        answer["orders"]["columns"]["amount"] = "Total"
        assert taken_money(frame, answer)[:2] == (SOLD, N - sum(BAD))


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [("État", "Livré", "Arrivage Z"), ("ステータス", "700", "900"), ("Estado", "Qx", "Qy")],
)
def test_unknown_words_of_a_state_are_asked_not_dropped(header, good, bad):
    frame = orders(header, good, bad)
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert "It is not known what" in asked.finding
    assert bad in asked.finding
    values = {"values": {"status": {good: "sale", bad: "cancelled"}}}
    assert taken_money(frame, {"orders": values})[0] == SOLD


def test_a_second_state_beside_a_paid_one_is_asked():
    frame = orders("Fulfillment Status", "FULFILLED", "CANCELED", **{"Financial Status": "PAID"})
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert "'CANCELED' (6 rows" in asked.finding
    assert taken_money(frame, answer_of(asked))[0] == SOLD


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [
        ("Fulfillment Status", "FULFILLED", "UNFULFILLED"),
        ("Disputed?", "0", "0"),
        ("livemode", "true", "true"),
        ("Accepts Marketing", "yes", "no"),
        ("Customer type", "New", "Returning"),
        ("State", "Ohio", "Texas"),
        ("Paid at", "2024-06-01", "2024-06-02"),
        ("Gift", "no", "yes"),
        ("Sale", "no", "yes"),
        ("Shipped", "yes", "no"),
        ("Newsletter test group", "a", "b"),
    ],
)
def test_what_excludes_nothing_is_not_asked(header, good, bad):
    assert taken_money(orders(header, good, bad)) == (round(sum(TOTALS), 2), N, {})


def test_a_flag_on_negative_rows_stays_a_return():
    frame = orders("Refunded", "no", "yes").with_columns(
        Total=pl.when(pl.Series(BAD)).then("-" + pl.col("Total")).otherwise("Total")
    )
    money, rows, reasons = taken_money(frame)
    back = sum(total for total, bad in zip(TOTALS, BAD, strict=True) if bad)
    assert (money, rows, reasons) == (round(SOLD - back, 2), N, {})


def test_what_the_mapping_file_names_is_not_asked():
    columns = {"customer_id": "Customer email", "order_id": "Order", "order_time": "Date",
               "amount": "Total"}  # fmt: skip
    frame = orders("Refunded", "no", "yes")
    with pytest.raises(DataError, match="'Refunded' is not used"):
        segkit.clean_data(frame, {"orders": {"columns": columns}})
    own = {"columns": columns, "constants": {"status": "sale"}}
    assert taken_money(frame, {"orders": own})[1] == N


def asked_columns(frame):
    blocks = [one for one in segkit.audit_data(frame).findings if one.severity == "block"]
    return [set(re.findall(r"'([^']*)'", one.finding)) & {*frame.columns} for one in blocks]


def test_what_a_question_already_asked_would_leave_out_is_not_asked_again():
    void = [None if i % 20 != 3 else "asked for" for i in range(N)]  # within the rows of BAD
    other = [None if i % 20 != 4 else "asked for" for i in range(N)]
    frame = orders("Void reason", "", "").with_columns(
        pl.Series("Return state", ["approved return" if out else None for out in BAD])
    )
    within = frame.with_columns(pl.Series("Void reason", void)).select(
        pl.exclude("Void reason"), "Void reason"
    )
    beside = within.with_columns(pl.Series("Void reason", other))
    assert asked_columns(within) == [{"Return state"}]
    assert {*map(frozenset, asked_columns(beside))} == {
        frozenset({"Return state"}),
        frozenset({"Void reason"}),
    }


def test_two_columns_of_states_are_one_question_where_there_would_be_four():
    back = [day if i % 10 == 4 else None for i, day in enumerate(DAYS)]
    paid = [None if bad else day for bad, day in zip(BAD, DAYS, strict=True)]
    tests = ["Test" if i < 3 else "Ann" for i in range(N)]
    frame = orders("Bezahlt am", "", "").rename({"Total": "Gesamtbetrag"}).with_columns(
        pl.Series("Bezahlt am", paid), pl.Series("Retourniert am", back),
        pl.Series("Vorname", tests),
        pl.Series("Warenwert", [f"{one - 2.9:.2f}" for one in TOTALS]),
    )  # fmt: skip
    blocks = [one for one in segkit.audit_data(frame).findings if one.severity == "block"]
    assert len(blocks) == 3
    (states,) = (one for one in blocks if one.column == "status")
    for offer, gone in zip(
        offered_answers(states.answer),
        (lambda i: BAD[i] or i % 10 == 4, lambda i: BAD[i], lambda i: i % 10 == 4, lambda i: False),
        strict=True,
    ):
        lines = [*offer, "orders.columns.amount=Gesamtbetrag"]
        lines += [line for one in blocks if one.column == "customer_id"
                  for line in offered_answers(one.answer)[1]]  # fmt: skip
        taken = segkit.clean_data(frame, mapping_of(lines))
        assert [*taken.orders["amount"]] == [x for i, x in enumerate(TOTALS) if not gone(i)]


def test_a_time_that_many_rows_lack_is_no_rival_of_the_orders_time():
    frame = orders("Order date completed", "2024-06-01", None).rename({"Date": "Order date placed"})
    late = [None if i % 2 else "2024-12-31" for i in range(N)]
    later = frame.with_columns(pl.Series("Order date completed", late))
    full = frame.with_columns(pl.lit("2024-12-31").alias("Order date completed"))
    assert asked_columns(later) == []
    odd = orders("Order date finished", "2024-12-31", "").rename({"Date": "date_purchased"})
    for part in (odd, odd.with_columns(pl.Series("Order date finished", late))):
        columns = segkit.audit_data(part).mapping.tables["orders"].columns
        assert columns["order_time"] == "date_purchased"
    won = [None if bad else day for bad, day in zip(BAD, DAYS, strict=True)]
    deals = orders("Deal status", "Won", "Lost").with_columns(pl.Series("Deal won time", won))
    assert (
        segkit.audit_data(deals).mapping.tables["orders"].columns["order_time"] == "Deal won time"
    )
    # Orders of a state that is not known may count: they need their date.
    open_ = deals.with_columns(pl.Series("Deal status", ["Zork" if bad else "Won" for bad in BAD]))
    columns = segkit.audit_data(open_).mapping.tables["orders"].columns
    assert columns["order_time"] == "Date"
    assert asked_columns(full) == [{"Order date placed", "Order date completed"}]


def test_columns_with_one_answer_for_the_decimal_sign_are_one_question():
    rupiah = [f"{10 + i}.000" for i in range(N)]
    frame = orders("Discount", "1.000", "2.000", **{"Unit price": rupiah}).with_columns(
        pl.Series("Total", rupiah)
    )
    asked = [one for one in asked_columns(frame) if "Total" in one]
    assert len(asked) == 1
    assert {"Total", "Unit price"} <= asked[0]


def asked_of(frame, mapping=None, severity="block"):
    findings = segkit.audit_data(frame, mapping).findings
    return [(f.finding, f.answer) for f in findings if f.severity == severity]


COLUMNS = {
    "order_id": "Order",
    "customer_id": "Customer email",
    "order_time": "Date",
    "amount": "Total",
}


def test_a_column_of_unknown_words_is_asked_about_where_most_orders_have_one_of_them():
    frame = orders("Ooqb", "Xaba", "Zzyk", Land=["Norway", "Chile"] * 30, Vu=["u", "v", "w"] * 20)
    ((text, answer),) = asked_of(frame)
    assert "'Ooqb' is not used" in text
    assert "'Xaba' (54 rows, " in text
    assert "'Zzyk' (6 rows, " in text
    offers = [taken_money(frame, mapping_of(offer))[0] for offer in offered_answers(answer)]
    assert offers == [round(sum(TOTALS), 2), SOLD]
    left = f"'Zzyk' as sales {sum(TOTALS):,.0f} is left, with them unpaid {SOLD:,.0f}."
    assert left in text
    told = {"orders": {"columns": {"status": "Ooqb"},
                       "values": {"status": {"Xaba": "sale", "Zzyk": "cancelled"}}}}  # fmt: skip
    assert taken_money(frame, told)[:2] == (SOLD, N - sum(BAD))
    assert "of few words: 'Ooqb' (Xaba 54, Zzyk 6)." in segkit.audit_data(frame).understood
    settled = segkit.audit_data(frame, {"orders": {"not_states": ["Ooqb"]}})
    assert "of few words" not in settled.understood


def test_the_state_of_a_customer_is_no_state_of_the_order():
    group = ["Neuer Kunde" if i % 3 else "Gast" for i in range(N)]
    frame = orders("Land", "Chile", "Norway", customers_status_name=group)
    assert not asked_of(frame)
    left = frame.with_columns(pl.col("customers_status_name").replace("Gast", "storniert"))
    assert asked_of(left)


def test_words_spread_more_evenly_are_asked_about_where_dates_are_missing_beside_them():
    spread = ["Xaba" if i % 20 < 11 else "Zzyk" if i % 20 < 16 else "Quo" for i in range(N)]
    frame = orders("Land", "Chile", "Norway", Ooqb=spread)
    assert not asked_of(frame)
    days = [None if word == "Zzyk" else day for word, day in zip(spread, DAYS, strict=True)]
    ((text, _),) = asked_of(frame.with_columns(Ditv=pl.Series(days)))
    assert text.startswith("'Ooqb' is not used")


def test_a_file_asks_about_three_columns_of_unknown_words_at_most():
    rare = {f"Ooqb{'abcd'[k]}": ["Zzyk" if i % 10 == k else "Xaba" for i in range(N)]
            for k in range(4)}  # fmt: skip
    frame = orders("Land", "Chile", "Norway", **rare)
    assert len(asked_of(frame)) == 3
    assert "of few words: 'Ooqb" in segkit.audit_data(frame).understood


@pytest.mark.parametrize(
    ("header", "bad", "likely"),
    [("Vorgangszustandscode", "Zzyk", "sale"), ("Ooqb", "İptal Edildi", "sale")],
)
def test_a_header_or_words_of_a_state_make_it_a_question(header, bad, likely):
    ((text, answer),) = asked_of(orders(header, "Xaba", bad))
    assert f"{bad!r} (6 rows, " in text
    assert f'"Xaba" = "{likely}"' in answer
    values = {"Xaba": "...", bad: "cancelled"}
    state = {"columns": {**COLUMNS, "status": header}, "values": {"status": values}}
    with pytest.raises(MappingError, match=r"'\.\.\.': expected one of"):
        taken_money(orders(header, "Xaba", bad), {"orders": state})
    values["Xaba"] = "sale"
    assert taken_money(orders(header, "Xaba", bad), {"orders": state})[0] == SOLD


@pytest.mark.parametrize(
    ("header", "good", "bad"),
    [
        ("Refunded?", "0", "1"),
        ("Paid?", "yes", "n"),
        ("Makulerad", "Nej", "Ja"),
        ("Void", None, "x"),
    ],
)
def test_a_mapped_flag_is_read_by_its_header(header, good, bad):
    mapping = {"orders": {"columns": {**COLUMNS, "status": header}}}
    assert taken_money(orders(header, good, bad), mapping)[0] == SOLD


def test_yes_and_no_with_further_words_and_empty_cells_are_asked():
    words = {3: "n", 13: "refunded", 23: None, 33: "N", 43: " n", 53: "refunded"}
    cells = [words.get(i, ("y", "Y", "yes")[i % 3]) for i in range(N)]
    frame = orders("Note", "a", "a").with_columns(pl.Series("Paid?", cells))
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert "'refunded' (2 rows, " in asked.finding
    assert "empty (1 row, " in asked.finding
    assert '"" = "unpaid"' in asked.answer
    mapping = {"orders": {"columns": {**COLUMNS, "status": "Paid?"}}}
    ((text, answer),) = asked_of(frame, mapping)
    assert "not known what empty (1 row, " in text
    assert [offer[0] for offer in offered_answers(answer)] == [
        "orders.values.status.''=sale", "orders.values.status.''=unpaid"
    ]  # fmt: skip
    mapping["orders"]["values"] = {"status": {"": "unpaid"}}
    assert taken_money(frame, mapping)[0] == SOLD


def test_full_refunds_beside_an_amount_of_partial_ones_are_taken_off():
    back = [2.0 if i % 10 == 4 else 0.0 for i in range(N)]
    flags = ["1" if out or i % 10 == 4 else "0" for i, out in enumerate(BAD)]
    frame = orders("Fully Refunded?", "0", "1", **{"Partial Refund": back, "Refunded?": flags})
    assert taken_money(frame)[0] == round(SOLD - 12, 2)
    assert taken_money(frame)[2] == {"refunded": sum(BAD)}


def test_what_is_sent_or_billed_is_asked_with_what_is_overdue():
    cells = ["Closed" if not out else ("Sent", "Overdue", "PartiallyPaid")[i // 10 % 3]
             for i, out in enumerate(BAD)]  # fmt: skip
    frame = orders("Note", "a", "a").with_columns(pl.Series("Invoice Status", cells))
    ((text, answer),) = asked_of(frame)
    assert "'Closed'" not in text
    assert all(f'"{word}" = "unpaid"' in answer for word in ("Sent", "Overdue", "PartiallyPaid"))
    due = {"Due date": DAYS, "Invoice number": [f"INV-{i:03}" for i in range(N)]}
    for bad in ("Overdue", "Awaiting Payment", "Partially paid", "Scaduta"):  # issued on account
        frame = orders("Status", "Paid", bad, **due).drop("Order")
        ((text, answer),) = asked_of(frame)
        assert f'"{bad}" = "sale"' in answer
        assert f"{sum(TOTALS) - SOLD:,.0f} is not, or not wholly, paid" in text
        issued, paid = (
            taken_money(frame, mapping_of(offer))[0] for offer in offered_answers(answer)
        )
        assert (issued, paid) == (round(sum(TOTALS), 2), SOLD)
    assert not asked_of(orders("Status", "Paid", "Pending payment", **due).drop("Order"))
    assert not asked_of(orders("Status", "Paid", "Awaiting Payment"))
    method = {"Payment method": ["Invoice" if i % 2 else "Card" for i in range(N)]}
    assert not asked_of(orders("Status", "Paid", "Awaiting Payment", **method))
    dunned = {"Dunning Status": ["exhausted" if out else None for out in BAD]}
    assert not any('"Awaiting Payment" = "sale"' in answer for _, answer in asked_of(
        orders("Status", "Paid", "Awaiting Payment", **due, **dunned).drop("Order")))  # fmt: skip
    ((_, answer),) = asked_of(orders("Settled", "yes", "no", **due).drop("Order"))
    assert answer.startswith("[orders] not_states")
    ((text, _),) = asked_of(orders("Status", "completed", "billed"))
    assert "'billed' (6 rows" in text
    ((text, answer),) = asked_of(orders("Status", "complete", "closed"))
    assert '"closed" = "unpaid"' in answer


def test_pieces_that_came_back_are_no_state_and_the_order_stays_first():
    pieces = {"Returned quantity": ["1" if out else "0" for out in BAD], "Qty": ["3"] * N}
    state = "Status Pembatalan/ Pengembalian"
    frame = orders(state, None, "Permintaan Disetujui", Status=["Selesai"] * N, **pieces)
    asked = [item for item in segkit.audit_data(frame).findings if item.severity == "block"]
    assert {item.answer.partition(", if")[0] for item in asked} == {
        "[orders.constants] refund = 0", f'[orders] not_states = ["{state}"]'
    }  # fmt: skip
    answers = [offered_answers(item.answer)[0] for item in asked]
    mapping = mapping_of([one for answer in answers for one in answer])
    assert taken_money(frame, mapping)[0] == round(sum(TOTALS), 2)


def test_amounts_without_the_pieces_that_came_back_ask_nothing():
    back = [1 if out else 0 for out in BAD]
    frame = orders("Note", "a", "a").with_columns(
        pl.Series("Qty", [3] * N), pl.lit(7.5).alias("Unit price"),
        pl.Series("Total", [7.5 * (3 - n) for n in back]), pl.Series("Qty returned", back),
    )  # fmt: skip
    assert not asked_of(frame)
    gross = frame.with_columns(Total=pl.lit(22.5))
    assert not asked_of(gross)
    assert "6 pieces that came back, 45 by their price" in str(asked_of(gross, severity="warn"))
    sold = 22.5 * N - 45
    for name in ("Quantité retournée", "Cantidad devuelta", "Retourmenge", "Pezzi resi",
                 "Qtd devolvida", "Aantal geretourneerd", "Articles retournés"):  # fmt: skip
        assert taken_money(gross.rename({"Qty returned": name}), {})[0] == sold
    whole = gross.drop("Total")
    assert taken_money(whole, {})[0] == sold
    kept = {"orders": {"constants": {"refund": 0}}}
    assert taken_money(gross, kept)[0] == 22.5 * N
    ((text, answer),) = asked_of(gross.drop("Unit price"))
    assert "Do the orders keep their money?" in text
    told = mapping_of(offered_answers(answer)[1])
    assert taken_money(gross.drop("Unit price"), told)[0] == sold


def test_marketplaces_are_no_states():
    assert not asked_of(orders("Shop", "Onlineshop", "Amazon"))


def test_columns_that_two_answers_name_as_no_states_add_up():
    mapping = mapping_of(["orders.not_states=['A']", "orders.not_states=['B']"])
    assert mapping.option("orders", "not_states") == ["A", "B"]
    lists = [["guest"], ["Till = 1"], ["walk-in"], ["Till != 2"], []]
    joined = [mapping_of([f"orders.no_customer={one}" for one in lists[:n]]) for n in range(2, 6)]
    assert [one.option("orders", "no_customer") for one in joined] == [
        ["guest", "Till = 1"],
        ["Till = 1", "walk-in"],
        ["Till = 1", "walk-in", "Till != 2"],
        [],
    ]


def test_a_question_on_a_column_with_empty_cells_is_answered_at_once():
    notes = ["cancelled" if out else ("gift wrap" if i % 9 == 0 else None)
             for i, out in enumerate(BAD)]  # fmt: skip
    frame = orders("Remark", "a", "a").with_columns(pl.Series("Remark", notes))
    ((_, answer),) = asked_of(frame)
    assert '"" = "sale"' in answer
    words = {"": "sale", "cancelled": "cancelled", "gift wrap": "sale"}
    mapping = {"columns": {"status": "Remark"}, "values": {"status": words}}
    assert taken_money(frame, {"orders": mapping})[0] == SOLD


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("", "Completed"),
        ("None", "Refunded"),
        ("Rejected", "Approved"),
        ("Not refunded", "Refunded"),
        ("Requested", "Refunded"),
        ("Keine", "Abgeschlossen"),
        ("没有申请退款", "退款成功"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"Status": ["paid"] * (N - 1) + ["cancelled"]}])
def test_states_of_refunds_are_asked_and_read_as_refunds(good, bad, more):
    frame = orders("退款状态" if "退" in good else "Refund status", good, bad, **more)
    asked = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    says_so = good == "没有申请退款" or (good == "None" and not more)  # a cell without a value
    assert len(asked) == 1 or says_so
    kept = [t for i, t in enumerate(TOTALS) if not BAD[i] and not (more and i == N - 1)]
    answer = answer_of(asked[0]) if asked else None
    assert taken_money(frame, answer)[0] == round(sum(kept), 2)


ZEROS = ["0000-00-00 00:00:00", "0001-01-01T00:00:00", "1970-01-01 01:00:00", "1899-12-30"]


OTHER_ZEROS = {"00.00.0000": "%d.%m.%Y", "30.12.1899": "%d.%m.%Y", "01.01.70": "%d.%m.%y",
               "01/01/1900": "%d/%m/%Y", "1/0/00": "%m/%d/%y", "01-JAN-1900": "%d-%b-%Y",
               "0-Jan-00": "%d-%b-%y", "Dec 31, 1969": "%b %d, %Y",
               "Thu, 01 Jan 1970 00:00:00 GMT": "%a, %d %b %Y %H:%M:%S GMT"}  # fmt: skip


@cache
def paid_but_for(none, written):
    """Return orders of which some are unpaid, what is asked of them, and the answer, tried."""
    paid = [datetime(2024, 1 + i % 12, 1 + i % 28, 15).strftime(written) for i in range(N)]
    cells = [none if out else day for day, out in zip(paid, BAD, strict=True)]
    frame = orders("Paid", "", "").with_columns(Paid=pl.Series(cells))
    asked = [each for each in segkit.audit_data(frame).findings if each.severity == "block"]
    answer = answer_of(asked[0])
    assert taken_money(frame, answer)[0] == SOLD
    return frame, [each.finding for each in asked], answer


@pytest.mark.parametrize("none", [*ZEROS, "-0001-11-30", "1900-01-00", "9999-12-31", *OTHER_ZEROS])
def test_a_date_of_payment_of_zeros_is_none_and_asked_about_as_an_empty_one_is(none):
    written = OTHER_ZEROS.get(none, "%Y-%m-%d %H:%M:%S")
    frame, asked, _ = paid_but_for(none, written)
    _, asked_of_empty, answer = paid_but_for("", written)
    assert len(asked_of_empty) == 1
    assert asked == asked_of_empty
    stated = deepcopy(answer)
    stated["orders"]["values"]["status"][none] = stated["orders"]["values"]["status"].pop("")
    assert taken_money(frame, stated)[0] == SOLD


def test_prices_of_many_decimals_are_no_dates():
    prices = pl.Series(["12.0000", "12.000000", "0.9999", "00.0001", "9999.00"])
    assert without_zero_dates(prices).equals(prices)


def test_a_state_that_says_nothing_of_payment_hides_no_empty_date_of_payment():
    cells = [None if out else day for day, out in zip(DAYS, BAD, strict=True)]
    for word in ("OK", "Cancelled"):
        states = ["OK"] * (N - 1) + [word]
        frame = orders("Paid at", "", "", Status=states).with_columns(pl.Series("Paid at", cells))
        (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
        assert asked.finding.startswith("'Paid at'")


@pytest.mark.parametrize(
    "header",
    ["Date de règlement", "Data zapłaty", "Datum platby", "Дата оплаты", "Дата сплати", "入金日",
     "입금일", "Betaaldatum", "Betaldatum", "Data plății", "Datum plaćanja", "Дата на плащане"],
)  # fmt: skip
def test_an_empty_date_of_payment_is_asked_about_in_every_language(header):
    cells = [None if out else day for day, out in zip(DAYS, BAD, strict=True)]
    frame = orders(header, "", "").with_columns(pl.Series(header, cells))
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert asked.finding.startswith(repr(header))


@pytest.mark.parametrize(
    ("day", "none"),
    [
        ("20240503", "00000000"),
        ("20240503", "0"),
        (20240503, 0),
        (1714694400, 0),
        ("1714694400000", "0"),
    ],
)
def test_a_zero_beside_days_written_as_numbers_is_no_date_of_payment(day, none):
    paid = pl.Series("Paid on", [none if out else day for out in BAD])
    frame = orders("Paid on", "", "").with_columns(paid)
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert taken_money(frame, answer_of(asked))[0] == SOLD


@pytest.mark.parametrize(
    ("state", "header", "usual", "known", "meaning"),
    [
        (None, "キャンセル区分", "Zork", "キャンセル", "cancelled"),
        (("入金状況", "入金済み", "未入金"), "キャンセル区分", "Zork", "キャンセル", "cancelled"),
        (("入金状況", "入金済み", "未入金"), "受注ステータス", "Zork", "キャンセル", "cancelled"),
        (("สถานะ", "สำเร็จ", "ยกเลิก"), "สถานะการชำระเงิน", "Zork", "ยังไม่ชำระเงิน", "unpaid"),
        (("Status", "paid", "void"), "Delivery status", "Zork", "Avbokad", "cancelled"),
        (
            ("Status", "paid", "void"),
            "Vermerk",
            "Zork Zork Zork Zork Zork Blip Foo",
            "storniert",
            "cancelled",
        ),
    ],
)
def test_a_known_word_that_excludes_is_asked_about_beside_unknown_ones(
    state, header, usual, known, meaning
):
    others = usual.split()
    words = [known if i % 10 == 7 else others[i // 2 % len(others)] for i in range(N)]
    frame = orders(*(state or ("Note", "", "")), **{header: words})
    (asked,) = [one for one in segkit.audit_data(frame).findings if one.severity == "block"]
    assert asked.finding.startswith(repr(header))
    money, _, reasons = taken_money(frame, mapping_of(offered_answers(asked.answer)[0]))
    out = [i for i in range(N) if i % 10 == 7 or (state and BAD[i])]
    assert money == round(sum(TOTALS) - sum(TOTALS[i] for i in out), 2)
    assert reasons[meaning] == 6 * (1 + bool(state and reasons.keys() == {meaning}))


@pytest.mark.parametrize("word", ["pending", "Blip"])
def test_stages_of_shipping_are_not_asked_about_beside_a_state(word):
    words = [word if i % 10 == 7 else "Zork" for i in range(N)]
    assert not asked_columns(orders("Status", "paid", "void", **{"Delivery status": words}))


def test_a_third_column_of_states_can_be_answered():
    paid = ["unpaid" if i % 10 == 4 else "captured" for i in range(N)]
    words = ["storniert" if i % 10 == 7 else "Zork" for i in range(N)]
    frame = orders("Status", "paid", "void", **{"Payment status": paid, "Vermerk": words})
    (asked,) = [one for one in segkit.audit_data(frame).findings if one.severity == "block"]
    mapping = mapping_of(offered_answers(asked.answer)[0])
    money = round(sum(TOTALS[i] for i in range(N) if i % 10 not in (3, 4, 7)), 2)
    assert taken_money(frame, mapping) == (money, N - 18, {"cancelled": 12, "unpaid": 6})
