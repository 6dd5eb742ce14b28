"""Amounts stated twice are told apart: by currency, by order and line, after fees."""

from datetime import date, timedelta

import polars as pl
import pytest

import segkit
from segkit.display import money
from segkit.intake.answers import offered_answers
from segkit.intake.roles import LEAST, name_score

N, LINES = 60, 2
EACH = [10.0 + i * 37 % 53 for i in range(N)]
POSTAGE = [4.5 if i % 3 else 0.0 for i in range(N // LINES)]
PAID = [EACH[2 * i] + EACH[2 * i + 1] + POSTAGE[i] for i in range(N // LINES)]


def lines(**more):
    """Give orders of two lines, each with its own money."""
    order = [i // LINES for i in range(N)]
    return pl.DataFrame(
        {
            "Order No": [f"A{i:03}" for i in order],
            "Client": [f"K{i % 11:02}" for i in order],
            "Order date": [str(date(2024, 1, 1) + timedelta(3 * i)) for i in order],
            "SKU": [f"P{i % 7}" for i in range(N)],
            "Line total": EACH,
            **more,
        }
    )


def of_orders(values):
    return [value for value in values for _ in range(LINES)]


def asked(frame):
    return [item for item in segkit.audit_data(frame).findings if item.severity == "block"]


def money_of(frame, mapping=None):
    return round(segkit.clean_data(frame, mapping).orders["amount"].sum(), 2)


def test_an_order_total_that_adds_postage_to_its_lines_is_taken_and_counted_once():
    frame = lines(Postage=of_orders(POSTAGE), **{"Order total": of_orders(PAID)})
    assert money_of(frame) == round(sum(PAID), 2)
    (said,) = [f for f in segkit.audit_data(frame).findings if "amount of the order" in f.finding]
    assert said.finding.endswith("the sum of 'Line total' with 'Postage'.")
    free = lines(**{"Order total": of_orders([a - b for a, b in zip(PAID, POSTAGE, strict=True)])})
    assert money_of(free) == sum(EACH)


def test_lines_are_taken_where_states_are_of_lines():
    states = ["delivered", "cancelled"] + ["delivered"] * (N - 2)
    totals = {"Order total": of_orders(PAID), "Status": states}
    assert money_of(lines(Postage=of_orders(POSTAGE), **totals)) == sum(EACH) - EACH[1]


def test_an_order_total_that_nothing_explains_is_asked_about_and_offered_first():
    frame = lines(**{"Order total": of_orders(PAID)})
    (question,) = asked(frame)
    assert f"'Order total' (sum {sum(PAID):,.0f}, counted once per order)" in question.finding
    assert question.answer.startswith('[orders.columns] amount = "Order total" with [orders] amou')
    answered = {"orders": {"columns": {"amount": "Order total"}, "amount_of": "order"}}
    assert money_of(frame, answered) == round(sum(PAID), 2)


def parted(coarse, finer):
    """Give orders of four lines, whose total stands on each, beside finer numbers."""
    order = [i // 4 for i in range(120)]
    return pl.DataFrame(
        {
            finer: [f"B{i // (2 if finer == 'Invoice number' else 1):03}" for i in range(120)],
            coarse: [f"A{o:03}" for o in order],
            "Client": [f"K{o % 11:02}" for o in order],
            "Order date": [str(date(2024, 1, 1) + timedelta(o)) for o in order],
            "Total": [PAID[o] for o in order],
        }
    )


@pytest.mark.parametrize(
    ("coarse", "finer"),
    [("主單編號", "訂單編號"), ("Order ref", "Invoice number"), ("Checkout ID", "Order No"),
     ("Qx", "Invoice number")],
)  # fmt: skip
def test_an_amount_that_repeats_within_a_coarser_number_is_of_that_order(coarse, finer):
    frame = parted(coarse, finer)
    audit = segkit.audit_data(frame)
    assert audit.mapping.tables["orders"].columns["order_id"] == coarse
    assert f"11 people, 30 orders, {sum(PAID):,.0f} (" in audit.understood
    given = {"orders": {"columns": {"order_id": finer}}}
    sums, orders = segkit.audit_data(frame, given).understood.split("\n")[-2:]
    assert f"'Total' repeats within {coarse!r} ({money(sum(PAID))} counted once)" in sums
    assert orders == f"Compare: orders by {coarse!r} would be 30."


@pytest.mark.parametrize("coarse", ["Subscription ID", "Customer ID", "Qx"])
def test_an_amount_that_is_one_for_each_customer_is_no_total_of_an_order(coarse):
    rows = [(f"in_{c}{m}", f"sub_{c}", f"c{c}@x.org", date(2024, m, 1 + c), 9.9 + c % 7)
            for c in range(20) for m in range(1, 3 + c % 7)]  # fmt: skip
    frame = pl.DataFrame(rows, ["Invoice", coarse, "Email", "Date", "Amount"], orient="row")
    audit = segkit.audit_data(frame)
    assert audit.mapping.tables["orders"].columns["order_id"] == "Invoice"
    assert f"20 people, {len(rows)} orders, " in audit.understood
    assert "orders by 'Invoice'" in audit.understood
    assert "Compare" not in audit.understood


@pytest.mark.parametrize("refunds", [False, True])
def test_amounts_in_one_currency_are_taken_where_orders_are_in_several(refunds):
    codes = ["GBP" if i % 6 == 0 else "EUR" for i in range(N)]
    home = [round(e * 1.17, 2) if c == "GBP" else e for e, c in zip(EACH, codes, strict=True)]
    frame = lines(Currency=codes, Amount=EACH, **{"Amount EUR": home}).drop("Line total")
    back = [round(h / 2, 2) if i % 12 == 0 else 0.0 for i, h in enumerate(home)]
    if refunds:  # stated in pounds alone: they cannot be taken off euros
        frame = frame.with_columns(pl.Series("Refund amount", back))
        assert {item.column for item in asked(frame)} >= {"currency"}
        frame = frame.with_columns(
            pl.Series("Refund amount", [round(b / 1.17, 2) for b in back]),
            pl.Series("Refund amount EUR", [b + (i == 1) for i, b in enumerate(back)]),
        ).with_columns(
            (pl.col("Refund amount") + (pl.int_range(pl.len()) == 1)).alias("Refund amount")
        )
        back[1] += 1.0
    taken = segkit.clean_data(frame)
    assert taken.mapping.tables["orders"].constants == {"currency": "EUR"}
    assert taken.orders["amount"].sum() == pytest.approx(sum(home) - sum(back) * refunds)


def test_amounts_that_are_zero_in_the_one_currency_for_some_orders_are_asked_about():
    codes = ["GBP" if i % 6 == 0 else "EUR" for i in range(N)]
    home = [round(e * 1.17, 2) if c == "GBP" else e for e, c in zip(EACH, codes, strict=True)]
    home = [0.0 if i % 10 == 1 else h for i, h in enumerate(home)]  # not yet converted
    frame = lines(Currency=codes, Amount=EACH, **{"Amount EUR": home}).drop("Line total")
    assert "currency" in {item.column for item in asked(frame)}


def test_amounts_of_which_no_header_names_a_currency_are_asked_about():
    codes = ["GBP" if i % 6 == 0 else "EUR" for i in range(N)]
    home = [round(e * 1.17, 2) if c == "GBP" else e for e, c in zip(EACH, codes, strict=True)]
    frame = lines(Currency=codes, Amount=EACH, **{"Base amount": home}).drop("Line total")
    assert "currency" in {item.column for item in asked(frame)}


def test_what_signed_fees_and_shipping_leave_of_an_amount_is_no_revenue():
    fees, sent = [-0.14 * e for e in EACH], [-2.5 * (i % 2) for i in range(N)]
    got = [3.5 * (i % 3 == 0) for i in range(N)]
    left = [sum(x) for x in zip(EACH, fees, sent, got, strict=True)]
    frame = lines(
        Gross=EACH,
        **{"Sales fee": fees, "Shipping cost": sent, "Shipping paid": got, "Total": left},
    ).drop("Line total")
    assert money_of(frame) == sum(EACH)


def test_amounts_after_a_discount_in_percent_are_what_was_paid():
    rates = [5 * (i % 4) for i in range(N)]
    paid = [round(e * (1 - r / 100), 2) for e, r in zip(EACH, rates, strict=True)]
    frame = lines(Rabatt=[f"{r} %" for r in rates], Endbetrag=paid).rename({"Line total": "Betrag"})
    assert money_of(frame) == round(sum(paid), 2)


def test_of_two_pairs_of_received_and_paid_out_the_one_before_fees_is_offered():
    out = [i % 10 == 4 for i in range(N)]
    pairs = {}
    for name, part in (("Net", 0.95), ("Gross", 1.0)):
        for side, way in (("Debit", True), ("Credit", False)):
            pairs[f"{name} {side}"] = [
                round(e * part, 2) if o is way else None for e, o in zip(EACH, out, strict=True)
            ]
    (question,) = asked(lines(**pairs).drop("Line total", "SKU"))
    assert question.answer.startswith('[orders.columns] amount = "Gross Credit" with')


def tickets():
    """Give one row per ticket: those of an order cost the same, whatever their number."""
    sizes = [1 + i % 3 for i in range(30)]
    rows = [(i, 20.0 + 5 * (i % 7)) for i, size in enumerate(sizes) for _ in range(size)]
    return pl.DataFrame(
        {
            "Order #": [f"A{i:03}" for i, _ in rows],
            "Buyer Email": [f"k{i % 11}@x.example" for i, _ in rows],
            "Order date": [str(date(2024, 1, 1) + timedelta(3 * i)) for i, _ in rows],
            "Attendee #": [str(900 + k) for k in range(len(rows))],
            "Total paid": [price for _, price in rows],
        }
    )


def test_prices_of_tickets_alike_in_an_order_are_asked_about_and_offered_by_line():
    frame = tickets()
    (question,) = asked(frame)
    assert question.answer == '[orders] amount_of = "line" (or "order")'
    by_line = {"orders": {"amount_of": "line"}}
    assert money_of(frame, by_line) == frame["Total paid"].sum()
    grown = frame.with_columns(pl.col("Total paid") * pl.len().over("Order #"))
    assert money_of(grown) == frame["Total paid"].sum()


def test_a_failed_attempt_takes_no_share_of_what_its_order_paid():
    order = [i // 2 for i in range(40)]
    frame = pl.DataFrame(
        {
            "payment": [f"pay_{i}" for i in range(40)],
            "order_id": [f"A{i}" for i in order],
            "contact": [f"+4479110000{i % 7}" for i in order],
            "created_at": [str(date(2024, 1, 1) + timedelta(3 * i)) for i in order],
            "amount": [100.0 + 7 * i for i in order],
            "status": ["failed", "captured"] * 20,
        }
    )
    whole = {"orders": {"amount_of": "order"}}
    taken = segkit.clean_data(frame, whole)
    assert taken.orders["amount"].sum() == sum(100.0 + 7 * i for i in range(20))
    assert taken.ledger.reasons() == {"cancelled": 20}


def test_rows_named_after_a_month_and_total_are_no_orders():
    frame = lines().rename({"Line total": "Total"}).drop("Order No")
    words = ["January total", "รวมทั้งหมด", "Celkový součet", "Végösszeg", "總和", "المجموع الكلي"]
    total = pl.DataFrame({"Client": words, "Total": [sum(EACH)] * len(words)})
    taken = segkit.clean_data(pl.concat([frame, total], how="diagonal_relaxed"))
    assert taken.ledger.reasons() == {"total_line": len(words)}


def test_discounts_that_the_price_does_not_have_are_asked_about():
    rows = 60
    off = [2.0 if n % 4 == 1 else 0.0 for n in range(rows)]
    price = [3.5 + n % 5 for n in range(rows)]
    frame = pl.DataFrame(
        {"Order ID": [f"N{n}" for n in range(rows)], "Customer": [f"k{n % 9}" for n in range(rows)],
         "Date": [f"2024-0{1 + n % 9}-11" for n in range(rows)],
         "SKU": [f"P{n % 5}" for n in range(rows)], "Quantity": [2] * rows, "Price": price,
         "Discount Amount": off, "Item Total": [2 * one for one in price]}
    )  # fmt: skip
    for header in (
        "Discount Amount",
        "Chiết khấu đơn hàng",
        "Atlaide",
        "Upust",
        "Kupon rabatt (bruttó)",
    ):
        named = frame.rename({"Discount Amount": header})
        (asked,) = [f for f in segkit.audit_data(named).findings if f.severity == "block"]
        assert offered_answers(asked.answer)[0] == ["orders.discount_taken=false"]
        net, gross = money(2 * sum(price) - sum(off)), money(2 * sum(price))
        assert f"false: it comes off, {net} is left; true: it is off already, {gross}" in (
            asked.finding
        )
    taken = segkit.clean_data(frame, {"orders": {"discount_taken": False}}).orders
    assert taken["amount"].sum() == 2 * sum(price) - sum(off)
    lower = frame.with_columns(Price=pl.col("Price") - pl.col("Discount Amount") / 2)
    net = lower.with_columns(pl.col("Price").mul(2).alias("Item Total"))
    assert not segkit.audit_data(net).blocked


def test_the_amount_offered_is_quantity_times_price_and_no_code():
    frame = pl.DataFrame(
        {"Order ID": [f"N{n}" for n in range(40)], "Customer": [f"k{n % 9}" for n in range(40)],
         "Date": [f"2024-0{1 + n % 9}-11" for n in range(40)],
         "zork": [10_000_001 + n % 7 for n in range(40)], "flum": [1 + n % 3 for n in range(40)],
         "brix": [900 + 10 * n for n in range(40)]}
    )  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    assert offered_answers(asked.answer)[0] == ["orders.columns.amount=brix"]


def test_sums_in_questions_are_those_of_the_rows_that_count_as_numbers_are_read():
    dotted = [f"{value:,}".replace(",", ".") for value in range(7_990, 7_990 + 130 * N, 130)]
    gross = [round((7_990 + 130 * i) * (1.19 if i % 2 else 1.1)) for i in range(N)]
    states = ["Anulado" if i % 10 == 3 else "Pagado" for i in range(N)]
    kept = [state == "Pagado" for state in states]
    frame = lines(
        Estado=states, Neto=dotted, Bruto=[f"{value:,}".replace(",", ".") for value in gross]
    ).drop("Line total")
    total = dict.fromkeys(frame.columns) | {"Order No": "TOTAL", "Bruto": "99.999.999"}
    frame = pl.concat([frame, pl.DataFrame([total], schema=frame.schema)])
    (question, _) = asked(frame)  # and the sign
    assert question.finding == "Several columns could be amount: 'Neto', 'Bruto'."
    frame = frame.rename({"Order date": "Fecha", "Client": "Cliente", "Order No": "Pedido"})
    (question,) = asked(frame)
    net = sum(7_990 + 130 * i for i in range(N) if kept[i])
    all_ = sum(value for value, keep in zip(gross, kept, strict=True) if keep)
    assert f"'Neto' (sum {net:,})" in question.finding
    assert f"'Bruto' (sum {all_:,})" in question.finding
    left_out = sum(7_990 + 130 * i for i in range(N)) - net
    told = segkit.audit_data(frame).understood
    assert f"cancelled {N - sum(kept)} ('Anulado' {left_out:,})" in told
    assert f"Counted: 'Pagado' {sum(kept)}." in told


def test_columns_that_hold_the_same_money_on_the_rows_that_count_are_no_question():
    lost = [i % 10 == 3 for i in range(N)]
    due = [0.0 if out else cash for cash, out in zip(EACH, lost, strict=True)]
    states = ["cancelled" if out else "paid" for out in lost]
    frame = lines(Status=states, **{"Weighted total": due})
    assert not asked(frame)
    assert money_of(frame) == sum(due)


@pytest.mark.parametrize(
    ("price", "paid"),
    [("Appointment Price", "Amount Paid"), ("Price", "Amount Paid Online")],
)
def test_an_amount_that_is_zero_on_rows_that_count_is_weighed_against_another(price, paid):
    visits = pl.DataFrame(
        {
            "Date Scheduled": [str(date(2024, 1, 1) + timedelta(3 * i)) for i in range(N)],
            "Email": [f"k{i % 11}@shop.example" for i in range(N)],
            "Paid?": ["no" if i % 6 == 0 else "yes" for i in range(N)],
            price: EACH,
            paid: [0.0 if i % 3 == 0 else each for i, each in enumerate(EACH)],
            "Open amount": [each if i % 6 == 0 else 0.0 for i, each in enumerate(EACH)],
            "Appointment ID": [f"T{1000 + i}" for i in range(N)],
        }
    )
    (question,) = asked(visits)
    assert f"{price!r} (sum " in question.finding
    assert offered_answers(question.answer)[0] == [f"orders.columns.amount={price}"]
    one = {"orders": {"columns": {"amount": price}}}
    taken = segkit.clean_data(visits, segkit.intake.mapping.Mapping.from_dict(one)).orders
    assert taken.height == N - N // 6
    assert taken["order_id"][0] == "T1001"


def test_open_balances_are_no_amount_and_numbers_of_bookings_and_transactions_are_of_orders():
    owed = "Openstaand bedrag|Offener Betrag|Importe pendiente|Valor devido|Restbelopp|未払金額"
    assert max(name_score("amount", header) for header in owed.split("|")) < LEAST
    ids = (
        "Appointment ID|Termin-ID|Código da transação|Reservation No.|Transação|Nr wizyty|予約番号"
    )
    assert [h for h in ids.split("|") if name_score("order_id", h) < LEAST] == []
    users = (
        "ユーザー識別コード|ユーザーID|Benutzer-ID|Identifiant utilisateur|ID użytkownika|用户ID|"
        "Código de usuario|ID do usuário|Gebruikersnummer|Členské číslo|Käyttäjätunnus|Kundenkonto|"
        "Felhasználó azonosító|Номер участника|ID χρήστη|Kullanıcı No|מזהה משתמש|사용자 ID|"
        "รหัสผู้ใช้|Mã thành viên|ID pengguna|帳號|ग्राहक आईडी|رقم العضوية|Mitgliedernummer"
    )
    assert [h for h in users.split("|") if name_score("customer_id", h) < LEAST] == []
    staff = "Benutzer|Usuario|Utilisateur|Kontonummer|ユーザー"
    assert max(name_score("customer_id", header) for header in staff.split("|")) < LEAST


def test_credits_beside_sales_are_given_back_and_failed_attempts_make_no_total_of_an_order():
    kinds = ["sale", "sale", "sale", "credit"] * 20
    frame = pl.DataFrame(
        {"Transaction ID": [f"t{n}x" for n in range(80)], "Transaction Type": kinds,
         "Transaction Status": ["settled", "processor_declined", "settled", "settled"] * 20,
         "Order ID": [f"W{n // 4 * 2 + (n % 4 == 2)}" for n in range(80)],
         "Customer Email": [f"k{n // 8}@firm.example" for n in range(80)],
         "Created": [f"2025-0{1 + n % 9}-11 10:00" for n in range(80)],
         "Amount": [[9.5 + n % 7, None, 9.5 + n % 7, 2.25][n % 4] for n in range(80)]}
    )  # fmt: skip
    (asked,) = [f for f in segkit.audit_data(frame).findings if f.severity == "block"]
    [answer, *_] = offered_answers(asked.answer)
    assert answer == [
        "orders.columns.row_kind=Transaction Type", "orders.values.row_kind.credit=return"
    ]  # fmt: skip
    told = {
        "columns": {"row_kind": "Transaction Type"},
        "values": {"row_kind": {"credit": "return"}},
    }
    lines = segkit.clean_data(frame, {"orders": told}).orders
    assert lines["order_id"].n_unique() == 40
    assert lines["amount"].sum() == sum(9.5 + n % 7 for n in range(0, 80, 2)) - 20 * 2.25


def test_what_is_to_pay_after_a_discount_and_bonuses_is_the_amount_in_the_headers_currency():
    off = [3.5 * (i % 2) for i in range(N)]
    paid = [e - d - 2 * (i % 12 == 0) for i, (e, d) in enumerate(zip(EACH, off, strict=True))]
    bought = lines().rename({"Line total": "Сума, ₴"}).with_columns(
        pl.Series("Знижка, ₴", off), pl.Series("До сплати, ₴", paid),
        pl.Series("Order No", [f"A{i:03}" for i in range(N)]),
    )  # fmt: skip
    orders = segkit.clean_data(bought).orders
    assert round(orders["amount"].sum(), 2) == round(sum(paid), 2)
    assert {*orders["currency"]} == {"UAH"}
    mapping = segkit.audit_data(bought, {"orders": {"columns": {"amount": "Сума, ₴"}}}).mapping
    assert mapping.option("orders", "discount_taken") is False


@pytest.mark.parametrize(
    ("header", "code"), [("Langue", None), ("Devise", "CHF"), ("Para Birimi", "CHF")]
)
def test_two_letters_are_a_currency_where_the_header_says_so(header, code):
    columns = segkit.audit_data(lines(**{header: ["fr"] * N})).mapping.tables["orders"].columns
    assert columns.get("currency") == (header if code else None)


def test_masked_cards_are_no_customers_beside_addresses():
    mail = {"E-mail": [f"k{i % 11}@x.example" for i in range(N)]}
    cards = {"Card Number": [f"XXXX{1000 + i % 9}" for i in range(N)]}
    bought = lines(**mail, **cards).drop("Client")
    columns = segkit.audit_data(bought).mapping.tables["orders"].columns
    assert columns["customer_id"] == "E-mail"
    assert "Card Number" not in columns.values()
